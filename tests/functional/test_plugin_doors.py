# SPDX-License-Identifier: Apache-2.0
"""What Ceilometer's unmodified agent consumes or publishes is recorded by our doors in it, once and whole."""

import json
import os
import signal
from collections import Counter

from ceilometer.publisher import utils

from tests import messages, publishing
from tests.functional import databases, rabbit
from tests.functional.deployment import METERS, kill, send, wait_for
from tests.functional.doors import BUS, QUEUE, Doors
from tests.functional.test_plugin import STOCK, PluginTestCase, exists, our_id

OTHER_METER = '''
  - name: other
    event_type: compute.instance.create.end
    type: gauge
    unit: one
    volume: 1
    resource_id: $.payload.instance_id
    project_id: $.payload.tenant_id
'''
OTHER_QUEUE = '''
endpoints: {cloud: {url: ""}, gone: {url: "rabbit://paas:sesame@127.0.0.1:9/"}}
queues:
  ceilometer-paas.nova: {endpoint: cloud, exchange: nova, topic: notifications, priorities: [info, error]}
  ceilometer-paas.gone: {endpoint: gone, exchange: nova, topic: notifications}
metric_types: {memory: ceilometer-paas.nova, other: ceilometer-paas.gone}
'''


class SampleEndpointTest(PluginTestCase):

    def test_unless_it_is_asked_for_there_is_not_even_a_ledger(self):
        doors = Doors(self, self.url, 'meter')
        doors.write('sources.yaml', 'nothing that could be read')
        agent = doors.start(BUS)
        self.send(1)
        wait_for(lambda: len(doors.published('own')) == 4, 'samples of its own')
        doors.stop(agent)
        self.assertFalse(os.path.exists(doors.path('ledger.sqlite')))
        self.assertEqual([], doors.lines('ceilometer_paas'))

    def test_what_the_bus_brings_is_recorded_as_by_the_mapped_queue_and_counts_once_by_both(self):
        self.doors = doors = Doors(self, self.url, 'meter', sample_endpoint=True)
        doors.write('sources.yaml', OTHER_QUEUE)
        doors.write('meters.d/nova.yaml', METERS + OTHER_METER)
        agent = doors.start(BUS)
        nameless = exists(0)
        del nameless['message_id']
        send(self.url, 'nova', [exists(0), messages.vm_exists('poison', memory_mb='much'), nameless,
                                {**exists(0), 'event_type': 'compute.instance.create.end', 'message_id': 'other'},
                                {**exists(0), 'event_type': 'compute.instance.noise', 'message_id': 'noise'}])
        send(self.url, 'nova', [exists(1)], routing_key='notifications.error')
        self.counted_once(2)
        wait_for(lambda: all(rabbit.queues(self.vhost)[queue][0] == 0 for queue in (BUS, 'notifications.error')),
                 'every message is acknowledged')
        expected = [('decode.no_message_id', QUEUE, 1), ('source.not_mapped', QUEUE, 1),
                    ('translate.bad_volume', QUEUE, 1)]
        self.assertEqual(expected, sorted((row.code, row.origin, row.count) for row in doors.quarantined()))
        beside = doors.start_agent()
        doors.wait_for_consumers(QUEUE)
        self.send(*range(2, 50))
        self.counted_once(50)
        wait_for(lambda: all(rabbit.queues(self.vhost)[queue][0] == 0 for queue in (BUS, QUEUE)), 'both are empty')
        doors.stop(agent)
        beside.terminate()
        self.assertEqual(0, beside.wait(50))
        self.counted_once(50)
        self.assertEqual(expected, sorted((row.code, row.origin, row.count) for row in doors.quarantined()))
        self.assertEqual([], doors.failures())

    def counted_once(self, number):
        wait_for(lambda: len(self.doors.samples()) >= number, f'{number} samples')
        self.assertEqual(Counter(map(our_id, range(number))), Counter(sample['id'] for sample in self.doors.samples()))


class LedgerAwayTest(PluginTestCase):

    def test_while_the_ledger_is_away_messages_are_held_by_every_door_and_given_back_when_the_agent_stops(self):
        server = databases.POSTGRESQL
        doors = Doors(self, self.url, 'meter', 'paas', sample_endpoint=True, ledger_connection=server.database(self))
        doors.publish_own('paas://')
        agent = doors.start(QUEUE, BUS)
        server.stop()
        try:
            self.send(*range(30))
            wait_for(lambda: len(doors.lines('its messages are held, unacknowledged')) > 2, 'it is said')
            self.assertEqual([30, 30], [rabbit.queues(self.vhost)[queue][0] for queue in (QUEUE, BUS)])
            doors.stop(agent)
            self.assertEqual([(30, 0)] * 2, [rabbit.queues(self.vhost)[queue] for queue in (QUEUE, BUS)])
            agent = doors.start(BUS)
            wait_for(lambda: doors.depth(BUS)[0] == 0, 'the messages are taken')
            self.assertEqual([30, 30], [rabbit.queues(self.vhost)[queue][0] for queue in (QUEUE, BUS)])
        finally:
            server.start()
        wait_for(lambda: len(doors.samples()) >= 150, 'all samples')
        doors.stop(agent)
        self.assertEqual({1}, set(Counter(sample['id'] for sample in doors.samples()).values()))
        self.assertEqual(Counter([*((name, f'vm-{number}') for name in STOCK for number in range(30)),
                                  *(('memory', f'vm-{number}') for number in range(30))]),
                         Counter((sample['name'], sample['resource_id']) for sample in doors.samples()))
        self.assertEqual([], doors.failures())


class SamplePublisherTest(PluginTestCase):

    def setUp(self):
        super().setUp()
        self.doors = Doors(self, self.url, 'meter')
        self.doors.publish_own('paas://')
        self.agent = self.doors.start('notifications.sample', BUS)

    def waiting(self):
        """Read the samples that wait in the ledger: ids, names, and resources."""
        found = []
        for target in self.doors.ledger().backlog():
            for parcel in self.doors.ledger().pending(target, 10_000, 1 << 30):
                found += [(amount[4], amount[0], reading[0]) for _, readings in json.loads(parcel.body)
                          for reading in readings for amount in reading[5]]
        return found

    def test_samples_arrive_whole(self):
        given = publishing.samples(3, source='elsewhere', user_name='Jürgen', project_name='p')
        given[1].volume, given[2].volume = '12', 'nan'
        twice = publishing.samples(2, name='twice', resource_id='same', volume=7)
        payload = {'samples': [utils.meter_message_from_counter(sample, '') for sample in given + twice]}
        send(self.url, 'ceilometer', [{**exists(0), 'event_type': 'telemetry.polling', 'payload': payload}],
             routing_key='notifications.sample')
        samples = wait_for(lambda: len(self.doors.samples()) >= 4 and self.doors.samples(), 'the samples')
        self.assertEqual(4, len({sample['id'] for sample in samples}))
        left = {'id': None, 'monotonic_time': None}
        self.assertEqual([{**sample.as_dict(), **left, 'volume': volume}
                          for sample, volume in zip([*given[:2], *twice], [0, 12.0, 7, 7], strict=True)],
                         sorted(({**sample, **left} for sample in samples), key=lambda one: one['volume'] % 12))
        self.assertEqual([('paas://', 'sample.bad_volume', 1)],
                         [(row.origin, row.code, row.count) for row in self.doors.quarantined()])

    def test_what_is_delivered_again_after_kill_9_has_the_ids_that_it_had(self):
        self.send(0)
        wait_for(lambda: len(self.doors.samples()) == 4, 'the first samples')
        first = {(sample['id'], sample['name'], sample['resource_id']) for sample in self.doors.samples()}
        self.send(*range(1, 600))
        wait_for(lambda: len(self.waiting()) or len(self.doors.samples()) > 4, 'some are recorded')
        os.killpg(self.agent.pid, signal.SIGKILL)
        kill(self.agent)
        self.assertGreater(wait_for(lambda: self.doors.depth(BUS)[0], 'messages are left'), 0)
        self.doors.start(BUS)
        self.send(*range(600))
        wait_for(lambda: rabbit.queues(self.vhost)[BUS][0] == 0, 'every message is acknowledged')
        published = {(sample['id'], sample['name'], sample['resource_id']) for sample in self.doors.samples()}
        found = published.union(self.waiting())
        self.assertLessEqual(first, found)
        self.assertEqual(Counter((name, f'vm-{number}') for name in STOCK for number in range(600)),
                         Counter((name, resource) for _, name, resource in found))
