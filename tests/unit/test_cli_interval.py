# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.interval, and of what it shares with other listings of the ledger."""

import contextlib
import io
import json

import yaml

from ceilometer_paas.cli.interval import IntervalList
from ceilometer_paas.cli.main import PaasApp
from tests.ledgers import fact
from tests.workspace import LivesTestCase, database

KEYS = ['resource_type', 'resource_id', 'project_id', 'user_id', 'state', 'flavor', 'size', 'begin', 'end', 'host',
        'availability_zone']
HOUR = 3600


class TestIntervalList(LivesTestCase):

    def setUp(self):
        super().setUp()
        self.tell(fact('building', 0),
                  fact('active', 1.5, size={'flavor': 'm1', 'vcpus': 2}, place={'host': 'h1'}),
                  fact('deleted', HOUR),
                  fact('active', 2 * HOUR, 'r2', project_id='p2', size={}),
                  fact('available', HOUR, 's1', resource_type='share', size={'size_gb': 5}))

    def states(self, *arguments):
        return [(row['resource_id'], row['state']) for row in self.table('interval', 'list', *arguments)]

    def test_keys(self):
        """An interval has these keys, times with microseconds and offset, and its size is an object."""
        first, second, *_ = self.table('interval', 'list')
        self.assertEqual(KEYS, list(first))
        self.assertEqual(['instance', 'r1', 'p1', 'u1', 'active', 'm1', {'flavor': 'm1', 'vcpus': 2},
                          '2026-03-10T08:00:01.500000+00:00', '2026-03-10T09:00:00.000000+00:00', 'h1', None],
                         list(second.values()))
        self.assertEqual(first['end'], second['begin'])

    def test_lasting(self):
        """An interval that lasts has no end."""
        self.assertEqual([None], [row['end'] for row in self.table('interval', 'list', '--resource', 'r2')])

    def test_filters(self):
        """The list is filtered by type, id, project and time; a period takes what overlaps it."""
        r1 = [('r1', 'building'), ('r1', 'active')]
        for expected, *filters in (
                ([('s1', 'available')], '--resource-type', 'share'),
                (r1, '--resource', 'r1'),
                ([('r2', 'active')], '--project', 'p2'),
                ([('r2', 'active'), ('s1', 'available')], '--begin', '2026-03-10T09:00Z'),
                (r1, '--end', '2026-03-10T10:00:00+01:00'),
                ([('r1', 'active')], '--begin', '2026-03-10 08:30', '--end', '2026-03-10 08:31'),
                ([], '--end', '2026-03-10')):
            with self.subTest(filters):
                self.assertEqual(expected, self.states(*filters))

    def test_a_period_that_is_none(self):
        """A period that ends before it begins, and a time that is none, are refused in one line."""
        self.assertEqual((1, '', '--begin 2026-03-10T00:00:00.000000+00:00 is not before '
                                 '--end 2026-03-09T00:00:00.000000+00:00\n'),
                         self.run_command('interval', 'list', '--begin', '2026-03-10', '--end', '2026-03-09'))
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as caught:
            self.run_command('interval', 'list', '--begin', 'yesterday')
        self.assertEqual(2, caught.exception.code)

    def test_beginning(self):
        """Nothing before the beginning that is configured is listed."""
        self.edit('ceilometer.conf', 'begin = 2026-03-10T00:00:00Z', 'begin = 2026-03-10T08:30:00Z')
        row, = self.table('interval', 'list', '--resource', 'r1')
        self.assertEqual(('active', '2026-03-10T08:30:00.000000+00:00'), (row['state'], row['begin']))

    def test_beginning_of_the_ledger(self):
        """Without a configured one the ledger's own beginning counts, which replay sets to the first message."""
        self.edit('ceilometer.conf', 'begin = 2026-03-10T00:00:00Z', '')
        self.table('replay', self.lines(database(), database('db-2') | {'timestamp': '2026-03-10 08:30:00'}))
        self.assertEqual({'2026-03-10T08:17:25.229658+00:00'},
                         {row['begin'] for row in self.table('interval', 'list', '--end', '2026-03-10T08:20')})

    def test_question_before_the_beginning(self):
        """A question does not make a ledger begin: what is replayed after it is seen."""
        self.edit('ceilometer.conf', 'begin = 2026-03-10T00:00:00Z', f'ledger_connection = sqlite:///{self.directory}/new')
        self.assertEqual([], self.table('interval', 'list'))
        self.table('replay', self.lines(database()))
        self.assertEqual('2026-03-10T08:17:25.229658+00:00', self.table('interval', 'list')[0]['begin'])

    def test_broken_configuration(self):
        """Intervals can be seen while the source map is broken."""
        self.write('sources.yaml', 'endpoints: [')
        self.assertEqual(2, len(self.states('--resource', 'r1')))

    def test_size(self):
        """A size is words in a table and in CSV, an object in YAML."""
        self.assertIn('| flavor=m1 vcpus=2 |', self.run_command('interval', 'list', '-c', 'size')[1])
        self.assertIn('"flavor=m1 vcpus=2"', self.run_command('interval', 'list', '-c', 'size', '-f', 'csv')[1])
        text = self.run_command('interval', 'list', '-c', 'size', '-f', 'yaml')[1]
        self.assertIn({'size': {'flavor': 'm1', 'vcpus': 2}}, yaml.safe_load(text))

    def test_unprintable(self):
        """What a message smuggles into a size does not reach the terminal."""
        self.tell(fact('active', 0, 'r9', size={'flavor': '\x1b[2J'}))
        self.assertNotIn('\x1b', self.run_command('interval', 'list', '--resource', 'r9')[1])


class TestJson(LivesTestCase):

    def test_row_by_row(self):
        """JSON is written while the rows are read, whatever number there is."""
        out = io.StringIO()
        command = IntervalList(PaasApp(stdout=out, stderr=out), None)
        written = []

        def rows():
            for number in range(3):
                yield (number,)
                written.append(out.tell())
        parsed = command.get_parser('').parse_args(['-f', 'json'])
        command.produce_output(parsed, ('n',), rows())
        self.assertEqual(sorted(set(written)), written)
        self.assertLess(0, written[0])
        self.assertEqual([{'n': 0}, {'n': 1}, {'n': 2}], json.loads(out.getvalue()))

    def test_layout(self):
        """JSON has a row in each line, one line with --noindent, and an empty array without rows."""
        self.assertEqual('[]\n', self.run_command('interval', 'list', '-f', 'json')[1])
        self.tell(fact('active'), fact('stopped', 1))
        listing = ('interval', 'list', '-f', 'json', '-c', 'state')
        self.assertEqual('[\n  {"state": "active"},\n  {"state": "stopped"}\n]\n', self.run_command(*listing)[1])
        self.assertEqual('[{"state": "active"}, {"state": "stopped"}]\n',
                         self.run_command(*listing, '--noindent')[1])
