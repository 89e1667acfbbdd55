# SPDX-License-Identifier: Apache-2.0
"""In Ceilometer's agent, what an operator changed is taken up by SIGHUP, and a mistake ends the worker with a line."""

import re
import signal

from tests.functional.deployment import METERS, PIPELINE, wait_for
from tests.functional.doors import BUS, QUEUE, Doors
from tests.functional.test_plugin import PluginTestCase, our_id

ELSEWHERE = '''
endpoints: {elsewhere: {url: "rabbit://paas:sesame@127.0.0.1:9/"}}
queues: {ceilometer-paas.nova: {endpoint: elsewhere, exchange: nova, topic: notifications}}
metric_types: {memory: ceilometer-paas.nova}
'''
SAID = 'ceilometer_paas cannot be used: '


class MistakesTest(PluginTestCase):

    def setUp(self):
        super().setUp()
        self.doors = Doors(self, self.url, 'meter', 'paas')
        self.doors.publish_own('paas://')
        self.agent = self.doors.start(QUEUE, BUS)
        self.sent = 0

    def ends(self, *expected):
        """Check that workers end with some lines and 78, take nothing, and that nobody can read of a traceback."""
        begin = len(self.doors.log())

        def ended():
            log = self.doors.log()[begin:]
            said = re.findall(rf' (\d+) ERROR \S+ .*{SAID}.*{expected[0]}', log)
            return said and re.search(rf'Child {said[0]} exited with status 78\b', log) and said[0]
        worker = wait_for(ended, f'a worker ends with {expected[0]}')
        lines = [line for line in self.doors.log()[begin:].splitlines() if f' {worker} ERROR ceilometer_paas' in line]
        self.assertEqual(len(expected), len(lines), lines)
        for line, pattern in zip(lines, expected, strict=True):
            self.assertRegex(line, f'{SAID}.*{pattern}')
            self.assertNotIn('ConfigError', line)
        self.more()
        self.assertEqual([(self.sent, 0)] * 2, [self.doors.depth(queue) for queue in (QUEUE, BUS)])
        self.assertEqual([], self.doors.failures())
        self.assertIsNone(self.agent.poll())

    def more(self):
        self.send(self.sent)
        self.sent += 1

    def change(self, **options):
        self.doors.write_conf(**options)
        self.agent.send_signal(signal.SIGHUP)

    def ids(self):
        return {sample['id'] for sample in self.doors.samples()}

    def test_a_mistake_ends_the_worker_with_a_line_and_what_came_meanwhile_is_metered_once_it_is_mended(self):
        self.doors.write('meters.d/nova.yaml', METERS + '    volum: 1\n')
        self.doors.write('paas_pipeline.yaml', 'sources: [{name: a, meters: ["*"], sinks: [s]}]\n'
                                               'sinks: [{name: s, publishers: ["nowhere://"]}]\n')
        self.agent.send_signal(signal.SIGHUP)
        self.ends(r'nova\.yaml:12: .*volum', r'paas_pipeline\.yaml:2: .*nowhere')
        self.doors.write('meters.d/nova.yaml', METERS.replace('memory_mb', 'vcpus'))
        self.doors.write('paas_pipeline.yaml', PIPELINE.format(directory=self.doors.directory))
        wait_for(lambda: len(self.ids()) == 5 * self.sent, 'it goes on by itself')
        self.assertEqual({2}, {sample['volume'] for sample in self.doors.samples() if sample['id'] == our_id(0)})

    def test_options_that_can_never_be_right_end_the_worker_with_a_line(self):
        self.change(state_path=self.doors.path('sources.yaml/below'), ledger_connection='')
        self.ends('sources.yaml/below does not exist')
        self.change(ledger_connection='nonsense://')
        self.ends('ledger_connection')
        self.doors.publish_own('paas://host')
        self.change()
        self.ends(r'paas:// stands alone')
        self.doors.publish_own('paas://')
        self.doors.write('sources.yaml', ELSEWHERE)
        self.change(sample_endpoint=True)
        self.ends('sample_endpoint is set, and no queue')
