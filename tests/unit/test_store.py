# SPDX-License-Identifier: Apache-2.0
import json
import sqlite3
import subprocess
import sys
import threading
import unittest
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import sqlalchemy
from oslo_db import exception
from sqlalchemy import event

from ceilometer_paas.errors import Unavailable
from ceilometer_paas.ledger import quarantine, store
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.model import Entry
from tests.ledgers import NOW, SOURCE, LedgerCase, entry, fact, ids_in, published, refusal, telling

ROOT = Path(__file__).parents[2]


class RecordTest(LedgerCase):
    def test_recorded_readings_wait_for_every_target(self):
        """What is recorded waits for each of its targets, as it was written."""
        one, two = entry('m1'), entry('m2', 'cpu', 'memory')
        self.assertEqual(self.ledger.record(SOURCE, [one, two], (), ['file', 'bus'], NOW), set())
        for target in 'file', 'bus':
            (parcel,) = self.ledger.pending(target)
            self.assertEqual(parcel.source, SOURCE)
            self.assertEqual(json.loads(parcel.body),
                             [['m1', json.loads(one.readings)], ['m2', json.loads(two.readings)]])

    def test_a_batch_recorded_twice_changes_nothing(self):
        """A redelivered batch is told to be seen, and is not published again."""
        batch = [entry('m1'), entry('m2')]
        self.ledger.record(SOURCE, batch, (), ['file'], NOW)
        before = self.ledger.pending('file')
        self.assertEqual(self.ledger.record(SOURCE, batch, (), ['file'], NOW), {'m1', 'm2'})
        self.assertEqual(self.ledger.pending('file'), before)

    def test_only_the_new_messages_of_a_batch_are_published(self):
        """A batch may hold new messages among seen ones."""
        self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW)
        self.assertEqual(self.ledger.record(SOURCE, [entry('m0'), entry('m1'), entry('m2')], (), ['file'], NOW), {'m1'})
        self.assertEqual(published(self.ledger, 'file'), ['m1', 'm0', 'm2'])

    def test_of_doubles_in_one_batch_the_first_wins(self):
        """The second message of an id in a batch counts as seen."""
        first = entry('m1', 'cpu')
        self.assertEqual(self.ledger.record(SOURCE, [first, entry('m1', 'disk')], (), ['file'], NOW), {'m1'})
        (parcel,) = self.ledger.pending('file')
        self.assertEqual(json.loads(parcel.body), [['m1', json.loads(first.readings)]])

    def test_ids_are_unique_within_their_source_only(self):
        """Two services may use the same message id."""
        self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW)
        self.assertEqual(self.ledger.record('cloud/trove', [entry('m1')], (), ['file'], NOW), set())
        self.assertEqual([parcel.source for parcel in self.ledger.pending('file')], [SOURCE, 'cloud/trove'])

    def test_ids_are_compared_to_the_last_detail(self):
        """Case, accents, trailing spaces and quotes tell ids apart."""
        ids = ['a', 'A', 'á', 'a ', 'a"', 'a\\', '\N{GRINNING FACE}', 'x' * 255, 'x' * 254]
        self.assertEqual(self.ledger.record(SOURCE, map_entries(ids), (), ['file'], NOW), set())
        self.assertEqual(published(self.ledger, 'file'), ids)
        self.assertTrue(self.ledger.pending('file')[0].body.isascii())
        self.assertEqual(self.ledger.record(SOURCE, map_entries(ids), (), ['file'], NOW), set(ids))

    def test_a_message_without_readings_is_seen_but_not_published(self):
        """Nothing is published for a message that gives no readings."""
        self.ledger.record(SOURCE, [Entry('m1', '[]')], (), ['file'], NOW)
        self.assertEqual(self.ledger.pending('file'), [])
        self.assertEqual(self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW), {'m1'})

    def test_a_message_without_targets_is_seen_only(self):
        """A replay that publishes nothing leaves nothing in the outbox."""
        self.ledger.record(SOURCE, [entry('m1')], (), (), NOW)
        self.assertEqual(self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW), {'m1'})
        self.assertEqual(self.count('outbox'), 0)

    def test_events_wait_for_those_who_get_events(self):
        """Readings and events of a batch are parcels of their own; an entry may have one without the other."""
        batch = [entry('m1')._replace(event='{"a":1}'), entry('m2'), Entry('m3', '[]', event='{"a":3}')]
        self.ledger.record(SOURCE, batch, (), ['file'], NOW, events_to=['event file', 'event bus'])
        self.assertEqual(published(self.ledger, 'file'), ['m1', 'm2'])
        for target in 'event file', 'event bus':
            (parcel,) = self.ledger.pending(target)
            self.assertEqual((parcel.source, json.loads(parcel.body)), (SOURCE, [['m1', {'a': 1}], ['m3', {'a': 3}]]))
        self.ledger.record(SOURCE, batch, (), ['file'], NOW, events_to=['event file', 'event bus'])
        self.assertEqual(self.ledger.backlog(), {'file': 1, 'event file': 1, 'event bus': 1})

    def test_a_large_batch_becomes_several_parcels(self):
        """A parcel is closed at about one MiB."""
        readings = json.dumps(['x' * (store.MAX_PARCEL // 3)])
        self.ledger.record(SOURCE, [Entry(f'm{number}', readings) for number in range(7)], (), ['file', 'bus'], NOW)
        parcels = self.ledger.pending('file', size=1 << 30)
        self.assertEqual([len(json.loads(parcel.body)) for parcel in parcels], [3, 3, 1])
        self.assertEqual(self.ledger.backlog(), {'file': 3, 'bus': 3})

    def test_facts_are_journalled_once(self):
        """A batch's facts are one row; what was seen before, and what tells nothing, leaves none."""
        first = telling('m1', fact('active', 1), fact('active', 1, 'r2'))
        self.ledger.record(SOURCE, [first, entry('m2'), telling('m3', fact('stopped', 2)), first], (), ['file'], NOW)
        self.ledger.record(SOURCE, [first, entry('m4')], (), ['file'], NOW)
        self.assertEqual(self.count('journal'), 1)
        self.assertEqual(published(self.ledger, 'file'), ['m2', 'm4'])
        self.assertEqual(self.ledger.fold(), 2)

    def test_the_facts_of_a_large_batch_become_several_rows(self):
        """A row of the journal is closed at about 512 KiB, so that each can be folded by itself."""
        told = [fact('active', 1, attributes={'metadata': 'x' * (store.MAX_STEP // 3)})]
        self.ledger.record(SOURCE, [telling(f'm{number}', *told) for number in range(7)], (), (), NOW)
        self.assertEqual([self.ledger.fold() for _ in range(4)], [3, 3, 1, 0])

    def test_a_broken_transaction_leaves_nothing(self):
        """When the commit fails, neither messages nor quarantined ones are there, and the batch can be tried again."""
        batch = [entry('m1'), telling('m2', fact('active', 1))]
        with broken('commit', lambda connection: fail(exception.DBConnectionError())), self.assertRaises(Unavailable):
            self.ledger.record(SOURCE, batch, [refusal('{}')], ['file'], NOW)
        self.assertEqual((self.ledger.pending('file'), self.ledger.quarantine_list()), ([], []))
        self.assertEqual(self.ledger.fold(), 0)
        self.assertEqual(self.ledger.record(SOURCE, [entry('m1')], [refusal('{}')], ['file'], NOW), set())
        self.assertEqual(published(self.ledger, 'file'), ['m1'])

    def test_a_race_for_a_message_is_run_again(self):
        """Where another process committed the same message first, the transaction is done again and sees it."""
        races = iter([exception.DBDuplicateEntry(), exception.DBDeadlock()])

        def collide(connection, cursor, statement, *rest):
            if statement.startswith('INSERT INTO outbox'):
                for error in races:
                    raise error

        with broken('before_cursor_execute', collide):
            self.assertEqual(self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW), set())
        self.assertEqual(published(self.ledger, 'file'), ['m1'])

    def test_a_value_that_does_not_fit_is_no_outage(self):
        """An error that the values cause is not taken for one that passes."""
        with self.assertLogs('oslo_db'), self.assertRaises(exception.DBError) as caught:
            self.ledger.record(SOURCE, [Entry(['not', 'text'], '[]')], (), (), NOW)
        self.assertNotIsInstance(caught.exception, exception.DBConnectionError)


class OutageTest(LedgerCase):
    def setUp(self):
        super().setUp()
        self.ledger.record(SOURCE, [entry('m0')], (), ['file'], NOW)

    def assert_outage(self, complaint: str):
        with self.assertRaisesRegex(Unavailable, f'^the ledger: {complaint}'):
            self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW)

    def test_a_locked_file_is_unavailable_for_as_long_as_it_is_locked(self):
        """A lock held by another process passes."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as other:
            other.execute('BEGIN IMMEDIATE')
            self.assert_outage('database is locked$')
        self.assertEqual(self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW), set())

    def test_a_locked_file_can_be_read(self):
        """Writers do not keep the backlog from being read."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as other:
            other.execute('BEGIN IMMEDIATE')
            self.assertEqual(published(self.ledger, 'file'), ['m0'])

    def test_a_full_disk_is_unavailable(self):
        """A full disk may be cleared."""
        self.ledger.close()
        with (broken('connect', lambda connection, record: connection.execute('PRAGMA max_page_count = 1')),
              self.assertRaisesRegex(Unavailable, 'full')):
            self.ledger.record(SOURCE, [Entry('m1', json.dumps('x' * 100_000))], (), ['file'], NOW)
        self.ledger.close()
        self.assertEqual(self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW), set())

    def test_a_read_only_file_is_unavailable(self):
        """A file system that became read-only may be mended."""
        self.ledger.close()
        with broken('connect', lambda connection, record: connection.execute('PRAGMA query_only = ON')):
            self.assert_outage('attempt to write a readonly database$')

    def test_a_server_that_is_down_is_unavailable_and_its_password_unnamed(self):
        """No secret is in what is said about a server that does not answer."""
        for url in 'postgresql+psycopg2://u:s3cret@127.0.0.1:1/ledger', 'mysql+pymysql://u:s3cret@127.0.0.1:1/ledger':
            for call in Ledger(url).upgrade, Ledger(url).backlog:
                with self.subTest(url, call=call.__name__), self.assertRaises(Unavailable) as caught:
                    call()
                self.assertNotIn('s3cret', str(caught.exception))
                self.assertIn('127.0.0.1', str(caught.exception))


class DeliveryTest(LedgerCase):
    def test_parcels_come_oldest_first_and_within_the_limits(self):
        """Number and size bound what is loaded at once, but one parcel is always loaded."""
        for number in range(4):
            self.ledger.record(SOURCE, [entry(f'm{number}')], (), ['file'], NOW)
        length = len(self.ledger.pending('file')[0].body)
        self.assertEqual(published(self.ledger, 'file', parcels=2), ['m0', 'm1'])
        self.assertEqual(published(self.ledger, 'file', size=3 * length), ['m0', 'm1', 'm2'])
        self.assertEqual(published(self.ledger, 'file', size=1), ['m0'])

    def test_a_parcel_stays_until_every_target_has_it(self):
        """One target's mark leaves the parcel to the other; the last mark deletes it."""
        self.ledger.record(SOURCE, [entry('m1')], (), ['file', 'bus'], NOW)
        (parcel,) = self.ledger.pending('file')
        self.ledger.delivered('file', [parcel.id], [], NOW)
        self.assertEqual(self.ledger.pending('file'), [])
        self.assertEqual(self.ledger.pending('bus'), [parcel])
        self.ledger.delivered('bus', [parcel.id], [], NOW)
        self.assertEqual(self.count('outbox'), 0)

    def test_marking_off_twice_does_no_harm(self):
        """Marks of a process that lost its lease change nothing, even when new parcels have come since."""
        self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW)
        (parcel,) = self.ledger.pending('file')
        self.ledger.delivered('file', [parcel.id], [], NOW)
        self.ledger.record(SOURCE, [entry('m2')], (), ['file'], NOW)
        self.ledger.delivered('file', [parcel.id], [], NOW)
        self.assertEqual(published(self.ledger, 'file'), ['m2'])

    def test_refused_samples_are_set_aside_with_the_mark(self):
        """What a publisher refuses for ever leaves the outbox and enters the quarantine."""
        self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW)
        (parcel,) = self.ledger.pending('file')
        self.ledger.delivered('file', [parcel.id], [(SOURCE, refusal('["m1",[]]', 'publish.refused', 'file'))], NOW)
        (row,) = self.ledger.quarantine_list()
        self.assertEqual((row.source, row.origin, row.code, row.is_sample), (SOURCE, 'file', 'publish.refused', True))
        self.assertEqual(self.ledger.pending('file'), [])

    def test_the_backlog_names_every_target_that_waits(self):
        """Parcels are counted for each target, whoever it is; a target without any is not named."""
        self.ledger.record(SOURCE, [entry('m1')], (), ['file', 'gone'], NOW)
        self.ledger.record(SOURCE, [entry('m2')], (), ['gone'], NOW)
        self.ledger.lease('idle', 'me', NOW, 30)
        self.assertEqual(self.ledger.backlog(), {'file': 1, 'gone': 2})


class LeaseTest(LedgerCase):
    def test_one_holder_at_a_time(self):
        """A lease keeps others out until it ends; its holder can renew it."""
        self.assertTrue(self.ledger.lease('file', 'a', NOW, 30))
        self.assertFalse(self.ledger.lease('file', 'b', NOW + timedelta(seconds=29), 30))
        self.assertTrue(self.ledger.lease('file', 'a', NOW + timedelta(seconds=29), 30))
        self.assertFalse(self.ledger.lease('file', 'b', NOW + timedelta(seconds=58), 30))
        self.assertTrue(self.ledger.lease('file', 'b', NOW + timedelta(seconds=59), 30))
        self.assertFalse(self.ledger.lease('file', 'a', NOW + timedelta(seconds=60), 30))

    def test_targets_are_leased_apart(self):
        """Two processes may deliver for a target each."""
        self.assertTrue(self.ledger.lease('file', 'a', NOW, 30))
        self.assertTrue(self.ledger.lease('bus', 'b', NOW, 30))

    def test_a_clock_that_was_wrong_keeps_nobody_out(self):
        """A lease that a process took in a far future does not last until then."""
        self.assertTrue(self.ledger.lease('file', 'a', NOW + timedelta(days=900), 30))
        self.assertTrue(self.ledger.lease('file', 'b', NOW, 30))

    def test_a_lease_can_be_given_back(self):
        """Zero seconds free the target at once, and only its holder can do so."""
        self.ledger.lease('file', 'a', NOW, 30)
        self.assertFalse(self.ledger.lease('file', 'b', NOW, 0))
        self.assertTrue(self.ledger.lease('file', 'a', NOW, 0))
        self.assertTrue(self.ledger.lease('file', 'b', NOW, 30))


class PruneTest(LedgerCase):
    def test_old_messages_are_forgotten_and_young_ones_kept(self):
        """A message seen before the limit would be metered again; one seen since is still recognised."""
        self.ledger.record(SOURCE, map_entries(f'old{number}' for number in range(2500)), (), (), NOW)
        self.ledger.record(SOURCE, [entry('young')], (), (), NOW + timedelta(days=1))
        self.assertEqual(self.ledger.prune(NOW + timedelta(hours=1)), 2500)
        self.assertEqual(self.ledger.prune(NOW + timedelta(hours=1)), 0)
        self.assertEqual(self.ledger.record(SOURCE, [entry('young'), entry('old7')], (), (), NOW), {'young'})

    def test_a_clock_that_was_wrong_does_not_end_forgetting(self):
        """A message with a time in the future keeps its place, and those after it are forgotten."""
        self.ledger.record(SOURCE, [entry('future')], (), (), NOW + timedelta(days=9))
        self.ledger.record(SOURCE, map_entries(f'old{number}' for number in range(1500)), (), (), NOW)
        self.assertEqual(self.ledger.prune(NOW + timedelta(days=1)), 1500)


class QuarantineTest(LedgerCase):
    def test_the_same_body_is_one_row(self):
        """A body that is refused again is counted, within a batch and over batches, with the newest reason."""
        self.ledger.record(SOURCE, (), [refusal('{}'), refusal('{}')], (), NOW)
        later = NOW + timedelta(minutes=5)
        newest = refusal('{}', 'decode.bad_timestamp', reason='year 0')
        self.ledger.record(SOURCE, (), [newest, refusal('[]')], (), later)
        again, other = self.ledger.quarantine_list()
        self.assertEqual((again.count, again.first_at, again.last_at), (3, NOW, later))
        self.assertEqual((again.code, again.reason), ('decode.bad_timestamp', 'year 0'))
        self.assertEqual((other.count, other.first_at), (1, later))

    def test_one_sample_refused_by_two_publishers_is_two_rows(self):
        """Each publisher's refusal can be released by itself."""
        self.ledger.record(SOURCE, (), [refusal('[]', origin='file'), refusal('[]', origin='bus')], (), NOW)
        self.assertEqual([row.origin for row in self.ledger.quarantine_list()], ['file', 'bus'])

    def test_quarantined_messages_are_not_seen(self):
        """A quarantined message can be recorded later; its row leaves in the same transaction."""
        self.ledger.record(SOURCE, (), [refusal('{}'), refusal('[]')], (), NOW)
        (row, other) = self.ledger.quarantine_list()
        self.assertEqual(self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW, [row.id]), set())
        self.assertEqual([left.id for left in self.ledger.quarantine_list()], [other.id])

    def test_rows_are_found_by_source_code_and_origin(self):
        """Every filter narrows the list, and the limit cuts it."""
        self.ledger.record(SOURCE, (), [refusal('1'), refusal('2', 'decode.bad_field'), refusal('3', origin='q2')], (),
                           NOW)
        self.ledger.record('cloud/trove', (), [refusal('4')], (), NOW)
        find = self.ledger.quarantine_list
        for given, ids in (({}, [1, 2, 3, 4]), ({'source': SOURCE}, [1, 2, 3]), ({'code': 'decode.bad_field'}, [2]),
                           ({'origin': 'q2'}, [3]), ({'source': 'cloud/trove', 'origin': 'q2'}, []),
                           ({'limit': 2}, [1, 2])):
            with self.subTest(given):
                self.assertEqual([row.id for row in find(**given)], ids)

    def test_a_row_is_shown_with_its_body(self):
        """A listing leaves the bodies out; a single row has it; a row that is not there is None."""
        self.ledger.record(SOURCE, (), [refusal('{"a": 1}')], (), NOW)
        (row,) = self.ledger.quarantine_list()
        self.assertEqual(row.body, '')
        self.assertEqual(self.ledger.quarantine_get(row.id).body, '{"a": 1}')
        self.assertIsNone(self.ledger.quarantine_get(row.id + 1))

    def test_rows_are_deleted_by_id_and_ids_are_not_used_again(self):
        """Deleting tells how many rows there were; a new row never gets the number of a deleted one."""
        self.ledger.record(SOURCE, (), [refusal(str(number)) for number in range(1500)], (), NOW)
        self.assertEqual(self.ledger.quarantine_delete(range(2, 1502)), 1499)
        self.assertEqual([row.id for row in self.ledger.quarantine_list()], [1])
        self.ledger.record(SOURCE, (), [refusal('new')], (), NOW)
        self.assertEqual([row.id for row in self.ledger.quarantine_list()], [1, 1501])

    def test_an_endless_body_is_cut_and_marked(self):
        """Of a body beyond 4 MiB the beginning is kept; two that differ only beyond it are two rows."""
        longer = 'x' * (quarantine.MAX_BODY + 1)
        self.ledger.record(SOURCE, (), [refusal(longer), refusal(longer + 'x'), refusal(longer[1:])], (), NOW)
        rows = list(self.ledger.quarantine_load([1, 2, 3]))
        self.assertEqual([(row.truncated, len(row.body)) for row in rows],
                         [(True, quarantine.MAX_BODY), (True, quarantine.MAX_BODY), (False, quarantine.MAX_BODY)])

    def test_a_released_sample_waits_for_its_publisher_again(self):
        """Released samples go to the publisher that refused them, and to no other."""
        self.ledger.record(SOURCE, [entry('m0')], [refusal('["s1",[1]]', 'publish.refused', 'file'),
                                                   refusal('["s2",[2]]', 'publish.refused', 'file'),
                                                   refusal('["s3",[3]]', 'publish.refused', 'bus')], (), NOW)
        self.assertEqual(self.ledger.quarantine_release_samples([1, 2, 3, 4]), 3)
        self.assertEqual([parcel.body for parcel in self.ledger.pending('file')], ['[["s1",[1]],["s2",[2]]]'])
        self.assertEqual([(parcel.source, parcel.body) for parcel in self.ledger.pending('bus')],
                         [(SOURCE, '[["s3",[3]]]')])
        self.assertEqual(self.ledger.quarantine_list(), [])
        self.assertEqual(self.ledger.quarantine_release_samples([1, 2, 3]), 0)

    def test_messages_and_cut_samples_are_not_released_as_samples(self):
        """What cannot be published as it is keeps its row."""
        cut = refusal('x' * (quarantine.MAX_BODY + 1), 'publish.refused', 'file')
        self.ledger.record(SOURCE, (), [refusal('{}'), cut], (), NOW)
        self.assertEqual(self.ledger.quarantine_release_samples([1, 2]), 0)
        self.assertEqual(len(self.ledger.quarantine_list()), 2)
        self.assertEqual(self.ledger.backlog(), {})


class SharingTest(LedgerCase):
    def test_processes_record_overlapping_batches_once(self):
        """Collectors that get the same messages record each exactly once, while a deliverer empties the outbox."""
        url = self.url.removesuffix('?timeout=0.1')
        ledger = Ledger(url)
        self.addCleanup(ledger.close)
        workers = [subprocess.Popen([sys.executable, '-c', f'from tests.unit.test_store import record_many as record; '
                                     f'record({url!r}, {offset})'], cwd=ROOT) for offset in range(3)]
        got: list[str] = []
        while any(worker.poll() is None for worker in workers) or ledger.backlog():
            parcels = ledger.pending('file')
            got += ids_in(parcel.body for parcel in parcels)
            if parcels:
                ledger.delivered('file', [parcel.id for parcel in parcels], [], NOW)
        self.assertEqual([worker.returncode for worker in workers], [0, 0, 0])
        self.assertEqual(sorted(got), sorted(f'm{number}' for number in range(300)))

    def test_threads_take_turns(self):
        """The threads of a process share a ledger."""
        seen: list[str] = []
        threads = [threading.Thread(target=lambda: seen.extend(self.ledger.record(SOURCE, map_entries(f'm{number}'
                   for number in range(50)), (), ['file'], NOW))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(published(self.ledger, 'file')), 50)
        self.assertEqual(len(seen), 150)


def record_many(url: str, offset: int) -> None:
    ledger = Ledger(url)
    for start in range(0, 300, 10):
        first = (start + offset * 5) % 300
        ledger.record(SOURCE, map_entries(f'm{number % 300}' for number in range(first, first + 10)), (), ['file'], NOW)
    ledger.close()


def map_entries(ids) -> list[Entry]:
    return [entry(message_id) for message_id in ids]


def fail(error: Exception) -> None:
    raise error


class broken:  # noqa: N801 - reads as a verb in a with statement
    """Within it, every SQLAlchemy engine calls a function at an event."""

    def __init__(self, name, function):
        self._listener = sqlalchemy.Engine, name, function

    def __enter__(self):
        event.listen(*self._listener)

    def __exit__(self, *error):
        event.remove(*self._listener)


if __name__ == '__main__':
    unittest.main()
