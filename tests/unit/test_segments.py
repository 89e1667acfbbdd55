# SPDX-License-Identifier: Apache-2.0
import unittest

from hypothesis import given, settings
from hypothesis import strategies as st

from ceilometer_paas.ledger.periods import Calendar, Stretch
from ceilometer_paas.ledger.schema import FOREVER
from ceilometer_paas.ledger.segments import Changed, Row, changed, cut, gone, pieces
from ceilometer_paas.model import DELETED, LASTING, TURNING

HOUR = 3_600_000_000
CALENDAR = Calendar([Stretch(HOUR // 2, 3600, 6 * HOUR)])
BOTH = LASTING | TURNING


def row(begin: float, end: float | None, state: str, project: str | None = 'p1', **other) -> Row:
    """Make a row; times are hours, which are rounded to a microsecond."""
    about = {'user': 'u1', 'flavor': 'm1', 'size': '{"flavor":"m1"}', 'host': 'h1', 'zone': None} | other
    return (round(begin * HOUR), FOREVER if end is None else round(end * HOUR), state, project, *about.values())


def cut_up(*rows: Row, as_before=()) -> list[tuple]:
    """Cut a life: begin and end (hours), what it counts as, and marks of each segment."""
    found = pieces(rows, as_before, CALENDAR.begin, CALENDAR.until)
    return [(one.begin / HOUR, one.end / HOUR, one.counts_as, one.marks)
            for one in cut(found, CALENDAR, CALENDAR.begin, CALENDAR.until)]


def differing(old: list[Row], new: list[Row], as_before=()) -> Changed:
    return changed(*(pieces(rows, as_before, CALENDAR.begin, CALENDAR.until) for rows in (old, new)), CALENDAR)


_LIFE = st.lists(st.tuples(st.integers(0, 13), st.sampled_from(['on', 'on', 'off', 'resized', DELETED]),
                           st.sampled_from(['p1', 'p2', None]), st.sampled_from(['{}', '{"a":1}']),
                           st.sampled_from(['h1', 'h2'])), max_size=5)


def life(drawn: list[tuple]) -> list[Row]:
    """Make rows of what was drawn, in half hours, of each time one, until it is deleted."""
    rows: list[Row] = []
    told = sorted({one[0]: one for one in drawn}.values())
    for (begin, state, project, size, host), end in zip(told, [*(one[0] / 2 for one in told[1:]), None], strict=False):
        if state == DELETED:
            break
        rows.append(row(begin / 2, end, state, project, size=size, host=host))
    return rows


class CutTest(unittest.TestCase):
    def test_a_life_is_cut_at_each_boundary(self):
        """Its state turns where an interval begins, and again where it ends."""
        self.assertEqual(cut_up(row(1.5, 3.25, 'on'), row(3.25, 4.5, 'off')), [
            (1.5, 2, 'on', BOTH), (2, 3, 'on', LASTING), (3, 3.25, 'on', LASTING), (3.25, 4, 'off', BOTH),
            (4, 4.5, 'off', LASTING), (4.5, 4.5, DELETED, TURNING)])

    def test_what_happens_on_a_boundary_happens_in_the_period_after_it(self):
        """Also the end of a life; at the end of all that is settled it does not happen yet."""
        self.assertEqual(cut_up(row(2, 3, 'on'), row(3, 4, 'off')), [
            (2, 3, 'on', BOTH), (3, 4, 'off', BOTH), (4, 4, DELETED, TURNING)])
        self.assertEqual(cut_up(row(5, 6, 'on')), [(5, 6, 'on', BOTH)])

    def test_nothing_is_before_the_beginning(self):
        """What lasted then turns then; what ended until then is nothing."""
        self.assertEqual(cut_up(row(0, 0.25, 'off'), row(0.25, 0.75, 'on')),
                         [(0.5, 0.75, 'on', BOTH), (0.75, 0.75, DELETED, TURNING)])
        self.assertEqual(cut_up(row(0, 0.5, 'on'), row(0.5, None, 'on', 'p2'))[0], (0.5, 1, 'on', BOTH))
        self.assertEqual(cut_up(row(0, 0.5, 'on')), [])
        self.assertEqual(cut_up(row(6, None, 'on')), [])

    def test_another_owner_or_size_turns_nothing(self):
        self.assertEqual([marks for *_, marks in cut_up(row(1, 1.5, 'on'), row(1.5, 1.75, 'on', 'p2'),
                                                       row(1.75, 2, 'on', 'p2', size='{}'))],
                         [BOTH, LASTING, LASTING, TURNING])

    def test_states_count_as_the_one_before(self):
        """As that before several of them; as themselves where nothing was before. The state itself is told."""
        life = [row(1, 1.25, 'on'), row(1.25, 1.5, 'resized'), row(1.5, 1.75, 'moved'), row(1.75, 2, 'off')]
        as_before = {'resized', 'moved'}
        self.assertEqual([one[2] for one in cut_up(*life, as_before=as_before)], ['on', 'on', 'on', 'off', DELETED])
        self.assertEqual([one[2] for one in cut_up(*life[1:], as_before=as_before)], ['resized', 'resized', 'off',
                                                                                     DELETED])
        found = pieces(life, as_before, CALENDAR.begin, CALENDAR.until)
        self.assertEqual([one.state for one in found], ['on', 'resized', 'moved', 'off', DELETED])

    def test_what_was_before_the_beginning_counts(self):
        self.assertEqual(cut_up(row(0, 0.25, 'on'), row(0.25, 1, 'resized'), as_before={'resized'}),
                         [(0.5, 1, 'on', BOTH), (1, 1, DELETED, TURNING)])


class GoneTest(unittest.TestCase):
    def test_what_is_gone_says_what_holds_now(self):
        """It has no length; before and after the life, and where there is none, that is deleted."""
        period = HOUR, 2 * HOUR
        found = pieces([row(1.25, 1.75, 'on')], (), CALENDAR.begin, CALENDAR.until)
        for at, state, project in ((1.5, 'on', 'p1'), (1.1, DELETED, 'p1'), (1.8, DELETED, 'p1')):
            segment = gone(found, round(at * HOUR), LASTING, period)
            self.assertEqual((segment.begin, segment.end, segment.state, segment.project_id, segment.marks),
                             (round(at * HOUR), round(at * HOUR), state, project, LASTING))
        self.assertEqual(gone([], HOUR, BOTH, period)[:5], (HOUR, HOUR, DELETED, DELETED, None))


class ChangedTest(unittest.TestCase):
    def test_only_segments_that_differ_are_stated_anew(self):
        """A late stop within a period leaves those before and after it."""
        old = [row(1, None, 'on')]
        new = [row(1, 2.25, 'on'), row(2.25, 2.5, 'off'), row(2.5, None, 'on')]
        found = differing(old, new)
        self.assertEqual({at / HOUR: marks for at, marks in found.marks.items()},
                         {2: LASTING, 2.25: BOTH, 2.5: BOTH})
        self.assertEqual(found.projects, {('p1', 2 * HOUR)})
        self.assertEqual(differing(new, old), found)

    def test_hosts_and_users_are_not_stated_anew(self):
        self.assertEqual(differing([row(1, None, 'on')], [row(1, None, 'on', host='h2', user='u2', zone='z')]),
                         Changed({}, set()))

    def test_another_owner_concerns_both(self):
        """In each period, though nothing turned but at the end."""
        found = differing([row(1, 3, 'on')], [row(1, 2, 'on'), row(2, 3, 'on', 'p2')])
        self.assertEqual(found, Changed({2 * HOUR: LASTING, 3 * HOUR: TURNING}, {('p1', 2 * HOUR), ('p2', 2 * HOUR)}))
        self.assertEqual(differing([row(1, 2, 'on', None)], [row(1, 2, 'on', 'p2')]).projects, {('p2', HOUR)})

    def test_a_life_that_ends_late_is_gone_from_then_on(self):
        """Every segment after the end, and the end itself."""
        found = differing([row(1, None, 'on')], [row(1, 3, 'on')])
        self.assertEqual({at / HOUR: marks for at, marks in found.marks.items()}, {3: BOTH, 4: LASTING, 5: LASTING})
        self.assertEqual(differing([row(1, None, 'on')], [row(1, 6, 'on')]), Changed({}, set()))

    def test_what_counts_as_before_changes_with_what_is_before(self):
        """Though it is in the same state, of the same length."""
        old = [row(1, 2, 'on'), row(2, None, 'resized')]
        found = differing(old, [row(1, 2, 'off'), row(2, None, 'resized')], as_before={'resized'})
        self.assertEqual(set(found.marks), {at * HOUR for at in range(1, 6)})

    @settings(max_examples=500)
    @given(_LIFE, _LIFE, st.integers(0, 4), st.integers(0, 4), st.sampled_from([set(), {'resized'}]))
    def test_it_is_a_comparison_of_all_segments(self, old, some, same, last, as_before):
        """Lives that share their beginning and end are compared in between; that finds all that differs."""
        old, new = life(old), life(old[:same] + some + old[last:])
        was, now = ({segment.begin: segment._replace(user_id=None, host=None) for segment in cut(
            pieces(rows, as_before, CALENDAR.begin, CALENDAR.until), CALENDAR, CALENDAR.begin, CALENDAR.until)}
            for rows in (old, new))
        both = {at: [found[at] for found in (was, now) if at in found] for at in was.keys() | now.keys()
                if was.get(at) != now.get(at)}
        self.assertEqual(differing(old, new, as_before), Changed(
            {at: found[0].marks | found[-1].marks for at, found in both.items()},
            {(one.project_id, one.period[0]) for found in both.values() for one in found
             if one.project_id and one.marks & LASTING}))


if __name__ == '__main__':
    unittest.main()
