# SPDX-License-Identifier: Apache-2.0
"""The trait plug-in paas_when."""

import unittest

from stevedore import extension

from ceilometer_paas.traits import When

RUNNING = [('payload.state', 'active'), ('payload.memory_mb', 4096)]
GONE = [('payload.state', 'deleted'), ('payload.memory_mb', 4096)]
UNKNOWN = [('payload.memory_mb', 4096)]


class WhenTest(unittest.TestCase):

    def test_a_value_that_counts_gives_the_other_fields(self):
        self.assertEqual(When('payload.state', among=['active', 'paused']).trait_values(RUNNING), [4096])

    def test_a_value_that_does_not_count_gives_nothing(self):
        self.assertEqual(When('payload.state', among=['active']).trait_values(GONE), [])

    def test_all_but_some_values_may_count(self):
        when = When('payload.state', not_among=['deleted'])
        self.assertEqual([when.trait_values(RUNNING), when.trait_values(GONE)], [[4096], []])

    def test_a_number_may_stand_for_the_fields(self):
        self.assertEqual(When('payload.state', among=['active'], value=1).trait_values(RUNNING), [1])

    def test_an_absent_field_is_among_none(self):
        self.assertEqual(When('payload.state', among=['active']).trait_values(UNKNOWN), [])
        self.assertEqual(When('payload.state', not_among=['deleted']).trait_values(UNKNOWN), [4096])

    def test_a_value_that_cannot_be_hashed_is_compared_all_the_same(self):
        self.assertEqual(When('payload.state', among=['active']).trait_values([('payload.state', {})]), [])

    def test_one_list_is_needed(self):
        for lists in ({}, {'among': 'active'}, {'among': ['a'], 'not_among': ['b']}):
            with self.subTest(lists), self.assertRaisesRegex(ValueError, 'one list, among or not_among'):
                When('payload.state', **lists)

    def test_ceilometer_finds_it(self):
        self.assertIs(extension.ExtensionManager('ceilometer.event.trait_plugin')['paas_when'].plugin, When)
