# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.explain."""

from tests.workspace import WorkspaceTestCase, acme, database


class TestExplain(WorkspaceTestCase):

    def test_recorded(self):
        """A good message is explained by its queue, its definitions, its samples and its facts."""
        rows = self.table('explain', self.lines(database()))
        self.assertEqual([{
            'line': 1, 'message_id': 'db-1', 'event_type': 'trove.instance.create', 'queue': 'usage.trove',
            'outcome': 'recorded', 'code': '', 'reason': '',
            'definitions': [f'database.size ({self.directory}/meters.d/meters.yaml:2)',
                            f'database ({self.directory}/lifecycles.d/lifecycles.yaml:2)'],
            'samples': [{'name': 'database.size', 'volume': 10, 'unit': 'GiB', 'resource_id': 'i1',
                         'project_id': 'p1'}],
            'facts': [{'kind': 'transition', 'resource_type': 'database', 'resource_id': 'i1', 'state': 'active',
                       'time': '2026-03-10T08:17:25.229658+00:00'}]}], rows)

    def test_facts_alone(self):
        """A message that tells of a life, and of no usage, is recorded."""
        row, = self.table('explain', self.lines(database() | {'event_type': 'trove.instance.delete'}))
        self.assertEqual(('recorded', [], [('transition', 'deleted')]),
                         (row['outcome'], row['samples'], [(fact['kind'], fact['state']) for fact in row['facts']]))

    def test_facts_in_the_future(self):
        """A fact that is too far ahead of the clock would be refused, and the message with it."""
        row, = self.table('explain', self.lines(database() | {'timestamp': '2999-01-01 00:00:00'}))
        self.assertEqual(('quarantined', 'observe.in_future', []), (row['outcome'], row['code'], row['facts']))

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
