# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.explain."""

from tests.workspace import WorkspaceTestCase, acme, database


class TestExplain(WorkspaceTestCase):

    def test_recorded(self):
        """A good message is explained by its queue, its definitions and its samples."""
        rows = self.table('explain', self.lines(database()))
        self.assertEqual([{
            'line': 1, 'message_id': 'db-1', 'event_type': 'trove.instance.create', 'queue': 'usage.trove',
            'outcome': 'recorded', 'code': '', 'reason': '',
            'definitions': [f'database.size ({self.directory}/meters.d/meters.yaml:2)'],
            'samples': [{'name': 'database.size', 'volume': 10, 'unit': 'GiB', 'resource_id': 'i1',
                         'project_id': 'p1'}]}], rows)

    def test_event_format(self):
        """A message in the PaaS Event Format needs no definition."""
        row, = self.table('explain', self.lines(acme()))
        self.assertEqual(('usage.acme', 'recorded', [], 'acme.messages'),
                         (row['queue'], row['outcome'], row['definitions'], row['samples'][0]['name']))

    def test_not_recorded(self):
        """What would be refused or ignored says why; a line that is no JSON too."""
        path = self.lines(database(volume_size='ten'), '{"message', {'message_id': 'x'},
                          database() | {'event_type': 'trove.instance.reboot'})
        self.assertEqual([('quarantined', 'translate.bad_volume'), ('quarantined', 'decode.undecodable'),
                          ('quarantined', 'decode.no_event_type'), ('ignored', 'ignored.no_definition')],
                         [(row['outcome'], row['code']) for row in self.table('explain', path)])

    def test_unprintable(self):
        """What a message smuggles in does not reach the terminal."""
        row, = self.table('explain', self.lines(database('\x1b[2J') | {'event_type': 'a\x9bb'}))
        self.assertEqual((' [2J', 'a b', 'decode.bad_event_type'), (row['message_id'], row['event_type'], row['code']))

    def test_no_ledger(self):
        """Nothing is written: no ledger is made."""
        self.run_command('explain', self.lines(database(), database()))
        self.assertFalse((self.directory / 'ledger.sqlite').exists())

    def test_table(self):
        """In a table each sample is a line."""
        _, out, _ = self.run_command('explain', self.lines(database()), '-c', 'samples')
        self.assertIn('| database.size 10 GiB i1 p1 |', out)

    def test_csv(self):
        """In a line of CSV samples are separated by semicolons, and their values by blanks."""
        _, out, _ = self.run_command('explain', self.lines(database()), '-c', 'samples', '-f', 'csv')
        self.assertIn('"database.size 10 GiB i1 p1"', out)
