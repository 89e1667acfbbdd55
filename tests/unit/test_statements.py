# SPDX-License-Identifier: Apache-2.0
"""What publishers are told of what is settled, and of what is restated."""

import unittest
from collections import Counter
from datetime import timedelta
from itertools import count
from unittest import mock

from oslo_db import exception

from ceilometer_paas import times
from ceilometer_paas.errors import Unavailable
from ceilometer_paas.ledger import settling, statements
from ceilometer_paas.ledger.settling import Period
from ceilometer_paas.ledger.statements import Due
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.model import DELETED, Fact, Statement
from tests.ledgers import NOW, SOURCE, fact, micros, refusal, telling
from tests.stated import STATED
from tests.unit.test_lives import LivesCase
from tests.unit.test_store import broken, fail

HOUR = 3600
DAY = 24 * HOUR


class StatementsCase(LivesCase):
    """A ledger that began at :data:`NOW`, and a publisher that is told of all that is settled."""

    maxDiff = None

    def setUp(self):
        super().setUp()
        self.numbers = count()
        self.ledger.begin(NOW)
        self.ledger.follow(['shelf'])

    def tell(self, *facts: Fact) -> None:
        """Fold facts, each told by a message of its own."""
        self.ledger.record(SOURCE, [telling(f'm{next(self.numbers)}', one) for one in facts], (), (), NOW)
        self.ledger.catch_up()

    def restate(self, ledger: Ledger | None = None) -> int:
        """Compare what is to be compared; how many lives that were."""
        return sum(iter(lambda: (ledger or self.ledger).restate(STATED.as_before), 0))

    def settle(self, hours: float, seconds: int = HOUR) -> None:
        """Settle, after what is to be restated is."""
        self.restate()
        self.ledger.settle(Period(micros(0), seconds, micros(hours * HOUR)))

    def due(self, target: str = 'shelf', ledger: Ledger | None = None) -> Due | None:
        return (ledger or self.ledger).due(target, STATED.as_before)

    def told(self, meter: str = 'uptime', target: str = 'shelf') -> list[tuple]:
        """Tell a publisher everything; of one meter: time (seconds after NOW), volume, state and revision."""
        return [(at, volume, metadata['state'], metadata['revision']) for at, volume, metadata in
                ((seconds(one), one.volume, one.metadata) for one in self.all_told(target)
                 if one.meter == f'instance.{meter}')]

    def counted(self, target: str = 'shelf') -> list[tuple]:
        """Tell a publisher everything; of counts: end of the period, project, number, highest, lowest and revision."""
        return [(seconds(one), one.project_id, one.volume, *map(one.metadata.get, ('highest', 'lowest', 'revision')))
                for one in self.all_told(target) if one.meter == 'instances']

    def all_told(self, target: str = 'shelf') -> list[Statement]:
        found: list[Statement] = []
        while (due := self.due(target)) is not None:
            found += STATED(due.accounts, due.counts)
            self.ledger.told(target, due, (), NOW)
        return found


def seconds(one: Statement) -> float:
    """Tell the time of a statement, in seconds after NOW."""
    return (one.timestamp - micros(0)) / 1_000_000


class ToldTest(StatementsCase):
    def test_each_period_is_told_once(self):
        """Period by period; what lasts is told in each, a status where it turned, a count at its end."""
        self.tell(fact('active', 600), fact('stopped', HOUR + 1))
        self.assertIsNone(self.due())
        self.settle(1.9)
        found = [(one.meter, seconds(one), one.volume) for one in self.all_told()]
        self.assertEqual(found, [('instance.uptime', 600, 3000), ('instance.off', 600, 0), ('instance.status', 600, 1),
                                 ('instances', 3600, 1)])
        self.assertIsNone(self.due())
        self.settle(3)
        self.assertEqual(self.told(), [(3600, 1, 'active', 0), (3601, 0, 'stopped', 0), (7200, 0, 'stopped', 0)])

    def test_a_microsecond_counts(self):
        self.tell(fact('active', 0), fact('stopped', 0.000001))
        self.settle(1)
        self.assertEqual(self.told(), [(0, 0.000001, 'active', 0), (0.000001, 0, 'stopped', 0)])

    def test_an_end_on_a_boundary_belongs_to_the_period_after_it(self):
        """As a change does; an end at the end of all that is settled is told when the next one is."""
        self.tell(fact('active', 0), fact('stopped', HOUR), fact('deleted', 2 * HOUR))
        self.settle(2)
        self.assertEqual(self.told('status'), [(0, 1, 'active', 0), (HOUR, 3, 'stopped', 0)])
        self.settle(3)
        self.assertEqual([seconds(one) for one in self.all_told()], [2 * HOUR])
        self.settle(4)
        self.assertEqual(self.all_told(), [])

    def test_nothing_before_the_beginning_is_told(self):
        """What lasts when the ledger begins has its status then, whatever is learnt of earlier times."""
        self.tell(fact('active', -5 * HOUR), fact('building', -DAY, 'r2'), fact('deleted', -1, 'r2'))
        self.settle(1)
        self.assertEqual((self.told('status'), self.told()), ([(0, 1, 'active', 0)], []))
        self.tell(fact('stopped', -6 * HOUR), fact('building', -DAY), fact('active', -7 * HOUR, 'r2'))
        self.restate()
        self.assertEqual((self.count('restated'), self.count('recounted'), self.due()), (0, 0, None))

    def test_a_state_counts_as_the_one_before_it(self):
        """Wherever that was, in an earlier period or before the beginning; it is told by its own name."""
        self.tell(fact('active', -10), fact('resized', -5, size={'flavor': 'm2'}), fact('resized', 10, 'r2'),
                  fact('stopped', 10, 'r3'), fact('resized', HOUR, 'r3'))
        self.settle(3)
        found = [(one.resource_id, seconds(one), one.volume) for one in self.all_told()
                 if one.meter == 'instance.uptime' and one.metadata['state'] == 'resized']
        self.assertEqual(found, [('r1', 0, 3600), ('r2', 10, 0), ('r1', 3600, 3600), ('r2', 3600, 0), ('r3', 3600, 0),
                                 ('r1', 7200, 3600), ('r2', 7200, 0), ('r3', 7200, 0)])
        self.tell(fact('active', HOUR / 2, 'r3'))
        self.restate()
        self.assertEqual(self.told(), [(10, 0, 'stopped', 1), (1800, 1800, 'active', 1), (3600, 3600, 'resized', 1),
                                       (7200, 3600, 'resized', 1)])

    def test_counts_are_of_projects_and_types(self):
        """At the end, highest and lowest; states and flavors; what a project never had is not told."""
        self.tell(fact('active', 0), fact('stopped', 100), fact('active', 50, 'r2', size={'flavor': 'm2'}),
                  fact('deleted', 200, 'r2'), fact('active', 60, 'r3', size={'vcpus': 1}),
                  fact('active', HOUR, 'r4', project_id='p2'), fact('on', 0, 'd', resource_type='disk'),
                  fact('active', 0, 'r5', project_id=None))
        self.settle(1)
        found = {one.meter: one for one in self.all_told() if one.resource_id == 'paas-p1'}
        self.assertEqual(set(found), {'instances', 'disks'})
        one = found['instances']
        self.assertEqual((one.volume, one.project_id, one.type, one.unit), (2, 'p1', 'gauge', ''))
        self.assertEqual({name: one.metadata[name] for name in ('states', 'flavors', 'highest', 'lowest')},
                         {'states': {'active': 1, 'stopped': 1}, 'flavors': {'m1': 1}, 'highest': 3, 'lowest': 1})
        self.settle(2)
        self.assertEqual(self.counted(), [(2 * HOUR, 'p1', 2, 2, 2, 0), (2 * HOUR, 'p2', 1, 1, 1, 0)])

    def test_what_moves_at_one_moment_is_neither_more_nor_less(self):
        """One that ends as another begins, and changes of state, are no peak and no gap."""
        self.tell(fact('active', 0), fact('deleted', 100), fact('active', 100, 'r2'), fact('stopped', 200, 'r2'))
        self.settle(1)
        self.assertEqual(self.counted(), [(HOUR, 'p1', 1, 1, 1, 0)])

    def test_another_length_holds_from_the_next_boundary_on(self):
        """What is settled keeps its periods, also those that nobody was told of yet."""
        self.tell(fact('active', 0))
        self.settle(1.5)
        self.settle(1.5, seconds=2 * HOUR)
        self.assertEqual(self.ledger.settled(), NOW + timedelta(hours=1))
        self.settle(5, seconds=2 * HOUR)
        self.settle(6, seconds=1800)
        self.assertEqual(self.told(), [(0, 3600, 'active', 0), (3600, 3600, 'active', 0), (7200, 7200, 'active', 0),
                                       *((at, 1800, 'active', 0) for at in range(4 * HOUR, 6 * HOUR, 1800))])

    def test_a_month_of_absence_is_worked_off_period_by_period(self):
        """No step is larger than a slice of one period."""
        number = 5
        self.tell(*(fact('active', 0, f'r{place}', project_id=f'p{place}') for place in range(number)))
        self.settle(31 * 24, seconds=6 * HOUR)
        with (mock.patch.object(statements, '_RESOURCES', 2), mock.patch.object(statements, '_PROJECTS', 3)):
            found = Counter()
            while (due := self.due()) is not None:
                self.assertLessEqual(len(due.accounts), 2)
                self.assertLessEqual(len(due.counts), 3)
                self.assertLessEqual(len({one.period for account in due.accounts for one in account.segments}), 1)
                found.update((account.resource_id, one.begin) for account in due.accounts for one in account.segments)
                found.update((one.project_id, one.period[1]) for one in due.counts)
                self.ledger.told('shelf', due, (), NOW)
        self.assertEqual(set(found.values()), {1})
        self.assertEqual(len(found), 2 * number * 31 * 4)


class RestatedTest(StatementsCase):
    def test_a_late_fact_restates_only_what_it_changes(self):
        """Under the times that were told before, in the next revision; what is new has the same one."""
        self.tell(fact('active', 0))
        self.settle(3)
        before = self.all_told()
        self.tell(fact('stopped', HOUR + 600), fact('active', HOUR + 900))
        self.assertEqual(self.restate(), 1)
        again = self.all_told()
        self.assertEqual([(one.meter, seconds(one), one.volume, one.metadata['revision']) for one in again],
                         [('instance.uptime', 3600, 600, 1), ('instance.off', 3600, 0, 1),
                          ('instance.uptime', 4200, 0, 1), ('instance.off', 4200, 300, 1),
                          ('instance.status', 4200, 3, 1),
                          ('instance.uptime', 4500, 2700, 1), ('instance.off', 4500, 0, 1),
                          ('instance.status', 4500, 1, 1), ('instances', 7200, 1, 1)])
        self.assertIn(('instance.uptime', micros(HOUR)), {(one.meter, one.timestamp) for one in before})

    def test_what_is_told_twice_restates_nothing(self):
        """Nor does what says nothing new of settled times."""
        self.tell(fact('active', 0), fact('stopped', 100))
        self.settle(2)
        self.all_told()
        self.tell(fact('stopped', 100), fact('stopped', 500), fact('stopped', HOUR), fact('active', 2 * HOUR))
        self.assertEqual((self.restate(), self.due(), self.count('restated')), (0, None, 0))

    def test_another_host_restates_nothing(self):
        self.tell(fact('active', 0, place={'host': 'h1'}))
        self.settle(2)
        self.all_told()
        self.tell(fact('active', 600, place={'host': 'h2'}), fact('active', 0, place={'host': 'h3'}, event_type='z'))
        self.assertEqual((self.restate(), self.due()), (0, None))

    def test_another_owner_is_one_restatement(self):
        """Of each segment that it concerns, in the same id; both projects are counted anew."""
        self.tell(fact('active', 0))
        self.settle(2)
        self.all_told()
        self.tell(fact(None, HOUR, kind='change', project_id='p2'))
        self.restate()
        found = self.all_told()
        self.assertEqual([(one.meter, seconds(one), one.project_id, one.volume, one.metadata['revision'])
                          for one in found],
                         [('instance.uptime', 3600, 'p2', 3600, 1), ('instance.off', 3600, 'p2', 0, 1),
                          ('instances', 7200, 'p1', 0, 1), ('instances', 7200, 'p2', 1, 1)])

    def test_another_size_is_restated(self):
        """From the change on; the counts by flavor, too."""
        self.tell(fact('active', 0))
        self.settle(2)
        self.all_told()
        self.tell(fact(None, 5400, kind='change', size={'flavor': 'm2'}))
        self.restate()
        found = self.all_told()
        self.assertEqual([(seconds(one), one.volume, one.metadata['size']) for one in found
                          if one.meter == 'instance.uptime'],
                         [(3600, 1800, {'flavor': 'm1'}), (5400, 1800, {'flavor': 'm2'})])
        self.assertEqual([one.metadata['flavors'] for one in found if one.meter == 'instances'], [{'m2': 1}])

    def test_what_is_met_late_is_told_from_its_beginning(self):
        """Each settled period that it was there in, and the counts of these."""
        self.tell(fact('active', 0))
        self.settle(3)
        self.all_told()
        self.tell(fact('active', HOUR + 60, 'r2'))
        self.assertEqual(self.restate(), 1)
        self.assertEqual(self.told(), [(3660, 3540, 'active', 1), (7200, 3600, 'active', 1)])
        self.settle(4)
        self.assertEqual(self.counted(), [(4 * HOUR, 'p1', 2, 2, 2, 0)])

    def test_an_end_that_is_learnt_a_month_late_takes_everything_back(self):
        """What was told of later times is nothing, in the same ids; its status is deleted."""
        self.tell(fact('active', 0))
        self.settle(31 * 24, seconds=6 * HOUR)
        before = {(one.meter, one.timestamp) for one in self.all_told()}
        self.tell(fact('deleted', 4 * HOUR))
        self.restate()
        found = self.all_told()
        self.assertLess({(one.meter, one.timestamp) for one in found if one.meter != 'instance.status'}, before)
        self.assertEqual(Counter((one.meter, one.volume) for one in found),
                         {('instance.uptime', 0): 31 * 4 - 1, ('instance.off', 0): 31 * 4 - 1,
                          ('instance.status', 9): 1, ('instances', 0): 31 * 4 - 1})
        self.assertEqual({one.metadata['state'] for one in found if one.resource_id == 'r1'}, {DELETED})
        self.assertEqual({one.project_id for one in found}, {'p1'})

    def test_what_is_gone_and_comes_back_has_a_later_revision(self):
        """Each time that it is otherwise; what a status said before is said otherwise, too."""
        self.tell(fact('active', 0), fact('stopped', 600.5))
        self.settle(1)
        self.assertEqual(self.told('status'), [(0, 1, 'active', 0), (600.5, 3, 'stopped', 0)])
        self.tell(fact('active', 600.5, event_type='z', timestamp=micros(700)))
        self.restate()
        self.assertEqual(self.told('status'), [(0, 1, 'active', 1), (600.5, 1, 'active', 1)])
        self.tell(fact('stopped', 600.5, event_type='zz', timestamp=micros(800)))
        self.restate()
        self.assertEqual(self.told(), [(0, 600.5, 'active', 2), (600.5, 0, 'stopped', 2)])

    def test_a_status_is_right_though_nothing_turns_there_any_more(self):
        """What turned when it was told, and no longer does, is said otherwise when it is."""
        self.tell(fact('stopped', 0.5), fact('active', 600.5, project_id='p2'))
        self.settle(1)
        self.assertEqual(self.told('status'), [(0.5, 3, 'stopped', 0), (600.5, 1, 'active', 0)])
        self.tell(fact('active', 0.5, event_type='z', timestamp=micros(700)))
        self.restate()
        self.assertEqual(dict(one[:2] for one in self.told('status')) | {600.5: 1}, {0.5: 1, 600.5: 1})
        self.tell(fact('stopped', 0.5, event_type='zz', timestamp=micros(800)),
                  fact('stopped', 600.5, event_type='zz', timestamp=micros(800), project_id='p2'))
        self.restate()
        self.assertEqual([one[:3] for one in self.told('status')], [(0.5, 3, 'stopped'), (600.5, 3, 'stopped')])

    def test_what_is_said_of_a_time_that_is_gone_is_corrected_too(self):
        """It is said what held then; when that turns out to have been something else, it is said again."""
        self.tell(fact('building', 600), fact('active', 1200, kind='observation'))
        self.settle(1)
        self.assertEqual(self.told('status'), [(600, 2, 'building', 0), (1200, 1, 'active', 0)])
        self.tell(fact('active', 720))
        self.restate()
        self.assertEqual(self.told('status'), [(600, 2, 'building', 1), (720, 1, 'active', 1), (1200, 1, 'active', 1)])
        self.tell(fact('stopped', 1170))
        self.restate()
        self.assertEqual([row for row in self.told('status') if row[0] == 1200], [(1200, 3, 'stopped', 2)])

    def test_parts_end_with_what_they_are_parts_of(self):
        """A late end of the whole restates each of them; one that is never to have been is nothing."""
        parts = [fact('active', at, f'c{at}', attributes={'parent': 'instance/r1'}, resource_type='part')
                 for at in (0, 600, 5400)]
        self.tell(fact('active', 0), *parts)
        self.settle(2)
        self.all_told()
        self.tell(fact('deleted', 1800))
        self.assertEqual(self.restate(), 4)
        found = {(one.resource_id, seconds(one)): one.volume for one in self.all_told() if one.meter == 'part.off'}
        self.assertEqual(found, dict.fromkeys([('c0', 0), ('c600', 600), ('c0', 3600), ('c600', 3600), ('c5400', 5400)],
                                              0))

    def test_nothing_is_told_of_what_is_to_be_compared(self):
        """What a first late fact says may be taken back by a second: nobody ever hears of it."""
        self.ledger.follow(['other'])
        self.tell(fact('active', 0))
        self.settle(1)
        self.told()
        self.tell(fact('stopped', 600.5))
        self.assertIsNone(self.due('other'))
        self.tell(fact('active', 600.5, event_type='z', timestamp=micros(700)))
        self.restate()
        self.assertEqual((self.told(target='other'), self.told()), ([(0, 3600, 'active', 0)], []))

    def test_nothing_is_settled_while_a_life_is_to_be_compared(self):
        """What was stated of it would not be known."""
        self.tell(fact('active', 0))
        self.settle(1)
        self.tell(fact('stopped', 600))
        self.assertIsNone(self.ledger.settle(Period(micros(0), HOUR, micros(2 * HOUR))))
        self.restate()
        self.assertIsNotNone(self.ledger.settle(Period(micros(0), HOUR, micros(2 * HOUR))))

    def test_facts_that_are_set_aside_restate_nothing_until_they_are_released(self):
        """What cannot be folded leaves the life as it was stated."""
        self.tell(fact('active', 0))
        self.settle(1)
        self.all_told()
        with (mock.patch('ceilometer_paas.ledger.folding.MAX_EVIDENCE', 10)):
            self.tell(fact('stopped', 600))
        self.assertEqual((self.restate(), self.due()), (0, None))
        (row,) = self.ledger.quarantine_list()
        self.ledger.quarantine_release_facts([row.id], NOW)
        self.ledger.catch_up()
        self.restate()
        self.assertEqual(self.told(), [(0, 600, 'active', 1), (600, 0, 'stopped', 1)])

    def test_many_are_compared_in_steps(self):
        """However many are otherwise at once, a step compares some."""
        number = settling._LIVES + 3
        self.tell(fact('active', 0))
        self.settle(1)
        self.tell(*(fact('active', 0, f'n{place}') for place in range(number)))
        self.assertEqual([self.ledger.restate(STATED.as_before) for _ in range(3)], [settling._LIVES, 3, 0])
        self.assertEqual({one.resource_id for one in self.all_told()},
                         {'r1', 'paas-p1', *(f'n{place}' for place in range(number))})


class PublishersTest(StatementsCase):
    def tell_one_slice(self, target='shelf', ledger=None) -> list[Statement]:
        due = self.due(target, ledger)
        (ledger or self.ledger).told(target, due, (), NOW)
        return [one for one in STATED(due.accounts, due.counts) if one.meter == 'instance.uptime']

    def test_a_publisher_in_the_middle_of_a_period_hears_of_what_comes_late(self):
        """Whether or not it was told of that resource already, and whoever goes on with it."""
        self.enterContext(mock.patch.object(statements, '_RESOURCES', 2))
        self.tell(*(fact('active', 0, f'r{place}') for place in range(6)))
        self.settle(1)
        other = self.open()
        self.assertEqual([one.resource_id for one in self.tell_one_slice()], ['r0', 'r1'])
        self.assertEqual([one.resource_id for one in self.tell_one_slice(ledger=other)], ['r2', 'r3'])
        self.tell(fact('stopped', 60, 'r0'), fact('stopped', 60, 'r5'), fact('active', 60, 'r6'))
        self.restate()
        newest = {}
        for one in self.all_told():
            if one.meter == 'instance.uptime':
                key = one.resource_id, seconds(one)
                self.assertGreaterEqual(one.metadata['revision'], newest.get(key, (0, 0))[1])
                newest[key] = one.volume, one.metadata['revision']
        self.assertEqual(newest, {('r0', 0): (60, 1), ('r0', 60): (0, 1), ('r4', 0): (3600, 0), ('r5', 0): (60, 1),
                                  ('r5', 60): (0, 1), ('r6', 60): (3540, 1)})

    def test_only_newest_revisions_leave(self):
        """A publisher that was down is told everything once, as it is now."""
        self.ledger.follow(['down'])
        self.tell(fact('active', 0))
        for hour in range(1, 25):
            self.settle(hour)
            self.tell(fact(('active', 'stopped')[hour % 2], hour * HOUR - 1800))
            self.told()
        self.restate()
        found = self.all_told('down')
        newest = dict(self.ask('SELECT begins_at, revision FROM restated'))
        self.assertTrue(newest)
        for one in found:
            if one.resource_id == 'r1':
                self.assertEqual(one.metadata['revision'], newest.get(one.timestamp, 0))
        up = {seconds(one): one.volume for one in found if one.meter == 'instance.uptime'}
        self.assertEqual(sum(up.values()), 12 * HOUR)

    def test_a_publisher_that_is_added_is_told_of_what_is_settled_from_then_on(self):
        """Nothing of what was settled before, though it is restated."""
        self.tell(fact('active', 0))
        self.settle(2)
        self.ledger.follow(['new'])
        self.assertIsNone(self.due('new'))
        self.tell(fact('stopped', 1800), fact('active', 5400))
        self.settle(3)
        self.assertEqual(self.told(target='new'), [(7200, 3600, 'active', 0)])
        self.assertEqual(self.counted(target='new'), [])
        self.tell(fact('stopped', 2 * HOUR + 60))
        self.restate()
        self.ledger.follow(['new'])
        self.assertEqual(self.told(target='new'), [(7200, 60, 'active', 1), (7260, 0, 'stopped', 1)])

    def test_who_is_behind_is_known(self):
        """Until when a publisher was told; nothing of one that was told everything."""
        self.tell(fact('active'))
        self.ledger.follow(['other'])
        self.assertEqual(self.ledger.behind(), {})
        self.settle(1)
        self.assertEqual(self.ledger.behind(), {'shelf': NOW, 'other': NOW})
        self.all_told()
        self.settle(2)
        self.all_told('other')
        self.assertEqual(self.ledger.behind(), {'shelf': NOW + timedelta(hours=1)})

    def test_a_publisher_that_nobody_follows_is_told_nothing(self):
        self.tell(fact('active', 0))
        self.settle(2)
        self.assertIsNone(self.due('stranger'))

    def test_publishers_do_not_wait_for_each_other(self):
        self.ledger.follow(['other'])
        self.tell(fact('active', 0))
        self.settle(2)
        first = self.told()
        self.settle(3)
        self.assertEqual((self.told(target='other')[:2], len(self.told())), (first, 1))

    def test_what_was_not_marked_off_is_told_again(self):
        """When the commit fails; with the same content."""
        self.tell(fact('active', 0))
        self.settle(1)
        due = self.due()
        with broken('commit', lambda connection: fail(exception.DBConnectionError())), self.assertRaises(Unavailable):
            self.ledger.told('shelf', due, [refusal('{}', 'publish.refused', 'shelf')], NOW)
        self.assertEqual((self.due(), self.ledger.quarantine_list()), (due, []))

    def test_two_that_were_told_the_same_mark_it_off_once(self):
        """Who comes late changes nothing, wherever the other is by then."""
        self.tell(fact('active', 0))
        self.settle(3)
        due = self.due()
        self.ledger.told('shelf', due, (), NOW)
        following = self.due()
        self.ledger.told('shelf', due, (), NOW)
        self.assertEqual(self.due(), following)
        self.ledger.told('shelf', following, (), NOW)
        self.ledger.told('shelf', following, (), NOW)
        self.assertEqual(times.from_micros(self.due().before.until), NOW + timedelta(hours=2))


if __name__ == '__main__':
    unittest.main()
