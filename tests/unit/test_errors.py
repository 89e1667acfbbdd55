# SPDX-License-Identifier: Apache-2.0
"""Refusals have registered codes; an operator's mistakes are shown all at once, a line each."""

import unittest

from ceilometer_paas import errors


class ErrorsTest(unittest.TestCase):

    def test_problems_are_a_line_each_in_the_order_of_the_files(self):
        error = errors.ConfigError([errors.Problem('b.yaml', 2, 'two'), errors.Problem('a.yaml', 10, 'ten'),
                                    errors.Problem('a.yaml', 9, 'nine'), errors.Problem('c', 0, 'no line')])
        self.assertEqual('a.yaml:9: nine\na.yaml:10: ten\nb.yaml:2: two\nc: no line', str(error))

    def test_a_code_that_is_not_registered_cannot_be_used(self):
        with self.assertRaises(LookupError):
            errors.Refused('decode.invented')

    def test_a_refusal_without_a_reason_says_what_its_code_means(self):
        self.assertEqual(errors.REFUSALS['decode.no_payload'], errors.Refused('decode.no_payload').reason)

    def test_a_value_is_shown_short_and_printable(self):
        deep = []
        for _ in range(100000):
            deep = [deep]
        for value, expected in [('é\n', "'\\xe9\\n'"), (None, 'None'), (1.5, '1.5'), (10 ** 400, 'a huge number'),
                                (deep, 'a list'), ({'a': 1}, 'an object'), ('x' * 100, "'" + 'x' * 76 + '...')]:
            with self.subTest(expected):
                self.assertEqual(expected, errors.shown(value))
