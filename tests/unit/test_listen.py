# SPDX-License-Identifier: Apache-2.0
"""Whatever fails, each message of a batch has one outcome, and only what was given up goes back to the broker."""

import json
import threading
import unittest
from collections import Counter
from datetime import UTC, datetime

from ceilometer_paas.collect import Collector
from ceilometer_paas.config.sources import Endpoint, Queue
from ceilometer_paas.decode import Decoder
from ceilometer_paas.errors import Unavailable
from ceilometer_paas.listen import Dispatcher, Handler, _origin
from ceilometer_paas.model import RECORDED, RETRIED
from tests import messages
from tests.ledgers import LedgerCase

QUEUE = Queue(name='acme.usage', endpoint=Endpoint(name='acme', url='fake://', dead_letter=None), exchange='acme',
              topic='metering', priorities=('info',), format='paas-event', own_topic=True)


def translate(notification, queue):
    if notification.message_id == 'bug':
        raise ZeroDivisionError
    return notification.readings


class HandlerTest(LedgerCase):

    def setUp(self):
        super().setUp()
        self.collect = Collector(QUEUE, Decoder('paas-event', 10000, 10), translate, lambda *_: (), ledger=self.ledger,
                                 targets=['file'])
        self.stop = threading.Event()
        self.handle = Handler(self.collect, lambda: datetime(2026, 3, 10, 9, tzinfo=UTC), self.stop, 0.01)

    def fail_at(self, *calls, then=lambda: None):
        """Have the ledger fail at some of its calls, counted from 1."""
        record, number = self.ledger.record, iter(range(1, 1000))

        def unsteady(*args):
            if next(number) in calls:
                then()
                raise Unavailable('down for the test')
            return record(*args)
        self.ledger.record = unsteady

    def envelopes(self, *ids):
        return [messages.envelope(messages.paas_event(message_id=one)) for one in ids]

    def published(self):
        return [message_id for parcel in self.ledger.pending('file') for message_id, _ in json.loads(parcel.body)]

    def test_messages_collected_one_by_one_are_counted_once_though_the_ledger_fails_amid(self):
        self.fail_at(2)
        with self.assertLogs('ceilometer_paas.listen'):
            outcomes = self.handle(self.envelopes('1', '2', '3', 'bug', '4'))
        self.assertEqual(['recorded'] * 3 + ['quarantined', 'recorded'], [outcome.kind for outcome in outcomes])
        self.assertEqual(Counter({'recorded': 4, 'quarantined(internal.failed)': 1}), self.collect.counts)
        self.assertEqual(['1', '2', '3', '4'], self.published())

    def test_a_stop_gives_back_only_what_has_no_outcome(self):
        self.fail_at(*range(3, 20), then=self.stop.set)
        incoming = [Incoming(one.message) for one in self.envelopes('1', '2', '3', 'bug', '4')]
        with self.assertLogs('ceilometer_paas.listen'):
            given_back = Dispatcher(self.handle, ['info']).dispatch(incoming)
        self.assertEqual(set(incoming[2:]), given_back)
        self.assertEqual(Counter(recorded=2, retried=3), self.collect.counts)
        self.assertEqual(['1', '2'], self.published())

    def test_a_message_that_is_nested_without_end_is_quarantined(self):
        """Neither JSON's nor Python's limits make us fail on it again and again."""
        deep = []
        for _ in range(100_000):
            deep = [deep]
        event = messages.paas_event(payload__extra=deep)
        for message in event, {'message_id': deep}, deep:
            self.handle([messages.envelope(message)])
        self.assertEqual(Counter({'quarantined(decode.too_deep)': 2, 'quarantined(decode.not_an_object)': 1}),
                         self.collect.counts)
        first = self.ledger.quarantine_get(1)
        self.assertIn(event['message_id'], first.body)
        self.assertNotIn('sesame', first.body)

    def test_without_a_stop_an_outage_is_told_at_once(self):
        handle = Handler(self.collect, lambda: datetime.now(UTC))
        self.fail_at(1)
        with self.assertRaises(Unavailable):
            handle(self.envelopes('1'))
        self.assertEqual([RECORDED], handle(self.envelopes('1')))
        self.assertNotIn(str(RETRIED), self.collect.counts)


class Incoming:
    ctxt = {}

    def __init__(self, message):
        self.message = message


class OriginTest(unittest.TestCase):

    def test_the_queue_where_a_message_died_is_named_by_the_broker_and_by_nobody_else(self):
        self.assertEqual('first', _origin({'x-death': [{'queue': 'first', 'count': 1}, {'queue': 'second'}]}))
        for headers in ({}, {'x-death': None}, {'x-death': 'q'}, {'x-death': []}, {'x-death': ['q']},
                        {'x-death': [{'queue': 7}]}, {'x-death': {'queue': 'q'}}):
            with self.subTest(headers):
                self.assertEqual('', _origin(headers))


if __name__ == '__main__':
    unittest.main()
