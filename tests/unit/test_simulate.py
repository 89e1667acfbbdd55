# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.simulate."""

import itertools
import json
import unittest
from collections import Counter
from datetime import UTC, datetime, timedelta

from ceilometer_paas import decode, simulate, times
from ceilometer_paas.errors import Refused

BEGIN = datetime(2026, 3, 10, tzinfo=UTC)


def day(**arguments):
    return list(simulate.cloud_day(7, BEGIN, **arguments))


class TestCloudDay(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.day = day()

    def of(self, event_type):
        return [message.body for message in self.day if message.body['event_type'] == event_type]

    def test_repeatable(self):
        """The same seed and day give the same messages, ids included."""
        self.assertEqual(self.day, day())

    def test_another_seed(self):
        """Another seed gives other ids."""
        other = simulate.cloud_day(8, BEGIN)
        self.assertFalse({message.body['message_id'] for message in self.day} &
                         {message.body['message_id'] for message in other})

    def test_another_day(self):
        """Another day of the same cloud has the same tenants and other messages."""
        other = list(simulate.cloud_day(7, BEGIN + timedelta(days=1)))
        self.assertFalse({message.body['message_id'] for message in self.day} &
                         {message.body['message_id'] for message in other})
        self.assertTrue({message.body['_context_project_id'] for message in self.day} &
                        {message.body['_context_project_id'] for message in other} - {None})

    def test_json(self):
        """Every message can be written as JSON."""
        self.assertTrue(all(json.loads(json.dumps(message.body)) == message.body for message in self.day))

    def test_span(self):
        """Nothing is sent before the day's beginning, nor at or after its end."""
        sent = [times.parse(message.body['timestamp']) for message in day(hours=5)]
        self.assertGreaterEqual(min(sent), BEGIN)
        self.assertLess(max(sent), BEGIN + timedelta(hours=5))

    def test_order(self):
        """Messages come in the order of time, but for the one that is late and second copies."""
        first = {message.body['message_id']: message.body['timestamp'] for message in self.day}
        self.assertEqual(1, sum(later < earlier for earlier, later in itertools.pairwise(first.values())))

    def test_twice(self):
        """Exactly two messages arrive twice."""
        copies = Counter(message.body['message_id'] for message in self.day)
        self.assertEqual([2, 2], [number for number in copies.values() if number > 1])

    def test_late(self):
        """A resize is heard of forty minutes after it happened."""
        place = next(place for place, message in enumerate(self.day)
                     if message.body['event_type'] == 'trove.instance.modify_flavor')
        before, late = (times.parse(self.day[place - step].body['timestamp']) for step in (1, 0))
        self.assertAlmostEqual(2400, (before - late).total_seconds(), delta=120)

    def test_poison(self):
        """Exactly one message is refused, and its reason names the field."""
        refused = []
        for message in self.day:
            message_format = 'paas-event' if message.exchange == 'acme' else 'oslo'
            try:
                decode.Decoder(message_format, 1 << 20, 1000)(decode.split_context(message.body, 0))
            except Refused as error:
                refused.append(str(error))
        self.assertEqual(1, len(refused))
        self.assertIn('decode.bad_field: metrics[1].metric_value', refused[0])

    def test_services(self):
        """Each service speaks on its own exchange; a queue is info but for a server that found no host."""
        places = {(message.exchange, message.topic, message.priority) for message in self.day}
        self.assertEqual({('acme', 'metering', 'info'), ('nova', 'notifications', 'error')} |
                         {(name, 'notifications', 'info')
                          for name in ('nova', 'trove', 'designate', 'octavia', 'openstack', 'magnum')}, places)

    def test_tenants(self):
        """Two customers own everything."""
        owners = {message.body['payload'].get('tenant_id') or message.body['payload'].get('project_id')
                  for message in self.day}
        self.assertEqual({tenant.project_id for tenant in simulate.tenants(7)} | {None}, owners)

    def test_scale(self):
        """More servers add messages of their own, and change none of those that are there."""
        more = {message.body['message_id']: message for message in day(servers=40)}
        self.assertLess(2 * len(self.day), 3 * len(more))
        self.assertTrue(all(more[message.body['message_id']] == message for message in self.day))

    def test_exists(self):
        """A server is audited for every hour in which it was on a host, and not while it is offloaded."""
        shelved = next(body for body in self.of('compute.instance.shelve.end'))['payload']['instance_id']
        audited = [body['payload']['audit_period_beginning'] for body in self.of('compute.instance.exists')
                   if body['payload']['instance_id'] == shelved and not body['payload']['state_description']]
        self.assertEqual([f'2026-03-10 {hour:02}:00:00' for hour in (0, 1, 2, 3, 4, 12, 13, 14, 15, 16, 17)], audited)

    def test_resize(self):
        """A resize moves launched_at, and its end shows the new size."""
        before, after = (self.of(f'compute.instance.{event}.end')[0]['payload']
                         for event in ('resize.prep', 'finish_resize'))
        self.assertEqual((1, 4), (before['vcpus'], after['vcpus']))
        self.assertLess(before['launched_at'], after['launched_at'])

    def test_twins(self):
        """Whatever is said of a zone is said as dns.domain and as dns.zone, with two message ids."""
        for what in ('create', 'update', 'delete', 'exists'):
            domain, zone = self.of(f'dns.domain.{what}'), self.of(f'dns.zone.{what}')
            self.assertEqual([body['payload'] for body in domain], [body['payload'] for body in zone])
            self.assertFalse({body['message_id'] for body in domain} & {body['message_id'] for body in zone})

    def test_exists_too_often(self):
        """Trove claims an hour, more often than every two minutes."""
        first, second = [body['payload'] for body in self.of('trove.instance.exists')][:2]
        ends = [times.parse(payload['audit_period_ending']) for payload in (first, second)]
        self.assertEqual(timedelta(hours=1), ends[0] - times.parse(first['audit_period_beginning']))
        self.assertLess(ends[1] - ends[0], timedelta(minutes=2))
