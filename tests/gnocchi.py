# SPDX-License-Identifier: Apache-2.0
"""As much of Gnocchi's HTTP API as Ceilometer's publisher uses; its answers are those of Gnocchi 4.7."""

import collections
import http.server
import json
import re
import threading
import unittest
from typing import Any

MAX_HOST = 20
"""Characters that the attribute ``host`` of the resource type ``thing`` may have."""


class Gnocchi(http.server.ThreadingHTTPServer):
    """A server on a free port; it ends with the test.

    :ivar script: statuses with which the next requests are answered, 0 for what the request deserves
    :ivar measures: (resource, metric, timestamp) -> value
    :ivar resources: id -> attributes
    """

    daemon_threads = True

    def __init__(self, test: unittest.TestCase) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.types = {'generic', 'thing'}
        self.policies: set[str] = set()
        self.resources: dict[str, dict[str, Any]] = {}
        self.measures: dict[tuple[str, str, str], Any] = {}
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
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        path = self.path.partition('?')[0].rstrip('/')
        self.server.requests.append(f'{self.command} {path}')
        if self.server.script and (status := self.server.script.popleft()):
            self._answer(status, 'as the script says')
        elif path == '/v1/archive_policy':
            known = body['name'] in self.server.policies
            self.server.policies.add(body['name'])
            self._answer(*((409, f'Archive policy {body["name"]} already exists') if known else (201, '')))
        elif path == '/v1/batch/resources/metrics/measures':
            self._answer(*self._measures(body))
        elif match := re.fullmatch('/v1/resource/([^/]+)(?:/(.+))?', path):
            self._answer(*self._resource(match[1], match[2], body))
        else:
            self._answer(404, 'The resource could not be found.')

    do_PATCH = do_POST

    def _measures(self, body: dict[str, Any]) -> tuple[int, Any]:
        unknown = []
        for resource, metrics in body.items():
            for metric in metrics.values():
                if metric['archive_policy_name'] not in self.server.policies:
                    return 400, f'Archive policy {metric["archive_policy_name"]} does not exist'
                if not all(isinstance(measure['value'], int | float) for measure in metric['measures']):
                    return 400, {'cause': 'Invalid input', 'reason': 'unexpected measures value', 'detail': [resource]}
            if resource not in self.server.resources:
                unknown.append({'resource_id': resource, 'original_resource_id': resource})
        if unknown:
            return 400, {'cause': 'Unknown resources', 'detail': unknown}
        for resource, metrics in body.items():
            for name, metric in metrics.items():
                for measure in metric['measures']:
                    self.server.measures[resource, name, measure['timestamp']] = measure['value']
        return 202, ''

    def _resource(self, kind: str, name: str | None, body: dict[str, Any]) -> tuple[int, Any]:
        if kind not in self.server.types:
            return 404, f'Resource type {kind} does not exist'
        if len(body.get('host', '')) > MAX_HOST:
            return 400, {'cause': 'Invalid input', 'reason': f'length of value must be at most {MAX_HOST}',
                         'detail': ['host']}
        if name is None:
            if body['id'] in self.server.resources:
                return 409, f'Resource {body["id"]} already exists'
            self.server.resources[body['id']] = body
            return 201, ''
        if name not in self.server.resources:
            return 404, f'Resource {name} does not exist'
        self.server.resources[name].update(body)
        return 200, ''

    def _answer(self, status: int, description: Any) -> None:
        body = json.dumps({'code': status, 'title': '', 'description': description}).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""
