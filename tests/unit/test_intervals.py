# SPDX-License-Identifier: Apache-2.0
"""Each rule of a life by an example, and what it costs to fold one."""

import itertools
import unittest
from typing import Any
from unittest import mock

from ceilometer_paas.ledger import intervals
from ceilometer_paas.ledger.evidence import Evidence
from ceilometer_paas.ledger.intervals import Life, testimonies
from ceilometer_paas.model import DELETED, Fact
from tests import lives
from tests.lives import HOUR, MINUTE, NOON, SECOND, Told

EVERY = 3900


def at(seconds: float) -> int:
    return NOON + round(seconds * SECOND)


def fact(kind: str, seconds: float, state: str | None = None, *, sent: float | None = None, **told: Any) -> Fact:
    """Make a fact; its times are seconds after noon."""
    times = {name: at(told.pop(name)) for name in ('created', 'launched', 'ended') if told.get(name) is not None}
    return Fact('a-type', 'an-id', kind, 'an-event', at(seconds), at(seconds if sent is None else sent), state,
                **{**times, **told})


def told(seconds: float, state: str, **more: Any) -> Fact:
    return fact('transition', seconds, state, **more)


def audit(seconds: float, state: str, **more: Any) -> Fact:
    return fact('observation', seconds, state, every=EVERY, **more)


def witness(seconds: float, **more: Any) -> Fact:
    return fact('witness', seconds, **more)


class Rules(unittest.TestCase):

    maxDiff = None

    def life(self, *facts: Fact) -> Life:
        return lives.folded((f'id-{number}', fact) for number, fact in enumerate(facts))

    def check(self, facts: list[Fact], *spans: tuple[float, float | None, str]) -> Life:
        """Expect spans: their begin and end in seconds after noon, and their state."""
        life = self.life(*facts)
        self.assertEqual([((span.begin - NOON) / SECOND, None if span.end is None else (span.end - NOON) / SECOND,
                           span.state) for span in life.spans], [*spans])
        return life


class Transitions(Rules):

    def test_a_transition_holds_until_the_next(self):
        self.check([told(10, 'active'), told(20, 'stopped')], (10, 20, 'active'), (20, None, 'stopped'))

    def test_one_that_comes_late_gets_its_place_in_the_past(self):
        self.check([told(10, 'active'), told(30, 'active'), told(20.5, 'stopped', sent=99)],
                   (10, 20.5, 'active'), (20.5, 30, 'stopped'), (30, None, 'active'))

    def test_what_is_said_twice_or_a_thousand_times_is_said_once(self):
        self.check([told(10, 'active')] * 1000 + [told(11, 'active')], (10, None, 'active'))

    def test_a_life_before_1970_is_a_life(self):
        early = fact('transition', 0, 'active', attributes={'name': 'x'})._replace(time=-5, timestamp=-5)
        life = self.life(early, early._replace(kind='observation', state='stopped', time=-4, timestamp=-4))
        self.assertEqual((life.spans[0].begin, life.spans[0].state, life.attributes), (-5, 'active', {'name': 'x'}))


class Audits(Rules):

    def test_one_that_contradicts_holds_from_when_it_was_sent(self):
        self.check([told(0, 'active'), audit(HOUR / SECOND, 'stopped')],
                   (0, 3600, 'active'), (3600, None, 'stopped'))

    def test_it_is_not_believed_less_than_a_minute_after_a_transition(self):
        self.check([told(0, 'active'), told(100, 'stopped'), audit(159.999999, 'active')],
                   (0, 100, 'active'), (100, None, 'stopped'))
        self.check([told(0, 'active'), told(100, 'stopped'), audit(160, 'active')],
                   (0, 100, 'active'), (100, 160, 'stopped'), (160, None, 'active'))

    def test_one_that_was_not_believed_is_when_it_is_repeated(self):
        """It is sure to have been repeated an audit's period after it could be believed."""
        self.check([told(100, 'stopped'), *(audit(seconds, 'active') for seconds in (120, 3720, 7320, 10920))],
                   (100, 160 + EVERY, 'stopped'), (160 + EVERY, None, 'active'))
        self.check([told(100, 'stopped'), audit(120, 'active'), audit(3720, 'active')],
                   (100, 3720, 'stopped'), (3720, None, 'active'))

    def test_one_that_goes_on_is_heard_again_where_a_transition_contradicted_it(self):
        """The return was lost; the audits of before and after it are one run."""
        audits = [audit(3600 * hour, 'active') for hour in range(10)]
        self.check([*audits, told(9000, 'stopped')],
                   (0, 9000, 'active'), (9000, 9060 + EVERY, 'stopped'), (9060 + EVERY, None, 'active'))

    def test_it_is_heard_before_what_comes_later(self):
        audits = [audit(3600 * hour, 'active') for hour in range(10)]
        self.check([*audits, told(9000, 'stopped'), told(30000, 'paused')],
                   (0, 9000, 'active'), (9000, 9060 + EVERY, 'stopped'), (9060 + EVERY, 30000, 'active'),
                   (30000, 32400, 'paused'), (32400, None, 'active'))

    def test_of_two_that_are_heard_again_the_first_is(self):
        rare = [audit(3600 * hour, 'active') for hour in range(3)]
        often = [audit(seconds, 'failed')._replace(every=90) for seconds in range(10, 7000, 60)]
        life = self.life(*rare, *often, told(5000, 'stopped'))
        self.assertEqual([(span.begin - NOON) // SECOND for span in life.spans if span.state == 'failed'][-1], 5150)

    def test_two_that_contradict_each_other_to_the_end_come_to_an_end(self):
        self.check([audit(0, 'active'), audit(3600, 'active'), audit(1800, 'stopped'), audit(3600, 'stopped')],
                   (0, 1800, 'active'), (1800, 3600, 'stopped'), (3600, None, 'active'))

    def test_a_gap_ends_a_run(self):
        self.check([audit(0, 'active'), told(10, 'stopped'), audit(EVERY + 1, 'active')],
                   (0, 10, 'active'), (10, EVERY + 1, 'stopped'), (EVERY + 1, None, 'active'))
        for gap, number in ((EVERY, 1), (EVERY + 1, 2)):
            known = lives.evidence([('a', audit(0, 'active')), ('b', audit(gap, 'active'))])
            self.assertEqual(len(testimonies(known)), number)

    def test_what_was_not_known_contradicts_nothing(self):
        life = self.check([told(0, 'active'), audit(30, 'active', size={'flavor': 'std.2'}, project_id='p')],
                          (0, None, 'active'))
        self.assertEqual((life.spans[0].size, life.spans[0].project_id), ({'flavor': 'std.2'}, 'p'))
        self.check([fact('change', 0, project_id='p'), audit(30, 'active')], (30, None, 'active'))


class Witnesses(Rules):

    def test_it_was_built_since_its_creation_whoever_tells_it(self):
        seen = {'created': 5.5, 'created_state': 'building', 'launched_state': 'active'}
        self.check([witness(30, **seen), told(40, 'error', **seen)], (5.5, 40, 'building'), (40, None, 'error'))

    def test_it_ran_since_each_launch_whoever_tells_it(self):
        """The ends of the creation and of the rescue are lost."""
        born = {'created': 5.5, 'created_state': 'building'}
        self.check([told(6, 'building', launched_state='active', **born),
                    told(50, 'stopped', launched=10.25, launched_state='active', **born),
                    witness(99, launched=70.75, launched_state='rescued', **born)],
                   (5.5, 10.25, 'building'), (10.25, 50, 'active'), (50, 70.75, 'stopped'), (70.75, None, 'rescued'))

    def test_a_launch_has_the_size_and_state_of_the_earliest_message_that_tells_it(self):
        late = witness(90, launched=10.25, launched_state='rescued', size={'flavor': 'std.8'})
        early = witness(20, launched=10.25, launched_state='active', size={'flavor': 'std.2'})
        for facts in ([late, early], [early, late]):
            life = self.check(facts, (10.25, None, 'active'))
            self.assertEqual(life.spans[0].size, {'flavor': 'std.2'})

    def test_of_two_that_were_sent_in_one_moment_the_order_does_not_matter(self):
        facts = [('a', witness(20, launched=10.25, launched_state='active')),
                 ('b', witness(20, launched=10.25, launched_state='rescued'))]
        self.assertEqual(lives.evidence(facts).dump(), lives.evidence(facts[::-1]).dump())

    def test_what_never_launched_never_ran(self):
        self.check([told(6, 'building', launched_state='active', created=5.5, created_state='building'),
                    told(9, DELETED, launched_state='active', created=5.5, created_state='building')],
                   (5.5, 9, 'building'))

    def test_nothing_was_before_the_creation(self):
        """A host's clock is hours slow."""
        born = {'created': 5.5, 'created_state': 'building'}
        self.check([told(-9999, 'paused', **born), told(-9998, 'active', **born), told(20, 'stopped', **born)],
                   (5, 20, 'active'), (20, None, 'stopped'))

    def test_a_creation_by_itself_is_no_reason_to_doubt_an_audit(self):
        self.check([audit(30, 'active', created=5.5, created_state='new')], (5.5, 30, 'new'), (30, None, 'active'))


class Starts(Rules):

    def start(self, *facts: Fact) -> bool:
        return self.life(*facts).known_start

    def test_the_first_launch_is_known_by_a_message_that_knew_of_none(self):
        self.assertTrue(self.start(witness(5, launched_state='active'),
                                   told(50, 'stopped', launched=10.5, launched_state='active')))

    def test_a_message_may_not_know_yet_of_a_launch_a_second_before_it(self):
        for sent, known in ((11.25, True), (11.250001, False)):
            self.assertIs(self.start(witness(sent, launched_state='active'),
                                     told(50, 'stopped', launched=10.25, launched_state='active')), known)

    def test_it_is_known_by_the_event_that_it_belongs_to(self):
        self.assertTrue(self.start(told(10.5, 'active', sent=11, launched=10.5, launched_state='active')))

    def test_it_is_not_known_from_a_launch_that_may_be_a_later_one(self):
        life = self.check([told(50, 'stopped', launched=10.5, launched_state='active', created=-9000.5,
                                created_state='building')], (10.5, 50, 'active'), (50, None, 'stopped'))
        self.assertFalse(life.known_start)

    def test_then_it_was_before_what_the_earliest_message_shows(self):
        launch = {'launched': 10.5, 'launched_state': 'active'}
        self.check([audit(50, 'stopped', shown='stopped', **launch)], (10.5, None, 'stopped'))
        self.check([fact('witness', 49, shown='stopped', **launch), told(50, 'active', **launch)],
                   (10.5, 50, 'stopped'), (50, None, 'active'))
        self.check([audit(50, 'deleted', shown='deleted', **launch)], (10.5, 50, 'active'))

    def test_where_no_launches_are_told_a_creation_begins(self):
        self.assertTrue(self.start(audit(9, 'active', created=5.5, created_state='pending')))
        self.assertFalse(self.start(told(9, 'active')))
        self.assertFalse(self.start(audit(9, 'active'), told(10, 'stopped')))
        self.assertFalse(self.start(fact('change', 1, project_id='p'), audit(9, 'active')))
        self.assertFalse(self.start(told(9, DELETED)))


class Attributes(Rules):

    def test_one_that_is_too_long_leaves_the_one_before(self):
        life = self.check([told(1, 'active', attributes={'metadata': {'a': 'b'}}),
                           told(2, 'active', attributes={'metadata': {'a': 'b' * 70_000}})], (1, None, 'active'))
        self.assertEqual(life.attributes, {'metadata': {'a': 'b'}})


class Stale(Rules):

    old = {'launched': 10.5, 'launched_state': 'active'}
    new = {'launched': 100.5, 'launched_state': 'rescued'}

    def test_what_knows_only_of_an_earlier_launch_counts_nothing(self):
        self.check([told(11, 'active', **self.old), told(101, 'rescued', **self.new), told(102, 'error', **self.old)],
                   (10.5, 100.5, 'active'), (100.5, None, 'rescued'))

    def test_nor_if_it_was_sent_in_the_same_moment(self):
        self.check([told(11, 'active', **self.old), told(101, 'rescued', **self.new), told(101, 'shelved', **self.old)],
                   (10.5, 100.5, 'active'), (100.5, None, 'rescued'))

    def test_what_was_sent_before_counts(self):
        self.check([told(11, 'active', **self.old), told(101, 'rescued', **self.new), told(99, 'stopped', **self.old)],
                   (10.5, 99, 'active'), (99, 100.5, 'stopped'), (100.5, None, 'rescued'))

    def test_a_clock_that_is_slow_makes_nothing_stale_before_the_launch(self):
        self.check([told(11, 'active', **self.old), told(50, 'stopped', **self.old), witness(-9999, **self.new)],
                   (10.5, 50, 'active'), (50, 100.5, 'stopped'), (100.5, None, 'rescued'))

    def test_an_end_is_never_stale(self):
        self.check([witness(101, **self.new), told(200, DELETED, **self.old)],
                   (10.5, 100.5, 'active'), (100.5, 200, 'rescued'))

    def test_an_audit_that_goes_on_with_the_old_launch_is_heard_until_another_is_told(self):
        """Not even for a moment before it is told, for nobody knows that it was heard then."""
        audits = [audit(3600 * hour, 'active', **self.old, size={'flavor': 'std.2'}) for hour in range(1, 6)]
        self.check([*audits, witness(12000, launched=7000.5, launched_state='resized', size={'flavor': 'std.8'})],
                   (10.5, 7000.5, 'active'), (7000.5, 7060.5 + EVERY, 'resized'), (7060.5 + EVERY, None, 'active'))
        self.check([*audits, witness(9000, launched=7000.5, launched_state='resized', size={'flavor': 'std.8'})],
                   (10.5, 7000.5, 'active'), (7000.5, None, 'resized'))


class Ends(Rules):

    def test_the_earliest_that_is_told_ends_whoever_tells_it(self):
        self.check([told(0, 'active'), told(30, DELETED, ended=29.75), witness(40, ended=19.75),
                    audit(25, 'active'), told(26, 'stopped')], (0, 19.75, 'active'))

    def test_else_the_first_transition_or_audit_that_says_so(self):
        self.check([told(0, 'active'), told(30, DELETED), told(20, DELETED)], (0, 20, 'active'))
        self.check([told(0, 'active'), audit(30, DELETED), told(40, DELETED)], (0, 30, 'active'))

    def test_nothing_comes_after_it(self):
        self.check([told(0, 'active'), told(20, DELETED), told(30, 'active'), audit(9000, 'active')], (0, 20, 'active'))

    def test_an_end_without_a_beginning_ends_nothing(self):
        self.check([told(20, DELETED)])
        self.check([told(20, DELETED, ended=19.5), told(30, 'active')])

    def test_an_end_before_the_creation_leaves_no_life(self):
        self.check([told(9, 'active', created=5.5, created_state='new'), witness(10, ended=-5.5)])


class WholeSeconds(Rules):

    def test_one_means_the_latest_moment_of_it_that_is_not_after_the_message(self):
        self.check([told(10, 'active', sent=10.3)], (10.3, None, 'active'))
        self.check([told(10, 'active', sent=15)], (10.999999, None, 'active'))
        self.check([told(10, 'active', sent=9)], (10, None, 'active'))

    def test_the_time_of_a_message_is_what_it_says(self):
        self.check([told(10, 'stopped', launched=10.25, launched_state='active')],
                   (10, 10.25, 'stopped'), (10.25, None, 'active'))

    def test_the_one_with_a_fraction_is_right(self):
        self.check([witness(20, launched=10, launched_state='active'),
                    witness(30, launched=10.25, launched_state='active'),
                    told(10, 'active', sent=40, launched=10, launched_state='active')], (10.25, None, 'active'))

    def test_two_that_are_more_than_a_second_apart_are_two(self):
        self.check([witness(20, launched=10.5, launched_state='active'),
                    witness(21, launched=11.500001, launched_state='rescued')],
                   (10.5, 11.500001, 'active'), (11.500001, None, 'rescued'))
        self.check([witness(20, launched=10.5, launched_state='active'),
                    witness(21, launched=11.5, launched_state='rescued')], (10.5, None, 'active'))

    def test_of_three_in_two_seconds_the_last_is_not_stale(self):
        launches = [told(90 + place, state, launched=launched, launched_state='active')
                    for place, (launched, state) in enumerate(((9.5, 'a'), (10.2, 'b'), (10.9, 'c')))]
        self.assertEqual(self.life(*launches).spans[-1].state, 'c')

    def test_two_that_mean_an_earlier_moment_do_not_contradict_each_other_for_ever(self):
        self.check([told(11, 'active', sent=11.5, launched=10.9, launched_state='active'),
                    told(11, 'error', sent=11.5, launched=11, launched_state='active')], (10.9, None, 'error'))


class OneMoment(Rules):

    def test_a_transition_outweighs_a_launch_that_an_audit_that_the_creation(self):
        facts = [witness(10.5, created=10.5, created_state='made'), audit(10.5, 'seen'),
                 witness(10.5, launched=10.5, launched_state='launched'), told(10.5, 'told')]
        for number, state in enumerate(('made', 'seen', 'launched', 'told'), 1):
            for some in itertools.permutations(facts[:number]):
                self.check([*some], (10.5, None, state))


class Descriptions(Rules):

    def test_what_only_a_later_message_tells_of_owner_and_size_was_so_before(self):
        life = self.check([told(0, 'active'), told(9, 'stopped', project_id='p', user_id='u', size={'flavor': 'x'})],
                          (0, 9, 'active'), (9, None, 'stopped'))
        for span in life.spans:
            self.assertEqual((span.project_id, span.user_id, span.size), ('p', 'u', {'flavor': 'x'}))

    def test_what_a_message_does_not_tell_stays(self):
        life = self.check([told(0, 'active', project_id='p', size={'flavor': 'x', 'vcpus': 1}),
                           told(9, 'active', size={'vcpus': 2})], (0, 9, 'active'), (9, None, 'active'))
        self.assertEqual([span.size for span in life.spans],
                         [{'flavor': 'x', 'vcpus': 1}, {'flavor': 'x', 'vcpus': 2}])
        self.assertEqual(life.spans[1].project_id, 'p')

    def test_a_change_of_owner_changes_nothing_else(self):
        life = self.check([told(0, 'active', project_id='p', size={'flavor': 'x'}),
                           fact('change', 9, project_id='q')], (0, 9, 'active'), (9, None, 'active'))
        self.assertEqual([(span.project_id, span.size) for span in life.spans],
                         [('p', {'flavor': 'x'}), ('q', {'flavor': 'x'})])

    def test_a_place_is_the_newest_of_a_span_and_may_be_nowhere(self):
        life = self.life(told(0, 'active', place={'host': 'a', 'availability_zone': 'z'}),
                         told(5, 'active', place={'host': 'b'}), told(9, 'offloaded', place={'host': None}))
        self.assertEqual([(span.host, span.availability_zone) for span in life.spans], [('b', 'z'), (None, 'z')])

    def test_attributes_are_the_newest(self):
        facts = [witness(9, attributes={'name': 'new', 'tags': []}), witness(5, attributes={'name': 'old', 'image': 1})]
        for some in (facts, facts[::-1]):
            self.assertEqual(self.life(*some).attributes, {'name': 'new', 'tags': [], 'image': 1})


class Statements(Rules):

    def test_they_are_what_was_told_in_order(self):
        known = lives.evidence([('w', witness(0.5, created=0.5, created_state='new')), ('b', audit(3700, 'active')),
                                ('a', audit(100, 'active')), ('c', fact('change', 50, project_id='p'))])
        self.assertEqual([(one.time, one.until, one.kind, one.state, one.message_id, one.last_message_id)
                          for one in testimonies(known)],
                         [(at(0.5), at(0.5), 'created', 'new', 'w', 'w'), (at(50), at(50), 'change', None, 'c', 'c'),
                          (at(100), at(3700), 'observation', 'active', 'a', 'b')])


class Cost(unittest.TestCase):

    def cost(self, told: Told) -> tuple[int, int, int]:
        """Count the facts, the spans and the steps."""
        steps = 0
        again = intervals._Walk._again

        def counted(walk: Any, point: Any) -> int:
            nonlocal steps
            steps += 1
            return again(walk, point)

        with mock.patch.object(intervals._Walk, '_again', counted):
            spans = len(lives.folded(told).spans)
        return len(told), spans, steps

    def nights(self, days: int) -> tuple[int, int, int]:
        """Tell of a machine that is stopped each night."""
        told: Told = []
        for day in range(days):
            for hour in range(24):
                state = 'active' if 8 <= hour < 20 else 'stopped'
                told.append((f'{day}-{hour}', audit((day * 24 + hour) * 3600 + 17.25, state)))
            told.append((f'{day}-on', fact('transition', (day * 24 + 8) * 3600 - 99, 'active')))
            told.append((f'{day}-off', fact('transition', (day * 24 + 20) * 3600 - 99, 'stopped')))
        return self.cost(told)

    def test_a_year_of_audits_each_minute_is_one_statement(self):
        known = Evidence()
        first = fact('observation', 0, 'active', every=90)
        for minute in range(525_600):
            time = NOON + minute * MINUTE
            known.add(f'id-{minute}', first._replace(time=time, timestamp=time))
        testimony, = testimonies(known)
        self.assertEqual((testimony.time, testimony.until), (NOON, NOON + 525_599 * MINUTE))
        self.assertLess(len(known.dump()), 500)

    def test_a_year_of_nights_takes_steps_in_proportion_to_the_facts(self):
        facts, spans, steps = self.nights(365)
        self.assertEqual(spans, 731)
        self.assertLess(steps, facts)
        self.assertLessEqual(steps, 4.2 * self.nights(91)[2])

    def test_thousands_of_states_that_all_last_take_steps_in_proportion_to_the_facts(self):
        told = [(f'{number}-{again}', audit(number + 3000 * again, f'state-{number}'))
                for number in range(2000) for again in (0, 1)]
        facts, spans, steps = self.cost(told)
        self.assertGreaterEqual(spans, 2000)
        self.assertLess(steps, 50 * facts)
