# SPDX-License-Identifier: Apache-2.0
"""Samples -> Gnocchi's measures, all of them stored, and its resources, all of them up to date.

Ceilometer's publisher only logs what Gnocchi answers, leaves out a metric that its file lacks and the measures of a
resource that could not be created, takes a file that does not exist for its own, and leaves out what is wrong in it. It
describes a resource by whichever sample comes last, though it be the oldest.
"""

import contextlib
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ceilometer import gnocchi_client
from ceilometer.publisher import gnocchi
from ceilometer.sample import Sample
from gnocchiclient import exceptions

from ceilometer_paas import times
from ceilometer_paas.errors import Refused, Unavailable
from ceilometer_paas.publish.gnocchi_types import COMMAND, check_credentials, load_definitions, named_in, said
from ceilometer_paas.publish.load import Refusal

_REFUSALS = frozenset({400, 413, 422})
_UNIT_LENGTH = 31
"""Characters of a unit that Gnocchi's database has room for."""
_YEARS = '1970', '2262'
"""Gnocchi counts nanoseconds since 1970 in 64 bits, and stores what lies beyond at another time."""
_LACKING = exceptions.ResourceTypeNotFound, exceptions.ArchivePolicyNotFound
_EXTRA = 'extra keys not allowed'
"""What Gnocchi says of an attribute that the resource type lacks."""
_REMEMBERED = 100_000
"""Resources of which it is known by how new a sample they are described; a fifth of a kilobyte each."""


class Connected(gnocchi.GnocchiPublisher):  # type: ignore[misc]
    """Ceilometer's, but it connects when there is something to publish, and a failure to create a resource is raised.

    :param file: definitions of resources
    :raises ValueError: the URL, its file or the credentials cannot be right
    """

    _gnocchi: Any

    def __init__(self, conf: Any, parsed_url: urllib.parse.SplitResult, file: str) -> None:
        self._file = file
        super().__init__(conf, parsed_url)

    def connect(self) -> None:
        """Connect, unless that was done already."""
        if self._gnocchi is None:
            self._gnocchi = gnocchi_client.get_gnocchiclient(self.conf, request_timeout=self._timeout)

    def _load_definitions(self, conf: Any, archive_policy_override: str | None, _: str) -> Any:
        definitions = load_definitions(conf, self._file, archive_policy_override)
        return definitions.resources, definitions.policies

    def _get_gnocchi_client(self, conf: Any, timeout: str) -> None:
        """Check what can be checked before Keystone and Gnocchi are asked."""
        self._timeout = float(timeout)
        check_credentials(conf)

    def _create_resource(self, resource_type: str, resource: Any) -> None:
        check(resource)
        try:
            super()._create_resource(resource_type, resource)
        except exceptions.BadRequest:
            unknown = self._unknown(resource_type, resource)
            if not unknown:
                raise
            super()._create_resource(resource_type, unknown | resource)

    def _unknown(self, resource_type: str, resource: Mapping[str, Any]) -> dict[str, str]:
        """Give texts that a type requires, as some of Ceilometer's do, and that are not told: empty."""
        attributes = self._gnocchi.resource_type.get(resource_type)['attributes']
        return {name: '' for name, attribute in attributes.items()
                if attribute['required'] and attribute['type'] == 'string' and name not in resource}


class GnocchiPublisher(Connected):
    """``gnocchi://``, with Ceilometer's options. To publish the same samples again changes nothing in Gnocchi.

    A sample that is published again with another volume replaces the first. What a resource is like is taken from the
    newest of its samples.
    """

    def __init__(self, conf: Any, parsed_url: urllib.parse.SplitResult) -> None:
        super().__init__(conf, parsed_url, named_in(parsed_url)[0])
        self._failures: list[Exception] = []
        self._newest = _Newest()

    def publish_samples(self, samples: list[Sample]) -> Sequence[Refusal]:
        """Store the samples.

        :return: those whose metric the file lacks
        :raises Refused: Gnocchi refuses something in them
        :raises Unavailable: Gnocchi lacks a resource type, an attribute of one or an archive policy
        :raises gnocchiclient.exceptions.ClientException: any other error that Gnocchi answers with, or no answer
        """
        self.connect()
        good, refused = [], []
        for sample in samples:
            if reason := self._misfit(sample):
                refused.append((sample, reason))
            else:
                good.append(sample)
        self._failures.clear()
        if good:
            good.sort(key=_time)
            self._newest.look_at(good)
            self._aggregate_before(good)
            super().publish_samples(good)
        # What may pass comes first: as long as it has not passed, nothing is known of the rest.
        for failure in sorted(self._failures, key=is_refusal):
            if lacks(failure):
                raise Unavailable(f'{said(failure)}; run: {COMMAND}')
            raise Refused('publish.refused', said(failure)) if is_refusal(failure) else failure
        return refused

    def _aggregate_before(self, samples: Sequence[Sample]) -> None:
        """Have Gnocchi aggregate what waits of the metrics of which something is stated again; learn how new it is.

        Of several values of one time that wait together Gnocchi takes the smallest, and not the one that came last.
        """
        restated = {(sample.resource_id, sample.name): sample.timestamp for sample in samples if _is_restated(sample)}
        for (resource_id, metric), timestamp in restated.items():
            with contextlib.suppress(exceptions.NotFound):
                there = self._gnocchi.metric.get_measures(metric, resource_id=in_path(resource_id), aggregation='sum',
                                                          refresh=True, start=timestamp)
                self._newest.learn(_id(resource_id), max((time.timestamp() for time, _, _ in there), default=0))

    def _misfit(self, sample: Sample) -> str:
        """Say what keeps a sample out of Gnocchi, of the things that Gnocchi does not refuse by a plain answer."""
        if sample.name not in self.metric_map:
            return f'metric {sample.name} stands nowhere in {self._file}'
        if not sample.resource_id:
            return 'the sample has no resource_id'
        if len(sample.unit) > _UNIT_LENGTH or not _is_storable(sample.unit):
            return f'unit {sample.unit[:40]!r} has more than {_UNIT_LENGTH} characters, or unprintable ones'
        if not _YEARS[0] <= sample.timestamp[:4] < _YEARS[1]:
            return f'timestamp {sample.timestamp} is not one of the years {_YEARS[0]} to {int(_YEARS[1]) - 1}'
        return ''

    def batch_measures(self, measures: Any, resource_infos: Any) -> None:
        """Store measures; a failure is noted, because the caller would only log it."""
        try:
            super().batch_measures(measures, resource_infos)
        except Exception as error:  # noqa: BLE001 - foreign code: it is raised again when the caller returns
            self._failures.append(error)

    def _create_resource(self, resource_type: str, resource: Any) -> None:
        try:
            super()._create_resource(resource_type, resource)
        except exceptions.ResourceAlreadyExists:
            raise
        except exceptions.ClientException as error:
            self._failures.append(error)
            raise  # the caller goes on with the other resources

    def _if_not_cached(self, resource_type: str, res_id: str, resource_extra: Any) -> None:
        # After a failure all of this is published again; to go on could mean to wait for each resource in turn.
        if self._failures or not self._newest.is_told(res_id):
            return
        try:
            check(resource_extra)
            super()._if_not_cached(resource_type, res_id, resource_extra)
        except Exception as error:  # noqa: BLE001 - foreign code: it is raised again when the caller returns
            self._failures.append(error)
        else:
            self._newest.told(res_id)

    def _update_resource(self, resource_type: str, res_id: str, resource_extra: Any) -> None:
        try:
            super()._update_resource(resource_type, in_path(res_id), resource_extra)
        except exceptions.ResourceNotFound:
            there = self._gnocchi.resource.get('generic', in_path(res_id))['type']  # not found: deleted just now
            raise exceptions.BadRequest(400, f'resource {res_id} is of the type {there}, and {self._file} has its '
                                             f'metrics at {resource_type}') from None


class _Newest:
    """Which resources are to be described anew: those of which no newer sample is known."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}
        self._batch: dict[str, float] = {}

    def look_at(self, samples: Iterable[Sample]) -> None:
        """Take in what is about to be published, the oldest first."""
        self._batch = {_id(sample.resource_id): _time(sample) for sample in samples}

    def is_told(self, resource_id: str) -> bool:
        """Tell whether what is published describes a resource as it is; what is stated again may be of long ago."""
        return self._batch[resource_id] >= self._known.get(resource_id, 0)

    def told(self, resource_id: str) -> None:
        """Note that what was published describes a resource now."""
        self.learn(resource_id, self._batch[resource_id])

    def learn(self, resource_id: str, time: float) -> None:
        """Note that there is a sample of a resource of that time."""
        self._known[resource_id] = max(time, self._known.pop(resource_id, 0))
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]


def _time(sample: Sample) -> float:
    return times.parse(sample.timestamp).timestamp()


def _id(resource_id: str) -> str:
    """Give an id as Ceilometer's publisher changes it: Gnocchi forbids slashes."""
    return resource_id.replace('/', '_')


def in_path(resource_id: str) -> str:
    """Quote an id, which gnocchiclient does not."""
    return urllib.parse.quote(_id(resource_id), safe='')


def _is_restated(sample: Sample) -> bool:
    return bool(sample.resource_metadata.get('revision'))


def check(attributes: Mapping[str, Any]) -> None:
    """Refuse, in Gnocchi's stead, attributes over which it fails with a server error that would never pass.

    :raises gnocchiclient.exceptions.BadRequest: an attribute's text cannot be stored
    """
    for name, value in attributes.items():
        if isinstance(value, str) and not _is_storable(value):
            raise exceptions.BadRequest(400, f'attribute {name} is {value[:80]!r}, which no database can store')


def _is_storable(text: str) -> bool:
    """Tell whether a text has neither a NUL nor half a surrogate pair."""
    try:
        return b'\0' not in text.encode()
    except UnicodeEncodeError:
        return False


def is_refusal(failure: Exception) -> bool:
    """Tell whether Gnocchi speaks of the content; of what an operator has to create it says 400 too."""
    return isinstance(failure, exceptions.ClientException) and failure.code in _REFUSALS and not lacks(failure)


def lacks(failure: Any) -> bool:
    """Tell whether Gnocchi lacks something that the command creates: a type, an attribute or an archive policy."""
    message = getattr(failure, 'message', '')
    if isinstance(message, dict):
        return str(message.get('reason')).startswith(_EXTRA)
    return any(known.match.match(str(message)) for known in _LACKING)
