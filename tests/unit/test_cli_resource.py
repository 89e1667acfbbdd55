# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.resource."""

from tests.ledgers import fact, micros
from tests.workspace import LivesTestCase

HOUR = 3600
DAY = '2026-03-10T'


class TestResourceList(LivesTestCase):

    def setUp(self):
        super().setUp()
        self.tell(fact('active', 0, attributes={'name': 'one'}, created=micros(0), created_state='active'),
                  fact('deleted', HOUR),
                  fact('active', 60, 'r2', kind='observation', project_id='p2'),
                  fact('deleted', HOUR, 'r3'),
                  fact('available', HOUR, 's1', resource_type='share', created=micros(HOUR), created_state='available'))

    def ids(self, *arguments):
        return [row['id'] for row in self.table('resource', 'list', *arguments)]

    def test_list(self):
        """Each row says what a resource is, its state, and since when."""
        first = self.table('resource', 'list')[0]
        self.assertEqual({'id': 'r1', 'type': 'instance', 'name': 'one', 'project': 'p1', 'state': 'deleted',
                          'since': f'{DAY}09:00:00.000000+00:00', 'known_start': True}, first)

    def test_only_an_end(self):
        """A resource of which only its end is known has no state."""
        row = self.table('resource', 'list')[2]
        self.assertEqual(('r3', None, '', None, False),
                         tuple(row[key] for key in ('id', 'project', 'state', 'since', 'known_start')))

    def test_unknown_start(self):
        """A start that is not known is marked in every format."""
        self.assertEqual({'r1': True, 'r2': False, 'r3': False, 's1': True},
                         {row['id']: row['known_start'] for row in self.table('resource', 'list')})
        for layout, line in (('csv', '"r2",False'), ('value', 'r2 False'), ('table', '| r2 | False'),
                             ('yaml', '- id: r2\n  known_start: false')):
            with self.subTest(layout):
                self.assertIn(line, self.run_command('resource', 'list', '-c', 'id', '-c', 'known_start', '-f',
                                                     layout)[1])

    def test_filters(self):
        """The list is filtered by type, present project and state."""
        for expected, *filters in ((['s1'], '--resource-type', 'share'), (['r2'], '--project', 'p2'),
                                   (['r1'], '--state', 'deleted'), ([], '--state', 'DELETED')):
            with self.subTest(filters):
                self.assertEqual(expected, self.ids(*filters))

    def test_broken_configuration(self):
        """Resources can be seen while the source map is broken."""
        self.write('sources.yaml', 'endpoints: [')
        self.assertEqual(4, len(self.ids()))


class TestResourceShow(LivesTestCase):

    def setUp(self):
        super().setUp()
        audits = (fact('active', 600 * number, kind='observation', event_type='exists', every=900, project_id=None)
                  for number in range(1, 6))
        self.tell(fact(None, 0.5, kind='witness', created=micros(0.1), created_state='building', event_type='start',
                       attributes={'name': 'one', 'metadata': {'a': 'b\x1b[2J'}, 'image': 'im\x1b[2Jage'}),
                  fact('active', 2, event_type='end', place={'host': 'h1'}), *audits,
                  fact(None, 1000, kind='change', project_id='p2', event_type='moved'),
                  fact('deleted', HOUR, event_type='gone', project_id='p2'))

    def text(self, *arguments):
        status, out, err = self.run_command('resource', 'show', *arguments)
        self.assertEqual((0, ''), (status, err))
        return out

    def test_life(self):
        """A person reads what it is, each interval with its duration, and the facts behind it."""
        self.assertEqual([
            'instance r1',
            '  name      one',
            '  project   p2',
            '  user      u1',
            '  image     im [2Jage',
            '  metadata  {"a": "b\\u001b[2J"}',
            f'  state     deleted since {DAY}09:00:00.000000+00:00',
            '',
            f'{DAY}08:00:00.100000+00:00 building for 0:00:01.900000',
            '  project=p1 flavor=m1',
            f'    created     {DAY}08:00:00.100000+00:00 start building m0',
            '',
            f'{DAY}08:00:02.000000+00:00 active for 0:16:38',
            '  project=p1 host=h1 flavor=m1',
            f'    transition  {DAY}08:00:02.000000+00:00 end active m1',
            f'    observation from {DAY}08:10:00.000000+00:00 to {DAY}08:50:00.000000+00:00 exists active m2 ... m6',
            '',
            f'{DAY}08:16:40.000000+00:00 active for 0:43:20',
            '  project=p2 host=h1 flavor=m1',
            f'    observation from {DAY}08:10:00.000000+00:00 to {DAY}08:50:00.000000+00:00 exists active m2 ... m6',
            f'    change      {DAY}08:16:40.000000+00:00 moved m7',
            '',
            f'{DAY}09:00:00.000000+00:00 deleted',
            f'    transition  {DAY}09:00:00.000000+00:00 gone deleted m8'], self.text('r1').splitlines())

    def test_data(self):
        """A program gets the same as data."""
        life = self.table('resource', 'show', 'r1')
        self.assertEqual(['id', 'type', 'name', 'project', 'user', 'state', 'since', 'known_start', 'attributes',
                          'intervals', 'facts'], list(life))
        self.assertEqual([('building', 'p1', 1.9), ('active', 'p1', 998), ('active', 'p2', 2600)],
                         [(one['state'], one['project'], one['seconds']) for one in life['intervals']])
        self.assertEqual([['m0'], ['m1', 'm2'], ['m2', 'm7']],
                         [[one['message_id'] for one in interval['facts']] for interval in life['intervals']])
        self.assertEqual([{'time': f'{DAY}09:00:00.000000+00:00', 'until': f'{DAY}09:00:00.000000+00:00',
                           'kind': 'transition', 'event_type': 'gone', 'state': 'deleted', 'message_id': 'm8',
                           'last_message_id': 'm8'}], life['facts'])
        self.assertEqual({'a': 'b\x1b[2J'}, life['attributes']['metadata'])

    def test_lasting(self):
        """What lasts has no end, and its duration is that until now."""
        self.tell(fact('active', 0, 'r2'))
        self.assertRegex(self.text('r2'),
                         rf'\n{DAY}08:00:00.000000\+00:00 active for \d+ days, \d+:\d\d:\d\d until now\n')
        self.assertEqual([(None, None)], [(one['end'], one['seconds'])
                                          for one in self.table('resource', 'show', 'r2')['intervals']])

    def test_unknown_start(self):
        """A start that is not known is said; what was told of the time before the beginning stands apart."""
        self.tell(fact('active', 0, 'r2', kind='observation', launched=micros(-9 * HOUR), launched_state='active'))
        text = self.text('r2')
        self.assertIn('  start     not known: it may have been there before, in other states\n', text)
        self.assertIn(f'\nbefore\n    launched    2026-03-09T23:00:00.999999+00:00 test active m9\n\n{DAY}00:00:00',
                      text)

    def test_only_an_end(self):
        """Of a resource of which only its end is known, the fact that says so is told."""
        self.tell(fact('deleted', 0, 'r3'))
        self.assertIn(f'\nnothing but an end is known\n    transition  {DAY}08:00:00.000000+00:00 test deleted m9\n',
                      self.text('r3'))

    def test_no_state(self):
        """Of a resource of which neither a state nor an end is known, no end is claimed."""
        self.tell(fact(None, 0, 'r3', kind='change'), fact(None, 0, 'r4', kind='witness'))
        self.assertIn(f'\nno state is known\n    change      {DAY}08:00:00.000000+00:00 test m9\n', self.text('r3'))
        self.assertTrue(self.text('r4').endswith('\nno state is known\n'))

    def test_several(self):
        """Where several resources have an id, their types are named, and one is chosen by its type."""
        self.tell(fact('available', 0, resource_type='share'))
        reason = 'several resources have the id r1; choose one with --resource-type instance or share\n'
        self.assertEqual((1, '', reason), self.run_command('resource', 'show', 'r1'))
        self.assertTrue(self.text('r1', '--resource-type', 'share').startswith('share r1\n'))

    def test_none(self):
        """What the ledger does not know is one line."""
        self.assertEqual((1, '', 'the ledger knows no resource r9\n'), self.run_command('resource', 'show', 'r9'))
        self.assertEqual((1, '', 'the ledger knows no share r1\n'),
                         self.run_command('resource', 'show', 'r1', '--resource-type', 'share'))

    def test_one_column(self):
        """Single columns are shown as other commands show them."""
        self.assertIn('| state | deleted |', self.text('r1', '-c', 'state'))
        self.assertEqual('deleted\n', self.text('r1', '-c', 'state', '-f', 'value'))
