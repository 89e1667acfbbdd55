# SPDX-License-Identifier: Apache-2.0
import unittest
from datetime import timedelta

import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st

from ceilometer_paas.ledger import usage
from ceilometer_paas.ledger.usage import Scope
from tests.ledgers import NOW, SOURCE, LedgerCase, fact, micros, telling
from tests.unit.test_store import broken

SECOND = 1_000_000
EVER = Scope(NOW - timedelta(days=1))


def at(seconds: float):
    return NOW + timedelta(seconds=seconds)


def seconds(time) -> float | None:
    return None if time is None else (time - NOW) / timedelta(seconds=1)


class UsageCase(LedgerCase):
    """A test with a ledger of a few lives."""

    facts = (
        fact('building', 0, 'vm', attributes={'name': 'web', 'tags': ['a']}, place={'host': 'h1'}),
        fact('active', 10, 'vm'),
        fact('active', 40, 'vm', project_id='p2', size={'flavor': 'm2'}),
        fact('active', 20, 'a-vm'), fact('deleted', 50, 'a-vm'),
        fact('available', 30, 'vm', resource_type='volume', size={'gb': 7}, user_id=None),
        fact('deleted', 60, 'unseen'),
    )

    def setUp(self):
        super().setUp()
        self.ledger.record(SOURCE, [telling(f'm{place}', told) for place, told in enumerate(self.facts)], (), (), NOW)
        self.ledger.catch_up()

    def found(self, scope=EVER, begin=None, end=None) -> list[tuple]:
        return [(row.resource_type, row.resource_id, seconds(row.begin), seconds(row.end), row.state)
                for row in self.ledger.intervals(scope, begin, end)]


class IntervalTest(UsageCase):
    def test_an_interval_has_all_that_was_told(self):
        """Owner, state, size, times and place of a resource, in order of type, id and time."""
        a, building, active, moved, volume = self.ledger.intervals(EVER)
        self.assertEqual(building, usage.Interval('instance', 'vm', 'p1', 'u1', 'building', 'm1', {'flavor': 'm1'},
                                                  at(0), at(10), 'h1', None))
        self.assertEqual(moved, usage.Interval('instance', 'vm', 'p2', 'u1', 'active', 'm2',
                                               {'flavor': 'm2'}, at(40), None, 'h1', None))
        self.assertEqual((volume.flavor, volume.size, volume.user_id, volume.host), (None, {'gb': 7}, None, None))
        self.assertEqual((a.resource_id, active.project_id), ('a-vm', 'p1'))

    def test_a_period_is_half_open(self):
        """Only what overlaps a period is listed, and it is not cut."""
        self.assertEqual(self.found(begin=at(10), end=at(20)), [('instance', 'vm', 10, 40, 'active')])
        self.assertEqual(self.found(begin=at(50), end=at(51)), [('instance', 'vm', 40, None, 'active'),
                                                                ('volume', 'vm', 30, None, 'available')])
        self.assertEqual(self.found(end=at(0)), [])
        self.assertEqual(self.found(begin=at(20), end=at(20)), [])

    def test_a_scope_narrows(self):
        """Type, id and owner are looked for, alone and together; an owner has its own intervals only."""
        own = [('instance', 'a-vm', 20, 50, 'active'), ('instance', 'vm', 0, 10, 'building'),
               ('instance', 'vm', 10, 40, 'active')]
        moved, volume = ('instance', 'vm', 40, None, 'active'), ('volume', 'vm', 30, None, 'available')
        for given_, expected in (
                ({'project_id': 'p2'}, [moved]), ({'project_id': 'p1'}, [*own, volume]),
                ({'resource_id': 'vm'}, [*own[1:], moved, volume]), ({'resource_type': 'volume'}, [volume]),
                ({'resource_type': 'instance', 'project_id': 'p1'}, own),
                ({'resource_type': 'instance', 'resource_id': 'vm', 'project_id': 'p2'}, [moved]),
                ({'resource_type': 'volume', 'resource_id': 'a-vm'}, []), ({'resource_id': 'unseen'}, []),
                ({'resource_type': 'zone'}, []), ({'project_id': 'P1'}, [])):
            with self.subTest(given_):
                self.assertEqual(self.found(EVER._replace(**given_)), expected)

    def test_nothing_is_older_than_the_beginning(self):
        """What ended before is not shown, what began before begins then; moved back, it is whole again."""
        self.assertEqual(self.found(Scope(at(40.5))), [('instance', 'a-vm', 40.5, 50, 'active'),
                                                       ('instance', 'vm', 40.5, None, 'active'),
                                                       ('volume', 'vm', 40.5, None, 'available')])
        self.assertEqual(self.found(Scope(at(50)), at(0), at(45)), [])
        self.assertEqual(len(self.found(Scope(at(5)))), 5)
        self.assertEqual(self.found(Scope(at(5)))[1], ('instance', 'vm', 5, 10, 'building'))
        self.assertEqual(len(self.found(Scope(at(0)))), 5)

    def test_many_resources_are_read_in_slices(self):
        """All are listed once and in order, though each transaction reads some; writers come in between."""
        ids = [f'r{number:04}' for number in range(2 * usage._SLICE + 3)]
        self.ledger.record(SOURCE, [telling('many', *(fact('on', 0, name, resource_type='thing') for name in ids))],
                           (), (), NOW)
        self.ledger.catch_up()
        scope = EVER._replace(resource_type='thing')
        self.assertEqual([row.resource_id for row in self.ledger.resources(scope)], ids)
        found = []
        for row in self.ledger.intervals(scope):
            found.append(row.resource_id)
            if row.resource_id in (ids[0], ids[-1]):
                self.assertEqual(self.ledger.record(SOURCE, [telling(row.resource_id)], (), (), NOW), set())
        self.assertEqual(found, ids)


class ResourceTest(UsageCase):
    def test_a_resource_is_shown_as_it_is_now(self):
        """What it is and since when; deleted ones, and those of which only the end is known, too."""
        self.assertEqual(list(self.ledger.resources(EVER)), [
            usage.Resource('instance', 'a-vm', None, 'p1', 'u1', 'deleted', at(50), False),
            usage.Resource('instance', 'unseen', None, None, None, '', None, False),
            usage.Resource('instance', 'vm', 'web', 'p2', 'u1', 'active', at(40), False),
            usage.Resource('volume', 'vm', None, 'p1', None, 'available', at(30), False)])

    def test_a_scope_narrows(self):
        """A resource is its present owner's."""
        for given_, expected in (({'project_id': 'p1'}, ['a-vm', 'vm']), ({'project_id': 'p2'}, ['vm']),
                                 ({'resource_type': 'instance'}, ['a-vm', 'unseen', 'vm']),
                                 ({'resource_id': 'vm'}, ['vm', 'vm']), ({'resource_id': 'VM'}, []),
                                 ({'resource_type': 'volume', 'resource_id': 'vm', 'project_id': 'p1'}, ['vm'])):
            with self.subTest(given_):
                self.assertEqual([row.resource_id for row in self.ledger.resources(EVER._replace(**given_))], expected)

    def test_nothing_is_older_than_the_beginning(self):
        """What had ended is not shown; what has lasted since before is shown since then."""
        self.assertEqual([(row.resource_id, seconds(row.since)) for row in self.ledger.resources(Scope(at(50)))
                          if row.state], [('vm', 50), ('vm', 50)])

    def test_a_story_has_the_facts_behind_a_life(self):
        """The intervals of all owners, the newest attributes, and who told what when."""
        (story,) = self.ledger.life(EVER._replace(resource_id='vm', resource_type='instance', project_id='p2'))
        self.assertEqual((story.resource.name, story.resource.state), ('web', 'active'))
        self.assertEqual(story.attributes, {'name': 'web', 'tags': ['a']})
        self.assertEqual([seconds(row.begin) for row in story.intervals], [0, 10, 40])
        self.assertEqual([(row.state, row.message_id) for row in story.testimonies],
                         [('building', 'm0'), ('active', 'm1'), ('active', 'm2')])
        self.assertEqual([story.resource.resource_type for story in self.ledger.life(EVER._replace(resource_id='vm'))],
                         ['instance', 'volume'])
        self.assertEqual(self.ledger.life(EVER._replace(resource_id='nobody')), [])
        (story,) = self.ledger.life(Scope(at(15), resource_id='vm', resource_type='instance'))
        self.assertEqual([seconds(row.begin) for row in story.intervals], [15, 40])


    def test_a_story_has_what_ended_the_life_that_it_is_part_of(self):
        """The fact that ended the parent, unless its child ended before; the parent is named once."""
        part = fact('on', 30, 'part', resource_type='part', attributes={'parent': 'instance/a-vm'})
        early = part._replace(resource_id='early')
        self.ledger.record(SOURCE, [telling('part', part, early),
                                    telling('own', early._replace(state='deleted', time=micros(45)))], (), (), NOW)
        self.ledger.catch_up()
        for name, end, told in (('part', 50, ['part', 'm4']), ('early', 45, ['part', 'own'])):
            (story,) = self.ledger.life(EVER._replace(resource_id=name))
            self.assertEqual(story.attributes, {'parent': 'instance/a-vm'})
            self.assertEqual([(seconds(row.begin), seconds(row.end)) for row in story.intervals], [(30, end)])
            self.assertEqual((story.resource.state, seconds(story.resource.since)), ('deleted', end))
            self.assertEqual([row.message_id for row in story.testimonies], told)


class SumTest(UsageCase):
    def sums(self, begin, end, group_by, scope=EVER):
        return [(*row.group.values(), row.micros / SECOND)
                for row in self.ledger.usage(at(begin), at(end), scope, group_by)]

    def test_seconds_are_summed_by_project_type_state_and_size(self):
        """Unless asked otherwise; what lasts counts until the end."""
        self.assertEqual([(dict(row.group), row.micros) for row in self.ledger.usage(at(0), at(100), EVER)], [
            ({'project_id': 'p1', 'resource_type': 'instance', 'state': 'active', 'size': {'flavor': 'm1'}},
             60 * SECOND),
            ({'project_id': 'p1', 'resource_type': 'instance', 'state': 'building', 'size': {'flavor': 'm1'}},
             10 * SECOND),
            ({'project_id': 'p1', 'resource_type': 'volume', 'state': 'available', 'size': {'gb': 7}}, 70 * SECOND),
            ({'project_id': 'p2', 'resource_type': 'instance', 'state': 'active', 'size': {'flavor': 'm2'}},
             60 * SECOND)])

    def test_time_outside_the_period_does_not_count(self):
        """Intervals are cut at both ends, and at the ledger's beginning."""
        self.assertEqual(self.sums(5, 45, ['resource_id', 'state']),
                         [('a-vm', 'active', 25), ('vm', 'active', 35), ('vm', 'available', 15), ('vm', 'building', 5)])
        self.assertEqual(self.sums(0, 45, ['resource_type'], Scope(at(41))), [('instance', 8), ('volume', 4)])
        self.assertEqual(self.sums(0, 45, ['resource_type'], Scope(at(45))), [])
        self.assertEqual(self.sums(45, 45, ['resource_type']), [])
        self.assertEqual(self.sums(-50, 0, ['resource_type']), [])

    def test_a_scope_narrows(self):
        """Type, id and owner, alone and together."""
        for given_, expected in (({'project_id': 'p2'}, 60), ({'resource_type': 'volume'}, 70),
                                 ({'resource_id': 'vm'}, 170),
                                 ({'resource_type': 'instance', 'resource_id': 'vm'}, 100),
                                 ({'resource_type': 'instance', 'resource_id': 'vm', 'project_id': 'p1'}, 40)):
            with self.subTest(given_):
                self.assertEqual(self.sums(0, 100, [], EVER._replace(**given_)), [(expected,)])
        self.assertEqual(self.sums(0, 100, [], EVER._replace(project_id='nobody')), [])

    def test_each_column_can_be_asked_for(self):
        """Unknown values are a group of their own, the first; the order of the columns is the asker's."""
        self.assertEqual(self.sums(0, 100, ['flavor']), [(None, 70), ('m1', 70), ('m2', 60)])
        self.assertEqual(self.sums(0, 100, ['host', 'project_id']), [(None, 'p1', 100), ('h1', 'p1', 40),
                                                                     ('h1', 'p2', 60)])
        for name in usage.GROUPS:
            with self.subTest(name):
                self.assertEqual(sum(row[-1] for row in self.sums(0, 100, [name])), 200)
        with self.assertRaisesRegex(LookupError, 'by colour, evidence'):
            self.sums(0, 100, ['evidence', 'state', 'colour'])

    def test_a_sum_may_be_larger_than_a_column(self):
        """A large cloud's years are more microseconds than 64 bits can hold."""
        begin, end = NOW.replace(year=2), NOW.replace(year=9999, microsecond=999_999)
        self.ledger.record(SOURCE, [telling('old', *(
            fact('on', (NOW.replace(year=1) - NOW).total_seconds(), f'r{number}', resource_type='old')
            for number in range(40)))],
            (), (), NOW)
        self.ledger.catch_up()
        (row,) = self.ledger.usage(begin, end, Scope(begin, 'old'), ['state'])
        self.assertEqual(row.micros, 40 * ((end - begin) // timedelta(microseconds=1)))
        self.assertGreater(row.micros, 1 << 63)


class PlanTest(UsageCase):
    """How SQLite goes about it; asked of the statements that are executed."""

    def plans(self, question) -> list[str]:
        asked = []

        def note(connection, cursor, statement, parameters, context, executemany):
            if statement.startswith('SELECT'):
                asked.append((statement, parameters))

        with broken('before_cursor_execute', note):
            list(question())
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            return [row[3] for statement, parameters in asked
                    for row in connection.exec_driver_sql(f'EXPLAIN QUERY PLAN {statement}', parameters)]

    def test_nobody_goes_through_all_intervals_or_resources(self):
        """Whatever is asked, an index leads to what is looked for."""
        project, one, kind = (EVER._replace(**given_) for given_ in (
            {'project_id': 'p1'}, {'resource_id': 'vm'}, {'resource_type': 'volume'}))
        both = one._replace(resource_type='volume')
        begin, end = at(20), at(60)
        for name, question in (
                ('project', lambda: self.ledger.intervals(project, begin, end)),
                ('one', lambda: self.ledger.intervals(one, begin, end)),
                ('both', lambda: self.ledger.intervals(both, begin, end)),
                ('kind', lambda: self.ledger.intervals(kind, begin, end)),
                ('period', lambda: self.ledger.intervals(EVER, begin, end)),
                ('since', lambda: self.ledger.intervals(EVER, begin)),
                ('sum', lambda: self.ledger.usage(begin, end, EVER)),
                ('sum of project', lambda: self.ledger.usage(begin, end, project, ['resource_type', 'resource_id'])),
                ('sum of one', lambda: self.ledger.usage(begin, end, one, ['state'])),
                ('sum of a kind', lambda: self.ledger.usage(begin, end, kind, ['project_id', 'state'])),
                ('resources', lambda: self.ledger.resources(EVER)),
                ('resources of a project', lambda: self.ledger.resources(project)),
                ('story', lambda: self.ledger.life(one))):
            with self.subTest(name):
                plan = self.plans(question)
                self.assertTrue(any(step.startswith('SEARCH') for step in plan), plan)
                self.assertEqual([step for step in plan if step.startswith('SCAN') and step != 'SCAN anon_1'], [])

    def test_a_project_and_a_period_are_looked_up_together(self):
        """Of a project only what had not ended before the period is read."""
        for question in (lambda: self.ledger.intervals(EVER._replace(project_id='p1'), at(20), at(60)),
                         lambda: self.ledger.usage(at(20), at(60), EVER._replace(project_id='p1'))):
            self.assertIn('SEARCH state_interval USING INDEX state_interval_project_id_ends_at_idx '
                          '(project_id=? AND ends_at>?)', self.plans(question))


class TotalTest(LedgerCase):
    """Usage is what the intervals say."""

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(['a', 'b', 'c']), st.sampled_from(['on', 'off', 'deleted']),
                              st.floats(0, 100), st.sampled_from(['p1', 'p2'])), max_size=8),
           st.floats(-5, 105), st.floats(-5, 105), st.floats(-5, 50))
    def test_sums_are_those_of_the_intervals(self, told, begin, end, beginning):
        """To the microsecond, for any period and beginning."""
        TotalTest.number = getattr(TotalTest, 'number', 0) + 1
        kind = f'kind{TotalTest.number}'
        self.ledger.record(SOURCE, [telling(kind, *(
            fact(state, time, name, project_id=project, resource_type=kind) for name, state, time, project in told))],
            (), (), NOW)
        self.ledger.catch_up()
        scope = Scope(at(beginning), kind)
        expected = {}
        for row in self.ledger.intervals(scope, at(begin), at(end)):
            used = min(row.end or at(end), at(end)) - max(row.begin, at(begin))
            key = row.project_id, row.resource_id, row.state
            expected[key] = expected.get(key, timedelta()) + used
        found = {tuple(row.group.values()): timedelta(microseconds=row.micros) for row in self.ledger.usage(
            at(begin), at(end), scope, ['project_id', 'resource_id', 'state'])}
        self.assertEqual(found, {key: used for key, used in expected.items() if begin < end})


if __name__ == '__main__':
    unittest.main()
