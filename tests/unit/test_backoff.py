# SPDX-License-Identifier: Apache-2.0
import threading
import unittest

import tenacity

from ceilometer_paas import backoff
from ceilometer_paas.errors import Unavailable


class UntilTest(unittest.TestCase):

    def setUp(self):
        self.stop = threading.Event()
        self.waits = []

    def until(self, max_wait=300.0, on_failure=lambda: None):
        def before_sleep(state):
            self.waits.append(state.upcoming_sleep)
            on_failure()
        return backoff.until(self.stop, max_wait, before_sleep)

    def test_what_is_unavailable_is_tried_until_it_is_there(self):
        answers = iter([Unavailable('gone'), Unavailable('gone'), None])

        def call(given):
            error = next(answers)
            if error:
                raise error
            return given
        self.assertEqual('there', self.until(0.01)(call, 'there'))
        self.assertEqual(2, len(self.waits))

    def test_waits_double_from_half_a_second_to_the_longest_and_are_a_little_longer_by_chance(self):
        attempts = self.until(5.0)
        state = tenacity.RetryCallState(attempts, None, (), {})
        for number, least in enumerate([0.5, 1, 2, 4, 5, 5], 1):
            state.attempt_number = number
            waits = {attempts.wait(state) for _ in range(20)}
            self.assertTrue(least <= min(waits) < max(waits) <= least + backoff.JITTER, waits)

    def test_a_stop_ends_a_wait_at_once(self):
        patient = self.until(on_failure=threading.Timer(0.1, self.stop.set).start)
        patient.wait = tenacity.wait_fixed(86400)
        with self.assertRaises(tenacity.RetryError):
            patient(fail, Unavailable('gone'))
        self.assertEqual(2, patient.statistics['attempt_number'])

    def test_after_a_stop_there_is_one_try(self):
        self.stop.set()
        self.assertEqual(1, self.until()(lambda: 1))
        with self.assertRaises(tenacity.RetryError):
            self.until()(fail, Unavailable('gone'))
        self.assertEqual([], self.waits)

    def test_another_error_passes(self):
        with self.assertRaises(ZeroDivisionError):
            self.until()(fail, ZeroDivisionError())


def fail(error):
    raise error


if __name__ == '__main__':
    unittest.main()
