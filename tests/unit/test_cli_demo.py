# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.demo."""

import io
import json

from ceilometer_paas.cli.demo import summary
from ceilometer_paas.cli.main import PaasApp
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
        self.look_further(err)

        status, again, err = self.run_command('demo', '--dir', place, '-f', 'json')
        self.assertEqual((0, out), (status, again))
        self.assertNotIn('recorded', err)

    def look_further(self, text):
        """Run the commands that the demonstration names: each lists something, and none fails."""
        commands = [line.partition(' --config-file ')[2].split() for line in text.splitlines() if '-file ' in line]
        self.assertEqual([['resource', 'list'], ['resource', 'show'], ['interval', 'list'], ['usage', 'list']],
                         [command[1:3] for command in commands[:4]])
        for arguments in commands:
            with self.subTest(arguments):
                out, err = io.StringIO(), io.StringIO()
                status = PaasApp(stdout=out, stderr=err).run(['--config-file', *arguments, '-f', 'json'])
                self.assertEqual((0, ''), (status, err.getvalue()))
                self.assertTrue(json.loads(out.getvalue()))

    def test_lives(self):
        """In a table, a second one says how long resources were in which state; no second is lost or invented."""
        _, out, _ = self.run_command('demo', '--dir', str(self.directory / 'demo'))
        rows = [tuple(cell.strip() for cell in line.strip('|').split('|')) for line in out.splitlines()
                if line.startswith('|')]
        second = rows[rows.index(('project', 'type', 'state', 'seconds')) + 1:]
        used = {tuple(key): float(seconds) for *key, seconds in second}
        self.assertLess({('lab', 'instance', state) for state in ('active', 'building', 'resized', 'stopped')} |
                        {('shop', 'instance', 'error'), ('shop', 'acme-queue', 'active')}, set(used))
        # shop-0 exists all day; shop-2 from its creation on, shop-4 never runs, shop-6 is short.
        self.assertAlmostEqual(86400 + 1297.4 * 60 + 47.8 * 60,
                               sum(used['shop', 'instance', state] for state in ('active', 'building', 'resized')),
                               delta=2)
        self.assertNotIn(('shop', 'instance', 'deleted'), used)


class TestSummary(WorkspaceTestCase):

    def test_volumes(self):
        """A delta's volumes are added; of a gauge the newest counts, in whatever order they come."""
        def sample(name, kind, volume, timestamp):
            return {'name': name, 'type': kind, 'unit': 'u', 'volume': volume, 'timestamp': timestamp,
                    'project_id': 'p', 'resource_id': f'r{volume}'}
        rows = summary([sample('d', 'delta', 2, 't1'), sample('d', 'delta', 0.5, 't2'), sample('g', 'gauge', 7, 't2'),
                        sample('g', 'gauge', 9, 't1')], {'p': 'shop'})
        self.assertEqual([('shop', 'd', 2, 2, 2.5, 'total', 'u'), ('shop', 'g', 2, 2, 7, 'last', 'u')], rows)
