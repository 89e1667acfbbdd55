# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.status and of what its advice is taken from."""

import contextlib
import io
import json
import os
import pathlib
import sqlite3
import unittest

import yaml

from ceilometer_paas.cli import services, status
from ceilometer_paas.config.sources import Endpoint, Queue
from ceilometer_paas.ledger.store import Ledger
from tests import ledgers, workspace
from tests.gnocchi import Gnocchi

SHIPPED = pathlib.Path(__file__).parents[2] / 'etc/ceilometer_paas'
GNOCCHI = '''\
sources: [{name: all, meters: ["*"], sinks: [gnocchi]}]
sinks: [{name: gnocchi, publishers: ["gnocchi://?resources_definition_file=mine.yaml"]}]
'''
DEFINITIONS = '''\
archive_policies:
  - {name: mine, aggregation_methods: [sum], back_window: 48, definition: [{granularity: 1 hour, timespan: 90 days}]}
resources:
  - {resource_type: queue, metrics: {acme.messages: {archive_policy_name: mine}}, attributes: {a: x, b: y}}
  - {resource_type: thing, metrics: {acme.things: {archive_policy_name: yours}}, attributes: {host: h, c: x}}
'''


class StatusTestCase(workspace.WorkspaceTestCase):

    def run_status(self, *arguments):
        """Run the program; its exit status, stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = status.main(['--config-file', str(self.directory / 'ceilometer.conf'), 'upgrade', 'check',
                                 *arguments])
        return ended, out.getvalue(), err.getvalue()

    def checks(self):
        """Run it; check -> code and lines of details. The exit status is the highest code."""
        ended, out, _ = self.run_status('--json')
        checks = json.loads(out)['checks']
        self.assertEqual(max(check['result'] for check in checks), ended)
        return {check['check']: (check['result'], check['details'].splitlines()) for check in checks}

    def ledger(self):
        """Make the ledger."""
        ledger = Ledger(f'sqlite:///{self.directory}/ledger.sqlite')
        self.addCleanup(ledger.close)
        ledger.upgrade()
        return ledger

    def set_revision(self, revision):
        """Have the ledger's tables be of another version."""
        with contextlib.closing(sqlite3.connect(self.directory / 'ledger.sqlite')) as connection, connection:
            connection.execute('UPDATE alembic_version SET version_num = ?', (revision,))


class StatusTest(StatusTestCase):

    def test_all_is_well(self):
        """A good configuration of which every queue was heard is all success, and 0."""
        ledger = self.ledger()
        for exchange in ('trove', 'nova', 'acme'):
            ledger.record(f'cloud/{exchange}', (), (), (), ledgers.NOW)
        self.assertEqual({'Ceilometer', 'Configuration', 'Ledger', 'Queues', 'Publishers', 'Services'},
                         self.checks().keys())
        self.assertEqual(0, self.run_status()[0])

    def test_nothing_is_changed(self):
        """No ledger is made."""
        before = sorted(os.listdir(self.directory))
        self.run_status()
        self.assertEqual(before, sorted(os.listdir(self.directory)))

    def test_table(self):
        """In the table, each thing that is wrong has lines of its own, and nothing else goes to the terminal."""
        ended, out, err = self.run_status()
        self.assertEqual((1, ''), (ended, err))
        self.assertIn('| Check: Ledger ', out)
        self.assertRegex(out, r'\n\| queue usage\.nova: ')
        self.assertEqual(1, len({len(line) for line in out.splitlines()}))

    def test_configuration(self):
        """All mistakes are told, those of Ceilometer's pipelines too; what cannot be looked at then says so."""
        self.edit('ceilometer.conf', '[paas]', '[notification]\npipelines = a,b\n[paas]\nworkers = 0')
        self.edit('sources.yaml', 'exchange: nova', 'exchnage: nova')
        self.edit('paas_pipeline.yaml', 'file://', 'pile://')
        checks = self.checks()
        code, lines = checks['Configuration']
        self.assertEqual(2, code)
        for place in ('sources.yaml:5: ', 'paas_pipeline.yaml:2: ', 'ceilometer.conf:4: ', '[paas] workers: '):
            self.assertTrue(any(place in line for line in lines), place)
        for name in ('Ledger', 'Queues', 'Publishers', 'Services'):
            self.assertEqual((1, ['not looked at: see Configuration']), checks[name])

    def test_unreadable_configuration(self):
        """A ceilometer.conf that cannot be read is a line and 2; a traceback is never shown."""
        for text in ('[DEFAULT\n', 'x = 1\n', '[DEFAULT]\nx\n'):
            self.write('ceilometer.conf', text)
            with self.subTest(text):
                ended, out, err = self.run_status()
                self.assertEqual((2, '', 1), (ended, out, len(err.splitlines())))
                self.assertIn('ceilometer.conf', err)
        self.write('ceilometer.conf', '[paas]\nworkers = $nothing\n[notification]\npipelines = $nothing\n')
        ended, out, err = self.run_status()
        self.assertEqual((2, ''), (ended, err))
        self.assertNotIn('Traceback', out)

    def test_ledger(self):
        """A ledger is there, behind, newer, damaged or locked away, each with what is to be done."""
        self.assertEqual((0, ['there is no ledger yet: the first program that opens it makes it']),
                         self.checks()['Ledger'])
        self.ledger()
        self.assertEqual((0, ['its tables are those of this version']), self.checks()['Ledger'])
        self.set_revision('0001')
        code, (line,) = self.checks()['Ledger']
        self.assertEqual(1, code)
        self.assertIn('stop all agents that share it before', line)
        self.set_revision('9999')
        checks = self.checks()
        self.assertEqual(2, checks['Ledger'][0])
        self.assertIn('the ledger\'s schema is at revision 9999', checks['Ledger'][1][0])
        self.assertEqual((1, ['not looked at: see Ledger']), checks['Services'])
        self.write('ledger.sqlite', 'this is no database, but it is long enough to be looked at\n' * 20)
        self.assertEqual(2, self.checks()['Ledger'][0])

    def test_ledger_that_cannot_be_reached(self):
        """A server that is away may come back: a warning, without its password."""
        self.edit('ceilometer.conf', '[paas]', '[paas]\nledger_connection = '
                                               'postgresql+psycopg2://u:sesame@127.0.0.1:1/paas?connect_timeout=2')
        code, lines = self.checks()['Ledger']
        self.assertEqual(1, code)
        self.assertRegex(lines[0], '^the ledger: .*refused')
        self.assertNotIn('sesame', str(lines))

    def test_queues(self):
        """What cannot be looked at is said: other drivers are passed over, a broker that is away is a warning."""
        self.assertEqual((0, ['endpoint cloud: only queues of RabbitMQ can be looked at']), self.checks()['Queues'])
        self.edit('sources.yaml', 'cloud: {url: "fake://"}',
                  'cloud: {url: "fake://"}\n  far: {url: "rabbit://me:sesame@127.0.0.1:1/"}')
        self.edit('sources.yaml', 'usage.acme: {endpoint: cloud', 'usage.acme: {endpoint: far')
        code, (away, passed_over) = self.checks()['Queues']
        self.assertEqual(1, code)
        self.assertRegex(away, '^endpoint far cannot be looked at: .*refused')
        self.assertIn('cloud', passed_over)
        self.assertNotIn('sesame', away)

    def test_services(self):
        """A queue from which nothing that is metered came is named with what its service needs."""
        self.ledger().record('cloud/trove', (), (), (), ledgers.NOW)
        code, (nova, acme) = self.checks()['Services']
        self.assertEqual(1, code)
        self.assertRegex(nova, r'^queue usage\.nova: nothing .* from nova: .*driver = messagingv2; .*instance_usage_')
        self.assertIn('PaaS Event Format', acme)

    def test_services_of_a_ledger_that_is_behind(self):
        """It is not upgraded to be asked."""
        self.ledger().record('cloud/nova', (), (), (), ledgers.NOW)
        self.set_revision('0001')
        self.assertEqual(['usage.trove:', 'usage.acme:'], [line.split()[1] for line in self.checks()['Services'][1]])
        self.assertEqual(1, self.checks()['Ledger'][0])


class PublishersTest(StatusTestCase):

    def setUp(self):
        super().setUp()
        self.gnocchi = Gnocchi(self)
        self.write('ceilometer.conf', workspace.CONF.format(directory=self.directory) + self.gnocchi.conf())
        self.write('paas_pipeline.yaml', GNOCCHI)
        self.write('mine.yaml', DEFINITIONS)

    def test_what_gnocchi_lacks(self):
        """Types, attributes and policies are named with the command that makes them, and nothing is made."""
        code, (lacking, policy) = self.checks()['Publishers']
        self.assertEqual(1, code)
        self.assertEqual('Gnocchi lacks archive policy mine; resource type queue; c of resource type thing; run: '
                         'ceilometer-paas gnocchi upgrade', lacking)
        self.assertEqual('there is no archive policy yours, which metrics use; create it', policy)
        self.assertEqual({'GET'}, {request.split()[0] for request in self.gnocchi.requests})

    def test_after_the_upgrade(self):
        """What the command makes is not missing any longer; what it leaves to others is."""
        self.assertEqual(0, self.run_command('gnocchi', 'upgrade')[0])
        self.assertEqual((1, ['there is no archive policy yours, which metrics use; create it']),
                         self.checks()['Publishers'])
        self.gnocchi.policies['yours'] = self.gnocchi.policies['mine'] | {'name': 'yours'}
        self.assertEqual((0, ['nothing is missing']), self.checks()['Publishers'])
        self.gnocchi.policies['mine']['back_window'] = 1
        self.assertIn('has a back_window of', self.checks()['Publishers'][1][0])

    def test_gnocchi_is_away(self):
        """It may come back: a warning."""
        self.gnocchi.shutdown()
        self.gnocchi.server_close()
        code, lines = self.checks()['Publishers']
        self.assertEqual((1, 1), (code, len(lines)))
        self.assertIn('cannot be looked at, and samples for it wait', lines[0])


class ServicesTest(unittest.TestCase):

    def test_every_shipped_exchange_has_advice(self):
        """Nobody ships a queue without saying what its service needs."""
        queues = yaml.safe_load((SHIPPED / 'sources.yaml').read_text(encoding='utf-8'))['queues']
        self.assertEqual(set(services.NEEDS), {queue['exchange'] for queue in queues.values()})

    def test_a_service_that_is_not_known(self):
        """It needs a driver, its exchange, and the topic."""
        queue = Queue('q', Endpoint('e', None), 'zaqar', 'metering-zaqar', own_topic=True)
        self.assertEqual('the service needs [oslo_messaging_notifications] driver = messagingv2 and metering-zaqar '
                         'among its topics; [DEFAULT] control_exchange = zaqar, unless that is its default',
                         services.advice(queue))


if __name__ == '__main__':
    unittest.main()
