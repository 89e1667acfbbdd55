# SPDX-License-Identifier: Apache-2.0
import unittest

from hypothesis import given
from hypothesis import strategies as st

from ceilometer_paas.ledger.periods import Calendar, Stretch
from tests.lives import HOUR, MINUTE, NOON, SECOND


class CalendarTest(unittest.TestCase):
    def test_periods_are_aligned_to_1970(self):
        """Whatever the beginning: the first one is shorter then; a boundary belongs to what it begins."""
        calendar = Calendar([Stretch(NOON + 7 * MINUTE, 3600, NOON + 3 * HOUR)])
        self.assertEqual(list(calendar.periods(0, NOON * 2)), [
            (NOON + 7 * MINUTE, NOON + HOUR), (NOON + HOUR, NOON + 2 * HOUR), (NOON + 2 * HOUR, NOON + 3 * HOUR)])
        self.assertEqual(calendar.period(NOON + HOUR), (NOON + HOUR, NOON + 2 * HOUR))
        self.assertEqual(calendar.period(NOON + HOUR - 1), (NOON + 7 * MINUTE, NOON + HOUR))

    def test_another_length_holds_from_the_next_boundary_on(self):
        """The first period of the new length is cut where the last of the old one ended."""
        calendar = Calendar([Stretch(NOON, 3600, NOON + HOUR), Stretch(NOON + HOUR, 7200, NOON + 4 * HOUR),
                             Stretch(NOON + 4 * HOUR, 1800, NOON + 5 * HOUR)])
        self.assertEqual([(begin - NOON, end - NOON) for begin, end in calendar.periods(NOON, NOON + 9 * HOUR)],
                         [(0, HOUR), (HOUR, 2 * HOUR), (2 * HOUR, 4 * HOUR), (4 * HOUR, 9 * HOUR // 2),
                          (9 * HOUR // 2, 5 * HOUR)])

    def test_parts_of_periods_are_whole_periods(self):
        """Whatever begins or ends within one has a part in it; nothing has a part in no time at all."""
        calendar = Calendar([Stretch(NOON, 3600, NOON + 5 * HOUR)])
        self.assertEqual(list(calendar.periods(NOON + HOUR - 1, NOON + HOUR + 1)),
                         [(NOON, NOON + HOUR), (NOON + HOUR, NOON + 2 * HOUR)])
        self.assertEqual(list(calendar.periods(NOON + HOUR, NOON + HOUR)), [])

    def test_nothing_may_be_settled(self):
        calendar = Calendar([])
        self.assertEqual((calendar.begin, calendar.until, list(calendar.periods(0, NOON))), (0, 0, []))

    @given(st.integers(0, 10 ** 9), st.lists(st.tuples(st.integers(60, 100_000), st.integers(1, 5)), min_size=1,
                                            max_size=4), st.data())
    def test_every_moment_is_in_one_period(self, begin, lengths, data):
        """Periods follow each other without gaps; each is at most as long as its stretch says, and ends aligned."""
        stretches = []
        time = begin * SECOND
        for seconds, number in lengths:
            until = (time // (seconds * SECOND) + number) * seconds * SECOND
            stretches.append(Stretch(time, seconds, until))
            time = until
        calendar = Calendar(stretches)
        periods = list(calendar.periods(0, 1 << 62))
        self.assertEqual([periods[0][0], *(end for _, end in periods[:-1])], [one for one, _ in periods])
        self.assertEqual((periods[0][0], periods[-1][1]), (begin * SECOND, time))
        at = data.draw(st.integers(begin * SECOND, time - 1))
        (period,) = (one for one in periods if one[0] <= at < one[1])
        self.assertEqual(calendar.period(at), period)
        seconds = next(one.seconds for one in reversed(stretches) if one.begins_at <= at)
        self.assertEqual(period[1] % (seconds * SECOND), 0)
        self.assertLessEqual(period[1] - period[0], seconds * SECOND)


if __name__ == '__main__':
    unittest.main()
