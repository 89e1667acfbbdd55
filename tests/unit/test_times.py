# SPDX-License-Identifier: Apache-2.0
"""Every form of timestamp that services send is understood as Ceilometer understands it."""

import datetime
import unittest

import hypothesis
from hypothesis import strategies
from oslo_utils import timeutils

from ceilometer_paas import times

FORMS = [
    '2026-11-22 09:27:45.374445', '2026-11-22 09:27:45', '2026-11-22T09:14:57.110238', '2026-11-22T09:14:57',
    '2026-03-10T08:17:25Z', '2026-03-10T08:17:25.5Z', '2026-03-10 08:17:25+00:00', '2026-03-10T08:17:25+0530',
    '2026-11-22T09:41:00.865649+0000', '2026-03-10T08:17:25.771-07:00', '2026-11-22T09:21:36.000000',
]


class ParseTest(unittest.TestCase):

    def test_every_form_reads_as_oslo_reads_it(self):
        for text in FORMS:
            with self.subTest(text):
                self.assertEqual(timeutils.parse_isotime(text).isoformat(), times.parse(text).isoformat())

    def test_no_zone_is_utc(self):
        self.assertEqual('2026-11-22T09:27:45+00:00', times.parse('2026-11-22 09:27:45').isoformat())

    def test_utc_converts_an_offset(self):
        self.assertEqual('2026-03-10T02:47:25+00:00', times.parse_utc('2026-03-10T08:17:25+05:30').isoformat())

    def test_what_is_no_date_and_time_is_refused(self):
        for text in ('', 'yesterday', '2026-11-22', '2026-13-40T00:00:00', None, 1763800000, True,
                     '2026-11-22T25:00:00', ['2026-11-22T09:14:57']):
            with self.subTest(text), self.assertRaises(ValueError):
                times.parse(text)

    def test_a_time_with_decimals_without_end_is_refused(self):
        with self.assertRaises(ValueError):
            times.parse(f'2026-11-22T09:14:57.{"1" * 1000}')

    def test_a_time_that_utc_cannot_express_is_refused(self):
        with self.assertRaises(ValueError):
            times.parse_utc('0001-01-01T00:00:00+05:00')

    @hypothesis.given(strategies.datetimes(timezones=strategies.just(datetime.UTC)))
    def test_what_python_writes_is_read_back(self, moment):
        self.assertEqual(moment, times.parse(moment.isoformat()))
