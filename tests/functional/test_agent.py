# SPDX-License-Identifier: Apache-2.0
"""ceilometer-agent-paas as a child process: it collects, delivers, stops, re-reads and survives being killed."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from tests import messages
from tests.functional import rabbit
from tests.functional.deployment import PATIENCE, Deployment, send, wait_for

QUEUE = 'ceilometer-paas.nova'
LEASE = 1.5
"""Seconds that a publisher waits after each kill."""


class AgentTest(unittest.TestCase):

    def setUp(self):
        self.vhost = rabbit.vhost(self)
        self.url = rabbit.url(self.vhost)
        self.deployment = Deployment(self, self.url)

    def started(self, lease=None):
        agent = self.deployment.start_agent(lease)
        wait_for(lambda: rabbit.queues(self.vhost).get(QUEUE, (0, 0))[1], 'the agent consumes')
        return agent

    def send(self, *numbers):
        send(self.url, 'nova', [messages.vm_exists(f'vm-{number}') for number in numbers])

    def ids(self, **killed):
        return [sample['id'] for sample in self.deployment.samples(**killed)]

    def test_sigterm_finishes_what_is_in_flight(self):
        agent = self.started()
        self.send(*range(1000))
        wait_for(self.ids, 'the first sample')
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(0, agent.wait(PATIENCE))
        left, consumers = rabbit.queues(self.vhost)[QUEUE]
        self.assertEqual(0, consumers)
        self.started()
        wait_for(lambda: len(self.ids()) >= 1000, 'the rest is metered after a restart')
        self.assertEqual((1000, 1000), (len(self.ids()), len(set(self.ids()))), f'{left} messages were left')

    def test_nothing_is_lost_when_the_agent_is_killed_again_and_again_and_what_is_repeated_keeps_its_id(self):
        self.started(LEASE)
        stop = threading.Event()
        sent = []

        def publish():
            while not stop.is_set():
                numbers = range(len(sent), len(sent) + 20)
                self.send(*numbers)
                sent.extend(numbers)
        publisher = threading.Thread(target=publish)
        publisher.start()
        for _ in range(3):
            time.sleep(1.0)
            agents = subprocess.run(['pgrep', '-f', self.deployment.path('ceilometer.conf')], capture_output=True,
                                    text=True, check=True).stdout.split()
            os.killpg(os.getpgid(int(agents[0])), signal.SIGKILL)
            self.started(LEASE)
        stop.set()
        publisher.join()
        wait_for(lambda: len(set(self.ids(killed=True))) >= len(sent), f'{len(sent)} messages are metered')
        self.assertEqual(len(sent), len(set(self.ids(killed=True))))
        by_id = {}
        for sample in self.deployment.samples(killed=True):
            self.assertEqual(sample, by_id.setdefault(sample['id'], sample))

    def test_sighup_takes_up_a_good_change_and_refuses_a_broken_one(self):
        agent = self.started()
        self.send(1)
        wait_for(lambda: len(self.ids()) == 1, 'the first sample')
        with open(self.deployment.path('meters.d/nova.yaml')) as file:
            good = file.read()
        self.deployment.write('meters.d/nova.yaml', good + '    volum: 1\n')
        agent.send_signal(signal.SIGHUP)
        wait_for(lambda: 'The old configuration stays in force' in self.deployment.log(), 'the mistake is named')
        self.assertRegex(self.deployment.log(), r'nova\.yaml:12: .*volum.*\n')
        self.send(2)
        wait_for(lambda: len(self.ids()) == 2, 'the old configuration works on')
        self.deployment.write('meters.d/nova.yaml', good.replace('memory_mb', 'vcpus'))
        agent.send_signal(signal.SIGHUP)

        def changed():
            self.send(time.monotonic_ns())
            time.sleep(0.4)
            return self.deployment.samples()[-1]['volume'] == 2
        wait_for(changed, 'the new definition is in force')
        self.assertIsNone(agent.poll())

    def test_what_cannot_be_used_stops_the_start_with_a_line(self):
        for name, text, expected in [
            ('sources.yaml', 'endpoints: {cloud: {url: ""}\n', r'sources\.yaml:\d+: '),
            ('paas_pipeline.yaml', 'sources: [{name: a, meters: ["*"], sinks: [s]}]\n'
             'sinks: [{name: s, publishers: ["nowhere://"]}]\n', r'paas_pipeline\.yaml:2: .*nowhere'),
        ]:
            with self.subTest(name):
                deployment = Deployment(self, self.url)
                deployment.write(name, text)
                agent = deployment.start_agent()
                self.assertEqual(1, agent.wait(PATIENCE))
                lines = [line for line in deployment.log().splitlines() if name in line]
                self.assertEqual(1, len(lines), deployment.log())
                self.assertTrue(re.search(expected, lines[0]), lines)
                self.assertNotIn('Traceback', deployment.log())

    def test_a_broker_that_is_down_at_start_is_waited_for(self):
        agent = self.started()
        agent.terminate()
        self.assertEqual(0, agent.wait(PATIENCE))
        rabbit.rabbitmqctl('stop_app')
        try:
            self.deployment.start_agent()
            wait_for(lambda: 'endpoint cloud cannot be reached' in self.deployment.log(), 'the endpoint is named')
        finally:
            rabbit.rabbitmqctl('start_app')
        wait_for(lambda: rabbit.queues(self.vhost).get(QUEUE, (0, 0))[1], 'the agent consumes')
        self.send(1)
        wait_for(lambda: len(self.ids()) == 1, 'the first sample')

    def test_a_publisher_that_is_down_delays_no_other_and_loses_nothing(self):
        with socket.create_server(('127.0.0.1', 0)) as taken:
            port = taken.getsockname()[1]
        self.deployment.write('paas_pipeline.yaml', f'''
sources: [{{name: all, meters: ["*"], sinks: [file, remote]}}]
sinks:
  - {{name: file, publishers: ["file://{self.deployment.path('samples.jsonl')}?json"]}}
  - {{name: remote, publishers: ["http://127.0.0.1:{port}/samples"]}}
''')
        self.started()
        self.send(*range(10))
        wait_for(lambda: len(self.ids()) == 10, 'the file gets its samples meanwhile')
        self.assertEqual({'remote'}, {target.partition(':')[0] for target, parcels in
                                      self.deployment.ledger().backlog().items() if parcels})
