# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.demo."""

import io
import json

from ceilometer_paas.cli.main import PaasApp
from tests.workspace import WorkspaceTestCase


class TestDemo(WorkspaceTestCase):

    def test_day(self):
        """The day is metered and settled, the sample file has what is told of it, and a second run adds nothing."""
        place = str(self.directory / 'demo')
        status, out, err = self.run_command('demo', '--dir', place, '-f', 'json')
        self.assertEqual(0, status, err)
        rows = {(row['project'], row['meter']): row for row in json.loads(out)}
        self.assertEqual(('total', 'B'), tuple(rows['shop', 'acme-queue.bytes'][key] for key in ('is', 'unit')))
        self.assertLess({('lab', 'vcpus'), ('lab', 'compute.instance.uptime'), ('lab', 'compute.instances')}, set(rows))
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
        self.assertEqual([['resource', 'list'], ['resource', 'show'], ['interval', 'list'], ['usage', 'list'],
                          ['statement', 'list']], [command[1:3] for command in commands[:5]])
        for arguments in commands:
            with self.subTest(arguments):
                out, err = io.StringIO(), io.StringIO()
                status = PaasApp(stdout=out, stderr=err).run(['--config-file', *arguments, '-f', 'json'])
                self.assertEqual((0, ''), (status, err.getvalue()))
                self.assertTrue(json.loads(out.getvalue()))

    def test_lives(self):
        """Tables say how long resources were up, how many there were, and what their states were; no second is lost."""
        _, out, _ = self.run_command('demo', '--dir', str(self.directory / 'demo'))
        tables, header = {}, None
        for line in out.splitlines():
            cells = tuple(cell.strip() for cell in line.strip('|').split('|'))
            if line.startswith('|') and header is None:
                header, tables[cells] = cells, []
            elif line.startswith('|'):
                tables[header].append(cells)
            elif not line.startswith('+'):
                header = None
        _, uptime, quantities, states = tables.values()
        used = {tuple(key): float(seconds) for *key, seconds in states}
        self.assertLess({('lab', 'instance', state) for state in ('active', 'building', 'resized', 'stopped')} |
                        {('shop', 'instance', 'error'), ('shop', 'acme-queue', 'active')}, set(used))
        # shop-0 exists all day; shop-2 from its creation on, shop-4 never runs, shop-6 is short.
        self.assertAlmostEqual(86400 + 1297.4 * 60 + 47.8 * 60,
                               sum(used['shop', 'instance', state] for state in ('active', 'building', 'resized')),
                               delta=2)
        self.assertNotIn(('shop', 'instance', 'deleted'), used)
        # What was published says the same: what is active or resized is up.
        for project in ('lab', 'shop'):
            published = [float(row[4]) for row in uptime if row[:2] == (project, 'compute.instance.uptime')]
            self.assertAlmostEqual(used[project, 'instance', 'active'] + used[project, 'instance', 'resized'],
                                   sum(published))
        self.assertEqual(('1', '3', '1', 'active=1', 'gp.small=1'),
                         next(row[2:] for row in quantities if row[:2] == ('shop', 'compute.instances')))
