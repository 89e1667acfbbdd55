# SPDX-License-Identifier: Apache-2.0
"""Ids are derived from what they name, and from nothing else."""

import json
import unittest
import uuid

import hypothesis
from hypothesis import strategies

from ceilometer_paas import model

printable = strategies.text(min_size=1, max_size=40).filter(str.isprintable)
parts = strategies.tuples(printable, printable, printable, printable, strategies.integers(0, 1000))


class SampleIdTest(unittest.TestCase):

    @hypothesis.given(parts)
    def test_it_is_the_uuid5_of_its_parts(self, given):
        expected = uuid.uuid5(uuid.UUID(bytes=model._NAMESPACE), '\x1f'.join(map(str, given)))
        self.assertEqual(str(expected), model.sample_id(*given))

    @hypothesis.given(parts, parts)
    def test_other_parts_give_another_id(self, one, other):
        self.assertEqual(one == other, model.sample_id(*one) == model.sample_id(*other))

    def test_parts_do_not_run_into_each_other(self):
        self.assertNotEqual(model.sample_id('a', 'bc', 'd', 'e', 0), model.sample_id('ab', 'c', 'd', 'e', 0))


class ContentIdTest(unittest.TestCase):

    @hypothesis.given(strategies.tuples(printable, strategies.integers(0, 1000)),
                      strategies.tuples(printable, strategies.integers(0, 1000)))
    def test_it_is_the_same_for_the_same_content_in_the_same_place_alone(self, one, other):
        self.assertEqual(one == other, model.content_id(*one) == model.content_id(*other))
        self.assertEqual(str(uuid.UUID(model.content_id(*one))), model.content_id(*one))


class IsIdTest(unittest.TestCase):

    def test_ids_of_keystone_ldap_and_services_are_ids(self):
        for value in ('8c6f1f6d3b9a4a5e9c2f0d1e7b6a5c41', 'f' * 64, 'e1690178-70ef-4606-a3b4-79beb101aa90', 'x' * 255,
                      'a name', 'é'):
            with self.subTest(value):
                self.assertTrue(model.is_id(value))

    def test_what_no_database_or_separator_could_bear_is_no_id(self):
        for value in ('', 'x' * 256, 'a\x00b', 'a\x1fb', 'a\nb', '\ud800', None, 7, b'a', ['a']):
            with self.subTest(value):
                self.assertFalse(model.is_id(value))


class DumpTest(unittest.TestCase):

    def test_readings_are_written_as_compact_ascii_arrays(self):
        reading = model.Reading('r', None, 'ü', '2026-03-10T08:00:00+00:00', {'a': [1]},
                                (model.Amount('n', 'gauge', '', 1.5),))
        text = model.dump_readings((reading,))
        self.assertTrue(text.isascii())
        self.assertEqual([['r', None, 'ü', '2026-03-10T08:00:00+00:00', {'a': [1]}, [['n', 'gauge', '', 1.5]]]],
                         json.loads(text))
        self.assertNotIn(', ', text)
