# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.statement."""

import yaml

from tests.ledgers import fact
from tests.workspace import StatementsTestCase

KEYS = ['id', 'meter', 'resource', 'project', 'state', 'begin', 'volume', 'revision', 'delivered_to']
HOUR = 3600


class TestStatementList(StatementsTestCase):

    def setUp(self):
        super().setUp()
        self.tell(fact('active', 0.25), fact('stopped', HOUR), fact('resized', HOUR + 60), fact('deleted', 2 * HOUR),
                  fact('active', 1800, 'r2', project_id='p2'))
        self.publisher = f'file: file://{self.directory}/samples'

    def listed(self, *arguments):
        return self.table('statement', 'list', *arguments)

    def rows(self, *arguments, keys=('meter', 'resource', 'state', 'begin', 'volume')):
        return [tuple(row[key][11:19] if key == 'begin' else row[key] for key in keys)
                for row in self.listed(*arguments)]

    def test_nothing_settled(self):
        """Before anything is settled nothing is stated; to list does not settle."""
        self.assertEqual([], self.listed())
        self.assertEqual([], self.listed())

    def test_keys(self):
        """A statement has these keys, as its sample has them; times with microseconds and offset."""
        self.settle(11, '--publish')
        first = self.listed()[0]
        self.assertEqual(KEYS, list(first))
        self.assertEqual(['compute.uptime', 'r1', 'p1', 'active', '2026-03-10T08:00:00.250000+00:00', 3599.75, 0,
                          [self.publisher]], list(first.values())[1:])

    def test_what_is_published_is_listed(self):
        """The list says what the samples say that were published, ids included."""
        self.settle(11, '--publish')
        self.assertEqual(sorted((sample['id'], sample['name'], sample['resource_id'], sample['project_id'],
                                 sample['volume'], sample['resource_metadata']) for sample in self.published()),
                         sorted((row['id'], row['meter'], row['resource'], row['project'], row['volume'],
                                 row['metadata']) for row in self.listed('--long')))

    def test_meters(self):
        """Uptime is that of the states that count, status that of turns, and of a quantity there is no state."""
        self.settle(11)
        self.assertEqual([('compute.uptime', 'active', '08:00:00', 3599.75),
                          ('compute.status', 'active', '08:00:00', 1),
                          ('compute.uptime', 'stopped', '09:00:00', 0), ('compute.status', 'stopped', '09:00:00', 3),
                          ('compute.uptime', 'resized', '09:01:00', 0), ('compute.status', 'resized', '09:01:00', 0),
                          ('compute.status', 'deleted', '10:00:00', 9)],
                         self.rows('--resource', 'r1', keys=('meter', 'state', 'begin', 'volume')))
        self.assertEqual([('paas-p1', '', '09:00:00', 1), ('paas-p2', '', '09:00:00', 1)],
                         self.rows('--meter', 'compute.number', keys=('resource', 'state', 'begin', 'volume'))[:2])

    def test_filters(self):
        """The list is filtered by meter, type, id, project and time; a project's own id is one."""
        self.settle(11)
        for expected, *filters in (
                ({'r1', 'r2', 'paas-p1', 'paas-p2'}, '--resource-type', 'instance'),
                (set(), '--resource-type', 'share'),
                ({'r1', 'r2'}, '--meter', 'compute.status'),
                ({'r2'}, '--resource', 'r2'),
                ({'r2', 'paas-p2'}, '--project', 'p2'),
                ({'paas-p2'}, '--resource', 'paas-p2'),
                (set(), '--resource', 'paas-p2', '--project', 'p1'),
                ({'r1'}, '--end', '2026-03-10T08:10', '--meter', 'compute.uptime'),
                ({'r2'}, '--begin', '2026-03-10T10:00', '--meter', 'compute.uptime'),
                (set(), '--begin', '2026-03-10T11:00')):
            with self.subTest(filters):
                self.assertEqual(expected, {row['resource'] for row in self.listed(*filters)})

    def test_a_resource_that_is_called_like_a_project(self):
        """A resource whose own id begins as that of a project does is found by it."""
        self.tell(fact('active', 0, 'paas-p2', project_id='p3'))
        self.settle(9)
        self.assertEqual([('compute.uptime', 'p3'), ('compute.status', 'p3'), ('compute.number', 'p2')],
                         self.rows('--resource', 'paas-p2', keys=('meter', 'project')))

    def test_a_period_that_is_none(self):
        """A period that ends before it begins is refused in one line."""
        self.assertEqual((1, '', '--begin 2026-03-10T00:00:00.000000+00:00 is not before '
                                 '--end 2026-03-09T00:00:00.000000+00:00\n'),
                         self.run_command('statement', 'list', '--begin', '2026-03-10', '--end', '2026-03-09'))

    def test_late_message(self):
        """What came late is in the list at once, with the next revision, and not as delivered before it is."""
        self.settle(11, '--publish')
        self.tell(fact('deleted', 2700, 'r2', project_id='p2'))
        question = ('--resource', 'r2', '--meter', 'compute.uptime')
        keys = 'begin', 'state', 'volume', 'revision', 'delivered_to'
        self.assertEqual([('08:30:00', 'active', 900, 1, []), ('09:00:00', 'deleted', 0, 1, []),
                          ('10:00:00', 'deleted', 0, 1, [])], self.rows(*question, keys=keys))
        self.run_command('settle', '--until', '2026-03-10T11:00', '--publish')
        self.assertEqual([[self.publisher]] * 3, [row['delivered_to'] for row in self.listed(*question)])

    def test_delivered_to(self):
        """Only the publishers are named that were told, and of the pipeline's only those that take the meter."""
        self.settle(9, '--publish')
        self.edit('paas_pipeline.yaml', 'sources: [',
                  'sources: [{name: some, meters: [compute.status], sinks: [other]}, ')
        self.edit('paas_pipeline.yaml', 'sinks: [{',
                  f'sinks: [{{name: other, publishers: ["file://{self.directory}/other?json"]}}, {{')
        self.settle(10, '--publish')
        self.settle(11)
        other = f'other: file://{self.directory}/other'
        listed = {(row['meter'], row['begin'][11:16]): row['delivered_to'] for row in self.listed('--project', 'p1')}
        self.assertEqual([self.publisher], listed['compute.uptime', '09:00'])
        self.assertEqual([self.publisher, other], listed['compute.status', '09:00'])
        self.assertEqual([], listed['compute.status', '10:00'])
        self.assertEqual({'compute.status'}, {sample['name'] for sample in self.published('other')})

    def test_a_project_that_had_nothing_after_all(self):
        """What was published of it is taken back, and the list says so."""
        self.tell(fact('active', 600, 'r9', project_id='p9'))
        self.settle(9, '--publish')
        self.tell(fact('deleted', 500, 'r9', project_id='p9'))
        self.settle(10, '--publish')
        self.assertEqual([(0, 1, [self.publisher])], self.rows(
            '--meter', 'compute.number', '--end', '2026-03-10T09:00', '--project', 'p9',
            keys=('volume', 'revision', 'delivered_to')))
        self.assertIn(('p9', 0), self.rows('--meter', 'compute.number', keys=('project', 'volume')))

    def test_long(self):
        """In long form a statement has its sample's type, unit, user and metadata; YAML has no references."""
        self.settle(10)
        out = self.run_command('statement', 'list', '--long', '-f', 'yaml', '--resource', 'r1')[1]
        self.assertNotIn('&id', out)
        first = yaml.safe_load(out)[0]
        self.assertEqual({*KEYS, 'type', 'unit', 'user', 'metadata'}, set(first))
        self.assertEqual(('delta', 's', 'u1'), (first['type'], first['unit'], first['user']))
        self.assertEqual({'resource_type': 'instance', 'state': 'active', 'size': {'flavor': 'm1'}, 'revision': 0,
                          'period': {'begin': '2026-03-10T08:00:00+00:00', 'end': '2026-03-10T09:00:00+00:00'}},
                         first['metadata'])

    def test_formats(self):
        """Publishers are words, with commas between them where a cell holds no list."""
        self.settle(9, '--publish')
        out = self.run_command('statement', 'list', '-f', 'csv', '-c', 'delivered_to', '-c', 'volume')[1]
        self.assertIn(f'3599.75,"{self.publisher}"', out)

    def test_broken_configuration(self):
        """Which meters there are is a matter of the definitions: a mistake in them is a line."""
        self.write('lifecycles.d/lifecycles.yaml', 'lifecycle: [')
        status, out, err = self.run_command('statement', 'list')
        self.assertEqual((1, '', 1), (status, out, err.count('\n')))
        self.assertIn('lifecycles.yaml:', err)
