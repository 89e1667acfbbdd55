# SPDX-License-Identifier: Apache-2.0
"""A small deployment for one test: ceilometer.conf and the operator's files in a temporary directory, and the agent."""

import contextlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections.abc import Callable, Iterable
from typing import Any

import kombu

from ceilometer_paas.config import options
from ceilometer_paas.config.load import Configuration, load
from ceilometer_paas.ledger.store import Ledger

METERS = '''
metric:
  - name: memory
    event_type: compute.instance.exists
    type: gauge
    unit: MiB
    volume: $.payload.memory_mb
    resource_id: $.payload.instance_id
    project_id: $.payload.tenant_id
    user_id: $.payload.user_id
    metadata: {host: $.payload.host, state: $.payload.state}
'''
SOURCES = '''
endpoints:
  cloud: {{url: "", dead_letter_exchange: ceilometer-paas.dead}}
queues:
  ceilometer-paas.nova: {{endpoint: cloud, exchange: nova, topic: notifications, priorities: [info, error]}}
  ceilometer-paas.acme: {{endpoint: cloud, exchange: acme, topic: notifications, format: paas-event}}
{more}
metric_types:
  memory: ceilometer-paas.nova
  acme-queue.*: ceilometer-paas.acme
{more_types}
'''
PIPELINE = '''
sources: [{{name: all, meters: ["*"], sinks: [file]}}]
sinks: [{{name: file, publishers: ["file://{directory}/samples.jsonl?json"]}}]
'''
_AGENT = '''
import sys
from ceilometer_paas import agent, deliver
deliver.LEASE = {lease}
sys.exit(agent.main())
'''


PATIENCE = 120.0
"""Seconds that anything may take that takes a few on an idle machine."""


class Deployment:
    """The operator's files, and what can be done with them.

    :param url: transport URL of the endpoint ``cloud``
    """

    def __init__(self, test: unittest.TestCase, url: str) -> None:
        self.directory = tempfile.mkdtemp()
        test.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self._test = test
        self.url = url
        os.mkdir(self.path('meters.d'))
        self.write('meters.d/nova.yaml', METERS)
        self.write('sources.yaml', SOURCES.format(more='', more_types=''))
        self.write('paas_pipeline.yaml', PIPELINE.format(directory=self.directory))
        self.write_conf()

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def write(self, name: str, text: str) -> None:
        with open(self.path(name), 'w') as file:
            file.write(text)

    def write_conf(self, **options: Any) -> None:
        values = {'state_path': self.directory, 'meter_definitions_dirs': self.path('meters.d'),
                  'sources_file': self.path('sources.yaml'), 'pipeline_cfg_file': self.path('paas_pipeline.yaml'),
                  'max_backoff': 1.0, **options}
        self._connection = values.get('ledger_connection', 'sqlite:///' + self.path('ledger.sqlite'))
        lines = [f'{name} = {value}' for name, value in values.items()]
        self.write('ceilometer.conf', '\n'.join(['[DEFAULT]', f'transport_url = {self.url}', '[paas]', *lines, '']))

    def configuration(self) -> Configuration:
        return load(options.prepare(['test', '--config-file', self.path('ceilometer.conf')]))

    def ledger(self) -> Ledger:
        ledger = Ledger(self._connection)
        self._test.addCleanup(ledger.close)
        return ledger

    def quarantined(self) -> list[Any]:
        return list(self.ledger().quarantine_list()) if os.path.exists(self.path('ledger.sqlite')) else []

    def samples(self, *, killed: bool = False) -> list[dict[str, Any]]:
        """Read what was published.

        :param killed: an agent was killed, and may have left the beginning of a line, which its successor closed
        """
        if not os.path.exists(self.path('samples.jsonl')):
            return []
        with open(self.path('samples.jsonl')) as file:
            lines = [line for line in file if line.endswith('\n')]
        return [json.loads(line) for line in lines if not (killed and _is_torn(line))]

    def start_agent(self, lease: float | None = None) -> subprocess.Popen[str]:
        """Start ceilometer-agent-paas as a child process in a session of its own; it is killed when the test ends.

        :param lease: seconds for which it takes a lease, where a test cannot wait for as long as operators can
        """
        program = [os.path.join(os.path.dirname(sys.executable), 'ceilometer-agent-paas')]
        if lease is not None:
            program = [sys.executable, '-c', _AGENT.format(lease=lease)]
        with open(self.path('agent.log'), 'a') as log:
            agent = subprocess.Popen([*program, '--config-file', self.path('ceilometer.conf')], stderr=log, stdout=log,
                                     start_new_session=True, text=True)
        self._test.addCleanup(kill, agent)
        return agent

    def log(self) -> str:
        with open(self.path('agent.log')) as file:
            return file.read()


class Sink:
    """An HTTP server that takes what ``http://`` publishes, as long as it is up.

    :ivar url: to be written into a pipeline
    :ivar up: whether it takes anything; if not, it answers 503
    :ivar delay: seconds that it takes over each answer
    :ivar taken: samples, in the order in which they came
    :ivar turned_away: how many requests came while it was not up
    """

    def __init__(self, test: unittest.TestCase) -> None:
        self.up = True
        self.delay = 0.0
        self.taken: list[dict[str, Any]] = []
        self.turned_away = 0
        self._lock = threading.Lock()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self) -> None:
                length = int(self.headers['Content-Length'])
                body = self.rfile.read(length)
                if len(body) == length:  # else whoever sent it was killed
                    time.sleep(sink.delay)
                    self.send_response(sink._take(body))
                    self.send_header('Content-Length', '0')
                    self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Write nothing."""

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *args: Any) -> None:
                """Let clients be killed."""

        server = Server(('127.0.0.1', 0), Handler)
        test.addCleanup(server.server_close)
        test.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f'http://127.0.0.1:{server.server_port}/samples'

    def _take(self, body: bytes) -> int:
        with self._lock:
            if not self.up:
                self.turned_away += 1
                return 503
            self.taken += json.loads(body)
            return 200


def _is_torn(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return True
    return False


def kill(agent: subprocess.Popen[str]) -> None:
    """Kill a whole process group at once, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(agent.pid, signal.SIGKILL)
    agent.wait()


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until a condition holds, and return what it gives.

    :raises AssertionError: it does not within the time
    """
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f'not within {seconds} s: {what}')
        time.sleep(0.1)


def send(url: str, exchange: str, bodies: Iterable[Any], *, routing_key: str = 'notifications.info') -> None:
    """Put messages on an exchange as services do: an object in the 2.0 envelope, bytes as they are."""
    with kombu.Connection(url.replace('rabbit://', 'amqp://')) as connection:
        producer = kombu.Producer(connection.channel(), kombu.Exchange(exchange, 'topic', durable=False))
        for body in bodies:
            if not isinstance(body, bytes):
                body = json.dumps({'oslo.version': '2.0', 'oslo.message': json.dumps(body)}).encode()
            producer.publish(body, routing_key=routing_key, content_type='application/json',
                             content_encoding='utf-8', serializer=None)
