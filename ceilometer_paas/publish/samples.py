# SPDX-License-Identifier: Apache-2.0
"""Readings and statements -> Ceilometer samples; a refused sample -> the text from which it can be made again."""

import functools
import json
from collections.abc import Iterable, Sequence
from typing import Any

from ceilometer.sample import Sample

from ceilometer_paas import times
from ceilometer_paas.model import Parcel, Statement, sample_id, statement_id

_dumps = json.JSONEncoder(separators=(',', ':')).encode
_TIMES = 8192


def build(parcel: Parcel) -> list[Sample]:
    """Make the samples of a parcel, in the order in which they were recorded."""
    source = parcel.source
    return [sample for message_id, readings in json.loads(parcel.body)
            for sample in from_readings(source, message_id, readings)]


def from_readings(source: str, message_id: str, readings: Iterable[Sequence[Any]]) -> list[Sample]:
    """Make the samples of one message.

    Samples of one reading share their metadata: nobody may change it.

    :param source: ``<endpoint>/<exchange>``
    :param readings: :class:`~ceilometer_paas.model.Reading` tuples, or what is left of them after JSON. An amount with
        more than four elements is that of a sample that existed before: its id, source, and names of user and project
    """
    samples: list[Sample] = []
    ordinals: dict[tuple[str, str], int] = {}
    for resource_id, project_id, user_id, timestamp, metadata, amounts in readings:
        for name, kind, unit, volume, *known in amounts:
            ordinal = ordinals[name, resource_id] = ordinals.get((name, resource_id), -1) + 1
            identity = known[0] if known else sample_id(source, message_id, name, resource_id, ordinal)
            origin, user, project = known[1:] or (None, None, None)
            samples.append(Sample(name, kind, unit, volume, user_id, project_id, resource_id, timestamp, metadata,
                                  origin, identity, user_name=user, project_name=project))
    return samples


def from_statements(statements: Iterable[Statement]) -> list[Sample]:
    """Make the sample of each statement; its id is the same whenever it is stated again.

    Samples share the metadata that their statements share: nobody may change it.
    """
    return [Sample(meter, kind, unit, volume, user_id, project_id, resource_id, _iso(timestamp), metadata, None,
                   statement_id(meter, resource_id, timestamp))
            for meter, kind, unit, volume, resource_id, project_id, user_id, timestamp, metadata in statements]


@functools.lru_cache(_TIMES)
def _iso(micros: int) -> str:
    return times.from_micros(micros).isoformat()


def name(sample: Sample) -> str:
    """Give that by which the pipeline chooses."""
    meter: str = sample.name
    return meter


def refused_body(sample: Sample) -> str:
    """Write a refused sample as JSON ``[message_id, readings]``, from which the same sample, id included, is made.

    A sample does not know its message, so that its own id stands for the message's: as unique, and never the same.
    """
    amount = [sample.name, sample.type, sample.unit, sample.volume, sample.id, sample.source, sample.user_name,
              sample.project_name]
    reading = [sample.resource_id, sample.project_id, sample.user_id, sample.timestamp, sample.resource_metadata,
               [amount]]
    return _dumps([sample.id, [reading]])
