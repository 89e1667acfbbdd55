# SPDX-License-Identifier: Apache-2.0
"""The ledger keeps on PostgreSQL and on MariaDB what it promises on SQLite, and lives through their ends."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
import unittest
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from oslo_db import exception

from ceilometer_paas.errors import ConfigError, Unavailable
from ceilometer_paas.ledger import engine, schema
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.model import Entry
from tests.functional.databases import OnMariadb, OnPostgresql
from tests.ledgers import NOW, SOURCE, LedgerCase, entry, ids_in, published, refusal
from tests.unit import test_store

ROOT = Path(__file__).parents[2]
ROUNDS = 8  # of each race


class Promised(test_store.RecordTest, test_store.DeliveryTest, test_store.LeaseTest, test_store.PruneTest,
               test_store.QuarantineTest, test_store.SharingTest):
    """All that the unit tests ask of the store, but of outages, which differ."""

    def test_a_value_that_does_not_fit_is_no_outage(self):
        """What is too long is neither cut nor taken for an outage, however lenient the server is."""
        for batch in ([entry('x' * 256)], ()), ((), [refusal('{}', code='x' * 65)]):
            with muted(), self.assertRaises(exception.DBError):
                self.ledger.record(SOURCE, *batch, (), NOW)
        self.assertEqual((self.count('message'), self.ledger.quarantine_list()), (0, []))

    def test_large_entries_stay_whole(self):
        """4 MiB of what has to be escaped come back as they were, from the outbox and from the quarantine."""
        readings = json.dumps(['\N{GRINNING FACE}"\'\\%s%%:x\n' * 170_000])
        self.assertGreater(len(readings), 1 << 22)
        self.ledger.record(SOURCE, [Entry('m1', readings), Entry('m2', readings)], [refusal(readings[:1 << 22])],
                           ['file'], NOW)
        bodies = [parcel.body for parcel in self.ledger.pending('file', size=1 << 30)]
        self.assertEqual(bodies, [f'[["m1",{readings}]]', f'[["m2",{readings}]]'])
        self.assertEqual(self.ledger.quarantine_get(1).body, readings[:1 << 22])

    def test_reasons_may_be_in_any_script(self):
        """What a quarantine row says beside its body comes back as it was."""
        said = 'naïve \N{GRINNING FACE} '
        self.ledger.record(SOURCE, (), [refusal('{}', reason=said, origin=said)], (), NOW)
        self.assertEqual([(row.reason, row.origin) for row in self.ledger.quarantine_list()], [(said, said)])

    def test_nothing_is_warned_of(self):
        """A server with its own defaults gives the log nothing to complain of."""
        with self.assertNoLogs(level='WARNING'):
            self.open().record(SOURCE, [entry('m1')], [refusal('{}')], ['file'], NOW)


class Races(LedgerCase):
    """What happens at once happens as if one had come after the other."""

    def setUp(self):
        super().setUp()
        self.pool = ThreadPoolExecutor(4)
        self.addCleanup(self.pool.shutdown)
        self.ledgers = [self.open() for _ in range(4)]

    def at_once(self, work: Callable[[Ledger, int], Any]) -> list[Any]:
        """Let four do it at the same time, each with a ledger of its own and its number; what they return."""
        barrier = threading.Barrier(4)

        def start(place: int) -> Any:
            barrier.wait()
            return work(self.ledgers[place], place)

        return list(self.pool.map(start, range(4)))

    def test_the_same_batch_is_recorded_once(self):
        """Of those who record the same messages at once, in whatever order, one only finds each of them new."""
        ids = [f'm{number}' for number in range(20)]
        for turn in range(ROUNDS):
            source = f'cloud/{turn}'  # whose number is given in the same moment
            seen = self.at_once(lambda ledger, place, source=source: ledger.record(
                source, test_store.map_entries(ids[::-1] if place % 2 else ids), (), ['file'], NOW))
            self.assertEqual(Counter(message_id for one in seen for message_id in one), dict.fromkeys(ids, 3))
        parcels = self.ledger.pending('file', size=1 << 30)
        self.assertEqual(Counter((parcel.source, message_id) for parcel in parcels
                                 for message_id in ids_in([parcel.body])),
                         {(f'cloud/{turn}', message_id): 1 for turn in range(ROUNDS) for message_id in ids})

    def test_a_body_refused_at_once_is_counted_each_time(self):
        """No refusal is lost when several processes refuse the same bodies."""
        for _ in range(ROUNDS):
            self.at_once(lambda ledger, place: ledger.record(
                SOURCE, (), [refusal(body) for body in ('1221', '2112')[place % 2]], (), NOW))
        self.assertEqual({row.body: row.count for row in self.ledger.quarantine_load([
            row.id for row in self.ledger.quarantine_list()])}, {'1': 8 * ROUNDS, '2': 8 * ROUNDS})

    def test_targets_that_finish_at_once_leave_no_parcel(self):
        """Whoever comes last deletes the parcel, also when both set samples aside."""
        targets = ['file', 'bus', 'gnocchi', 'http']
        for turn in range(ROUNDS):
            self.ledger.record(SOURCE, test_store.map_entries(f'm{turn}.{number}' for number in range(3)), (), targets,
                               NOW)
            ids = [parcel.id for parcel in self.ledger.pending('file')]
            self.at_once(lambda ledger, place, ids=ids: ledger.delivered(
                targets[place], ids, [(SOURCE, refusal('["m",[]]', 'publish.refused', targets[place]))], NOW))
            self.assertEqual((self.count('outbox'), self.count('delivery')), (0, 0))
        self.assertEqual({row.origin: row.count for row in self.ledger.quarantine_list()},
                         dict.fromkeys(targets, ROUNDS))

    def test_a_lease_has_one_holder(self):
        """Of those who want a free target at once, one gets it."""
        for turn in range(ROUNDS):
            got = self.at_once(lambda ledger, place, turn=turn: ledger.lease(f't{turn}', f'holder{place}', NOW, 30))
            self.assertEqual(sorted(got), [False, False, False, True])

    def test_a_sample_is_released_once(self):
        """Of those who release the same rows at once, one puts them into the outbox."""
        for turn in range(ROUNDS):
            samples = [refusal(f'["s{turn}.{number}",[1]]', 'publish.refused', 'file') for number in range(5)]
            self.ledger.record(SOURCE, (), samples, (), NOW)
            ids = [row.id for row in self.ledger.quarantine_list()]
            self.assertEqual(sum(self.at_once(lambda ledger, place, ids=ids: ledger.quarantine_release_samples(ids))),
                             5)
        self.assertEqual(sorted(published(self.ledger, 'file')),
                         sorted(f's{turn}.{number}' for turn in range(ROUNDS) for number in range(5)))

    def test_messages_are_forgotten_while_others_come(self):
        """Forgetting old messages takes none that is recorded meanwhile."""
        self.ledger.record(SOURCE, test_store.map_entries(f'old{number}' for number in range(3000)), (), (), NOW)
        limit = NOW.replace(year=NOW.year + 1)

        def work(ledger: Ledger, place: int) -> int:
            if place == 0:
                return ledger.prune(limit)
            for number in range(20):
                ledger.record(SOURCE, [entry(f'new{place}.{number}')], (), (), limit)
            return 0

        self.assertEqual(sum(self.at_once(work)), 3000)
        self.assertEqual(self.count('message'), 60)


class Upgrades(LedgerCase):
    """The tables are made once, whoever makes them, and keep what is in them."""

    def open(self) -> Ledger:
        """Open the ledger; nothing is in its database yet."""
        ledger = Ledger(self.url)
        self.addCleanup(ledger.close)
        return ledger

    def to(self, revision: str, url: str = '') -> None:
        """Upgrade to a revision."""
        config = schema._config()
        with self.engine(url).begin() as connection:
            config.attributes['connection'] = connection
            command.upgrade(config, revision)

    def engine(self, url: str = '') -> sqlalchemy.Engine:
        """Make an engine for the ledger's database, or another one."""
        made = engine.create(url or self.url)
        self.addCleanup(made.dispose)
        return made

    def assert_upgraded(self) -> None:
        """Expect that the tables are those that the code knows."""
        with self.engine().begin() as connection:
            self.assertEqual(compare_metadata(MigrationContext.configure(connection), schema.metadata), [])
            self.assertEqual(connection.scalar(sqlalchemy.text('SELECT count(*) FROM beginning')), 1)

    def test_the_migrations_lead_to_the_tables(self):
        """What the revisions make is what the code expects; once more changes nothing."""
        for _ in range(2):
            self.ledger.upgrade()
            self.assert_upgraded()
        self.ledger.check()

    def test_a_revision_that_broke_off_is_begun_again(self):
        """Wherever an upgrade ends, also where the server keeps half of it, the next one does the rest."""
        self.to('0001')
        for last in range(1, 30):
            with suppress(exception.DBConnectionError), test_store.broken('before_cursor_execute', breaker(last)):
                self.to('head')
                break
        self.assertGreater(last, 6)
        self.assert_upgraded()

    def test_what_the_first_revision_holds_is_kept(self):
        """Messages, parcels, leases and the quarantine outlive the upgrade to the ledger of lives."""
        self.to('0001')
        self.ledger.record(SOURCE, [entry('m1')], [refusal('{}')], ['file'], NOW)
        self.assertTrue(self.ledger.lease('file', 'me', NOW, 30))
        with self.assertRaisesRegex(sqlalchemy.exc.SQLAlchemyError, 'journal'):
            self.count('journal')
        before = self.ledger.pending('file'), self.ledger.quarantine_get(1)
        self.ledger.upgrade()
        self.assert_upgraded()
        self.assertEqual((self.ledger.pending('file'), self.ledger.quarantine_get(1)), before)
        self.assertFalse(self.ledger.lease('file', 'you', NOW, 30))
        self.assertEqual(self.ledger.record(SOURCE, [entry('m1'), entry('m2')], (), ['file'], NOW), {'m1'})

    def test_several_processes_may_start_at_once(self):
        """On an empty database, and on one of the first revision, one makes the tables and the others find them."""
        urls = [self.make() for _ in range(4)]
        for url in urls[::2]:
            self.to('0001', url)
        code = ('import sys; from ceilometer_paas.ledger.store import Ledger\n'
                'for url in sys.argv[1:]:\n'
                '    ledger = Ledger(url); input(); ledger.upgrade(); print(ledger.backlog(), flush=True)')
        started = [subprocess.Popen([sys.executable, '-W', 'ignore', '-c', code, *urls], text=True,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    env=os.environ | {'PYTHONPATH': str(ROOT)}) for _ in range(3)]
        for url in urls:
            for process in started:
                process.stdin.write('\n')
                process.stdin.flush()
            self.assertEqual([process.stdout.readline() for process in started], ['{}\n'] * 3, url)
            self.url = url
            self.assert_upgraded()
        self.assertEqual([process.communicate() for process in started], [('', None)] * 3)

    def test_a_newer_schema_is_refused(self):
        """A ledger that a newer program wrote is left alone."""
        self.ledger.upgrade()
        with self.engine().begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with self.assertRaisesRegex(ConfigError, 'revision 9999, .*; install the newer program'):
            self.ledger.upgrade()


class Outages(LedgerCase):
    """A server that is gone is waited for, and what it said to have recorded is there when it is back."""

    def setUp(self):
        super().setUp()
        self.ledger.record(SOURCE, [entry('m0')], (), ['file'], NOW)

    def test_a_stopped_server_is_unavailable_until_it_is_started(self):
        """Every call says so, with the ledger that was in use and with a new one, and works when it can."""
        calls = (lambda: self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW),
                 lambda: self.ledger.pending('file'), lambda: self.ledger.lease('file', 'me', NOW, 30),
                 self.ledger.upgrade, self.ledger.check, Ledger(self.url).backlog, Ledger(self.url).upgrade)
        self.server.stop()
        try:
            for call in calls:
                with self.assertRaises(Unavailable) as caught:
                    call()
                self.assertRegex(str(caught.exception), '^the ledger: .')
                self.assertNotIn(self.server.password, everything(caught.exception))
        finally:
            self.server.start()
        self.assertEqual(calls[0](), set())
        self.assertEqual(published(self.ledger, 'file'), ['m0', 'm1'])

    def test_a_connection_that_the_server_ended_is_no_outage(self):
        """After a restart that nobody noticed, the first call works."""
        self.server.stop()
        self.server.start()
        with self.assertNoLogs('oslo_db', 'WARNING'):
            self.assertEqual(self.ledger.record(SOURCE, [entry('m1')], (), ['file'], NOW), set())

    def test_what_was_recorded_survives_kill_9(self):
        """Collectors whose server is killed again and again find all that they were told to be recorded, once."""
        over = threading.Event()
        said: list[str] = []

        def collect(place: int) -> None:
            ledger = Ledger(self.url)
            number = 0
            while not over.is_set():
                batch = [f'{place}.{number}.{each}' for each in range(5)]
                with suppress(Unavailable):
                    ledger.record(SOURCE, test_store.map_entries(batch), [refusal('{}')], ['file'], NOW)
                    said.extend(batch)
                    number += 1
            ledger.close()

        with muted(), ThreadPoolExecutor(3) as pool:
            collectors = [pool.submit(collect, place) for place in range(3)]
            try:
                for _ in range(3):
                    enough = len(said) + 300
                    while len(said) < enough and not any(one.done() for one in collectors):
                        over.wait(0.005)
                    self.server.stop(signal.SIGKILL)
                    self.server.start()
            finally:
                over.set()
        self.assertEqual([one.result() for one in collectors], [None] * 3)
        self.assertGreater(len(said), 900)
        found = Counter(published(self.ledger, 'file', 1 << 30, 1 << 40))
        self.assertEqual(set(found.values()), {1})
        self.assertLessEqual(set(said), set(found))
        self.assertEqual(self.ledger.record(SOURCE, test_store.map_entries(said), (), ['file'], NOW), set(said))

    def test_a_wrong_password_is_unavailable_and_a_wrong_database_a_mistake(self):
        """A password may be about to change; a database that is not there must be made. Neither text has a secret."""
        for change, expected in (({'password': 's3cret'}, Unavailable), ({'username': 'nobody'}, Unavailable),
                                 ({'database': 'nowhere'}, ConfigError)):
            url = sqlalchemy.make_url(self.url).set(**change)
            ledger = Ledger(url.render_as_string(hide_password=False))
            for call in ledger.upgrade, ledger.check:
                with self.subTest(change), self.assertRaises(expected) as caught:
                    call()
                text = everything(caught.exception)
                self.assertNotIn(url.password, text)
                self.assertIn(change.get('database', url.username), text)
            with self.assertRaises(Unavailable):
                ledger.backlog()


@contextmanager
def muted() -> Iterator[None]:
    """Keep what libraries log of the errors that a test provokes out of its output."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def everything(error: BaseException) -> str:
    """Give all that a log would show of an error."""
    return ''.join(traceback.format_exception(error))


def breaker(last: int) -> Callable[..., None]:
    """Make a listener that breaks the connection off at the n-th statement that changes tables."""
    left = iter(range(last))

    def listener(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.lstrip().startswith(('CREATE', 'INSERT', 'UPDATE')) and next(left, None) is None:
            raise exception.DBConnectionError()

    return listener


class PostgresqlTest(OnPostgresql, Promised):
    pass


class PostgresqlRacesTest(OnPostgresql, Races):
    pass


class PostgresqlUpgradesTest(OnPostgresql, Upgrades):
    pass


class PostgresqlOutagesTest(OnPostgresql, Outages):
    pass


class MariadbTest(OnMariadb, Promised):
    pass


class MariadbRacesTest(OnMariadb, Races):
    pass


class MariadbUpgradesTest(OnMariadb, Upgrades):
    def test_whoever_is_overtaken_writes_down_no_revision(self):
        """A process that is held up in the first revision while another goes on to the last one does no harm."""
        upgrade = f'from ceilometer_paas.ledger.store import Ledger; Ledger({self.url!r}).upgrade()'
        others = []

        def overtake(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if statement.startswith('INSERT INTO alembic_version') and not others:
                others.append(subprocess.run([sys.executable, '-c', upgrade], cwd=ROOT, timeout=60))

        with test_store.broken('before_cursor_execute', overtake):
            self.ledger.upgrade()
        self.assertEqual([other.returncode for other in others], [0])
        self.ledger.upgrade()
        self.assert_upgraded()


class MariadbOutagesTest(OnMariadb, Outages):
    pass


del Promised, Races, Upgrades, Outages  # only what is built of them is run

if __name__ == '__main__':
    unittest.main()
