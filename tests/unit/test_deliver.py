# SPDX-License-Identifier: Apache-2.0
import json
import threading
import time
import unittest
from datetime import timedelta
from unittest import mock

from ceilometer_paas import deliver
from ceilometer_paas.deliver import LEASE, Deliverer
from ceilometer_paas.errors import Unavailable
from ceilometer_paas.ledger import statements
from ceilometer_paas.ledger.settling import Period
from ceilometer_paas.model import Entry, Fact, statement_id
from ceilometer_paas.publish import events, samples
from tests.ledgers import NOTHING, NOW, SOURCE, LedgerCase, entry, fact, micros, telling
from tests.stated import STATED


class Shelf:
    """A publisher that keeps what it gets, fails while it is told to, and refuses the meters that it is told to."""

    name = 'shelf'

    def __init__(self, fails: int = 0, refuses: str = '', lacks: str = '') -> None:
        self.fails = fails
        self.refuses = refuses
        self.lacks = lacks
        self.samples = []
        self.calls = []
        self.meanwhile = lambda: None

    def supports(self, name: str) -> bool:
        return name != self.lacks

    def __call__(self, batch):
        self.calls.append(len(batch))
        self.meanwhile()
        if self.fails:
            self.fails -= 1
            raise Unavailable('the shelf is full')
        self.samples += [item for item in batch if _name(item) != self.refuses]
        return [(item, 'no\0room') for item in batch if _name(item) == self.refuses]

    def names(self) -> list[str]:
        return [sample.name for sample in self.samples]

    def ids(self) -> list[str]:
        return [sample.id for sample in self.samples]


def _name(item) -> str:
    return getattr(item, 'event_type', None) or item.name


class DeliverCase(LedgerCase):
    def setUp(self):
        super().setUp()
        self.now = NOW
        self.shelf = Shelf()

    def deliverer(self, shelf: Shelf | None = None, holder: str = 'me', **options) -> Deliverer:
        return Deliverer(self.ledger, shelf or self.shelf, NOTHING, holder=holder, clock=lambda: self.now,
                         max_backoff=0.01, **options)

    def record(self, *entries, source: str = SOURCE) -> None:
        self.ledger.record(source, entries, (), ['shelf'], NOW)


class StepTest(DeliverCase):
    def test_everything_recorded_is_published_once(self):
        """A step publishes what waits and marks it off; the next one finds nothing."""
        self.record(entry('m1', 'cpu', 'disk'), entry('m2', 'memory'))
        self.record(entry('m3', 'cpu'))
        deliverer = self.deliverer()
        self.assertEqual((deliverer.step(NOW), deliverer.step(NOW)), (2, 0))
        self.assertEqual(self.shelf.names(), ['cpu', 'disk', 'memory', 'cpu'])
        self.assertEqual(self.shelf.calls, [4])
        self.assertEqual(self.ledger.backlog(), {})

    def test_a_publisher_gets_only_the_meters_that_it_is_for(self):
        """Other meters are passed over; a parcel without any of its own is marked off unpublished."""
        self.shelf.lacks = 'disk'
        self.record(entry('m1', 'cpu', 'disk'))
        self.record(entry('m2', 'disk'))
        deliverer = self.deliverer(parcels=1)
        self.assertEqual((deliverer.step(NOW), deliverer.step(NOW)), (1, 1))
        self.assertEqual((self.shelf.names(), self.shelf.calls), (['cpu'], [1]))

    def test_a_failed_publication_leaves_everything_waiting(self):
        """Nothing is marked off that was not published, and the next attempt carries the same ids."""
        self.shelf.fails = 1
        self.record(entry('m1', 'cpu'))
        before = self.ledger.pending('shelf')
        deliverer = self.deliverer()
        with self.assertRaisesRegex(Unavailable, 'the shelf is full'):
            deliverer.step(NOW)
        self.assertEqual(self.ledger.pending('shelf'), before)
        deliverer.step(NOW)
        self.assertEqual(self.shelf.ids(), [sample.id for sample in samples.build(before[0])])

    def test_limits_bound_what_is_published_at_once(self):
        """A long backlog is published in portions."""
        for number in range(5):
            self.record(entry(f'm{number}'))
        self.assertEqual(self.deliverer(parcels=2).drain(), 5)
        self.assertEqual(self.shelf.calls, [2, 2, 1])

    def test_a_refused_sample_is_set_aside_and_the_rest_goes_on(self):
        """What a publisher refuses for ever is quarantined with its source and printable reason, and not retried."""
        self.shelf.refuses = 'disk'
        self.record(entry('m1', 'cpu', 'disk'))
        self.record(entry('m2', 'disk'), source='cloud/trove')
        self.assertEqual(self.deliverer().drain(), 2)
        self.assertEqual(self.shelf.names(), ['cpu'])
        self.assertEqual([(row.source, row.origin, row.code, row.reason) for row in self.ledger.quarantine_list()],
                         [(SOURCE, 'shelf', 'publish.refused', 'no room'),
                          ('cloud/trove', 'shelf', 'publish.refused', 'no room')])

    def test_a_released_sample_is_published_with_the_id_it_had(self):
        """A sample that was refused and released is the same sample."""
        self.shelf.refuses = 'disk'
        self.record(entry('m1', 'cpu', 'disk'))
        (_, disk) = samples.build(self.ledger.pending('shelf')[0])
        self.deliverer().drain()
        self.shelf.refuses = ''
        self.assertEqual(self.ledger.quarantine_release_samples([1]), 1)
        self.deliverer().drain()
        self.assertEqual([(sample.name, sample.id) for sample in self.shelf.samples[1:]], [('disk', disk.id)])


    def test_what_cannot_be_built_is_quarantined_and_keeps_nobody_waiting(self):
        """It would fail at each try; the others of its parcel are published, and a release does not lose it."""
        bad = entry('m2', 'cpu')
        self.record(entry('m1', 'cpu'), bad._replace(readings=bad.readings.replace('"cpu"', '["cpu"]')),
                    entry('m3', 'disk'))
        with self.assertLogs('ceilometer_paas.deliver', 'ERROR'):
            self.assertEqual(self.deliverer().step(self.now), 1)
        self.assertEqual(self.shelf.names(), ['cpu', 'disk'])
        for _ in range(2):
            row, = self.ledger.quarantine_list()
            self.assertEqual((row.code, row.origin, row.source), ('publish.failed', 'shelf', SOURCE))
            self.assertEqual(self.ledger.quarantine_release_samples([row.id]), 1)
            with self.assertLogs('ceilometer_paas.deliver', 'ERROR'):
                self.assertEqual(self.deliverer().step(self.now), 1)
        self.assertEqual(self.ledger.backlog(), {})


class EventTest(DeliverCase):
    """Events are delivered as samples are; statements are none of their publishers' business."""

    def deliverer(self, shelf: Shelf | None = None, holder: str = 'me', **options) -> Deliverer:
        return Deliverer(self.ledger, shelf or self.shelf, None, holder=holder, clock=lambda: self.now,
                         max_backoff=0.01, content=events, **options)

    def record(self, *event_types: str, source: str = SOURCE) -> None:
        texts = [json.dumps({'message_id': f'm{number}', 'event_type': event_type, 'traits': [], 'raw': {},
                             'generated': '2026-03-10T08:00:00'}) for number, event_type in enumerate(event_types)]
        self.ledger.record(source, [Entry(f'm{number}', '[]', event=text) for number, text in enumerate(texts)], (), (),
                           NOW, events_to=['shelf'])

    def told(self) -> list[str]:
        return [event.event_type for event in self.shelf.samples]

    def test_events_are_published_once(self):
        """Those that the pipeline sends to a publisher, in the order in which they were recorded."""
        self.shelf.lacks = 'disk'
        self.record('cpu', 'disk', 'memory')
        deliverer = self.deliverer()
        self.assertEqual((deliverer.step(NOW), deliverer.step(NOW)), (1, 0))
        self.assertEqual((self.told(), self.ledger.backlog()), (['cpu', 'memory'], {}))

    def test_a_publisher_of_events_is_told_no_statements(self):
        """What is settled is not due to it."""
        self.ledger.begin(NOW)
        self.ledger.follow(['shelf'])
        self.ledger.record(SOURCE, [telling('m1', fact('active', 0))], (), (), NOW)
        self.ledger.fold()
        self.assertIsNotNone(self.ledger.settle(Period(micros(0), 3600, micros(3600))))
        self.assertEqual((self.deliverer().drain(), self.told()), (0, []))

    def test_a_failed_publication_leaves_everything_waiting(self):
        """Nothing is marked off that was not published."""
        self.shelf.fails = 1
        self.record('cpu')
        deliverer = self.deliverer()
        with self.assertRaises(Unavailable):
            deliverer.step(NOW)
        self.assertEqual((deliverer.step(NOW), self.told()), (1, ['cpu']))

    def test_a_refused_event_is_set_aside_with_its_source_and_released_as_it_was(self):
        """Message ids are unique within a source only: which event was refused is not told by its id."""
        self.shelf.refuses = 'disk'
        self.record('disk')
        self.record('cpu', source='cloud/trove')
        before = self.ledger.pending('shelf')
        self.deliverer().drain()
        (row,) = self.ledger.quarantine_list()
        self.assertEqual((row.source, row.origin, row.code), (SOURCE, 'shelf', 'publish.refused'))
        self.assertEqual(self.ledger.quarantine_release_samples([row.id]), 1)
        (again,) = self.ledger.pending('shelf')
        self.assertEqual((again.source, json.loads(again.body)), (SOURCE, json.loads(before[0].body)))
        self.shelf.refuses = ''
        self.deliverer().drain()
        self.assertEqual(self.told(), ['cpu', 'disk'])


class StatementTest(DeliverCase):
    """What is settled is delivered as what is recorded is."""

    def setUp(self):
        super().setUp()
        self.ledger.begin(NOW)
        self.ledger.follow(['shelf'])
        self.tell('m1', fact('active', 0))
        self.settle(1)

    def deliverer(self, shelf: Shelf | None = None, holder: str = 'me', **options) -> Deliverer:
        return Deliverer(self.ledger, shelf or self.shelf, STATED, holder=holder, clock=lambda: self.now,
                         max_backoff=0.01, **options)

    def tell(self, message_id: str, *facts: Fact) -> None:
        self.ledger.record(SOURCE, [telling(message_id, *facts)], (), (), NOW)
        self.ledger.catch_up()
        while self.ledger.restate(STATED.as_before):
            pass

    def settle(self, hours: int) -> None:
        self.ledger.settle(Period(micros(0), 3600, micros(hours * 3600)))

    def test_what_waits_and_what_is_due_is_published(self):
        """One step does both; a further one finds nothing."""
        self.record(entry('m2', 'cpu'))
        deliverer = self.deliverer()
        self.assertEqual((deliverer.step(NOW), deliverer.step(NOW)), (2, 0))
        self.assertEqual(self.shelf.names(), ['cpu', 'instance.uptime', 'instance.off', 'instance.status', 'instances'])

    def test_a_publisher_gets_only_the_statements_that_it_is_for(self):
        self.shelf.lacks = 'instance.off'
        self.assertEqual(self.deliverer().drain(), 1)
        self.assertEqual(self.shelf.names(), ['instance.uptime', 'instance.status', 'instances'])

    def test_what_a_failing_publisher_was_not_told_is_told_as_it_is_later(self):
        """With the same ids, and only in the newest revision."""
        self.shelf.fails = 1
        published = []
        self.shelf.meanwhile = lambda: published.append(1)
        with self.assertRaises(Unavailable):
            self.deliverer().step(NOW)
        self.tell('m2', fact('stopped', 1800))
        self.deliverer().drain()
        self.assertEqual({sample.id for sample in self.shelf.samples if sample.timestamp == NOW.isoformat()},
                         {statement_id(meter, 'r1', micros(0)) for meter in
                          ('instance.uptime', 'instance.off', 'instance.status')})
        self.assertEqual({(sample.volume, sample.resource_metadata['revision']) for sample in self.shelf.samples
                          if sample.name == 'instance.uptime'}, {(1800, 1), (0, 1)})
        self.assertGreater(len(published), 1)

    def test_a_refused_statement_is_set_aside_and_stated_anew_when_it_is_released(self):
        """As it is then; never as it was when it was refused."""
        self.shelf.refuses = 'instance.uptime'
        self.assertEqual(self.deliverer().drain(), 1)
        (row,) = self.ledger.quarantine_list()
        self.assertEqual((row.source, row.origin, row.code), ('ceilometer_paas/statements', 'shelf', 'publish.refused'))
        self.shelf.refuses = ''
        self.tell('m2', fact('stopped', 1800))
        self.deliverer().drain()
        self.shelf.samples.clear()
        self.assertEqual(self.ledger.quarantine_release_samples([row.id]), 1)
        self.deliverer().drain()
        self.assertEqual([(sample.id, sample.volume, sample.resource_metadata['revision'])
                          for sample in self.shelf.samples if sample.name == 'instance.uptime'],
                         [(statement_id('instance.uptime', 'r1', micros(0)), 1800, 2)])

    def test_progress_is_said_at_most_once_a_minute(self):
        """A month that is worked off is not a month of lines."""
        self.settle(24 * 31)
        deliverer = self.deliverer()
        with self.assertLogs('ceilometer_paas.deliver', 'INFO') as logs:
            for second in range(0, 150):
                deliverer.step(NOW + timedelta(seconds=second))
        self.assertEqual(len(logs.output), 3)
        self.assertIn('shelf was told of everything until 2026-03-10T09:00:00+00:00', logs.output[0])

    def test_who_goes_on_goes_on_where_the_other_stopped(self):
        """Also between two slices of a period, and with what came late since."""
        with mock.patch.object(statements, '_RESOURCES', 1):
            self.tell('m2', fact('active', 0, 'r2'), fact('active', 0, 'r3'))
            self.settle(2)
            first, second = self.deliverer(), self.deliverer(holder='other')
            for turn in range(12):
                self.now = NOW + turn * timedelta(seconds=2 * LEASE)
                if turn == 3:
                    self.tell('m3', fact('stopped', 60, 'r3'))
                (first, second)[turn % 2].step(self.now)
        newest = {sample.id: sample for sample in self.shelf.samples if sample.name == 'instance.uptime'}
        self.assertEqual(sorted((sample.resource_id, sample.volume) for sample in newest.values()),
                         [('r1', 3600), ('r1', 3600), ('r2', 3600), ('r2', 3600), ('r3', 0), ('r3', 0), ('r3', 60)])


class LeaseTest(DeliverCase):
    def test_only_the_holder_of_the_lease_publishes(self):
        """A second process waits until the first has given its lease back, or let it run out."""
        self.record(entry('m1'))
        self.assertEqual(self.deliverer(holder='other').step(NOW), 1)
        self.record(entry('m2'))
        second = self.deliverer()
        self.assertEqual(second.step(NOW), 0)
        self.assertEqual(second.step(NOW + timedelta(seconds=LEASE - 1)), 0)
        self.assertEqual(second.step(NOW + timedelta(seconds=2 * LEASE)), 1)

    def test_draining_gives_the_lease_back(self):
        """Whoever comes next need not wait."""
        self.deliverer(holder='other').drain()
        self.record(entry('m1'))
        self.assertEqual(self.deliverer().step(NOW), 1)

    def test_a_holder_that_works_keeps_its_lease(self):
        """The lease is renewed long before it ends."""
        first = self.deliverer()
        for second in range(0, 100, 5):
            first.step(NOW + timedelta(seconds=second))
        self.assertFalse(self.ledger.lease('shelf', 'other', NOW + timedelta(seconds=110), 30))

    def test_a_clock_that_is_set_back_delays_nothing(self):
        """Neither a lease that was denied in the future, nor one that was taken there, is waited for."""
        future = NOW + timedelta(days=900)
        self.ledger.lease('shelf', 'dead', future, LEASE)
        deliverer = self.deliverer()
        self.record(entry('m1'))
        self.assertEqual((deliverer.step(future), deliverer.step(NOW)), (0, 1))

    def test_the_lease_is_kept_while_a_publisher_takes_its_time(self):
        """Nobody else begins with what is being published, however long that takes."""
        def take_an_hour():
            self.now += timedelta(hours=1)
            time.sleep(0.2)
            self.assertFalse(self.ledger.lease('shelf', 'other', self.now, 30))

        self.shelf.meanwhile = take_an_hour
        self.record(entry('m1'))
        with mock.patch.object(deliver, 'LEASE', 0.05):
            self.assertEqual(self.deliverer().step(NOW), 1)

    def test_two_that_publish_the_same_parcel_mark_it_once(self):
        """A holder that lost its lease while it published marks off what another has marked, and nothing else."""
        self.record(entry('m1'))
        late = NOW + timedelta(seconds=2 * LEASE)
        self.shelf.meanwhile = lambda: self.deliverer(Shelf(), holder='other').step(late)
        self.assertEqual(self.deliverer().step(NOW), 1)
        self.record(entry('m2'))
        self.assertEqual(self.ledger.backlog(), {'shelf': 1})


class RunTest(DeliverCase):
    def run_until(self, deliverer: Deliverer, condition) -> None:
        """Run it in a thread until a condition holds, then stop it."""
        stop = threading.Event()
        thread = threading.Thread(target=deliverer.run, args=(stop,))
        thread.start()
        end = time.monotonic() + 10
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)
        stop.set()
        thread.join(10)
        self.assertTrue(condition())
        self.assertFalse(thread.is_alive())

    def test_what_comes_while_it_runs_is_published(self):
        """It goes on looking into an outbox that was empty."""
        self.run_until(self.deliverer(), lambda: self.shelf.samples or self.record(entry('m1')))
        self.assertEqual(self.shelf.names(), ['instance'])

    def test_a_failing_publisher_is_tried_again_until_it_works(self):
        """A failure, however often, ends in a publication; one warning and one message tell of it."""
        self.shelf.fails = 5
        self.record(entry('m1'))
        with self.assertLogs('ceilometer_paas.deliver', 'INFO') as logs:
            self.run_until(self.deliverer(), lambda: self.shelf.samples)
        self.assertEqual([record.levelname for record in logs.records], ['WARNING', 'INFO'])
        warning, recovery = logs.output
        for part in 'shelf: ', 'since 2026-03-10T08:00:00', 'the shelf is full', '1 parcels wait':
            self.assertIn(part, warning)
        self.assertIn('shelf: delivery works again', recovery)
        self.assertEqual(self.shelf.calls, [1] * 6)

    def test_warnings_of_a_long_failure_grow_rare(self):
        """While a publisher fails for a day, tried every half an hour, fewer than thirty lines say so."""
        self.shelf.fails = 1_000_000
        self.shelf.meanwhile = lambda: setattr(self, 'now', self.now + timedelta(minutes=30))
        self.record(entry('m1'))
        with self.assertLogs('ceilometer_paas.deliver', 'WARNING') as logs:
            self.run_until(self.deliverer(), lambda: len(self.shelf.calls) >= 48)
        self.assertLess(len(logs.output), 30)
        self.assertGreater(len(logs.output), 20)

    def test_it_stops_while_the_publisher_fails(self):
        """A publisher that is away does not delay the stop, whatever its backoff; the parcels stay."""
        self.shelf.fails = 1_000_000
        self.record(entry('m1'))
        patient = Deliverer(self.ledger, self.shelf, NOTHING, holder='me', clock=lambda: NOW, max_backoff=300)
        with self.assertLogs('ceilometer_paas.deliver', 'WARNING') as logs:
            self.run_until(patient, lambda: logs.records)
        self.assertEqual(self.ledger.backlog(), {'shelf': 1})

    def test_stopping_gives_the_lease_back(self):
        """The next process need not wait for the lease to end."""
        self.record(entry('m1'))
        self.run_until(self.deliverer(), lambda: self.shelf.samples)
        self.assertTrue(self.ledger.lease('shelf', 'other', NOW, 30))

    def test_one_target_fails_while_another_goes_on(self):
        """Publishers do not wait for each other."""
        broken = Shelf(fails=1_000_000)
        broken.name = 'broken'
        self.ledger.record(SOURCE, [entry('m1')], (), ['shelf', 'broken'], NOW)
        stop = threading.Event()
        with self.assertLogs('ceilometer_paas.deliver', 'WARNING') as logs:
            failing = threading.Thread(target=self.deliverer(broken).run, args=(stop,))
            failing.start()
            self.run_until(self.deliverer(), lambda: self.shelf.samples and logs.records)
            stop.set()
            failing.join(10)
        self.assertEqual(self.ledger.backlog(), {'broken': 1})

    def test_a_ledger_that_is_away_is_waited_for(self):
        """While the ledger cannot be reached nothing is published; then everything is."""
        self.record(entry('m1'))
        away = iter([Unavailable('the ledger: gone')] * 3)
        pending = self.ledger.pending

        def unsteady(*args):
            for error in away:
                raise error
            return pending(*args)

        self.ledger.pending = unsteady
        with self.assertLogs('ceilometer_paas.deliver', 'WARNING') as logs:
            self.run_until(self.deliverer(), lambda: self.shelf.samples)
        self.assertIn('the ledger: gone', logs.output[0])
        self.assertEqual(self.shelf.calls, [1])


if __name__ == '__main__':
    unittest.main()
