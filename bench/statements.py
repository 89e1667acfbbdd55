# SPDX-License-Identifier: Apache-2.0
"""What statements cost, with SQLite and PostgreSQL side by side.

* An hour of many servers, some of which changed in it, is settled and told to a publisher that throws samples away,
  and to the file publisher, until all of it is marked off; and on SQLite an hour of far more servers.
* Message samples go through the same file publisher.
* Many hours are worked off at once, after an absence.
* A late fact changes what was stated of one server for a day, a month, a year: folding, restating and telling it.

Whoever is told is a process of its own, of which the memory is measured: resident, all that is loaded included. What
leaves is summed, and has to be what the ledger says that was used; nothing is asserted about time.
"""

import argparse
import itertools
import logging
import multiprocessing
import os
import tempfile
import time
import unittest
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ceilometer import service

from bench.lives import SHIPPED, Cost, Database, days, timed
from bench.population import END, Crowd, crowd, fill, told
from bench.throughput import resident
from ceilometer_paas import serve
from ceilometer_paas.agent import collect_garbage_rarely
from ceilometer_paas.cli import demo
from ceilometer_paas.config.load import Configuration, load
from ceilometer_paas.deliver import Deliverer
from ceilometer_paas.ledger.schema import position
from ceilometer_paas.ledger.settling import Period
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.ledger.usage import Scope
from ceilometer_paas.model import Entry, dump_facts
from ceilometer_paas.publish import samples
from ceilometer_paas.publish.load import load_publishers
from ceilometer_paas.settle import Settler
from ceilometer_paas.times import to_micros

BEGIN = END - timedelta(days=366)
"""Until :data:`END` everything is settled since then, in one stroke, and told to nobody."""

HOUR = timedelta(hours=1)
METER = 'compute.instance.uptime'
COUNTED = ('active', 'paused', 'rescued', 'resized')
"""States that count; whoever is resized here was active before."""

AWAY, FILE, MESSAGES, ABSENT, LATE = 'thrown away', 'file', 'message samples, file', 'after an absence', 'late'
PARTS = 'derive', 'reckon', 'make samples', 'mark off'
LATENESS = {'a day': timedelta(days=1), 'a month': timedelta(days=30), 'a year': timedelta(days=365)}
STEPS = 4
"""Parts of a run after each of which its memory is shown."""


class Counting:
    """A publisher that counts what it passes on, or throws away."""

    def __init__(self, name: str, publish: Callable[[list[Any]], Any] = lambda _: ()) -> None:
        self.name = name
        self.number = 0
        self.seconds = 0
        self._publish = publish

    def supports(self, _meter: str) -> bool:
        return True

    def __call__(self, given: list[Any]) -> Any:
        self.number += len(given)
        self.seconds += sum(sample.volume for sample in given if sample.name == METER)
        return self._publish(given)


class Run(NamedTuple):
    """What a process did.

    :ivar seconds: of uptime, of all samples together
    :ivar memory: MB before it began, and after each step
    :ivar peak: MB
    """

    cost: Cost
    samples: int
    seconds: int
    memory: list[float]
    peak: float

    def sizes(self) -> list[float]:
        """Give what is shown of its memory."""
        return [*(self.memory[(len(self.memory) - 1) * step // STEPS] for step in range(STEPS + 1)), self.peak]


def read_configuration(directory: str) -> Configuration:
    """Read the shipped definitions, with one publisher, which writes a file into a directory."""
    demo.write_files(Path(directory), SHIPPED)
    conf = service.prepare_service(['bench', f'--config-file={directory}/ceilometer.conf'])
    logging.getLogger('ceilometer_paas').setLevel(logging.WARNING)
    return load(conf)


def deliver(url: str, name: str, to_file: bool) -> Run:
    """Be a process that delivers all that waits or is due."""
    with tempfile.TemporaryDirectory() as directory, closing(Ledger(url)) as ledger:
        config = read_configuration(directory)
        publisher = Counting(name, *load_publishers(config.targets, config.conf) if to_file else ())
        step = deliverer(ledger, publisher, config).step
        collect_garbage_rarely()
        memory = [resident(os.getpid())]
        passed, worked = time.perf_counter(), time.process_time()
        while step(END):
            memory.append(resident(os.getpid()))
        cost = Cost(time.perf_counter() - passed, time.process_time() - worked)
        if to_file:
            with open(f'{directory}/samples.jsonl', 'rb') as file:
                lines = sum(block.count(b'\n') for block in iter(lambda: file.read(1 << 20), b''))
            assert lines == publisher.number, (lines, publisher.number)
    return Run(cost, publisher.number, publisher.seconds, memory, peak())


def deliverer(ledger: Ledger, publisher: Counting, config: Configuration) -> Deliverer:
    return Deliverer(ledger, publisher, serve.reckoner(config), holder='bench', clock=lambda: END, max_backoff=1)


def peak() -> float:
    """Give the most that this process ever had in memory, MB."""
    with open('/proc/self/status') as file:
        return int(next(line for line in file if line.startswith('VmHWM')).split()[1]) / 1024


def alone(url: str, name: str, to_file: bool = False) -> Run:
    """Let a new process deliver."""
    context = multiprocessing.get_context('spawn')
    with futures.ProcessPoolExecutor(1, context) as pool:
        return pool.submit(deliver, url, name, to_file).result()


class Place:
    """A ledger with a crowd in it.

    :param targets: publishers that are to be told of what comes after :data:`END`
    """

    def __init__(self, database: Database, config: Configuration, of: Crowd, targets: Iterable[str]) -> None:
        self.database = database
        self.title = database.title
        self.number = of.number
        self._config = config
        self.url = database.make()
        self.ledger = database.open(self.url)
        fill(self.url, of.copies())
        self.ledger.begin(BEGIN)
        self.ledger.settle(Period(to_micros(BEGIN), 3600, to_micros(END)))
        self.follow(targets)
        self.settler = Settler(self.ledger, serve.reckoner(config).as_before, config.settings)
        self.runs: dict[str, list[Run]] = {}
        self.made: dict[str, int] = {}

    def follow(self, targets: Iterable[str]) -> None:
        """Take publishers to be told of everything that is settled; so they are told if that is restated."""
        self.ledger.follow(targets)
        with self.database.connected(self.url) as connection:
            connection.execute(position.update().values(since=to_micros(BEGIN)))
            connection.commit()

    def settle(self, until: datetime) -> None:
        """Settle the hours until a time; what was used in them is what is to be told."""
        settled, cost = timed(lambda: self.settler.until(until))
        assert settled is not None
        self.database.note('settle', cost)
        used = self.ledger.usage(END, until, Scope(BEGIN, 'instance'), ('state',))
        self._used = sum(usage.micros for usage in used if usage.group['state'] in COUNTED) // 1_000_000

    def run(self, what: str, name: str, to_file: bool = False) -> None:
        """Have a publisher told in a process of its own; see that what it was told is what was used."""
        run = alone(self.url, name, to_file)
        assert what == MESSAGES or run.seconds == self._used, (run.seconds, self._used)
        self.database.note(what, run.cost)
        self.database.note(each(what), run.cost, run.samples)
        self.runs.setdefault(what, []).append(run)

    def record(self, name: str, batches: Sequence[Any]) -> None:
        """Record messages that give samples, for a publisher."""
        build = serve.way_in(replace(self._config, lifecycles=()), self.ledger, [name])
        for queue, batch in batches:
            build(self._config.sources.queues[queue])(batch, END)

    def parts(self, name: str) -> None:
        """Tell a publisher that throws away, and see where the time goes."""
        reckon = serve.reckoner(self._config)
        spent, number = dict.fromkeys(PARTS, 0.0), 0
        while True:
            marks = [time.perf_counter()]
            due = self.ledger.due(name, reckon.as_before)
            marks.append(time.perf_counter())
            if due is None:
                break
            statements = list(reckon(due.accounts, due.counts))
            marks.append(time.perf_counter())
            number += len(samples.from_statements(statements))
            marks.append(time.perf_counter())
            self.ledger.told(name, due, (), END)
            marks.append(time.perf_counter())
            for part, begin, end in zip(PARTS, marks, marks[1:], strict=False):
                spent[part] += end - begin
        for part, seconds in spent.items():
            self.database.note(part, Cost(seconds, 0), number)

    def late(self, of: Crowd, turn: int) -> None:
        """Say late of some servers, of each for another time, that they stopped: fold, restate and tell it."""
        publisher = Counting(LATE)
        tell = deliverer(self.ledger, publisher, self._config)
        self.follow([LATE])
        tell.step(END)
        all_old = (copy for copy in of.copies() if copy.pattern is of.old and copy.project_id != of.largest)
        some = itertools.islice(all_old, turn * len(LATENESS), None)
        for (what, before), copy in zip(LATENESS.items(), some, strict=False):
            at, number = to_micros(END - before), publisher.number
            fact = told(copy, state='stopped', time=at, timestamp=at)
            self.ledger.record('cloud/nova', [Entry(f'late {turn} {what}', '[]', dump_facts((fact,)))], (), (), END)
            steps = self.settler.step, tell.step
            _, cost = timed(lambda: [sum(iter(partial(step, END), 0)) for step in steps])  # noqa: B023
            self.database.note(late(what), cost)
            self.made[late(what)] = publisher.number - number


def table(places: Sequence[Place]) -> Iterator[str]:
    """Show everything side by side; what was not measured is a dash."""
    def row(text: str, what: str, cell: Callable[[Place], str]) -> str:
        return f'{text:34}' + ''.join(f'{cell(place) if what in place.database.costs else "-":>30}' for place in places)

    def cost(text: str, what: str, unit: float = 1) -> str:
        return row(f'  {text}', what, lambda place: '{:.1f} ({:.1f})'.format(
            *(seconds * unit for seconds in place.database.median(what))))

    def memory(text: str, what: str) -> str:
        return row(f'  {text}', what, lambda place: ' '.join(f'{size:.0f}' for size in place.runs[what][-1].sizes()))

    yield row('', 'settle', lambda place: f'{place.title}, {place.number}')
    yield 'An hour told, until all of it is marked off, s'
    yield from (cost(what, what) for what in (AWAY, FILE))
    yield row('  samples', AWAY, lambda place: str(place.runs[AWAY][0].samples))
    yield 'Where the time goes, thrown away, ms for a thousand samples'
    for part in PARTS:
        yield row(f'  {part}', part, lambda place, part=part: f'{place.database.median(part).passed * 1e6:.1f}')
    yield 'Samples a second'
    for what in (AWAY, FILE, MESSAGES):
        yield row(f'  {what}', what, lambda place, what=what: f'{1 / place.database.median(each(what)).passed:.0f}')
    yield 'Hours after an absence, s, and samples'
    yield cost(ABSENT, ABSENT)
    yield row('  samples', ABSENT, lambda place: str(place.runs[ABSENT][0].samples))
    yield 'Memory of who tells, MB: before, after each quarter, and the most'
    yield from (memory(what, what) for what in (AWAY, FILE, ABSENT))
    yield 'A late fact of one server folded, restated and told, ms, and samples'
    for what in LATENESS:
        yield cost(late(what), late(what), 1e3)
        yield row('  samples', late(what), lambda place, what=what: str(place.made[late(what)]))


def each(what: str) -> str:
    return f'{what}, a sample'


def late(what: str) -> str:
    return f'late by {what}'


def measure(places: Sequence[Place], of: Crowd, config: Configuration, rounds: int) -> None:
    """Tell an hour again and again, to other publishers, and messages; in the end, tell late facts."""
    for place in places:
        place.settle(END + HOUR)
    seeds = itertools.count(1)
    exists = days(config)['compute.instance.exists']
    for turn, place in itertools.product(range(rounds), places):
        place.run(AWAY, f'{AWAY} {turn}')
        place.run(FILE, f'{FILE} {turn}', to_file=True)
        place.parts(f'parts {turn}')
        place.record(MESSAGES, [batch for _ in range(8) for batch in exists(next(seeds))])
        place.run(MESSAGES, MESSAGES, to_file=True)


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--servers', type=int, default=100_000, help='that are there in the hour')
    parser.add_argument('--many', type=int, default=1_000_000, help='the same, on SQLite alone; 0: leave it out')
    parser.add_argument('--hours', type=int, default=24, help='that are worked off at once')
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args(arguments)
    test = unittest.TestCase()
    logging.getLogger('alembic').setLevel(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as directory:
            config = read_configuration(directory)
        names = [f'{what} {turn}' for what in (AWAY, FILE, 'parts') for turn in range(args.rounds)]
        of = crowd(args.servers)
        places = [Place(Database(test, backend), config, of, [*names, ABSENT]) for backend in ('sqlite', 'postgresql')]
        measure(places, of, config, args.rounds)
        for place in places:
            place.settle(END + args.hours * HOUR)
            place.run(ABSENT, ABSENT)
        for turn, place in itertools.product(range(args.rounds), places):
            place.late(of, turn)
        if args.many:
            place = Place(Database(test, 'sqlite'), config, crowd(args.many), [f'{AWAY} 0'])
            place.settle(END + HOUR)
            place.run(AWAY, f'{AWAY} 0')
            places.append(place)
        print(f'Medians of {args.rounds} interleaved rounds; in brackets what the process itself worked')
        print(*table(places), sep='\n')
    finally:
        test.doCleanups()


if __name__ == '__main__':
    main()
