# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.settle."""

import json
from unittest import mock

from ceilometer_paas import times
from tests.ledgers import fact
from tests.workspace import StatementsTestCase

HOUR = 3600
NEVER = {'begin': None, 'until': None, 'period': None, 'periods': 0, 'restated': 0}


class TestSettle(StatementsTestCase):

    def setUp(self):
        super().setUp()
        self.tell(fact('active', 600), fact('stopped', HOUR))

    def uptimes(self):
        return [(sample['timestamp'][11:19], sample['volume'], sample['resource_metadata']['revision'])
                for sample in self.published() if sample['name'] == 'compute.uptime']

    def test_what_was_settled(self):
        """What was settled is told: from when until when, and how many periods of which length."""
        self.assertEqual({'begin': '2026-03-10T00:00:00.000000+00:00', 'until': '2026-03-10T10:00:00.000000+00:00',
                          'period': 3600, 'periods': 10, 'restated': 0}, self.settle(10))
        again = self.settle(12)
        self.assertEqual(('2026-03-10T10:00:00.000000+00:00', 2), (again['begin'], again['periods']))

    def test_part_of_a_period(self):
        """A period that is not over at the time is not settled."""
        self.assertEqual('2026-03-10T09:00:00.000000+00:00',
                         self.table('settle', '--until', '2026-03-10T09:59:59.999999')['until'])

    def test_nothing_due(self):
        """That nothing is due is said, and what is settled stays."""
        self.settle(10)
        status, out, err = self.run_command('settle', '--until', '2026-03-10T10:30', '-f', 'json')
        self.assertEqual((0, 'note: nothing was due: every period that ended by 2026-03-10T10:30:00.000000+00:00 is '
                             'settled\n'), (status, err))
        self.assertEqual(NEVER | {'until': '2026-03-10T10:00:00.000000+00:00'}, json.loads(out))

    def test_without_a_beginning(self):
        """Of a ledger that has not begun nothing is settled, and that is said."""
        self.edit('ceilometer.conf', 'begin = 2026-03-10T00:00:00Z', '')
        status, out, err = self.run_command('settle', '-f', 'json')
        self.assertEqual((0, 'note: nothing was due: the ledger has not begun\n'), (status, err))
        self.assertEqual(NEVER, json.loads(out))

    def test_grace(self):
        """Without --until what is over is settled when grace is over, too."""
        for minute, until in ((4, 10), (5, 11)):
            now = times.parse_utc(f'2026-03-10T11:{minute:02}Z')
            with mock.patch('ceilometer_paas.serve.utcnow', return_value=now):
                self.assertEqual(f'2026-03-10T{until}:00:00.000000+00:00', self.table('settle')['until'])

    def test_future(self):
        """A time that has not come yet is refused in one line, and nothing is settled."""
        self.assertEqual((1, '', '--until 2999-01-01T00:00:00.000000+00:00 is in the future\n'),
                         self.run_command('settle', '--until', '2999-01-01'))
        self.assertEqual('2026-03-10T00:00:00.000000+00:00', self.settle(1)['begin'])

    def test_changed_length(self):
        """That periods have another length from now on is said."""
        self.settle(10)
        self.edit('ceilometer.conf', '[paas]', '[paas]\nperiod = 1800')
        status, out, err = self.run_command('settle', '--until', '2026-03-10T12:00', '-f', 'json')
        self.assertEqual((0, 'note: from 2026-03-10T10:00:00.000000+00:00 on periods have 1800 s, and no longer 3600 '
                             's\n'), (status, err))
        self.assertEqual((1800, 4), tuple(json.loads(out)[key] for key in ('period', 'periods')))

    def test_restated(self):
        """Lives that are otherwise than they were stated are counted."""
        self.settle(10)
        self.tell(fact('stopped', 1800), fact('active', 1900, 'r2'))
        status, out, _ = self.run_command('settle', '--until', '2026-03-10T10:00', '-f', 'json')
        self.assertEqual((0, 2), (status, json.loads(out)['restated']))

    def test_publishes_nothing(self):
        """Without --publish nothing is published; it waits, for a publisher that never ran, too."""
        self.settle(10)
        self.assertEqual([], self.published())
        self.settle(11, '--publish')
        self.assertEqual([('08:10:00', 3000, 0), ('09:00:00', 0, 0), ('10:00:00', 0, 0)], self.uptimes())

    def test_publish(self):
        """With --publish the statements are where the pipeline says when the command ends; once."""
        self.settle(10, '--publish')
        expected = [('compute.number', 1), ('compute.number', 1), ('compute.status', 1), ('compute.status', 3),
                    ('compute.uptime', 0), ('compute.uptime', 3000)]
        self.assertEqual(expected, sorted((sample['name'], sample['volume']) for sample in self.published()))
        self.assertEqual(0, self.run_command('settle', '--until', '2026-03-10T10:00', '--publish')[0])
        self.assertEqual(len(expected), len(self.published()))

    def test_publish_what_is_restated(self):
        """What a late message changes is published again with the next revision, and the rest is not."""
        self.settle(10, '--publish')
        self.tell(fact('stopped', 1800), fact('active', 2000))
        self.run_command('settle', '--until', '2026-03-10T10:00', '--publish')
        self.assertEqual([('08:10:00', 1200, 1), ('08:30:00', 0, 1), ('08:33:20', 1600, 1)], self.uptimes()[2:])

    def test_publisher_that_cannot_be_loaded(self):
        """A publisher that can never work is refused before anything is settled."""
        self.edit('paas_pipeline.yaml', 'file://', 'fiel://')
        status, out, err = self.run_command('settle', '--until', '2026-03-10T10:00', '--publish')
        self.assertEqual((1, '', 1), (status, out, err.count('\n')))
        self.assertIn('there is no publisher \'fiel\'', err)
        self.assertEqual('2026-03-10T00:00:00.000000+00:00', self.settle(10)['begin'])

    def test_publisher_that_is_away(self):
        """A publisher that cannot be reached is one line, and an exit status of 1; what is settled waits for it."""
        self.edit('paas_pipeline.yaml', 'file://DIRECTORY'.replace('DIRECTORY', str(self.directory)),
                  'http://127.0.0.1:9/usage?max_retries=0&')
        status, out, err = self.run_command('settle', '--until', '2026-03-10T10:00', '--publish')
        self.assertEqual((1, '', 1), (status, out, err.count('\n')))
        self.assertTrue(err.startswith('file: http://127.0.0.1:9/usage: '), err)
        _, row, *_ = self.table('statement', 'list', '--meter', 'compute.uptime')
        self.assertEqual([], row['delivered_to'])
