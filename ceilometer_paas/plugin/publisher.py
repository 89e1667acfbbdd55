# SPDX-License-Identifier: Apache-2.0
"""``paas://`` in Ceilometer's ``pipeline.yaml``: samples -> our ledger, from which they leave by our own pipeline."""

import json
import reprlib
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ceilometer_paas.errors import ConfigError, Problem
from ceilometer_paas.model import Envelope, content_id
from ceilometer_paas.plugin import worker

Sample = Any
"""A ``ceilometer.sample.Sample``."""

_CHANGING = ('id', 'monotonic_time')
"""Fields that are otherwise when a sample is made again of the same notification."""


_SHORT = reprlib.Repr()  # whatever the fields hold, and however deep
_SHORT.maxdict, _SHORT.maxstring = 20, 200


class SamplePublisher:
    """Publishes by committing: when a call returns, its samples are in the ledger.

    It waits for as long as the ledger cannot be reached, because Ceilometer drops what a publisher fails at.

    :param conf: Ceilometer's
    :raises SystemExit: the configuration cannot be used
    """

    def __init__(self, conf: Any, parsed_url: urllib.parse.SplitResult) -> None:
        if any(parsed_url[1:]):
            worker.give_up(ConfigError([Problem(conf.pipeline_cfg_file, 0, 'paas:// stands alone; where its samples go '
                                                                           'is said by [paas] pipeline_cfg_file')]))
        self._worker = worker.join(conf)
        self._handle = self._worker.collecting.sample_handler()

    def publish_samples(self, samples: Iterable[Sample]) -> None:
        """Record samples.

        :raises Stopping: the worker stops before they could be recorded
        """
        self._worker.collect(self._handle, list(_envelopes(samples)))


def _envelopes(samples: Iterable[Sample]) -> Iterator[Envelope]:
    """Give each sample an id that it has again when its notification comes again."""
    ordinals: Counter[str] = Counter()
    for sample in samples:
        fields = {name: value for name, value in sample.as_dict().items() if name not in _CHANGING}
        try:
            content = json.dumps(fields, sort_keys=True, default=str)
            message = json.loads(content)
        except (TypeError, ValueError, RecursionError):
            yield Envelope({}, {'name': 'cannot be written as JSON', 'sample': _SHORT.repr(fields)}, 0)
            continue
        yield Envelope({}, {**message, 'id': content_id(content, ordinals[content])}, len(content))
        ordinals[content] += 1
