# SPDX-License-Identifier: Apache-2.0
"""With publish_events, what the agent records reaches the sinks of Ceilometer's pipeline of events."""

import json
import os
import signal
import unittest

import kombu

from tests import messages
from tests.functional import rabbit
from tests.functional.deployment import Deployment, Sink, kill, send, wait_for

QUEUE = 'ceilometer-paas.nova'
DEFINITIONS = '''
- event_type: compute.instance.*
  traits:
    resource_id: payload.instance_id
    vcpus: {type: int, fields: payload.vcpus}
    launched_at: {type: datetime, fields: payload.launched_at}
'''
PIPELINE = '''
sources: [{{name: all, events: ["compute.*"], sinks: [here, there]}}]
sinks:
  - {{name: here, publishers: ["file://{directory}/events.jsonl?json", "notifier://"]}}
  - {{name: there, publishers: ["{url}"]}}
'''


class EventsTest(unittest.TestCase):

    def setUp(self):
        self.vhost = rabbit.vhost(self)
        self.url = rabbit.url(self.vhost)
        self.sink = Sink(self)
        self.deployment = Deployment(self, self.url)
        self.deployment.write('events.yaml', DEFINITIONS)
        self.deployment.write('event_pipeline.yaml', PIPELINE.format(directory=self.deployment.directory,
                                                                     url=f'{self.sink.url}?max_retries=0'))
        self.deployment.write_conf(publish_events=True, event_definitions_cfg_file=self.deployment.path('events.yaml'))
        self.sent = []
        self.notified = []

    def start(self):
        agent = self.deployment.start_agent(lease=2)
        wait_for(lambda: rabbit.queues(self.vhost).get(QUEUE, (0, 0))[1], 'the agent consumes')
        return agent

    def send(self, count):
        ids = [f'vm-{number}' for number in range(len(self.sent), len(self.sent) + count)]
        send(self.url, 'nova', map(messages.vm_exists, ids))
        self.sent += ids

    def in_file(self):
        """Read the file; a line that a killed agent left half written is none."""
        found = []
        if os.path.exists(self.deployment.path('events.jsonl')):
            with open(self.deployment.path('events.jsonl')) as file:
                for line in file:
                    try:
                        found.append(json.loads(line))
                    except ValueError:
                        continue
        return found

    def on_bus(self):
        """Take events out of the queue in which Ceilometer's ``notifier://`` puts them."""
        with kombu.Connection(self.url.replace('rabbit:', 'amqp:')) as connection:
            channel = connection.channel()
            if 'event.sample' in rabbit.queues(self.vhost):
                while (message := channel.basic_get('event.sample', no_ack=True)) is not None:
                    self.notified += json.loads(json.loads(message.body)['oslo.message'])['payload']
        return self.notified

    def ids(self, take):
        return sorted((event['message_id'] for event in take()), key=lambda one: int(one.partition('-')[2]))

    def test_a_sink_that_was_away_misses_nothing_and_gets_nothing_twice(self):
        """Neither does an agent that was stopped meanwhile; the other sinks did not wait."""
        self.sink.up = False
        agent = self.start()
        self.send(300)
        for take in self.in_file, self.on_bus:
            wait_for(lambda take=take: len(take()) >= 300, 'events at the sinks that are up')
        self.assertGreater(wait_for(lambda: self.sink.turned_away, 'an attempt'), 0)
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(0, agent.wait(30))
        self.start()
        self.send(100)
        self.sink.up = True
        for take in self.in_file, self.on_bus, lambda: self.sink.taken:
            wait_for(lambda take=take: len(take()) >= 400, 'all events')
            self.assertEqual(self.sent, self.ids(take))
        wait_for(lambda: len(self.deployment.samples()) == 400, 'the samples')
        event = next(one for one in self.sink.taken if one['message_id'] == 'vm-0')
        self.assertEqual(('compute.instance.exists', '2026-03-10T09:00:04.512000'),
                         (event['event_type'], event['generated']))
        self.assertIn(['launched_at', 4, '2026-03-10T07:17:31.771086'], event['traits'])
        self.assertIn(['vcpus', 2, 2], event['traits'])
        self.assertEqual([], self.deployment.quarantined())

    def test_nothing_is_missing_after_the_agent_was_killed_and_what_is_repeated_is_the_same(self):
        agent = self.start()
        for _ in range(3):
            self.send(150)
            wait_for(self.in_file, 'some event')
            self.sink.up = not self.sink.up
            kill(agent)
            agent = self.start()
        self.send(50)
        self.sink.up = True
        for take in self.in_file, self.on_bus, lambda: self.sink.taken:
            wait_for(lambda take=take: {event['message_id'] for event in take()} >= {*self.sent}, 'all events')
            by_id = {}
            for event in take():
                self.assertEqual(event, by_id.setdefault(event['message_id'], event))
            self.assertEqual({*self.sent}, by_id.keys())

    def test_a_message_that_gives_no_event_is_set_aside_and_the_others_go_on(self):
        self.start()
        send(self.url, 'nova', [messages.vm_exists('vm-0', vcpus='many'), messages.vm_exists('vm-1')])
        wait_for(lambda: self.ids(self.in_file) == ['vm-1'], 'the good event')
        row, = wait_for(self.deployment.quarantined, 'the bad message')
        self.assertEqual(('event.failed', QUEUE), (row.code, row.origin))
        wait_for(lambda: len(self.deployment.samples()) == 1, 'the sample of the good one')
