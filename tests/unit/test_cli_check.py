# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.check."""

from tests.workspace import WorkspaceTestCase


class TestCheck(WorkspaceTestCase):

    def test_good(self):
        """A good configuration gives one summary line, and no ledger is made."""
        status, out, err = self.run_command('check')
        self.assertEqual((0, ''), (status, err))
        self.assertEqual('ok: 1 endpoints, 3 queues, 2 meter definitions, 1 publishers', out.splitlines()[-1])
        self.assertFalse((self.directory / 'ledger.sqlite').exists())

    def test_published_twice(self):
        """A meter that Ceilometer's own agent publishes too is named."""
        _, out, _ = self.run_command('check')
        self.assertIn('note: Ceilometer\'s own notification agent, where it runs, publishes these too: vcpus\n', out)

    def test_inactive_definition(self):
        """A definition that no queue may speak of is named with its place."""
        self.edit('sources.yaml', '  database.*: usage.trove', '  trove.*: usage.trove')
        status, out, _ = self.run_command('check')
        self.assertEqual(0, status)
        self.assertIn(f'note: {self.directory}/meters.d/meters.yaml:2: database.size is inactive', out)

    def test_type_without_definition(self):
        """A metric type that no definition gives is named, unless its messages need none."""
        self.edit('sources.yaml', '  vcpus: usage.nova', '  vcpus: usage.nova\n  memory: usage.nova')
        _, out, _ = self.run_command('check')
        self.assertIn('note: no definition gives the metric type memory, which is mapped to usage.nova', out)
        self.assertNotIn('acme.*', out)

    def test_publisher_that_cannot_be_loaded(self):
        """A publisher and a ledger that cannot be are two lines, and the status is 1."""
        self.edit('paas_pipeline.yaml', 'file://', 'pile://')
        self.edit('ceilometer.conf', '[paas]', '[paas]\nledger_connection = oracle://scott:tiger@db/x')
        status, _, err = self.run_command('check')
        self.assertEqual(1, status)
        self.assertRegex(err, r'paas_pipeline\.yaml:2: publisher file: pile://.* cannot be loaded')
        self.assertIn('[paas] ledger_connection: ', err)
        self.assertNotIn('tiger', err)

    def test_damaged_ledger(self):
        """A ledger file that is no database is said so, and is left as it is."""
        self.write('ledger.sqlite', 'this is no database, but it is long enough to be looked at\n' * 20)
        status, _, err = self.run_command('check')
        self.assertEqual(1, status)
        self.assertIn('[paas] ledger_connection: the ledger cannot be set up: file is not a database', err)

    def test_connect(self):
        """--connect names the endpoints that answer and those that do not, without their passwords."""
        self.edit('sources.yaml', 'cloud: {url: "fake://"}',
                  'cloud: {url: "fake://"}\n  far: {url: "rabbit://me:secret@127.0.0.1:1/"}')
        status, out, err = self.run_command('check', '--connect')
        self.assertEqual((1, 1), (status, len(err.splitlines())))
        self.assertIn('endpoint cloud: reachable\n', out)
        self.assertRegex(err, 'endpoint far: cannot be reached: .*refused')
        self.assertNotIn('secret', out + err)

    def test_all_at_once(self):
        """Mistakes in a file, in a publisher and in the ledger are told together."""
        self.edit('sources.yaml', 'exchange: nova', 'exchnage: nova')
        self.edit('paas_pipeline.yaml', 'file://', 'pile://')
        self.edit('ceilometer.conf', '[paas]', '[paas]\nledger_connection = oracle://scott:tiger@db/x')
        _, _, err = self.run_command('check')
        for said in ('sources.yaml:5: ', 'paas_pipeline.yaml:2: ', '[paas] ledger_connection: '):
            self.assertIn(said, err)
