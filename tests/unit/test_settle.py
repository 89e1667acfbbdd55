# SPDX-License-Identifier: Apache-2.0
import unittest
from datetime import timedelta
from types import SimpleNamespace

from ceilometer_paas.settle import Settler
from tests.ledgers import NOW, SOURCE, LedgerCase, fact, telling
from tests.stated import STATED

HOUR = timedelta(hours=1)
GRACE = timedelta(seconds=300)


class SettlerTest(LedgerCase):
    def setUp(self):
        super().setUp()
        self.ledger.begin(NOW)
        self.number = 0

    def settler(self, ledger=None, **options) -> Settler:
        settings = SimpleNamespace(**{'begin': None, 'period': 3600, 'grace': 300} | options)
        return Settler(ledger or self.ledger, STATED.as_before, settings)

    def tell(self, *facts) -> None:
        self.number += 1
        self.ledger.record(SOURCE, [telling(f'm{self.number}', *facts)], (), (), NOW)

    def work(self, settler: Settler, now) -> None:
        """Let it do all that is to be done; it has been at it for as long as the grace."""
        for time in (now - GRACE, now):
            while settler.step(time):
                pass

    def test_a_period_is_settled_when_it_and_the_grace_are_over(self):
        settler = self.settler()
        self.work(settler, NOW + HOUR + GRACE - timedelta(microseconds=1))
        self.assertIsNone(self.ledger.settled())
        with self.assertLogs('ceilometer_paas.settle', 'INFO') as logs:
            self.work(settler, NOW + HOUR + GRACE)
        self.assertEqual(self.ledger.settled(), NOW + HOUR)
        self.assertIn('Settled from 2026-03-10T08:00:00+00:00 until 2026-03-10T09:00:00+00:00', logs.output[0])
        self.work(settler, NOW + 5 * HOUR)
        self.assertEqual(self.ledger.settled(), NOW + 4 * HOUR)

    def test_who_was_away_takes_what_waits_before_anything_is_settled(self):
        """After the start, and after a time in which nothing could be done, the grace passes once more."""
        settler = self.settler()
        for start in (5 * HOUR, 9 * HOUR):
            before = self.ledger.settled()
            for seconds in (0, 299):
                settler.step(NOW + start + timedelta(seconds=seconds))
                self.assertEqual(self.ledger.settled(), before)
            settler.step(NOW + start + GRACE)
            self.assertEqual(self.ledger.settled(), NOW + start)

    def test_what_was_collected_is_folded_and_compared_first(self):
        """A period that is settled states what was known until then; a late fact holds nothing up."""
        settler = self.settler()
        self.tell(fact('active', 0))
        self.work(settler, NOW + 2 * HOUR)
        self.assertEqual(self.count('journal'), 0)
        self.tell(fact('stopped', 60))
        self.work(settler, NOW + 3 * HOUR)
        self.assertEqual((self.ledger.settled(), self.count('restating'), self.count('restated')),
                         (NOW + 2 * HOUR, 0, 2))

    def test_what_others_fold_meanwhile_delays_nothing(self):
        """A life that another process made differ just then is compared, and the period settled after that."""
        settler, other = self.settler(), self.open()
        self.tell(fact('active', 0))
        self.work(settler, NOW + HOUR + GRACE)
        settle = self.ledger.settle

        def overtaken(period):
            self.tell(fact('stopped', 60))
            other.fold()
            self.ledger.settle = settle
            return settle(period)

        self.ledger.settle = overtaken
        self.work(settler, NOW + 2 * HOUR + GRACE)
        self.work(settler, NOW + 2 * HOUR + GRACE)
        self.assertEqual(self.ledger.settled(), NOW + 2 * HOUR)

    def test_lives_are_compared_while_more_and_more_is_collected(self):
        """However much waits to be folded, publishers do not wait for it."""
        settler = self.settler()
        self.tell(fact('active', 0))
        self.work(settler, NOW + HOUR + GRACE)
        for minute in range(1, 4):
            self.tell(fact(('active', 'stopped')[minute % 2], 60 * minute))
            settler.step(NOW + HOUR + GRACE)
            self.tell(fact('active', 0, f'r{minute}'))
            settler.step(NOW + HOUR + GRACE)
        self.assertGreater(self.count('restated'), 0)

    def test_it_may_begin_elsewhere(self):
        """The option says from when on is settled, where the beginning of the ledger is not meant."""
        self.tell(fact('active', -9000))
        self.work(self.settler(begin=NOW + timedelta(minutes=90)), NOW + 3 * HOUR)
        self.ledger.follow(['shelf'])
        self.assertEqual(self.ledger.settled(), NOW + 2 * HOUR)
        self.tell(fact('stopped', 0))
        self.ledger.catch_up()
        self.ledger.restate(STATED.as_before)
        self.assertEqual(self.count('restated'), 1)

    def test_another_length_is_said(self):
        """It holds from the next boundary of its own on that is over."""
        self.work(self.settler(), NOW + 2 * HOUR)
        with self.assertLogs('ceilometer_paas.settle', 'INFO') as logs:
            self.work(self.settler(period=7200), NOW + 3 * HOUR)
        self.assertIn('From 2026-03-10T09:00:00+00:00 on periods have 7200 s, and no longer 3600 s', logs.output[0])
        self.assertEqual(self.ledger.settled(), NOW + 2 * HOUR)

    def test_until_a_time_there_is_no_grace(self):
        """What ended by then is settled, though nothing was folded yet."""
        self.tell(fact('active', 0))
        self.tell(fact('stopped', 60))
        settled = self.settler().until(NOW + HOUR)
        self.assertEqual((settled.last, self.ledger.settled(), self.count('journal')), (None, NOW + HOUR, 0))
        self.assertIsNone(self.settler().until(NOW + HOUR * 1.9))

    def test_two_settle_once(self):
        """Who comes second finds nothing to do."""
        first, second = self.settler(), self.settler(self.open())
        self.work(first, NOW + 2 * HOUR)
        self.assertEqual((second.step(NOW + 2 * HOUR), self.count('settled')), (0, 1))


if __name__ == '__main__':
    unittest.main()
