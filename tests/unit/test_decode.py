# SPDX-License-Identifier: Apache-2.0
"""A message's identity and time are good, or it is refused with the code of its defect."""

import json
import math
import unittest

import hypothesis
from hypothesis import strategies

from ceilometer_paas.decode import Decoder, decode_sample, open_envelope, split_context
from ceilometer_paas.errors import Refused
from ceilometer_paas.model import Amount, Envelope, Notification
from tests import messages, publishing

oslo = Decoder('oslo', max_message_size=5000, max_metrics=3)
paas_event = Decoder('paas-event', max_message_size=5000, max_metrics=3)


class OsloTest(unittest.TestCase):

    def test_a_good_notification_keeps_what_it_says(self):
        notification = oslo(messages.envelope(messages.vm_exists()))
        self.assertEqual('compute.instance.exists', notification.event_type)
        self.assertEqual('2026-03-10T09:00:04.512000+00:00', notification.timestamp)
        self.assertEqual('compute.cmp-1', notification.publisher_id)
        self.assertEqual(messages.PROJECT, notification.context['project_id'])
        self.assertEqual((), notification.readings)

    def test_octavia_sends_no_publisher(self):
        self.assertIsNone(oslo(messages.envelope({**messages.vm_exists(), 'publisher_id': None})).publisher_id)

    def test_a_priority_that_is_missing_or_null_does_not_matter(self):
        for priority in ({}, {'priority': None}, {'priority': 'LOUD'}):
            message = messages.vm_exists()
            del message['priority']
            with self.subTest(priority):
                self.assertEqual('compute.instance.exists', oslo(messages.envelope({**message, **priority})).event_type)

    def test_each_defect_has_its_code(self):
        good = messages.vm_exists()
        for code, message in {
            'decode.not_an_object': ['a', 'list'],
            'decode.no_message_id': {**good, 'message_id': None},
            'decode.bad_message_id': {**good, 'message_id': 'x' * 256},
            'decode.no_event_type': {**good, 'event_type': None},
            'decode.bad_event_type': {**good, 'event_type': ['compute.instance.exists']},
            'decode.no_timestamp': {**good, 'timestamp': None},
            'decode.bad_timestamp': {**good, 'timestamp': 'noon'},
            'decode.no_payload': {**good, 'payload': None},
            'decode.bad_payload': {**good, 'payload': 'text'},
        }.items():
            with self.subTest(code), self.assertRaises(Refused) as caught:
                oslo(messages.envelope(message))
            self.assertEqual(code, caught.exception.code)

    def test_a_missing_key_is_as_bad_as_null(self):
        for field, code in {'message_id': 'decode.no_message_id', 'event_type': 'decode.no_event_type',
                            'timestamp': 'decode.no_timestamp', 'payload': 'decode.no_payload'}.items():
            message = messages.vm_exists()
            del message[field]
            with self.subTest(field), self.assertRaises(Refused) as caught:
                oslo(messages.envelope(message))
            self.assertEqual(code, caught.exception.code)

    def test_a_message_over_the_size_limit_is_refused_by_its_size(self):
        self.assertIsInstance(oslo(messages.envelope(messages.vm_exists(), size=5000)), Notification)
        with self.assertRaises(Refused) as caught:
            oslo(messages.envelope(messages.vm_exists(), size=5001))
        self.assertEqual('decode.too_large', caught.exception.code)


class PaasEventTest(unittest.TestCase):

    def decode(self, **changes):
        return paas_event(messages.envelope(messages.paas_event(**changes)))

    def code(self, **changes):
        with self.assertRaises(Refused) as caught:
            self.decode(**changes)
        return caught.exception.code, caught.exception.reason

    def metric(self, **changes):
        metric = {'metric_name': 'a', 'metric_type': 'delta', 'metric_value': 1, 'metric_units': 'x', **changes}
        return [{key: value for key, value in metric.items() if value is not ...}]

    def test_every_metric_becomes_an_amount_of_the_instance_at_the_beginning_of_its_period(self):
        reading, = self.decode().readings
        self.assertEqual(('q-1', messages.PROJECT, messages.USER, '2026-03-10T08:00:00+00:00'), reading[:4])
        self.assertEqual((Amount('acme-queue.messages', 'delta', 'message', 1200),
                          Amount('acme-queue.depth', 'gauge', '', 3.5)), reading.amounts)
        self.assertEqual(('acme-queue', 'orders', 'acme-queue.usage', 'queue.ctl-1'), tuple(
            reading.metadata[key] for key in ('service_type', 'display_name', 'event_type', 'host')))
        self.assertNotIn('metrics', reading.metadata)

    def test_record_type_follows_from_the_metrics_where_it_is_absent(self):
        self.assertEqual(2, len(self.decode(payload__record_type=...).readings[0].amounts))
        self.assertEqual((), self.decode(payload__record_type=..., payload__metrics=...).readings)

    def test_an_event_without_metrics_is_good_and_says_nothing_by_itself(self):
        self.assertEqual((), self.decode(payload__record_type='event', payload__metrics=...).readings)

    def test_keystone_and_ldap_ids_are_good(self):
        for project in ('8c6f1f6d3b9a4a5e9c2f0d1e7b6a5c41', 'f' * 64):
            self.assertEqual(project, self.decode(payload__project_id=project).readings[0].project_id)

    def test_each_required_field_is_named_when_it_is_missing(self):
        for field in ('version', 'audit_period_beginning', 'audit_period_ending', 'project_id', 'service_id',
                      'service_type', 'instance_id', 'instance_type_id', 'metrics'):
            with self.subTest(field):
                code, reason = self.code(**{f'payload__{field}': ...})
                self.assertEqual('decode.no_field', code)
                self.assertIn(field, reason)

    def test_each_field_is_named_when_it_is_not_as_described(self):
        for field, value in {
            'version': [], 'audit_period_beginning': 'noon', 'audit_period_ending': 7, 'project_id': 'a\nb',
            'service_id': 'x' * 256, 'service_type': '', 'instance_id': 42, 'instance_type_id': {}, 'user_id': '',
            'display_name': 1, 'record_type': 'quality', 'state': ['active'], 'metrics': {'metric_name': 'a'},
        }.items():
            with self.subTest(field):
                code, reason = self.code(**{f'payload__{field}': value})
                self.assertEqual('decode.bad_field', code)
                self.assertIn(field, reason)

    def test_a_period_that_ends_before_it_begins_is_refused(self):
        self.assertEqual('decode.bad_field', self.code(payload__audit_period_ending='2026-03-10T07:59:59Z')[0])

    def test_a_record_of_existence_needs_a_state(self):
        changes = {'event_type': 'acme-queue.exists', 'payload__record_type': 'event', 'payload__metrics': ...}
        self.assertEqual((), self.decode(**changes).readings)
        code, reason = self.code(**changes, payload__state=...)
        self.assertEqual(('decode.no_field', True), (code, reason.startswith('state')))

    def test_each_defect_of_a_metric_has_its_code(self):
        for code, changes in [
            ('decode.no_field', {'metric_name': ...}), ('decode.no_field', {'metric_type': ...}),
            ('decode.no_field', {'metric_value': None}), ('decode.bad_field', {'metric_name': 'a\x00'}),
            ('decode.bad_field', {'metric_value': '12'}), ('decode.bad_field', {'metric_value': True}),
            ('decode.bad_field', {'metric_units': 7}), ('decode.bad_type', {'metric_type': 'counter'}),
            ('decode.bad_type', {'metric_type': ['delta']}), ('decode.not_finite', {'metric_value': float('nan')}),
            ('decode.not_finite', {'metric_value': float('inf')}), ('decode.not_finite', {'metric_value': 10 ** 400}),
            ('decode.negative_delta', {'metric_value': -1}),
        ]:
            with self.subTest(code=code, changes=changes):
                self.assertEqual(code, self.code(payload__metrics=self.metric(**changes))[0])

    def test_one_bad_metric_refuses_the_whole_event(self):
        code, reason = self.code(payload__metrics=self.metric() + self.metric(metric_value='x'))
        self.assertEqual(('decode.bad_field', True), (code, 'metrics[1]' in reason))

    def test_a_gauge_may_be_negative(self):
        metrics = self.metric(metric_type='gauge', metric_value=-3)
        self.assertEqual(-3, self.decode(payload__metrics=metrics).readings[0].amounts[0].volume)

    def test_more_metrics_than_allowed_are_refused(self):
        self.assertEqual(3, len(self.decode(payload__metrics=self.metric() * 3).readings[0].amounts))
        self.assertEqual('decode.too_many', self.code(payload__metrics=self.metric() * 4)[0])

    def test_a_message_may_be_nested_to_a_hundred_levels(self):
        extra = {}
        for _ in range(97):  # the message, the payload and the innermost are levels too
            extra = [extra]
        self.assertEqual(extra, self.decode(payload__extra=extra).payload['extra'])
        self.assertEqual('decode.too_deep', self.code(payload__extra=[extra])[0])

    json_values = strategies.recursive(
        strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
        lambda inner: (strategies.lists(inner, max_size=3) |
                       strategies.dictionaries(strategies.text(), inner, max_size=3)), max_leaves=5)

    @hypothesis.given(field=strategies.sampled_from(sorted(messages.paas_event()['payload'])), value=json_values)
    def test_whatever_stands_in_a_field_the_event_is_decoded_or_refused(self, field, value):
        try:
            notification = self.decode(**{f'payload__{field}': value})
        except Refused as refused:
            self.assertTrue(refused.code.startswith('decode.'))
        else:
            self.assertEqual(messages.paas_event()['message_id'], notification.message_id)


class SampleTest(unittest.TestCase):

    @hypothesis.given(strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() |
                      strategies.text() | strategies.lists(strategies.integers(), max_size=1))
    def test_a_volume_is_a_finite_number_or_the_sample_is_refused(self, volume):
        sample, = publishing.samples(1, volume=volume)
        try:
            notification = decode_sample(Envelope({}, sample.as_dict(), 0))
        except Refused as refused:
            self.assertEqual('sample.bad_volume', refused.code)
        else:
            (amount,), = [reading.amounts for reading in notification.readings]
            self.assertEqual(float(volume), amount[3])
            self.assertTrue(math.isfinite(amount[3]))
            self.assertEqual(sample.id, notification.message_id)


class EnvelopeTest(unittest.TestCase):
    flat = {'message_id': 'm', '_context_user': 'u', 'payload': {}}

    def test_both_envelopes_give_the_same_message(self):
        bare = json.dumps(self.flat)
        wrapped = json.dumps({'oslo.version': '2.0', 'oslo.message': bare})
        expected = ({'user': 'u'}, {'message_id': 'm', 'payload': {}})
        self.assertEqual(expected, open_envelope(bare)[:2])
        self.assertEqual(expected, open_envelope(wrapped.encode())[:2])
        self.assertEqual(len(wrapped), open_envelope(wrapped).size)

    def test_what_oslo_messaging_rejects_is_undecodable(self):
        for body in ('{"a":', b'\xff\xfe\x00', '', '{"oslo.version": "3.0", "oslo.message": "{}"}',
                     '{"oslo.version": "2.0", "oslo.message": "{"}', '{"oslo.version": "2.0", "oslo.message": 7}',
                     '[' * 100000):
            with self.subTest(body[:50]), self.assertRaises(Refused) as caught:
                open_envelope(body)
            self.assertEqual('decode.undecodable', caught.exception.code)

    def test_a_body_that_is_no_object_keeps_its_value(self):
        self.assertEqual(Envelope({}, [1], 3), split_context([1], 3))
