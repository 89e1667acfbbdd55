# SPDX-License-Identifier: Apache-2.0

import json
import logging
import os
import unittest

import kombu
from ceilometer.publisher import utils

from ceilometer_paas.errors import Unavailable
from tests import publishing
from tests.functional import agent, rabbit
from tests.functional.deployment import wait_for

PIPELINE = '''
sources: [{{name: all, meters: ["*"], sinks: [file]}}]
sinks: [{{name: file, publishers: ["file://{directory}/samples.jsonl?json"]}}]
'''
CONF = '''
[DEFAULT]
transport_url = {url}
[publisher]
telemetry_secret = sesame
'''


class Bus(unittest.TestCase):
    def setUp(self):
        self.vhost = rabbit.vhost(self)
        self.url = rabbit.url(self.vhost)

    def publisher(self, url, conf=None):
        return publishing.publisher(self, url, CONF.format(url=self.url) if conf is None else conf)

    def take(self, queue='notifications.sample'):
        """Take the notifications out of a queue."""
        taken = []
        with kombu.Connection(self.url.replace('rabbit:', 'amqp:')) as connection:
            channel = connection.channel()
            while (message := channel.basic_get(queue, no_ack=True)) is not None:
                taken.append(json.loads(json.loads(message.body)['oslo.message']))
        return taken


class TestAgent(Bus):
    def test_samples_reach_the_stock_agent(self):
        """The unmodified notification agent publishes what we put on the bus, ids and all other fields kept."""
        given = publishing.samples(120)
        ceilometer = agent.NotificationAgent(self, self.vhost, PIPELINE)
        self.assertEqual([], self.publisher('paasbus://')(given))
        path = ceilometer.path('samples.jsonl')

        def arrived():
            if not os.path.exists(path):
                return []
            with open(path) as file:
                lines = [json.loads(line) for line in file.read().splitlines()]
            return lines if len(lines) >= len(given) else []

        lines = wait_for(arrived, 'the samples in the file')
        self.assertEqual({sample.id: sample.as_dict() for sample in given}, {line['id']: line for line in lines})
        self.assertEqual(len(given), len(lines))


class TestMessages(Bus):
    def test_as_the_polling_agent(self):
        """Messages are those of the polling agent: type, priority, exchange, queue, signed samples, fifty in each."""
        self.publisher('paasbus://')(publishing.samples(60))
        first, second = self.take()
        self.assertEqual(('telemetry.polling', 'SAMPLE'), (first['event_type'], first['priority']))
        self.assertEqual([50, 10], [len(message['payload']['samples']) for message in (first, second)])
        self.assertTrue(all(utils.verify_signature(sample, 'sesame') for sample in first['payload']['samples']))
        self.assertIn('ceilometer\ttopic', rabbit.rabbitmqctl('list_exchanges', '-p', self.vhost, 'name', 'type'))

    def test_another_bus(self):
        """A URL with a host is a bus of its own, and ?topic= replaces the topics."""
        url = rabbit.url(self.vhost, 'paasbus') + '?topic=a&topic=b&amqp_durable_queues=true'
        self.publisher(url, '')(publishing.samples(1))
        self.assertEqual([1, 1], [len(self.take(f'{topic}.sample')) for topic in 'ab'])
        durable = rabbit.rabbitmqctl('list_queues', '-p', self.vhost, '--no-table-headers', 'name', 'durable')
        self.assertEqual(['a.sample\ttrue', 'b.sample\ttrue'], sorted(durable.split('\n'))[1:])

    def test_large_samples(self):
        """Samples with much metadata share a message only as long as it stays small."""
        self.publisher('paasbus://')(publishing.samples(5, resource_metadata={'x': 'y' * 400_000}))
        self.assertEqual([2, 2, 1], [len(message['payload']['samples']) for message in self.take()])

    def test_notifier(self):
        """notifier:// sends what Ceilometer's own sends, to the topic that its URL names."""
        self.publisher('notifier://')(publishing.samples(3))
        self.publisher(rabbit.url(self.vhost, 'notifier') + '?topic=other')(publishing.samples(1))
        message, = self.take('metering.sample')
        self.assertEqual('metering', message['event_type'])
        self.assertEqual(['0', '1', '2'], [sample['message_id'] for sample in message['payload']])
        self.assertEqual(1, len(self.take('other.sample')))


class TestFailures(Bus):
    URLS = {'paasbus://': 'notifications.sample', 'notifier://?max_retry=1': 'metering.sample'}

    def test_broker_down(self):
        """While the broker is down publishing fails, no password is shown; and it works again after."""
        publishers = {url: self.publisher(url) for url in self.URLS}
        fresh = {url: self.publisher(url) for url in self.URLS}
        for publish in publishers.values():
            publish(publishing.samples(1))
        password = self.url.split(':')[2].split('@')[0]
        rabbit.rabbitmqctl('stop_app')
        try:
            with self.assertLogs(level=logging.INFO) as logs:
                for _ in range(2):
                    for publish in [*publishers.values(), *fresh.values()]:
                        with self.assertRaises(Unavailable) as raised:
                            publish(publishing.samples(1))
                        self.assertNotIn(password, str(raised.exception))
            self.assertNotIn(password, ''.join(logs.output))
            self.assertNotIn('sesame', ''.join(logs.output))
        finally:
            rabbit.rabbitmqctl('start_app')
        for url, queue in self.URLS.items():
            for publish in publishers[url], fresh[url]:
                wait_for(lambda publish=publish: self.succeeds(publish), 'the broker', 10)
            self.assertEqual(2, len(self.take(queue)))

    def succeeds(self, publish):
        try:
            publish(publishing.samples(1))
        except Unavailable:
            return False
        return True

    def test_broker_refuses(self):
        """A message that the broker does not confirm has not arrived; one that it confirms later has."""
        limit = {'max-length': 1, 'overflow': 'reject-publish'}
        rabbit.rabbitmqctl('set_policy', '-p', self.vhost, 'limit', '.*', json.dumps(limit), '--apply-to', 'queues')
        for url, queue in self.URLS.items():
            with self.subTest(url):
                publish = self.publisher(url)
                publish(publishing.samples(1))
                for _ in range(2):
                    with self.assertRaises(Unavailable):
                        publish(publishing.samples(1))
                self.assertEqual(1, len(self.take(queue)))
                publish(publishing.samples(1))
                self.assertEqual(1, len(self.take(queue)))

    def test_queue_deleted(self):
        """Samples are not lost when the queue was deleted since the last ones: it is made again."""
        for url, queue in self.URLS.items():
            with self.subTest(url):
                publish = self.publisher(url)
                for _ in range(3):
                    for _ in range(2):
                        publish(publishing.samples(1))
                    self.assertEqual(2, len(self.take(queue)))
                    rabbit.rabbitmqctl('delete_queue', '-p', self.vhost, queue)

    def test_wrong_login(self):
        """A broker that refuses the login is unavailable: it may be mended at either end, and nothing is lost."""
        url = self.url.replace('rabbit://pifpaf:', 'paasbus://pifpaf:wrong')
        with self.assertRaises(Unavailable) as raised:
            self.publisher(url)(publishing.samples(1))
        self.assertNotIn('wrong', str(raised.exception))

    def test_other_durability(self):
        """A queue that was declared otherwise, which RabbitMQ refuses, is a failure and not a loss."""
        self.publisher('paasbus://')(publishing.samples(1))
        durable = self.publisher('paasbus://', CONF.format(url=self.url + '?amqp_durable_queues=true'))
        with self.assertRaises(Unavailable):
            durable(publishing.samples(1))
        self.assertEqual(1, len(self.take()))
