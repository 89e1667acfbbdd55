# SPDX-License-Identifier: Apache-2.0
"""Samples -> Gnocchi's measures, all of them stored, and its resources, all of them up to date.

Ceilometer's publisher only logs what Gnocchi answers, leaves out a metric that its file lacks and the measures of a
resource that could not be created, takes a file that does not exist for its own, and leaves out what is wrong in it.
"""

import os
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from ceilometer import declarative, gnocchi_client, keystone_client
from ceilometer.publisher import gnocchi
from ceilometer.sample import Sample
from gnocchiclient import exceptions

from ceilometer_paas.errors import Refused
from ceilometer_paas.publish.load import Refusal

_DEFAULT_FILE = 'gnocchi_resources.yaml'
_REFUSALS = frozenset({400, 413, 422})
_UNIT_LENGTH = 31
"""Characters of a unit that Gnocchi's database has room for."""
_YEARS = '1970', '2262'
"""Gnocchi counts nanoseconds since 1970 in 64 bits, and stores what lies beyond at another time."""


class GnocchiPublisher(gnocchi.GnocchiPublisher):  # type: ignore[misc]
    """``gnocchi://``, with Ceilometer's options. To publish the same samples again changes nothing in Gnocchi.

    :raises ValueError: the URL, its file or the credentials cannot be right
    """

    _gnocchi: Any

    def __init__(self, conf: Any, parsed_url: urllib.parse.SplitResult) -> None:
        super().__init__(conf, parsed_url)
        self._failures: list[Exception] = []
        options = urllib.parse.parse_qs(parsed_url.query)
        self._file = options.get('resources_definition_file', [_DEFAULT_FILE])[-1]

    @staticmethod
    def _load_definitions(conf: Any, archive_policy_override: str | None, resources_definition_file: str) -> Any:
        name = resources_definition_file
        path = name if os.path.exists(name) else conf.find_file(name)
        load = gnocchi.GnocchiPublisher._load_definitions
        if path is None:
            if name != _DEFAULT_FILE:
                raise ValueError(f'{name} does not exist')
            return load(conf, archive_policy_override, name)  # the one that Ceilometer brings
        data = declarative.load_definitions(conf, {}, path)
        if not isinstance(data, dict) or not isinstance(data.get('resources'), list):
            raise ValueError(f'{path} has no list of resources')
        usable, policies = load(conf, archive_policy_override, name)
        if broken := len(data['resources']) - len(usable):
            raise ValueError(f'{path}: {broken} of its {len(data["resources"])} resources cannot be used; the log says '
                             'why')
        return usable, policies

    def _get_gnocchi_client(self, conf: Any, timeout: str) -> None:
        """Check what can be checked before Keystone and Gnocchi are asked."""
        self._timeout = float(timeout)
        section = conf.gnocchi.auth_section
        if keystone_client.get_session(conf, group=section).auth is None:
            raise ValueError(f'credentials are missing: [{section}] has no auth_type')

    def publish_samples(self, samples: list[Sample]) -> Sequence[Refusal]:
        """Store the samples.

        :return: those whose metric the file lacks
        :raises Refused: Gnocchi refuses something in them
        :raises gnocchiclient.exceptions.ClientException: any other error that Gnocchi answers with, or no answer
        """
        if self._gnocchi is None:
            self._gnocchi = gnocchi_client.get_gnocchiclient(self.conf, request_timeout=self._timeout)
        good, refused = [], []
        for sample in samples:
            if reason := self._misfit(sample):
                refused.append((sample, reason))
            else:
                good.append(sample)
        self._failures.clear()
        if good:
            super().publish_samples(good)
        # What may pass comes first: as long as it has not passed, nothing is known of the rest.
        for failure in sorted(self._failures, key=_is_refusal):
            raise Refused('publish.refused', _text(failure)) if _is_refusal(failure) else failure
        return refused

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
            _check(resource)
            super()._create_resource(resource_type, resource)
        except exceptions.ResourceAlreadyExists:
            raise
        except exceptions.ClientException as error:
            self._failures.append(error)
            raise  # the caller goes on with the other resources

    def _if_not_cached(self, resource_type: str, res_id: str, resource_extra: Any) -> None:
        if self._failures:
            return  # all of this is published again; to go on could mean to wait for each resource in turn
        try:
            _check(resource_extra)
            super()._if_not_cached(resource_type, res_id, resource_extra)
        except Exception as error:  # noqa: BLE001 - foreign code: it is raised again when the caller returns
            self._failures.append(error)


def _check(attributes: Mapping[str, Any]) -> None:
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


def _is_refusal(failure: Exception) -> bool:
    """Tell whether Gnocchi speaks of the samples; of a missing archive policy it says 400 too."""
    return (isinstance(failure, exceptions.ClientException) and failure.code in _REFUSALS and
            not exceptions.ArchivePolicyNotFound.match.search(str(failure.message)))


def _text(failure: Any) -> str:
    said = failure.message
    if isinstance(said, dict):
        said = f'{said.get("cause")}: {said.get("reason") or said.get("detail")}'
    return f'Gnocchi: {said} (HTTP {failure.code})'
