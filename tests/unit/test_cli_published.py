# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.published."""

import unittest
from datetime import UTC, datetime

from ceilometer_paas.cli import published

BEGIN, MIDDLE, END = (datetime(2026, 3, 10, hour, tzinfo=UTC) for hour in (0, 1, 2))
NAMES = {'p': 'shop'}


def sample(name='d', kind='delta', volume=1, resource_id='r', **fields):
    return {'id': f'{name} {resource_id} {volume}', 'name': name, 'type': kind, 'unit': 'u', 'volume': volume,
            'timestamp': 't1', 'project_id': 'p', 'resource_id': resource_id, 'resource_metadata': {}} | fields


def up(volume, flavor=None, **fields):
    """A sample of an uptime."""
    return sample('up', volume=volume, resource_metadata={
        'revision': 0, 'size': {'flavor': flavor} if flavor else {'size_gb': 5}}, **fields)


def count(number, begin, end, highest, lowest):
    """A sample of a quantity."""
    return sample('things', 'gauge', number, 'paas-p', timestamp=end.isoformat(), resource_metadata={
        'revision': 0, 'highest': highest, 'lowest': lowest, 'states': {'active': number}, 'flavors': {'m1': number},
        'period': {'begin': begin.isoformat(), 'end': end.isoformat()}})


def shown(table):
    """What is in the rows of a table."""
    return [tuple(str(getattr(cell, 'human_readable', lambda cell=cell: cell)()) for cell in row) for row in table[1]]


class PublishedTest(unittest.TestCase):

    def test_newest(self):
        """Of what was restated, what was published last counts."""
        first, again, other = (sample(id=name, volume=volume) for name, volume in (('a', 1), ('a', 2), ('b', 3)))
        self.assertEqual([again, other], published.newest([first, other, again]))

    def test_of_lives(self):
        """What is stated of a life is told from what one message said."""
        self.assertEqual([True, False], [published.is_of_lives(one) for one in (up(1), sample())])

    def test_summary(self):
        """A delta's volumes are added; of a gauge the newest counts, in whatever order they come."""
        rows = [sample('d', 'delta', 2, 'r1'), sample('d', 'delta', 0.5, 'r2', timestamp='t2'),
                sample('g', 'gauge', 7, 'r1', timestamp='t2'), sample('g', 'gauge', 9, 'r2')]
        self.assertEqual([('shop', 'd', 2, 2, 2.5, 'total', 'u'), ('shop', 'g', 2, 2, 7, 'last', 'u')],
                         published.summary(rows, NAMES)[1])

    def test_uptime(self):
        """Uptime is summed by flavor, exactly; what is no uptime is left out."""
        samples = [up(3600, 'm1'), up(0.1, 'm1', resource_id='r2'), up(0.2, 'm1'), up(5), up(0, 'm2'),
                   count(1, BEGIN, MIDDLE, 1, 1)]
        self.assertEqual([('shop', 'up', '', '1', '5', '0.00'), ('shop', 'up', 'm1', '2', '3600.3', '1.00'),
                          ('shop', 'up', 'm2', '1', '0', '0.00')], shown(published.uptime(samples, NAMES)))

    def test_quantities(self):
        """How many there were is that of the last period; the extremes are those of all."""
        counts = [count(3, BEGIN, MIDDLE, 4, 3), count(2, MIDDLE, END, 3, 1), up(5)]
        for samples in (counts, counts[::-1]):
            self.assertEqual([('shop', 'things', '2', '4', '1', 'active=2', 'm1=2')],
                             shown(published.quantities(samples, NAMES, (BEGIN, END))))

    def test_quantities_of_nothing(self):
        """In a period of which nothing was published there were none."""
        self.assertEqual([('shop', 'things', '0', '4', '0', '', '')],
                         shown(published.quantities([count(3, BEGIN, MIDDLE, 4, 3)], NAMES, (BEGIN, END))))
