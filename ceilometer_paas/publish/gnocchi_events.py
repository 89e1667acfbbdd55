# SPDX-License-Identifier: Apache-2.0
"""Events -> Gnocchi's resources: created, described anew, and ended, by definitions of Ceilometer's.

Ceilometer's publisher only logs what Gnocchi answers, and lets a resource begin and end when the events of it are
published, which may be long after it did.
"""

import contextlib
import itertools
import json
import os
import urllib.parse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ceilometer.event.models import Event
from ceilometer.publisher import gnocchi as stock
from gnocchiclient import exceptions

from ceilometer_paas import times
from ceilometer_paas.errors import Unavailable
from ceilometer_paas.publish.gnocchi import Connected, check, in_path, is_refusal, lacks
from ceilometer_paas.publish.gnocchi_types import said
from ceilometer_paas.publish.load import Refusal

_FILE = 'gnocchi_resources.yaml'


class GnocchiEventPublisher(Connected):
    """``gnocchi://`` for events, with Ceilometer's options and, unless the URL names another file, Ceilometer's own.

    To publish the same events again changes nothing in Gnocchi.
    """

    def __init__(self, conf: Any, parsed_url: urllib.parse.SplitResult) -> None:
        name = urllib.parse.parse_qs(parsed_url.query).get('resources_definition_file', [_FILE])[-1]
        own = os.path.join(os.path.dirname(stock.__file__), 'data', _FILE) if name == _FILE else name
        super().__init__(conf, parsed_url, conf.find_file(name) or own)

    def publish_events(self, events: list[Event]) -> Sequence[Refusal]:
        """Apply the events, in their order.

        :return: those that Gnocchi refuses, and those that do not say which resource they are of
        :raises Unavailable: Gnocchi lacks a resource type or an attribute of one
        :raises gnocchiclient.exceptions.ClientException: any other error that Gnocchi answers with, or no answer
        """
        self.connect()
        refused = []
        for event in events:
            definition = self._get_resource_definition_from_event(event.event_type)
            if definition and 'id' not in definition[0].event_attributes(event):
                refused.append((event, f'the event has no trait that {self._file} takes for the id of a resource'))
                continue
            try:
                super().publish_events([event])
            except exceptions.ClientException as error:
                if lacks(error):
                    raise Unavailable(f'{said(error)}; run: ceilometer-upgrade') from None
                if not is_refusal(error):
                    raise
                refused.append((event, said(error)))
        return refused

    def _create_event(self, definition: Any, event: Event) -> None:
        resource = {'started_at': _time(event).isoformat(), **definition.event_attributes(event)}
        with contextlib.suppress(exceptions.ResourceAlreadyExists):
            self._create_resource(resource.pop('type'), resource)

    def _delete_event(self, definition: Any, event: Event) -> None:
        """End a resource, and those that end with it, when the event says."""
        resource = definition.event_attributes(event)
        associated = (self._search_resource(kind, query % resource['id'])
                      for kind, query in definition.cfg.get('event_associated_resources', {}).items())
        for one in itertools.chain([resource], *associated):
            self._end(one['type'], one['id'], _time(event))

    def _end(self, resource_type: str, resource_id: str, when: datetime) -> None:
        """End a resource; one of which Gnocchi heard first after that ends when it began there."""
        try:
            self._change(resource_type, resource_id, {'ended_at': when.isoformat()})
        except exceptions.BadRequest:
            began = self._gnocchi.resource.get(resource_type, in_path(resource_id))['started_at']
            if times.parse(began) <= when:
                raise
            self._change(resource_type, resource_id, {'ended_at': began})

    def _set_update_attributes(self, resource: Any) -> None:
        self._change(resource.pop('type'), resource.pop('id'), resource)

    def _search_resource(self, resource_type: str, query: str) -> Any:
        return self._gnocchi.resource.search(resource_type, json.loads(query))

    def _change(self, resource_type: str, resource_id: str, attributes: Any) -> None:
        """Change a resource, if there is one."""
        check(attributes)
        with contextlib.suppress(exceptions.ResourceNotFound):
            self._update_resource(resource_type, in_path(resource_id), attributes)


def _time(event: Event) -> datetime:
    when: datetime = event.generated  # of UTC, which it does not say
    return when.replace(tzinfo=UTC)
