# SPDX-License-Identifier: Apache-2.0
"""What the ledger of lives costs, with SQLite, PostgreSQL and MariaDB side by side.

* Recording: batches of messages through the way in (decode, translate, observe, record), without lifecycle definitions
  and with the shipped ones; and folding what a day told.
* Questions to a ledger with many servers, each a month old.
* Folding the next audit of all of them, in a process of its own, of which the memory is measured.

The databases take turns in rounds, and medians are shown: the time that passed, and in brackets the time that the
process itself worked. The two servers are private ones with small caches, and do not wait for the disk; SQLite does.
What is recorded, folded and answered is counted; nothing is asserted about time.
"""

import argparse
import gc
import itertools
import logging
import multiprocessing
import os
import statistics
import tempfile
import time
import unittest
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from ceilometer import service

from bench.population import BATCH, BEGIN, END, NOVA, PATTERNS, PROJECTS, Month, audits, envelope, fill, month
from bench.throughput import resident
from ceilometer_paas import serve, simulate
from ceilometer_paas.cli import demo
from ceilometer_paas.config.load import Configuration, load
from ceilometer_paas.ledger import engine
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.ledger.usage import Scope
from ceilometer_paas.model import RECORDED, Envelope, Outcome
from tests.functional.databases import MARIADB, POSTGRESQL
from tests.translation import ROOT

SHIPPED = Path(ROOT, 'etc', 'ceilometer_paas')
VMS = 100
"""Servers of the simulated cloud whose days are recorded; it has databases, zones, shares and more besides."""

STEPS = 10
"""Parts in which the audit of all servers is folded; after some of them the memory is shown."""

SHOWN = (0, 2, 5, 10)
VERSIONS = {'sqlite': ('SQLite', 'SELECT sqlite_version()'),
            'postgresql': ('PostgreSQL', "SELECT split_part(version(), ' ', 2)"),
            'mysql': ('MariaDB', "SELECT substring_index(version(), '-', 1)")}

KINDS = 'compute.instance.exists', 'what gives samples anyway', 'all of a day'
QUESTIONS = "interval list, a project's month", "usage list, everybody's month", 'resource show'

Batches = list[tuple[str, list[Envelope]]]
"""Names of queues, and what comes from them."""

_T = TypeVar('_T')


class Cost(NamedTuple):
    """Seconds that passed, and seconds that this process worked."""

    passed: float
    worked: float


def timed(call: Callable[[], _T]) -> tuple[_T, Cost]:
    """Call, and take the time; what the bench itself keeps is no burden on the garbage collector meanwhile."""
    gc.collect()
    gc.freeze()
    passed, worked = time.perf_counter(), time.process_time()
    result = call()
    cost = Cost(time.perf_counter() - passed, time.process_time() - worked)
    gc.unfreeze()
    return result, cost


def drain(ledger: Ledger) -> int:
    """Fold all that is journalled; how many messages that were."""
    return sum(iter(ledger.fold, 0))


class Database:
    """A database server, or SQLite, and what was measured with it.

    :ivar costs: what was done -> what it cost each time, for one of whatever it was done to
    """

    def __init__(self, test: unittest.TestCase, backend: str) -> None:
        self._test = test
        self._backend = backend
        self.costs: defaultdict[str, list[Cost]] = defaultdict(list)
        self.memory: list[float] = []
        name, version = VERSIONS[backend]
        with self.connected(self.make()) as connection:
            self.title = f'{name} {connection.exec_driver_sql(version).scalar()}'

    def make(self) -> str:
        """Make an empty database: its URL."""
        if self._backend != 'sqlite':
            return {'postgresql': POSTGRESQL, 'mysql': MARIADB}[self._backend].database(self._test)
        directory = tempfile.TemporaryDirectory()
        self._test.addCleanup(directory.cleanup)
        return f'sqlite:///{directory.name}/ledger.sqlite'

    def open(self, url: str) -> Ledger:
        """Open a ledger."""
        ledger = Ledger(url)
        self._test.addCleanup(ledger.close)
        ledger.upgrade()
        return ledger

    @contextmanager
    def connected(self, url: str) -> Iterator[sa.Connection]:
        """Connect by other means than a ledger's."""
        database = engine.create(url)
        with database.connect() as connection:
            yield connection
        database.dispose()

    def note(self, what: str, cost: Cost, number: int = 1) -> None:
        """Note what something cost that was done to a number of things."""
        self.costs[what].append(Cost(*(seconds / number for seconds in cost)))

    def median(self, what: str) -> Cost:
        return Cost(*map(statistics.median, zip(*self.costs[what], strict=True)))

    def plan(self, url: str, ask: Callable[[], Any]) -> Iterator[str]:
        """Let the database explain how it answers a question."""
        asked: dict[str, Any] = {}

        def listen(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if statement.startswith('SELECT') and 'state_interval' in statement:
                asked.setdefault(statement, parameters)

        sa.event.listen(sa.Engine, 'before_cursor_execute', listen)
        ask()
        sa.event.remove(sa.Engine, 'before_cursor_execute', listen)
        explain = 'EXPLAIN QUERY PLAN' if self._backend == 'sqlite' else 'EXPLAIN'
        with self.connected(url) as connection:
            for number, (statement, parameters) in enumerate(asked.items(), 1):
                for row in connection.exec_driver_sql(f'{explain} {statement}', parameters):
                    words = row[-1:] if self._backend != 'mysql' else [
                        f'{name}={value}' for name, value in row._mapping.items() if value is not None]
                    yield f'{number}: {" ".join(map(str, words))}'[:118]


class Recording:
    """The way in, without and with lifecycle definitions, each into a ledger of its own."""

    def __init__(self, database: Database, config: Configuration) -> None:
        self._database = database
        self._ledger = database.open(database.make())
        self._servers: set[str] = set()
        other = database.open(database.make())
        self._ways = {'without': serve.way_in(replace(config, lifecycles=()), other),
                      'with': serve.way_in(config, self._ledger)}
        self._queues = config.sources.queues

    def round(self, kind: str, batches: Batches, turn: int) -> None:
        """Record messages both ways, and fold; see that nothing is missing."""
        number = sum(len(batch) for _, batch in batches)
        recorded = {}
        for name in sorted(self._ways, reverse=turn % 2 == 0):
            collectors = {queue: self._ways[name](self._queues[queue]) for queue, _ in batches}

            def record(collectors: Any = collectors) -> list[list[Outcome]]:
                return [collectors[queue](batch, END) for queue, batch in batches]
            outcomes, cost = timed(record)
            recorded[name] = sum(batch.count(RECORDED) for batch in outcomes)
            self._database.note(f'{kind}, {name}', cost, number)
        folded, cost = timed(lambda: drain(self._ledger))
        self._database.note(f'{kind}, folded', cost, folded)
        self._servers.update(given.message['payload']['instance_id'] for queue, batch in batches if queue == NOVA
                             for given in batch)
        assert recorded['with'] - recorded['without'] <= folded, (recorded, folded)
        known = {one.resource_id for one in self._ledger.resources(Scope(BEGIN, 'instance'))}
        assert known == self._servers, len(known ^ self._servers)


class Nowhere:
    """A ledger that keeps nothing."""

    def record(self, *_: Any) -> set[str]:
        return set()


def days(config: Configuration) -> dict[str, Callable[[int], Batches]]:
    """Prepare what gives, for a seed, a cloud's day or parts of it, in batches by the queue that they come from."""
    queues = {queue.exchange: queue for queue in config.sources.queues.values()}
    build = serve.way_in(replace(config, lifecycles=()), Nowhere())
    meter = {queue.name: build(queue) for queue in queues.values()}

    def day(seed: int, wanted: Callable[[str, Envelope], bool]) -> Batches:
        sent: defaultdict[str, list[Envelope]] = defaultdict(list)
        for message in simulate.cloud_day(seed, BEGIN, servers=VMS):
            queue, given = queues[message.exchange].name, envelope(message)
            if wanted(queue, given):
                sent[queue].append(given)
        return [(queue, messages[start:start + BATCH]) for queue, messages in sent.items()
                for start in range(0, len(messages), BATCH)]

    return {'compute.instance.exists': partial(
                day, wanted=lambda queue, given: given.message['event_type'] == 'compute.instance.exists'),
            'what gives samples anyway': partial(
                day, wanted=lambda queue, given: meter[queue]([given], END) == [RECORDED]),
            'all of a day': partial(day, wanted=lambda queue, given: True)}


def record(databases: list[Database], config: Configuration, rounds: int) -> None:
    """Record a cloud's days, and parts of them."""
    seeds = itertools.count(1)
    recordings = [Recording(database, config) for database in databases]
    for turn, (kind, day), recording in itertools.product(range(rounds), days(config).items(), recordings):
        recording.round(kind, day(next(seeds)), turn)


def ask(databases: list[Database], urls: list[str], of: Month, rounds: int) -> None:
    """Ask ledgers of a month: a project's, everybody's, a server's; see that the answers are complete."""
    ledgers = [database.open(url) for database, url in zip(databases, urls, strict=True)]
    for turn in range(rounds):
        copy = of.copies[turn * PATTERNS]
        one, its = Scope(BEGIN, 'instance', copy.resource_id), Scope(BEGIN, project_id=copy.project_id)
        calls: tuple[tuple[Callable[[Ledger], int], int], ...] = (
            (lambda ledger, its=its: len(list(ledger.intervals(its, BEGIN, END))), of.intervals // PROJECTS),
            (lambda ledger: sum(used.micros for used in ledger.usage(BEGIN, END, Scope(BEGIN))), of.micros),
            (lambda ledger, one=one: len(ledger.life(one)[0].intervals), len(copy.pattern.intervals)))
        for question, (call, right) in zip(QUESTIONS, calls, strict=True):
            for database, ledger in zip(databases, ledgers, strict=True):
                answer, cost = timed(partial(call, ledger))
                database.note(question, cost)
                assert answer == right, (database.title, question, answer, right)
    for database, url, ledger in zip(databases, urls, ledgers, strict=True):
        scope = Scope(BEGIN, project_id=of.copies[-1].project_id)
        print(f'\nHow {database.title} answers "{QUESTIONS[0]}", by its own EXPLAIN')
        print(*database.plan(url, lambda: list(ledger.intervals(scope, BEGIN, END))), sep='\n')  # noqa: B023


def fold_on_demand(pipe: Connection, url: str) -> None:
    """Be a process that folds whenever it is told to, and says how many messages, what it cost, and how large it is."""
    ledger = Ledger(url)
    while pipe.recv():
        folded, cost = timed(lambda: drain(ledger))
        pipe.send((folded, cost, resident(os.getpid())))


def audit(databases: list[Database], urls: list[str], of: Month) -> None:
    """Record the next audit of all servers of a month, part by part, and fold it in other processes."""
    entries = audits(of.copies)
    part = len(entries) // STEPS
    context = multiprocessing.get_context('spawn')
    ledgers = [database.open(url) for database, url in zip(databases, urls, strict=True)]
    pipes, processes = [], []
    for url in urls:
        pipe, other = context.Pipe()
        pipes.append(pipe)
        processes.append(context.Process(target=fold_on_demand, args=(other, url), daemon=True))
        processes[-1].start()
    for step in range(STEPS + 1):
        some = entries[(step - 1) * part:step * part] if step else []
        for database, ledger, pipe in zip(databases, ledgers, pipes, strict=True):
            for start in range(0, len(some), BATCH):
                ledger.record('cloud/nova', some[start:start + BATCH], (), (), END + timedelta(hours=1))
            pipe.send(True)
            folded, cost, size = pipe.recv()
            assert folded == len(some), (folded, len(some))
            if step:
                database.note('audits, folded', cost, folded)
            database.memory.append(size)
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(False)
        process.join()


def table(databases: list[Database], of: Month) -> Iterator[str]:
    """Show everything side by side."""
    def row(text: str, cells: Iterable[str]) -> str:
        return f'{text:54}' + ''.join(f'{cell:>20}' for cell in cells)

    def medians(text: str, what: str, unit: float) -> str:
        costs = [database.median(what) for database in databases]
        return row(f'  {text}', (f'{cost.passed * unit:.{digits}f} ({cost.worked * unit:.{digits}f})'
                                 for cost in costs for digits in [0 if cost.passed * unit >= 100 else 1]))

    yield row('', (database.title for database in databases))
    yield f'Recording, batches of up to {BATCH}, µs a message'
    for kind in KINDS:
        yield medians(f'{kind}, no lifecycles', f'{kind}, without', 1e6)
        yield medians('  shipped lifecycles', f'{kind}, with', 1e6)
        pairs = [(database.median(f'{kind}, with'), database.median(f'{kind}, without')) for database in databases]
        yield row('    times', (f'{one.passed / other.passed:.2f} ({one.worked / other.worked:.2f})'
                                for one, other in pairs))
    yield 'Folding, µs a message'
    yield medians('new lives: all of a day', 'all of a day, folded', 1e6)
    yield medians('lives a month old: an audit of each', 'audits, folded', 1e6)
    yield f'Questions to {len(of.copies)} servers of {PROJECTS} projects, {of.intervals} intervals, ms'
    for question in QUESTIONS:
        yield medians(question, question, 1e3)
    yield 'Resident memory of the folding process, MB'
    for step in SHOWN:
        yield row(f'  after {len(of.copies) * step // STEPS} servers', (f'{one.memory[step]:.0f}' for one in databases))


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--servers', type=int, default=100_000,
                        help=f'in the ledger of which questions are asked: a multiple of {PROJECTS * PATTERNS}')
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args(arguments)
    if args.servers < 1 or args.servers % (PROJECTS * PATTERNS):
        parser.error(f'--servers is {args.servers}; it is a multiple of {PROJECTS * PATTERNS}')
    test = unittest.TestCase()
    try:
        with tempfile.TemporaryDirectory() as directory:
            demo.write_files(Path(directory), SHIPPED)
            config = load(service.prepare_service(['bench', f'--config-file={directory}/ceilometer.conf']))
        logging.getLogger('alembic').setLevel(logging.WARNING)
        databases = [Database(test, backend) for backend in VERSIONS]
        record(databases, config, args.rounds)
        of = month(args.servers, config)
        urls = [database.make() for database in databases]
        for database, url in zip(databases, urls, strict=True):
            database.open(url)
            fill(url, of.copies)
        ask(databases, urls, of, args.rounds)
        audit(databases, urls, of)
        print(f'\nMedians of {args.rounds} interleaved rounds; in brackets what the process itself worked')
        print(*table(databases, of), sep='\n')
    finally:
        test.doCleanups()


if __name__ == '__main__':
    main()
