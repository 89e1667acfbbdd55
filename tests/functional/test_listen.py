# SPDX-License-Identifier: Apache-2.0
"""Through a real RabbitMQ, every message gets its outcome before it is acknowledged."""

import json
import os
import shlex
import unittest
from collections import Counter

import kombu

from ceilometer_paas.errors import Unavailable
from ceilometer_paas.serve import Collecting, Delivering
from tests import messages
from tests.functional import rabbit
from tests.functional.deployment import Deployment, send, wait_for

NOVA, ACME, DEAD = 'ceilometer-paas.nova', 'ceilometer-paas.acme', 'ceilometer-paas.dead'


class ListenTest(unittest.TestCase):

    def setUp(self):
        self.vhost = rabbit.vhost(self)
        self.url = rabbit.url(self.vhost)
        self.deployment = Deployment(self, self.url)

    def collecting(self):
        collecting = Collecting(self.deployment.configuration())
        self.addCleanup(collecting.stop)
        collecting.start()
        for part in (*collecting.listeners, *collecting.dead_letters):
            self.assertTrue(part.listening.wait(20), part)
        return collecting

    def outcomes(self, collecting, number):
        wait_for(lambda: sum(collecting.counts().values()) >= number, f'{number} outcomes')
        self.assertEqual(number, sum(collecting.counts().values()))
        return collecting.counts()

    def empty(self, *queues):
        """Whether the broker holds nothing of some queues, not even unacknowledged."""
        return all(rabbit.queues(self.vhost)[queue][0] == 0 for queue in queues)

    def test_messages_of_both_formats_are_recorded_and_acknowledged(self):
        collecting = self.collecting()
        send(self.url, 'nova', [messages.vm_exists(f'vm-{number}') for number in range(300)])
        send(self.url, 'acme', [messages.paas_event(message_id=f'event-{number}') for number in range(50)])
        self.assertEqual(Counter(recorded=350), self.outcomes(collecting, 350))
        wait_for(lambda: self.empty(NOVA, ACME), 'every message is acknowledged')

    def test_a_poison_message_amid_good_ones_is_quarantined_once_and_the_good_ones_are_metered_once(self):
        collecting = self.collecting()
        good = [messages.vm_exists(f'vm-{number}') for number in range(10)]
        send(self.url, 'nova', [*good[:5], messages.vm_exists('poison', memory_mb='much'), *good[5:]])
        self.assertEqual(Counter({'recorded': 10, 'quarantined(translate.bad_volume)': 1}),
                         self.outcomes(collecting, 11))
        wait_for(lambda: self.empty(NOVA), 'every message is acknowledged')
        self.assertEqual([(NOVA, 'translate.bad_volume', 1)],
                         [(row.origin, row.code, row.count) for row in self.deployment.quarantined()])

    def test_a_message_without_a_priority_or_with_none_is_seen(self):
        collecting = self.collecting()
        absent, null = messages.vm_exists('absent'), {**messages.vm_exists('null'), 'priority': None}
        del absent['priority']
        send(self.url, 'nova', [absent, null])
        self.assertEqual(Counter(recorded=2), self.outcomes(collecting, 2))
        wait_for(lambda: self.empty(NOVA), 'both are acknowledged')

    def test_both_envelopes_and_both_priorities_arrive(self):
        collecting = self.collecting()
        send(self.url, 'nova', [json.dumps(messages.vm_exists('bare')).encode()])
        send(self.url, 'nova', [messages.vm_exists('failed')], routing_key='notifications.error')
        self.assertEqual(Counter(recorded=2), self.outcomes(collecting, 2))

    def test_a_duplicate_is_recognised_across_restarts(self):
        first = self.collecting()
        send(self.url, 'nova', [messages.vm_exists('one')])
        self.outcomes(first, 1)
        first.stop()
        second = self.collecting()
        send(self.url, 'nova', [messages.vm_exists('one'), messages.vm_exists('two')])
        self.assertEqual(Counter(recorded=1, duplicate=1), self.outcomes(second, 2))

    def test_copies_of_one_amqp_message_do_not_stop_the_queue(self):
        """oslo.messaging would keep each of them, unacknowledged, until the broker hands over nothing more."""
        collecting = self.collecting()
        copy = {**messages.vm_exists('one'), '_unique_id': 'one'}
        send(self.url, 'nova', [copy])
        self.outcomes(collecting, 1)
        send(self.url, 'nova', [copy] * 250)
        send(self.url, 'nova', [messages.vm_exists('two')])
        self.assertEqual(Counter(recorded=2, duplicate=250), self.outcomes(collecting, 252))
        wait_for(lambda: self.empty(NOVA), 'every message is acknowledged')

    def test_a_queue_that_speaks_of_another_queues_metric_types_is_not_believed(self):
        collecting = self.collecting()
        send(self.url, 'acme', [messages.paas_event(payload__metrics=[
            {'metric_name': 'memory', 'metric_type': 'gauge', 'metric_value': 1}])])
        self.assertEqual(Counter({'quarantined(source.not_mapped)': 1}), self.outcomes(collecting, 1))

    def test_what_oslo_messaging_rejects_reaches_the_quarantine_through_the_dead_letter_policy(self):
        policy = os.path.join(os.path.dirname(__file__), '../../etc/ceilometer_paas/rabbitmq_policy.sh')
        with open(policy) as file:
            command = file.read().partition('rabbitmqctl ')[2].replace('\\\n', ' ').replace('"${1:-/}"', self.vhost)
        rabbit.rabbitmqctl(*shlex.split(command))
        collecting = self.collecting()
        good = messages.vm_exists('good')
        send(self.url, 'nova', [b'no json', b'["a", "list"]', b'{"oslo.version": "9.0", "oslo.message": "{}"}',
                                b'{"oslo.version": "2.0", "oslo.message": "{"}', good])
        self.assertEqual(Counter({'recorded': 1, 'quarantined(decode.undecodable)': 3,
                                  'quarantined(decode.not_an_object)': 1}), self.outcomes(collecting, 5))
        wait_for(lambda: self.empty(NOVA, DEAD), 'nothing is left at the broker')
        self.assertEqual({NOVA}, {row.origin for row in self.deployment.quarantined()})

    def test_whatever_lies_among_the_dead_letters_is_quarantined(self):
        collecting = self.collecting()
        with kombu.Connection(self.url.replace('rabbit://', 'amqp://')) as connection:
            producer = kombu.Producer(connection.channel(), kombu.Exchange(DEAD, 'fanout'))
            for body, headers in ((b'{}', {'compression': 'none'}), (b'{}', {'x-death': 'none'}), (b'\xff\xfe', {})):
                producer.publish(body, headers=headers, serializer=None, content_type='application/json',
                                 content_encoding='utf-8')
        self.assertEqual(Counter({'quarantined(source.not_mapped)': 2, 'quarantined(decode.undecodable)': 1}),
                         self.outcomes(collecting, 3))
        wait_for(lambda: self.empty(DEAD), 'every message is acknowledged')

    def test_a_connection_for_each_listener_is_enough(self):
        self.collecting()
        wait_for(lambda: len(rabbit.rabbitmqctl('list_connections', 'vhost').split(self.vhost)) == 4,
                 'three connections: two queues and the dead letters')

    def test_a_queue_of_another_kind_is_named_in_one_line_and_listened_to_when_it_is_gone(self):
        with kombu.Connection(self.url.replace('rabbit://', 'amqp://')) as connection:
            kombu.Queue(NOVA, durable=True)(connection.channel()).declare()
        collecting = Collecting(self.deployment.configuration())
        self.addCleanup(collecting.stop)
        with self.assertLogs('ceilometer_paas.listen', 'WARNING') as logs:
            collecting.start()
            wait_for(lambda: logs.output, 'it is named')
        self.assertRegex(logs.output[0], f"^WARNING.*Queue {NOVA}: .*PRECONDITION_FAILED.*'durable'")
        self.assertEqual([None], list({record.exc_info for record in logs.records}))
        rabbit.rabbitmqctl('delete_queue', '-p', self.vhost, NOVA)
        self.assertTrue(all(listener.listening.wait(20) for listener in collecting.listeners))

    def test_a_ledger_that_cannot_be_reached_holds_the_batch_unacknowledged(self):
        collecting = self.collecting()
        record, down = collecting._ledger.record, [True]

        def record_when_up(*args):
            if down:
                raise Unavailable('down for the test')
            return record(*args)
        collecting._ledger.record = record_when_up
        send(self.url, 'nova', [messages.vm_exists(f'vm-{number}') for number in range(20)])
        wait_for(lambda: rabbit.queues(self.vhost)[NOVA][0] == 20, 'messages are held at the broker')
        self.assertEqual(Counter(), collecting.counts())
        down.clear()
        self.assertEqual(Counter(recorded=20), self.outcomes(collecting, 20))
        wait_for(lambda: self.empty(NOVA), 'every message is acknowledged')

    def test_stopping_while_the_ledger_is_down_gives_the_messages_back(self):
        collecting = self.collecting()

        def record(*args):
            raise Unavailable('down for the test')
        collecting._ledger.record = record
        send(self.url, 'nova', [messages.vm_exists(f'vm-{number}') for number in range(20)])
        wait_for(lambda: rabbit.queues(self.vhost)[NOVA][0] == 20, 'messages are held at the broker')
        collecting.stop()
        self.assertEqual(Counter(retried=20), collecting.counts())
        wait_for(lambda: rabbit.queues(self.vhost)[NOVA] == (20, 0), 'all are back in the queue')
        self.assertEqual(Counter(recorded=20), self.outcomes(self.collecting(), 20))

    def test_a_message_at_which_we_fail_is_isolated_from_its_batch(self):
        collecting = self.collecting()
        nova = next(one.handle for one in collecting.listeners if one.queue.name == NOVA)
        translate = nova.collect._translate

        def fail(notification, queue):
            if notification.message_id == 'vm-3':
                raise ZeroDivisionError
            return translate(notification, queue)
        nova.collect._translate = fail
        send(self.url, 'nova', [messages.vm_exists(f'vm-{number}') for number in range(6)])
        self.assertEqual(Counter({'recorded': 5, 'quarantined(internal.failed)': 1}), self.outcomes(collecting, 6))

    def test_an_own_topic_is_consumed_and_no_copy_is_left(self):
        self.deployment.write('sources.yaml', OWN_TOPIC)
        collecting = self.collecting()
        send(self.url, 'acme', [messages.paas_event()], routing_key='metering.info')
        self.assertEqual(Counter(recorded=1), self.outcomes(collecting, 1))
        self.assertEqual(['metering.info'], list(rabbit.queues(self.vhost)))

    def test_an_endpoint_that_is_down_delays_no_other(self):
        self.deployment.write('sources.yaml', TWO_ENDPOINTS)
        collecting = Collecting(self.deployment.configuration())
        self.addCleanup(collecting.stop)
        with self.assertLogs('ceilometer_paas.listen', 'WARNING') as logs:
            collecting.start()
            send(self.url, 'nova', [messages.vm_exists('one')])
            wait_for(lambda: any('endpoint gone cannot be reached' in line for line in logs.output), 'it is named')
        by_queue = {listener.queue.name: listener for listener in collecting.listeners}
        self.assertTrue(by_queue['up'].listening.wait(10))
        send(self.url, 'nova', [messages.vm_exists('two')])
        wait_for(lambda: collecting.counts()['recorded'], 'the other endpoint is heard')
        self.assertFalse(by_queue['down'].listening.is_set())
        self.assertFalse([line for line in logs.output if 'sesame' in line])

    def test_what_was_collected_is_delivered_to_the_file_once(self):
        collecting = self.collecting()
        delivering = Delivering(self.deployment.configuration())
        self.addCleanup(delivering.stop)
        delivering.start()
        send(self.url, 'nova', [messages.vm_exists(f'vm-{number % 40}') for number in range(80)])
        self.outcomes(collecting, 80)
        samples = wait_for(lambda: len(self.deployment.samples()) >= 40 and self.deployment.samples(), '40 samples')
        self.assertEqual(40, len({sample['id'] for sample in samples}))
        self.assertEqual(40, len(samples))
        self.assertEqual({('memory', 'gauge', 'MiB', 4096, messages.PROJECT)},
                         {(sample['name'], sample['type'], sample['unit'], sample['volume'], sample['project_id'])
                          for sample in samples})


OWN_TOPIC = '''
endpoints: {cloud: {url: ""}}
queues: {acme.usage: {endpoint: cloud, exchange: acme, topic: metering, priorities: [info], format: paas-event,
                      own_topic: true}}
metric_types: {acme-queue.*: acme.usage}
'''
TWO_ENDPOINTS = '''
endpoints: {cloud: {url: ""}, gone: {url: "rabbit://paas:sesame@127.0.0.1:9/"}}
queues:
  down: {endpoint: gone, exchange: nova, topic: notifications}
  up: {endpoint: cloud, exchange: nova, topic: notifications}
metric_types: {memory: [up, down]}
'''
