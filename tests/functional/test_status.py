# SPDX-License-Identifier: Apache-2.0
"""``ceilometer-paas-status upgrade check``, as installed: a real broker, a real Gnocchi, ledgers of all ages."""

import contextlib
import json
import secrets
import socket
import sqlite3
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

import kombu

from ceilometer_paas.ledger.store import Ledger
from tests.functional import gnocchi, rabbit
from tests.workspace import CONF, WorkspaceTestCase

PROGRAM = str(Path(sys.executable).with_name('ceilometer-paas-status'))
SHIPPED = Path(__file__).parents[2] / 'etc/ceilometer_paas/gnocchi_resources.yaml'
SOURCES = '''\
endpoints:
  cloud: {{url: "{url}"}}
  far: {{url: "rabbit://me:sesame@127.0.0.1:{closed}/"}}
queues:
  usage.consumed: {{endpoint: cloud, exchange: nova, topic: notifications}}
  usage.alone: {{endpoint: cloud, exchange: trove, topic: notifications}}
  usage.missing: {{endpoint: cloud, exchange: designate, topic: notifications}}
  usage.own: {{endpoint: cloud, exchange: acme, topic: metering, priorities: [info, error], own_topic: true}}
  usage.far: {{endpoint: far, exchange: octavia, topic: notifications}}
metric_types:
  vcpus: [usage.consumed, usage.alone, usage.missing, usage.own, usage.far]
  database.*: usage.alone
'''
PIPELINE = '''\
sources: [{{name: all, meters: ["*"], sinks: [gnocchi]}}]
sinks: [{{name: gnocchi, publishers: ["gnocchi://?enable_filter_project=false&resources_definition_file={}"]}}]
'''


def closed_port() -> int:
    """Find a port on which nobody listens."""
    with socket.create_server(('127.0.0.1', 0)) as free:
        port: int = free.getsockname()[1]
    return port


class StatusTest(WorkspaceTestCase):

    def check(self) -> tuple[int, dict[str, tuple[int, list[str]]]]:
        """Run the program; its exit status, and of each check the code and the lines of details."""
        done = subprocess.run([PROGRAM, '--config-file', self.directory / 'ceilometer.conf', 'upgrade', 'check',
                               '--json'], capture_output=True, text=True, check=False, timeout=60)
        self.assertNotIn('Traceback', done.stdout + done.stderr)
        self.assertNotIn('sesame', done.stdout + done.stderr)
        return done.returncode, {check['check']: (check['result'], check['details'].splitlines())
                                 for check in json.loads(done.stdout)['checks']}

    def test_queues(self) -> None:
        """A queue without a consumer, one that is missing and a broker that is down are told; none is declared."""
        vhost = rabbit.vhost(self)
        url = rabbit.url(vhost)
        self.write('sources.yaml', SOURCES.format(url=url, closed=closed_port()))
        with kombu.Connection(url.replace('rabbit', 'pyamqp')) as connection, connection.channel() as channel:
            for name in ('usage.consumed', 'usage.alone', 'metering.error'):
                channel.queue_declare(name, auto_delete=False)
            for number in range(3):
                kombu.Producer(channel).publish(f'{number}', routing_key='usage.alone')
            for name in ('usage.consumed', 'metering.error'):
                channel.basic_consume(name)
            before = rabbit.queues(vhost)
            ended, checks = self.check()
            self.assertEqual(before, rabbit.queues(vhost))
        code, lines = checks['Queues']
        self.assertEqual((1, 1), (ended, code))
        missing = 'does not exist yet, and what is sent is not kept for us: start the agent, which declares it'
        self.assertEqual(['queue usage.alone has no consumer, and 3 messages wait in it: start the agent',
                          f'queue usage.missing {missing}', f'queue metering.info (of usage.own) {missing}'],
                         lines[:-1])
        self.assertRegex(lines[-1], '^endpoint far cannot be looked at: .*refused')

    def test_queues_that_nobody_may_look_at(self) -> None:
        """A login that the broker refuses is told."""
        vhost = rabbit.vhost(self)
        self.write('sources.yaml', SOURCES.format(url=f'rabbit://me:sesame@{rabbit.url(vhost).partition("@")[2]}',
                                                  closed=closed_port()))
        _, checks = self.check()
        self.assertRegex(checks['Queues'][1][0], '^endpoint cloud cannot be looked at: .*ACCESS_REFUSED')

    def test_gnocchi(self) -> None:
        """What Gnocchi lacks is told until the command has made it, and no check makes it."""
        server, name = gnocchi.server(), f't{secrets.token_hex(4)}'
        text = SHIPPED.read_text().replace('resource_type: ', f'resource_type: {name}_')
        file = self.write('own.yaml', text.replace('name: paas', f'name: {name}').replace(
            'archive_policy_default: paas', f'archive_policy_default: {name}'))
        self.write('ceilometer.conf', CONF.format(directory=self.directory) + server.conf())
        self.write('paas_pipeline.yaml', PIPELINE.format(file))
        for _ in range(2):
            code, (line,) = self.check()[1]['Publishers']
            self.assertEqual(1, code)
            self.assertRegex(line, f'^Gnocchi lacks archive policy {name}; resource type {name}_.*; run: '
                                   'ceilometer-paas gnocchi upgrade$')
        self.table('gnocchi', 'upgrade')
        self.assertEqual((0, ['nothing is missing']), self.check()[1]['Publishers'])

    def test_gnocchi_that_is_down(self) -> None:
        """It may come back: a warning."""
        self.write('ceilometer.conf', CONF.format(directory=self.directory) + '[service_credentials]\nauth_type = '
                   f'gnocchi-basic\nuser = admin\nendpoint = http://127.0.0.1:{closed_port()}\n')
        self.write('paas_pipeline.yaml', PIPELINE.format(SHIPPED))
        ended, checks = self.check()
        self.assertEqual((1, 1), (ended, checks['Publishers'][0]))
        self.assertIn('samples for it wait in the ledger', checks['Publishers'][1][0])

    def test_ledger(self) -> None:
        """One that is missing is not made, one that is behind not upgraded, and one that is newer is a failure."""
        path = self.directory / 'ledger.sqlite'

        def asked(revision: str) -> tuple[int, int, str, Any]:
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                connection.execute('UPDATE alembic_version SET version_num = ?', (revision,))
            ended, checks = self.check()
            code, (line,) = checks['Ledger']
            with contextlib.closing(sqlite3.connect(path)) as connection:
                return ended, code, line, connection.execute('SELECT version_num FROM alembic_version').fetchone()[0]

        self.assertEqual((0, ['there is no ledger yet: the first program that opens it makes it']),
                         self.check()[1]['Ledger'])
        self.assertFalse(path.exists())
        with contextlib.closing(Ledger(f'sqlite:///{path}')) as ledger:
            ledger.upgrade()
        ended, code, line, revision = asked('0001')
        self.assertEqual((1, 1, '0001'), (ended, code, revision))
        self.assertIn('stop all agents', line)
        ended, code, line, revision = asked('9999')
        self.assertEqual((2, 2, '9999'), (ended, code, revision))
        self.assertIn('install the newer program', line)


if __name__ == '__main__':
    unittest.main()
