# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.usage."""

import contextlib
import io
import json
import unittest
from decimal import Decimal

import yaml
from hypothesis import given
from hypothesis import strategies as st

from ceilometer_paas.cli.usage import seconds
from tests.ledgers import fact, micros
from tests.workspace import LivesTestCase

DAY = ('--begin', '2026-03-10', '--end', '2026-03-11')
HOUR = 3600


class TestUsageList(LivesTestCase):

    def setUp(self):
        super().setUp()
        self.tell(fact('building', 0), fact('active', 0.25), fact('deleted', HOUR),
                  fact('active', 0, 'r2'), fact('deleted', HOUR + 0.000001, 'r2'),
                  fact('active', 23 * HOUR, 'r3', project_id='p2', size={'flavor': 'm2'}),
                  fact('available', HOUR, 's1', resource_type='share', size={'size_gb': 5}))

    def used(self, *arguments):
        return self.table('usage', 'list', *DAY, *arguments)

    def test_seconds(self):
        """Seconds are summed by project, type, state and size, within the period, to the microsecond."""
        rows = self.used()
        self.assertEqual(['project_id', 'resource_type', 'state', 'size', 'seconds'], list(rows[0]))
        self.assertEqual([('p1', 'instance', 'active', {'flavor': 'm1'}, 7199.750001),
                          ('p1', 'instance', 'building', {'flavor': 'm1'}, 0.25),
                          ('p1', 'share', 'available', {'size_gb': 5}, 15 * HOUR)],
                         [tuple(row.values()) for row in rows])

    def test_filters(self):
        """Usage is that of a project, a type or a resource."""
        for expected, *filters in ((0.25, '--resource', 'r1'), (54000, '--resource-type', 'share')):
            with self.subTest(filters):
                self.assertEqual(expected, self.used(*filters)[-1]['seconds'])
        self.assertEqual([], self.used('--project', 'p2'))

    def test_group_by(self):
        """Usage is summed by the columns that are named, in that order."""
        self.assertEqual([{'state': 'active', 'flavor': 'm1', 'seconds': 7199.750001}],
                         self.used('--group-by', 'state, flavor', '--resource-type', 'instance')[:1])
        self.assertEqual([['seconds']], [list(row)[1:] for row in self.used('--group-by', 'resource_id')][:1])

    def test_group_by_unknown(self):
        """An unknown column is refused, and the known ones are named."""
        err = io.StringIO()
        with contextlib.redirect_stderr(err), self.assertRaises(SystemExit) as caught:
            self.run_command('usage', 'list', *DAY, '--group-by', 'project,state')
        self.assertEqual(2, caught.exception.code)
        self.assertIn('there is no column \'project\'; there are project_id, resource_type, resource_id, state, '
                      'flavor, size, user_id, host, availability_zone', err.getvalue())

    def test_end_in_the_future(self):
        """What has not been yet is not counted, and that is said."""
        begin = ('usage', 'list', '-f', 'json', '--begin', '2026-03-10', '--group-by', 'state', '--project', 'p2')
        status, out, err = self.run_command(*begin, '--end', '2999-01-01')
        self.assertEqual(0, status)
        self.assertRegex(err, r'^note: --end 2999-01-01T00:00:00.000000\+00:00 is in the future: what is listed is the '
                              r'usage until 20\S+\+00:00\n$')
        self.assertLess(json.loads(out)[0]['seconds'], 900 * 365 * 86400)

    def test_a_period_that_is_none(self):
        """A period that ends before it begins, or that has not begun, is refused in one line."""
        for begin, end, reason in (('2026-03-11', '2026-03-10', 'is not before --end 2026-03-10T00:00:00'),
                                   ('2026-03-11', '2026-03-11', 'is not before --end 2026-03-11T00:00:00'),
                                   ('2998-01-01', '2999-01-01', 'is in the future')):
            status, out, err = self.run_command('usage', 'list', '--begin', begin, '--end', end)
            self.assertEqual((1, '', 1), (status, out, err.count('\n')))
            self.assertIn(f'--begin {begin}T00:00:00.000000+00:00 {reason}', err)

    def test_before_the_beginning(self):
        """Nothing is known of the time before the ledger's beginning, and that is said."""
        status, _, err = self.run_command('usage', 'list', '--begin', '2026-03-01', '--end', '2026-03-11')
        self.assertEqual((0, 'note: nothing is known of the time before the ledger\'s beginning, '
                             '2026-03-10T00:00:00.000000+00:00\n'), (status, err))

    def test_broken_configuration(self):
        """Usage can be seen while the source map is broken."""
        self.write('sources.yaml', 'endpoints: [')
        self.assertEqual(3, len(self.used()))

    def test_formats(self):
        """Seconds are a number without quotes in CSV and YAML, and to the right in a table."""
        def listed(*arguments):
            return self.run_command('usage', 'list', *DAY, '--group-by', 'state', *arguments)[1]
        self.assertIn('"active",7199.750001\n', listed('-f', 'csv').replace('\r', ''))
        self.assertEqual([7199.750001, 54000, 0.25], [row['seconds'] for row in yaml.safe_load(listed('-f', 'yaml'))])
        self.assertIn('|       54000 |', listed())

    def test_exact(self):
        """Sums that no float can hold are printed to the microsecond."""
        self.edit('ceilometer.conf', 'begin = 2026-03-10T00:00:00Z', 'begin = 1000-01-01T00:00:00Z')
        time = micros(-1000 * 365 * 86400) + 1
        self.tell(*(fact('active', 0, f'x{number}', project_id='p9', time=time) for number in range(3)))
        out = self.run_command('usage', 'list', '--begin', '1000-01-01', '--end', '2026-03-10T08:00', '--project', 'p9',
                               '--group-by', 'state', '-f', 'json')[1]
        self.assertEqual('[\n  {"state": "active", "seconds": 94607999999.999997}\n]\n', out)


class TestSeconds(unittest.TestCase):

    @given(st.integers(0, 10**19))
    def test_exact(self, micros):
        """Seconds are what they are in microseconds, and are written without an exponent or needless zeros."""
        written = str(seconds(micros))
        self.assertEqual(micros, Decimal(written) * 1_000_000)
        self.assertRegex(written, r'^(0|[1-9]\d*)(\.\d{0,5}[1-9])?$')
