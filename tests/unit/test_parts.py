# SPDX-License-Identifier: Apache-2.0
import unittest

from ceilometer_paas.ledger import parts
from ceilometer_paas.ledger.intervals import Life, fold
from ceilometer_paas.model import Fact
from tests import lives
from tests.ledgers import fact, micros


class PartsTest(unittest.TestCase):
    """What it means for one life that another ends."""

    def life(self, *facts: Fact) -> Life:
        return fold(lives.evidence(('m', one) for one in facts))

    def within(self, end: float | None) -> list[tuple]:
        """List begin, end and state of a life from 0 to 60 that is part of another."""
        life = self.life(fact('building', 0), fact('active', 10), fact('deleted', 60))
        spans = parts.within(life, None if end is None else micros(end)).spans
        return [((span.begin - micros(0)) / 1e6, (span.end - micros(0)) / 1e6, span.state) for span in spans]

    def test_a_life_ends_when_its_parent_ended(self):
        self.assertEqual(self.within(5), [(0, 5, 'building')])
        self.assertEqual(self.within(10), [(0, 10, 'building')])
        self.assertEqual(self.within(11), [(0, 10, 'building'), (10, 11, 'active')])

    def test_a_life_that_ended_before_is_as_it_was(self):
        for end in (60, 61, None):
            self.assertEqual(self.within(end), [(0, 10, 'building'), (10, 60, 'active')])

    def test_a_life_that_began_later_is_none(self):
        self.assertEqual(self.within(0), [])
        self.assertEqual(parts.within(self.life(fact('deleted', 60)), micros(0)).spans, ())

    def test_the_end_of_a_life_is_what_its_last_interval_says_or_the_fact_that_tells_it(self):
        gone, told = fact('deleted', 60.5), fact(None, 70, kind='witness', ended=micros(65.5))
        for facts, end, event_type in (((), None, None), ((gone,), 60.5, 'test'), ((gone, told), 65.5, 'told'),
                                       ((fact('deleted', 62), gone), 60.5, 'test')):
            for born in ((), (fact('active', 0),)):
                known = lives.evidence((f'm{place}', one._replace(event_type='told') if one is told else one)
                                       for place, one in enumerate((*facts, *born)))
                with self.subTest(end=end, born=born):
                    ending = parts.ending(known)
                    self.assertEqual(parts.own_end(known, fold(known)), None if end is None else micros(end))
                    self.assertEqual(ending and (ending.time, ending.event_type), end and (micros(end), event_type))

    def test_a_parent_is_named_by_type_and_id(self):
        told = fact('on', attributes={'parent': 'dns_zone/a/b'})
        for attributes in (told.attributes, self.life(told).attributes):
            self.assertEqual(parts.parent_of(attributes), ('dns_zone', 'a/b'))
        self.assertIsNone(parts.parent_of(self.life(fact('on')).attributes))


if __name__ == '__main__':
    unittest.main()
