# SPDX-License-Identifier: Apache-2.0

import unittest

import oslo_messaging

from ceilometer_paas.errors import ConfigError
from tests import publishing

CONF = '[DEFAULT]\ntransport_url = fake://\n'


class TestBus(unittest.TestCase):
    def setUp(self):
        transport = oslo_messaging.get_notification_transport(publishing.conf(self, CONF))
        transport.cleanup()  # in-memory queues are those of the whole process
        self.addCleanup(transport.cleanup)
        self._exchange = transport._driver._exchange_manager.get_exchange('ceilometer')

    def take(self, topic):
        """Take the notifications of priority sample out of a topic's in-memory queue."""
        target = oslo_messaging.Target(topic=f'{topic}.sample')
        return [message for _, message, _, _ in iter(lambda: self._exchange.poll(target, None), (None,) * 4)]

    def test_messages(self):
        """A batch becomes notifications of the polling agent's form, as many samples in each as that puts there."""
        publish = publishing.publisher(self, 'paasbus://', CONF + '[polling]\nbatch_size = 2\n')
        publish(publishing.samples(3))
        first, second = self.take('notifications')
        self.assertEqual(('telemetry.polling', 'ceilometer.paas'), (first['event_type'], first['publisher_id']))
        self.assertEqual([['0', '1'], ['2']], [[sample['message_id'] for sample in message['payload']['samples']]
                                               for message in (first, second)])

    def test_topics(self):
        """Each ?topic= gets all samples; without one those of [oslo_messaging_notifications] do."""
        publishing.publisher(self, 'paasbus://?topic=a&topic=b', CONF)(publishing.samples(1))
        publishing.publisher(self, 'paasbus://', CONF + '[oslo_messaging_notifications]\ntopics = c\n')(
            publishing.samples(1))
        self.assertEqual([1, 1, 1], [len(self.take(topic)) for topic in 'abc'])

    def test_notifier(self):
        """notifier:// keeps Ceilometer's form: a list of samples under the event type metering."""
        publishing.publisher(self, 'notifier://?topic=mine&policy=drop', CONF)(publishing.samples(2))
        message, = self.take('mine')
        self.assertEqual('metering', message['event_type'])
        self.assertEqual(['0', '1'], [sample['message_id'] for sample in message['payload']])

    def test_bad_sample(self):
        """A sample that cannot be signed is refused alone, and no other is sent twice."""
        for scheme, unpack in ('paasbus', lambda payload: payload['samples']), ('notifier', list):
            with self.subTest(scheme):
                given = publishing.samples(5)
                given[1].resource_metadata = {'x': '\ud800'}
                refused = publishing.publisher(self, f'{scheme}://?topic=bad', CONF)(given)
                self.assertEqual(['1'], publishing.ids(sample for sample, reason in refused))
                self.assertEqual(list('0234'), [sample['message_id'] for message in self.take('bad')
                                                for sample in unpack(message['payload'])])

    def test_wrong_settings(self):
        """What can never work is refused at the start."""
        for url, text, words in [
            ('paasbus://?retry=1', CONF, 'neither a virtual host nor options'),
            ('paasbus:///vhost', CONF, 'neither a virtual host nor options'),
            ('paasbus://host/?nonsense=1', CONF, 'nonsense'),
            ('paasbus://', '[DEFAULT]\ntransport_url = nowhere://\n', 'nowhere'),
            ('paasbus://', CONF + '[publisher_notifier]\ntelemetry_driver = log\n', 'telemetry_driver'),
            ('notifier://', CONF + '[publisher_notifier]\ntelemetry_driver = log\n', 'telemetry_driver'),
        ]:
            with self.subTest(url), self.assertRaisesRegex(ConfigError, words):
                publishing.publisher(self, url, text)
