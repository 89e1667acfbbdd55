# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.demo."""

import json

from ceilometer_paas.cli.demo import summary
from tests.workspace import WorkspaceTestCase


class TestDemo(WorkspaceTestCase):

    def test_day(self):
        """The day is metered, the sample file has what the table says, and a second run adds nothing."""
        place = str(self.directory / 'demo')
        status, out, err = self.run_command('demo', '--dir', place, '-f', 'json')
        self.assertEqual(0, status, err)
        rows = {(row['project'], row['meter']): row for row in json.loads(out)}
        self.assertEqual(('total', 'B'), tuple(rows['shop', 'acme-queue.bytes'][key] for key in ('is', 'unit')))
        self.assertIn(('lab', 'vcpus'), rows)
        samples = (self.directory / 'demo/samples.jsonl').read_text().splitlines()
        self.assertEqual(len(samples), sum(row['samples'] for row in rows.values()))
        self.assertEqual(len(samples), len({json.loads(line)['id'] for line in samples}))
        self.assertRegex(err, r'messages: 2 duplicate, \d+ ignored\(ignored.no_definition\), '
                              r'1 quarantined\(decode.bad_field\), \d+ recorded\.')
        self.assertIn(f' --config-file {place}/ceilometer.conf quarantine list', err)

        status, again, err = self.run_command('demo', '--dir', place, '-f', 'json')
        self.assertEqual((0, out), (status, again))
        self.assertNotIn('recorded', err)


class TestSummary(WorkspaceTestCase):

    def test_volumes(self):
        """A delta's volumes are added; of a gauge the newest counts, in whatever order they come."""
        def sample(name, kind, volume, timestamp):
            return {'name': name, 'type': kind, 'unit': 'u', 'volume': volume, 'timestamp': timestamp,
                    'project_id': 'p', 'resource_id': f'r{volume}'}
        rows = summary([sample('d', 'delta', 2, 't1'), sample('d', 'delta', 0.5, 't2'), sample('g', 'gauge', 7, 't2'),
                        sample('g', 'gauge', 9, 't1')], {'p': 'shop'})
        self.assertEqual([('shop', 'd', 2, 2, 2.5, 'total', 'u'), ('shop', 'g', 2, 2, 7, 'last', 'u')], rows)
