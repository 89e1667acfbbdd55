# SPDX-License-Identifier: Apache-2.0
"""As much of Gnocchi's HTTP API as Ceilometer's publisher uses; its answers are those of Gnocchi 4.7."""

import collections
import http.server
import json
import re
import threading
import unittest
import urllib.parse
from typing import Any

MAX_HOST = 20
"""Characters that the attribute ``host`` of the resource type ``thing`` may have."""

TEXT = {'type': 'string', 'min_length': 0, 'max_length': 255, 'required': False}


class Gnocchi(http.server.ThreadingHTTPServer):
    """A server on a free port; it ends with the test.

    :ivar script: statuses with which the next requests are answered, 0 for what the request deserves
    :ivar measures: (resource, metric, timestamp) -> value
    :ivar waiting: those that are not aggregated yet; of several at one time, the smallest will count
    :ivar resources: id -> attributes, the resource's type among them
    :ivar types: name -> attributes
    """

    daemon_threads = True

    def __init__(self, test: unittest.TestCase) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.types: dict[str, dict[str, Any]] = {'generic': {}, 'thing': {'host': TEXT | {'max_length': MAX_HOST}}}
        self.policies: dict[str, dict[str, Any]] = {}
        self.resources: dict[str, dict[str, Any]] = {}
        self.measures: dict[tuple[str, str, str], Any] = {}
        self.waiting: dict[tuple[str, str, str], Any] = {}
        self.script: collections.deque[int] = collections.deque()
        self.requests: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        test.addCleanup(self.server_close)
        test.addCleanup(self.shutdown)

    def conf(self) -> str:
        """Return what stands in ceilometer.conf for it."""
        return ('[service_credentials]\nauth_type = gnocchi-basic\nuser = admin\n'
                f'endpoint = http://127.0.0.1:{self.server_port}\n')


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Gnocchi

    def do_POST(self) -> None:
        length = int(self.headers.get('Content-Length', 0))
        body = json.loads(self.rfile.read(length)) if length else None
        path = self.path.partition('?')[0].removeprefix('/v1/').rstrip('/')
        self.server.requests.append(f'{self.command} {path}')
        if self.server.script and (status := self.server.script.popleft()):
            self._answer(status, 'as the script says')
        else:
            self._answer(*self._do(f'{self.command} {path}', [body] if length else []))

    do_PATCH = do_GET = do_POST

    def _do(self, request: str, bodies: list[Any]) -> tuple[int, Any]:
        for pattern, method in _ROUTES.items():
            if match := re.fullmatch(pattern, request):
                return method(self, *map(urllib.parse.unquote, match.groups()), *bodies)
        return 404, 'The resource could not be found.'

    def _store(self, body: dict[str, Any]) -> tuple[int, Any]:
        unknown = []
        for resource, metrics in body.items():
            for metric in metrics.values():
                if metric['archive_policy_name'] not in self.server.policies:
                    return 400, f'Archive policy {metric["archive_policy_name"]} does not exist'
                if not all(isinstance(measure['value'], int | float) for measure in metric['measures']):
                    return 400, _invalid('unexpected measures value', resource)
            if resource not in self.server.resources:
                unknown.append({'resource_id': resource, 'original_resource_id': resource})
        if unknown:
            return 400, {'cause': 'Unknown resources', 'detail': unknown}
        for resource, metrics in body.items():
            for name, metric in metrics.items():
                for measure in metric['measures']:
                    key, value = (resource, name, measure['timestamp']), measure['value']
                    value = self.server.waiting[key] = min(value, self.server.waiting.get(key, value))
                    self.server.measures[key] = value
        return 202, ''

    def _aggregate(self, resource: str, metric: str) -> tuple[int, Any]:
        known = {key for key in self.server.measures if key[:2] == (resource, metric)}
        for key in known:
            self.server.waiting.pop(key, None)
        hours = sorted({f'{timestamp[:13]}:00:00+00:00' for _, _, timestamp in known})
        return (200, [[hour, 3600.0, 1.0] for hour in hours]) if known else (404, f'Metric {metric} does not exist')

    def _create_resource(self, kind: str, body: dict[str, Any]) -> tuple[int, Any]:
        wrong = self._wrong(kind, body)
        missing = [name for name, attribute in self.server.types.get(kind, {}).items()
                   if attribute['required'] and name not in body]
        if wrong or missing:
            return wrong or (400, _invalid(f"required key not provided @ data['{missing[0]}']", missing[0]))
        if body['id'] in self.server.resources:
            return 409, f'Resource {body["id"]} already exists'
        self.server.resources[body['id']] = body | {'type': kind}
        return 201, ''

    def _update_resource(self, kind: str, name: str, body: dict[str, Any]) -> tuple[int, Any]:
        if wrong := self._wrong(kind, body):
            return wrong
        if self.server.resources.get(name, {}).get('type') != kind:
            return 404, f'Resource {name} does not exist'
        self.server.resources[name].update(body)
        return 200, ''

    def _search_resources(self, kind: str, body: dict[str, Any]) -> tuple[int, Any]:
        if kind not in self.server.types:
            return 404, f'Resource type {kind} does not exist'
        (name, value), = body['='].items()
        return 200, [one for one in self.server.resources.values() if one['type'] == kind and one.get(name) == value]

    def _wrong(self, kind: str, body: dict[str, Any]) -> tuple[int, Any] | None:
        if kind not in self.server.types:
            return 404, f'Resource type {kind} does not exist'
        for name in body.keys() - {'id', 'project_id', 'user_id', 'started_at', 'ended_at'}:
            if name not in self.server.types[kind]:
                return 400, _invalid(f"extra keys not allowed @ data['{name}']", name)
            longest = self.server.types[kind][name].get('max_length', 255)
            if len(body[name]) > longest:
                return 400, _invalid(f'length of value must be at most {longest}', name)
        return None

    def _show_resource(self, name: str) -> tuple[int, Any]:
        return _found('Resource', name, self.server.resources)

    def _create_policy(self, body: dict[str, Any]) -> tuple[int, Any]:
        return _created('Archive policy', body['name'], self.server.policies, body)

    def _show_policy(self, name: str) -> tuple[int, Any]:
        return _found('Archive policy', name, self.server.policies)

    def _list_policies(self) -> tuple[int, Any]:
        return 200, list(self.server.policies.values())

    def _create_type(self, body: dict[str, Any]) -> tuple[int, Any]:
        return _created('Resource type', body['name'], self.server.types, body['attributes'])

    def _list_types(self) -> tuple[int, Any]:
        return 200, [{'name': name, 'attributes': attributes} for name, attributes in self.server.types.items()]

    def _show_type(self, name: str) -> tuple[int, Any]:
        status, attributes = _found('Resource type', name, self.server.types)
        return status, {'name': name, 'attributes': attributes} if status == 200 else attributes

    def _update_type(self, name: str, body: list[dict[str, Any]]) -> tuple[int, Any]:
        for change in body:
            self.server.types[name][change['path'].rpartition('/')[2]] = change['value']
        return self._show_type(name)

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content if status < 300 else {'code': status, 'title': '', 'description': content}).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""


_ROUTES = {
    'POST batch/resources/metrics/measures': _Handler._store,
    'GET resource/generic/([^/]+)/metric/([^/]+)/measures': _Handler._aggregate,
    'POST resource/([^/]+)': _Handler._create_resource,
    'PATCH resource/([^/]+)/([^/]+)': _Handler._update_resource,
    'GET resource/generic/([^/]+)': _Handler._show_resource,
    'POST search/resource/([^/]+)': _Handler._search_resources,
    'POST archive_policy': _Handler._create_policy,
    'GET archive_policy': _Handler._list_policies,
    'GET archive_policy/([^/]+)': _Handler._show_policy,
    'POST resource_type': _Handler._create_type,
    'GET resource_type': _Handler._list_types,
    'GET resource_type/([^/]+)': _Handler._show_type,
    'PATCH resource_type/([^/]+)': _Handler._update_type,
}


def _invalid(reason: str, detail: str) -> dict[str, Any]:
    return {'cause': 'Invalid input', 'reason': reason, 'detail': [detail]}


def _created(what: str, name: str, among: dict[str, Any], value: Any) -> tuple[int, Any]:
    if name in among:
        return 409, f'{what} {name} already exists'
    among[name] = value
    return 201, value


def _found(what: str, name: str, among: dict[str, Any]) -> tuple[int, Any]:
    return (200, among[name]) if name in among else (404, f'{what} {name} does not exist')
