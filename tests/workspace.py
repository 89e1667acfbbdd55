# SPDX-License-Identifier: Apache-2.0
"""A directory with a small, good configuration, and commands that run on it in this process."""

import gzip
import io
import itertools
import json
import logging
import tempfile
import unittest
from pathlib import Path

from ceilometer_paas.cli.main import PaasApp
from ceilometer_paas.ledger.store import Ledger
from tests import ledgers

CONF = '''\
[DEFAULT]
transport_url = fake://
[paas]
state_path = {directory}
sources_file = {directory}/sources.yaml
meter_definitions_dirs = {directory}/meters.d
lifecycle_definitions_dirs = {directory}/lifecycles.d
pipeline_cfg_file = {directory}/paas_pipeline.yaml
'''
SOURCES = '''\
endpoints:
  cloud: {url: "fake://"}
queues:
  usage.trove: {endpoint: cloud, exchange: trove, topic: notifications}
  usage.nova: {endpoint: cloud, exchange: nova, topic: notifications}
  usage.acme: {endpoint: cloud, exchange: acme, topic: metering, format: paas-event, own_topic: true}
metric_types:
  database.*: usage.trove
  vcpus: usage.nova
  acme.*: usage.acme
'''
METERS = '''\
metric:
  - name: database.size
    event_type: trove.instance.create
    type: gauge
    unit: GiB
    volume: $.payload.volume_size
    resource_id: $.payload.instance_id
    project_id: $.payload.tenant_id
  - name: vcpus
    event_type: compute.instance.exists
    type: gauge
    unit: vcpu
    volume: $.payload.vcpus
    resource_id: $.payload.instance_id
    project_id: $.payload.tenant_id
'''
LIFECYCLES = '''\
lifecycle:
  - resource_type: database
    resource_id: $.payload.instance_id
    project_id: $.payload.tenant_id
    size: {volume_size: $.payload.volume_size}
    meters: {database.size: [active]}
    events:
      - {event_type: trove.instance.create, state: active}
      - {event_type: trove.instance.delete, state: deleted}
'''
STATED = '''
  - resource_type: instance
    resource_id: $.payload.instance_id
    meters: {compute.uptime: [active]}
    as_before: [resized]
    status: {meter: compute.status, codes: {active: 1, stopped: 3, deleted: 9}}
    quantity: compute.number
    events:
      - {event_type: compute.create, state: active}
'''
PIPELINE = '''\
sources: [{name: all, meters: ["*"], sinks: [file]}]
sinks: [{name: file, publishers: ["file://DIRECTORY/samples?json"]}]
'''


def database(message_id='db-1', **payload):
    """A notification of which the definitions make one sample."""
    return {'message_id': message_id, 'event_type': 'trove.instance.create', 'publisher_id': 'trove-1',
            'priority': 'INFO', 'timestamp': '2026-03-10 08:17:25.229658', '_context_project_id': 'p1',
            'payload': {'instance_id': 'i1', 'tenant_id': 'p1', 'volume_size': 10} | payload}


def acme(message_id='acme-1', value=7.0):
    """A message in the PaaS Event Format."""
    return {'message_id': message_id, 'event_type': 'acme.exists', 'timestamp': '2026-03-10 08:00:00', 'payload': {
        'version': '1.0', 'audit_period_beginning': '2026-03-10T07:00:00Z', 'service_id': 's1', 'instance_id': 'q1',
        'audit_period_ending': '2026-03-10T08:00:00Z', 'project_id': 'p1', 'service_type': 'acme', 'state': 'active',
        'instance_type_id': 'standard',
        'metrics': [{'metric_name': 'acme.messages', 'metric_type': 'delta', 'metric_value': value}]}}


def capture(body, exchange='trove', routing_key='notifications.info'):
    """A line of a bus's capture."""
    return {'seq': 1, 'exchange': exchange, 'routing_key': routing_key, 'body': body, 'redelivered': False}


class WorkspaceTestCase(unittest.TestCase):
    """A test with a workspace of its own."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        for name in ('lifecycles.d', 'meters.d'):
            (self.directory / name).mkdir()
        self.write('ceilometer.conf', CONF.format(directory=self.directory))
        self.write('sources.yaml', SOURCES)
        self.write('meters.d/meters.yaml', METERS)
        self.write('lifecycles.d/lifecycles.yaml', LIFECYCLES)
        self.write('paas_pipeline.yaml', PIPELINE.replace('DIRECTORY', str(self.directory)))
        root = logging.getLogger()
        self.addCleanup(setattr, root, 'handlers', root.handlers[:])
        self.addCleanup(root.setLevel, root.level)

    def write(self, name, text):
        """Write a file of the workspace; its path."""
        (self.directory / name).write_text(text, encoding='utf-8')
        return str(self.directory / name)

    def edit(self, name, old, new):
        """Replace a piece of a file, which must be there."""
        text = (self.directory / name).read_text(encoding='utf-8')
        self.assertIn(old, text)
        self.write(name, text.replace(old, new))

    def lines(self, *documents, name='messages.jsonl'):
        """Write a file of JSON lines; what is text already is a line as it is."""
        text = ''.join(f'{one if isinstance(one, str) else json.dumps(one)}\n' for one in documents)
        if name.endswith('.gz'):
            (self.directory / name).write_bytes(gzip.compress(text.encode()))
            return str(self.directory / name)
        return self.write(name, text)

    def run_command(self, *arguments):
        """Run a command; its exit status, stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        status = PaasApp(stdout=out, stderr=err).run(
            ['--config-file', str(self.directory / 'ceilometer.conf'), *arguments])
        return status, out.getvalue(), err.getvalue()

    def table(self, *arguments, status=0):
        """Run a listing that must end with a status, and say nothing but what it settled; its rows."""
        ended, out, err = self.run_command(*arguments, '-f', 'json')
        said = [line for line in err.splitlines() if not line.startswith('note: settled from ')]
        self.assertEqual((status, []), (ended, said))
        return json.loads(out)


class LivesTestCase(WorkspaceTestCase):
    """A workspace whose ledger began eight hours before :data:`tests.ledgers.NOW`, in which facts are journalled."""

    def setUp(self):
        super().setUp()
        self.write('ceilometer.conf', CONF.format(directory=self.directory) + 'begin = 2026-03-10T00:00:00Z\n')
        self.message_ids = map('m{}'.format, itertools.count())

    def tell(self, *facts):
        """Record a message for each fact; their ids are m0, m1, ... in the order of all calls."""
        ledger = Ledger(f'sqlite:///{self.directory}/ledger.sqlite')
        self.addCleanup(ledger.close)
        ledger.upgrade()
        told = [ledgers.telling(next(self.message_ids), fact) for fact in facts]
        ledger.record(ledgers.SOURCE, told, (), (), ledgers.NOW)


class StatementsTestCase(LivesTestCase):
    """A workspace where three meters are stated of each instance: ``compute.uptime``, ``.status`` and ``.number``."""

    def setUp(self):
        super().setUp()
        self.write('lifecycles.d/lifecycles.yaml', LIFECYCLES + STATED.lstrip('\n'))
        self.edit('sources.yaml', '  vcpus: usage.nova', '  vcpus: usage.nova\n  compute.*: usage.nova')

    def settle(self, until, *arguments):
        """Settle until an hour of 2026-03-10; what was settled."""
        return self.table('settle', '--until', f'2026-03-10T{until:02}:00', *arguments)

    def published(self, name='samples'):
        """Read what was published to a file."""
        path = self.directory / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
