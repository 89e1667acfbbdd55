# SPDX-License-Identifier: Apache-2.0
"""With ``[notification] pipelines = paas``, Ceilometer's unmodified agent meters our queues, whatever befalls it."""

import os
import signal
import socket
import time
import unittest
from collections import Counter

from ceilometer_paas.model import sample_id
from tests import messages
from tests.functional import rabbit
from tests.functional.deployment import Sink, send, wait_for
from tests.functional.doors import BUS, QUEUE, Doors

SOURCES = '''
endpoints: {{cloud: {{url: ""}}, gone: {{url: "rabbit://paas:sesame@127.0.0.1:{port}/"}}}}
queues:
  ceilometer-paas.gone: {{endpoint: gone, exchange: nova, topic: notifications}}
  ceilometer-paas.nova: {{endpoint: cloud, exchange: nova, topic: notifications}}
metric_types: {{gone.*: ceilometer-paas.gone, memory: ceilometer-paas.nova}}
'''
STOCK = {'memory', 'vcpus', 'disk.root.size', 'disk.ephemeral.size'}
"""Samples that Ceilometer makes of a VM's audit."""


def exists(number):
    """Give the audit of a VM, each another one."""
    return messages.vm_exists(f'm-{number}', instance_id=f'vm-{number}')


def our_id(number):
    return sample_id('cloud/nova', f'm-{number}', 'memory', f'vm-{number}', 0)


class PluginTestCase(unittest.TestCase):

    def setUp(self):
        self.vhost = rabbit.vhost(self)
        self.url = rabbit.url(self.vhost)

    def send(self, *numbers):
        send(self.url, 'nova', map(exists, numbers))


class PipelineTest(PluginTestCase):

    def test_our_queues_are_metered_beside_ceilometers_pipelines_while_a_broker_does_not_answer(self):
        """And two workers count once."""
        silent = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(silent.close)
        doors = Doors(self, self.url, 'meter', 'event', 'paas')
        doors.write('sources.yaml', SOURCES.format(port=silent.getsockname()[1]))
        doors.more = 'workers = 2\n'
        doors.write_conf()
        agent = doors.start(QUEUE, BUS)
        wait_for(lambda: [doors.depth(queue)[1] for queue in (QUEUE, BUS)] == [2, 2], 'both workers consume')
        self.send(*range(100))
        wait_for(lambda: len(doors.samples()) >= 100, 'our samples')
        wait_for(lambda: len(doors.published('own')) >= 400, 'samples of its own')
        wait_for(lambda: len(doors.published('events')) >= 100, 'events')
        doors.stop(agent)
        self.assertEqual(Counter(map(our_id, range(100))), Counter(sample['id'] for sample in doors.samples()))
        self.assertEqual({(name, f'vm-{number}') for name in STOCK for number in range(100)},
                         {(sample['name'], sample['resource_id']) for sample in doors.published('own')})
        self.assertEqual({f'm-{number}' for number in range(100)},
                         {event['message_id'] for event in doors.published('events')})
        self.assertEqual([0, 0], [doors.depth(queue)[0] for queue in (QUEUE, BUS)])


class SignalsTest(PluginTestCase):
    AWAY = 120.0
    """Seconds for which the only publisher takes nothing."""
    BURST = 150

    def test_nothing_is_missing_or_doubled_after_twenty_signals_under_load_with_the_publisher_away(self):
        """Three doors at once: our queue, the agent's own bus, and ``paas://`` in its pipeline."""
        sink, self.sent = Sink(self), 0
        self.doors = doors = Doors(self, self.url, 'meter', 'paas', sample_endpoint=True, batch_size=10)
        doors.publish_own('paas://')
        doors.write('paas_pipeline.yaml', 'sources: [{name: all, meters: ["*"], sinks: [http]}]\n'
                                          f'sinks: [{{name: http, publishers: ["{sink.url}"]}}]\n')
        sink.up, began, left = False, time.monotonic(), 0
        agent = doors.start(QUEUE, BUS)
        for number in range(20):
            self.put_in_flight()
            worker = doors.worker(agent)
            if number % 4 == 3:
                doors.stop(agent)
                left += sum(doors.depth(queue)[0] for queue in (QUEUE, BUS))
                agent = doors.start(QUEUE, BUS)
            else:
                agent.send_signal(signal.SIGHUP)
                wait_for(lambda worker=worker: not os.path.exists(f'/proc/{worker}'), 'the worker ends')
                doors.wait_for_consumers(QUEUE, BUS)
            self.assertTrue(doors.lines(rf' {worker} INFO .* Collected since .*\d recorded'), doors.log())
        wait_for(lambda: time.monotonic() - began > self.AWAY, 'it was away for as long as was meant')
        self.assertGreater(left, 0, 'it never left anything to its successor')
        self.assertEqual([], sink.taken)
        self.assertGreater(sink.turned_away, 0)
        sink.up = True
        wait_for(lambda: len({sample['id'] for sample in sink.taken}) >= 5 * self.sent, 'all samples')
        doors.stop(agent)
        self.check(sink.taken)
        self.assertEqual([], doors.failures())

    def put_in_flight(self):
        """Send until messages wait in both queues, behind those that the worker has."""
        def waits():
            self.send(*range(self.sent, self.sent + self.BURST))
            self.sent += self.BURST
            return all(self.doors.depth(queue)[0] for queue in (QUEUE, BUS))
        wait_for(waits, 'messages are in flight')

    def check(self, taken):
        by_id = {}
        for sample in taken:
            self.assertEqual(sample, by_id.setdefault(sample['id'], sample))
        ours = set(map(our_id, range(self.sent)))
        self.assertLessEqual(ours, by_id.keys())
        self.assertEqual(Counter((name, f'vm-{number}') for name in STOCK for number in range(self.sent)),
                         Counter((sample['name'], sample['resource_id']) for identity, sample in by_id.items()
                                 if identity not in ours))
