# SPDX-License-Identifier: Apache-2.0
"""Every message has exactly one outcome, durably, and a batch is one transaction."""

import json
import tempfile
import unittest
from datetime import UTC, datetime, timedelta

import hypothesis
from hypothesis import strategies

from ceilometer_paas.collect import MAX_ENTRY, Collector, dump_envelope, load_envelope
from ceilometer_paas.config.sources import Endpoint, Queue
from ceilometer_paas.decode import Decoder
from ceilometer_paas.errors import Refused, Unavailable, printable
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.ledger.usage import Scope
from ceilometer_paas.model import Envelope, Fact
from tests import messages
from tests.ledgers import LedgerCase, published

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
QUEUE = Queue(name='acme.usage', endpoint=Endpoint(name='acme', url='fake://', dead_letter=None), exchange='acme',
              topic='metering', priorities=('info',), format='paas-event', own_topic=True)


def translate(notification, queue):
    if notification.event_type.startswith('noise'):
        return ()
    if notification.event_type == 'acme-queue.forged':
        raise Refused('source.not_mapped')
    return notification.readings


def observe(notification, queue, now):
    if notification.event_type != 'acme-queue.create':
        return ()
    payload = notification.payload
    return (Fact('acme-queue', payload['instance_id'], 'transition', notification.event_type, now - 5, now - 5,
                 'active', project_id=payload['project_id']),)


class CollectorTest(LedgerCase):

    def setUp(self):
        super().setUp()
        self.collect = Collector(QUEUE, Decoder('paas-event', 10000, 10), translate, observe, ledger=self.ledger,
                                 targets=['file'])

    def collected(self, *given):
        return [str(outcome) for outcome in self.collect([messages.envelope(message) for message in given], NOW)]

    def test_a_batch_of_everything_gives_each_message_its_outcome(self):
        good = messages.paas_event()
        self.assertEqual(
            ['recorded', 'quarantined(decode.no_payload)', 'duplicate', 'ignored(ignored.no_definition)',
             'quarantined(source.not_mapped)', 'recorded'],
            self.collected(good, {**good, 'payload': None}, good, messages.paas_event(event_type='noise'),
                           messages.paas_event(event_type='acme-queue.forged'),
                           messages.paas_event(message_id='other')))
        self.assertEqual([good['message_id'], 'other'], published(self.ledger, 'file'))
        self.assertEqual(['decode.no_payload', 'source.not_mapped'],
                         sorted(row.code for row in self.ledger.quarantine_list()))
        self.assertEqual(6, sum(self.collect.counts.values()))

    def test_a_message_that_tells_of_a_life_alone_is_recorded_and_published_nowhere(self):
        born = messages.paas_event(event_type='acme-queue.create', payload__metrics=..., payload__record_type='event')
        self.assertEqual(['recorded', 'duplicate'], self.collected(born, born))
        self.assertEqual([], published(self.ledger, 'file'))
        self.assertEqual(1, self.ledger.fold())
        (resource,) = self.ledger.resources(Scope(NOW - timedelta(hours=1)))
        self.assertEqual(('acme-queue', 'q-1', 'active', NOW - timedelta(microseconds=5)),
                         (resource.resource_type, resource.resource_id, resource.state, resource.since))

    def test_a_duplicate_changes_nothing(self):
        self.assertEqual(['recorded'], self.collected(messages.paas_event()))
        self.assertEqual(['duplicate'], self.collected(messages.paas_event()))
        self.assertEqual(1, len(published(self.ledger, 'file')))

    def test_a_quarantined_message_is_not_seen(self):
        bad = messages.paas_event(payload__metrics='none')
        self.assertEqual(['quarantined(decode.bad_field)'], self.collected(bad))
        self.assertEqual(['recorded'], self.collected({**bad, 'payload': messages.paas_event()['payload']}))

    def test_what_was_quarantined_can_be_decoded_again_and_ends_the_row(self):
        self.collected(messages.paas_event(event_type='acme-queue.forged'))
        row, = self.ledger.quarantine_list()
        queue, envelope = load_envelope(self.ledger.quarantine_get(row.id).body)
        self.assertEqual(QUEUE.name, queue)
        mended = envelope._replace(message={**envelope.message, 'event_type': 'acme-queue.usage'})
        self.assertEqual('recorded', str(self.collect([mended], NOW, released=[row.id])[0]))
        self.assertEqual([], list(self.ledger.quarantine_list()))

    def test_a_message_that_is_refused_again_keeps_its_row(self):
        self.collected(messages.paas_event(event_type='acme-queue.forged'))
        row, = self.ledger.quarantine_list()
        _queue, envelope = load_envelope(self.ledger.quarantine_get(row.id).body)
        self.collect([envelope], NOW + timedelta(hours=1), released=[row.id])
        again, = self.ledger.quarantine_list()
        self.assertEqual((row.id, 2), (again.id, again.count))

    def test_readings_that_no_database_would_take_are_refused(self):
        self.assertEqual(['quarantined(collect.too_large)'],
                         self.collected(messages.paas_event(payload__display_name='x' * MAX_ENTRY)))
        self.assertEqual([], published(self.ledger, 'file'))

    def test_tokens_are_not_kept(self):
        self.collected({**messages.paas_event(), 'payload': None})
        row, = self.ledger.quarantine_list()
        self.assertNotIn('sesame', self.ledger.quarantine_get(row.id).body)

    def test_an_unreachable_ledger_records_nothing_and_counts_nothing(self):
        class Down:
            def record(self, *args):
                raise Unavailable('down')
        collect = Collector(QUEUE, Decoder('paas-event', 10000, 10), translate, observe, ledger=Down(), targets=[])
        with self.assertRaises(Unavailable):
            collect([messages.envelope(messages.paas_event())], NOW)
        self.assertEqual(0, sum(collect.counts.values()))

    def test_outside_the_pipeline_a_message_is_seen_and_not_published(self):
        collect = Collector(QUEUE, Decoder('paas-event', 10000, 10), translate, observe, ledger=self.ledger, targets=[])
        self.assertEqual(['recorded'], [str(outcome) for outcome in
                                        collect([messages.envelope(messages.paas_event())], NOW)])
        self.assertEqual(['duplicate'], self.collected(messages.paas_event()))
        self.assertEqual([], published(self.ledger, 'file'))

    def test_what_is_recorded_becomes_an_event_too(self):
        """Of each message that counts, once, and only for those who get events."""
        asked = []

        def convert(notification):
            asked.append(notification.message_id)
            if notification.payload['state'] == 'odd':
                raise Refused('event.failed', 'no')
            return '' if notification.payload['state'] == 'dropped' else f'{{"event_type":"{notification.event_type}"}}'

        self.collect = Collector(QUEUE, Decoder('paas-event', 10000, 10), translate, observe, ledger=self.ledger,
                                 targets=['file'], convert=convert, event_targets=['events', 'more'])
        born = messages.paas_event(event_type='acme-queue.create', message_id='b', payload__metrics=...,
                                   payload__record_type='event')
        dropped = messages.paas_event(message_id='c', payload__state='dropped')
        odd = messages.paas_event(message_id='d', payload__state='odd')
        noise = messages.paas_event(message_id='e', event_type='noise')
        self.assertEqual(['recorded', 'recorded', 'recorded', 'quarantined(event.failed)',
                          'ignored(ignored.no_definition)', 'duplicate'],
                         self.collected(messages.paas_event(message_id='a'), born, dropped, odd, noise, born))
        self.assertEqual(['a', 'c'], published(self.ledger, 'file'))
        for target in ('events', 'more'):
            parcel, = self.ledger.pending(target)
            self.assertEqual([['a', {'event_type': 'acme-queue.usage'}], ['b', {'event_type': 'acme-queue.create'}]],
                             json.loads(parcel.body))
        self.assertNotIn('e', asked)
        self.assertEqual(['duplicate'], self.collected(messages.paas_event(message_id='a')))
        self.assertEqual(1, len(self.ledger.pending('events')))

    def test_an_event_that_no_database_would_take_is_refused(self):
        self.collect = Collector(QUEUE, Decoder('paas-event', 10000, 10), translate, observe, ledger=self.ledger,
                                 targets=['file'], convert=lambda _: 'x' * MAX_ENTRY, event_targets=['events'])
        self.assertEqual(['quarantined(collect.too_large)'], self.collected(messages.paas_event()))
        self.assertEqual([], published(self.ledger, 'file'))

    def test_a_queue_claims_what_it_speaks_of_and_may_speak_of(self):
        """Asking records and counts nothing; a message that is wrong in what it says is the queue's all the same."""
        def wrong(notification, queue):
            raise Refused('translate.bad_volume')
        claims = {'acme-queue.usage': True, 'acme-queue.create': True, 'noise': False, 'acme-queue.forged': False,
                  None: False}
        self.assertEqual(claims, {event_type: self.collect.claims(
            messages.envelope(messages.paas_event(event_type=event_type)), NOW) for event_type in claims})
        self.collect._translate = wrong
        self.assertTrue(self.collect.claims(messages.envelope(messages.paas_event()), NOW))
        self.assertEqual((0, []), (sum(self.collect.counts.values()), list(self.ledger.quarantine_list())))
        self.assertEqual([], published(self.ledger, 'file'))

    message = strategies.builds(
        messages.paas_event, message_id=strategies.sampled_from(['a', 'b', 'c', None]),
        event_type=strategies.sampled_from(['acme-queue.usage', 'noise', 'acme-queue.forged', '']))

    @hypothesis.settings(max_examples=40, deadline=None)
    @hypothesis.given(strategies.lists(strategies.lists(message, max_size=6), max_size=4))
    def test_outcomes_add_up_and_each_message_is_published_once(self, batches):
        with tempfile.TemporaryDirectory() as directory:
            ledger = Ledger(f'sqlite:///{directory}/ledger.sqlite')
            ledger.upgrade()
            collect = Collector(QUEUE, Decoder('paas-event', 10000, 10), translate, observe, ledger=ledger,
                                targets=['file'])
            for batch in batches:
                collect([messages.envelope(message) for message in batch], NOW)
            out = published(ledger, 'file')
            ledger.close()
        self.assertEqual(sum(map(len, batches)), sum(collect.counts.values()))
        self.assertEqual(len(out), collect.counts['recorded'])
        self.assertEqual({message['message_id'] for batch in batches for message in batch
                          if message['event_type'] == 'acme-queue.usage' and message['message_id']}, set(out))
        self.assertEqual(len(out), len(set(out)))


class BodyTest(unittest.TestCase):

    def test_an_envelope_survives_quarantine(self):
        envelope = messages.envelope({'payload': {'text': 'é\ud800\x00'}})
        body = dump_envelope('q', envelope)
        self.assertTrue(body.isascii())
        queue, again = load_envelope(body)
        self.assertEqual(('q', envelope.message), (queue, again.message))

    def test_the_size_on_the_bus_is_kept(self):
        """A message that was small enough does not become too large by being written out."""
        envelope = messages.envelope({'payload': 'é' * 1000}, size=2100)
        self.assertEqual(2100, load_envelope(dump_envelope('q', envelope))[1].size)

    def test_no_secret_of_a_request_is_kept(self):
        context = {'auth_token': 'sesame', 'auth_token_info': {'token': 'sesame'}, 'password': 'sesame',
                   'service_catalog': ['sesame'], 'user': 'u1'}
        self.assertEqual({'user': 'u1'}, json.loads(dump_envelope('q', Envelope(context, {}, 2)))['context'])

    def test_no_secret_is_kept_of_a_message_that_could_not_be_taken_apart(self):
        flat = json.dumps({'_context_auth_token': 'sesame', '_context_user': 'u1'}, indent=1)
        wrapped = json.dumps({'oslo.version': '9.0', 'oslo.message': flat})
        for message in ([json.loads(flat)], flat, wrapped, json.dumps(wrapped), flat[:30]):
            with self.subTest(message):
                body = dump_envelope('q', Envelope({}, message, 2))
                self.assertNotIn('sesa', body)
                self.assertIn('auth_token', body)
                self.assertEqual(message == flat[:30], 'u1' not in body)

    def test_a_reason_becomes_one_printable_line(self):
        self.assertEqual('a b c', printable('a\nb\x00c'))
        self.assertEqual(500, len(printable('x' * 1000)))
