# SPDX-License-Identifier: Apache-2.0
"""Processes that record and fold at once, and are killed, leave the lives that one fold of all facts gives."""

import json
import multiprocessing
import os
import random
import tempfile
import time
import unittest
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from typing import Any
from unittest import mock

from ceilometer_paas import times
from ceilometer_paas.deliver import Deliverer
from ceilometer_paas.ledger import lives
from ceilometer_paas.ledger.evidence import Evidence
from ceilometer_paas.ledger.intervals import Span
from ceilometer_paas.ledger.settling import Period
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.ledger.usage import Interval, Scope
from ceilometer_paas.model import Entry, Fact, dump_facts
from tests.functional.databases import OnMariadb, OnPostgresql
from tests.ledgers import NOW, LedgerCase
from tests.lives import together
from tests.stated import STATED, Said
from tests.unit import test_lives, test_settle, test_statements, test_usage
from tests.unit.test_statements_properties import faults, said

SECOND = 1_000_000
BEGIN = times.to_micros(NOW)
EVER = Scope(NOW - timedelta(days=999))
SOURCES = 'cloud/nova', 'cloud/nova.versioned', 'cloud/trove'
FORK = multiprocessing.get_context('fork')

Batch = tuple[str, Sequence[Entry]]


def life(number: int, chance: random.Random) -> Iterator[Fact]:
    """Tell of a resource whatever a service may: in order, but as one to whom that does not matter.

    Of 200, half are parts of ten of the others, and live when those may have ended.
    """
    name, parts = f'r{number}', {'parent': f'type0/r{number % 10}'} if number >= 100 else {}
    now = BEGIN + chance.randrange(9 * SECOND) + (chance.randrange(9_000 * SECOND) if parts else 0)
    about = {'created': now, 'created_state': 'building', 'launched_state': 'active', 'project_id': 'p1',
             'user_id': 'ü', 'size': {'flavor': 'm1', 'vcpus': 2}, 'place': {'host': None}, 'attributes': parts}
    fact = Fact(f'type{len(name) % 2}', name, 'transition', 'create', now, now, 'building')._replace(**about)
    if chance.random() < 0.9:
        yield fact
    if chance.random() < 0.9:
        now += chance.randrange(1, 99 * SECOND)
        fact = fact._replace(launched=now, place={'host': chance.choice(['h1', 'h2'])})
    for _ in range(chance.randrange(9)):
        now += chance.randrange(1, 4000 * SECOND)
        kind = chance.choice(['transition', 'observation', 'change', 'witness'])
        if kind == 'change':
            fact = fact._replace(project_id=chance.choice(['p1', 'p2']), size={'flavor': chance.choice(['m1', 'm2'])})
        state = chance.choice(['active', 'stopped', 'paused']) if kind in ('transition', 'observation') else None
        yield fact._replace(kind=kind, time=now, timestamp=now + chance.randrange(SECOND), state=state, event_type=kind,
                            every=3900 if kind == 'observation' else 0,
                            attributes={**parts, 'name': f'{name} at {now}'})
    if chance.random() < 0.6:
        now += chance.randrange(1, 9 * SECOND)
        yield fact._replace(event_type='delete', time=now, timestamp=now, state='deleted', ended=now)


def deliveries(facts: Sequence[Fact], chance: random.Random) -> list[Batch]:
    """Put facts into messages, and those into batches, in any order; a tenth of the messages comes twice."""
    messages = [(chance.choice(SOURCES), Entry(f'm{number}', '[]', dump_facts((fact,))))
                for number, fact in enumerate(facts)]
    messages += chance.sample(messages, len(messages) // 10)
    chance.shuffle(messages)
    batches: list[Batch] = []
    for start in range(0, len(messages), 12):
        found = defaultdict(list)
        for source, entry in messages[start:start + 12]:
            found[source].append(entry)
        batches += found.items()
    return batches


def from_scratch(batches: Sequence[Batch]) -> dict[tuple[str, str], list[Span]]:
    """Fold everything at once, without any ledger."""
    found: defaultdict[tuple[str, str], Evidence] = defaultdict(Evidence)
    for _, entries in batches:
        for entry in entries:
            for fact in map(Fact._make, json.loads(entry.facts)):
                found[fact.resource_type, fact.resource_id].add(entry.message_id, fact)
    return {key: list(life.spans) for key, life in together(found).items()}


def as_span(interval: Interval) -> Span:
    """Give an interval as the pure fold has it."""
    begin, end = times.to_micros(interval.begin), interval.end and times.to_micros(interval.end)
    return Span(begin, end, interval.state, interval.project_id, interval.user_id, interval.size, interval.host,
                interval.availability_zone)


def record(url: str, batches: Sequence[Batch]) -> None:
    """Record batches, one after another."""
    ledger = Ledger(url)
    for source, entries in batches:
        ledger.record(source, entries, (), (), NOW)


def record_and_fold(url: str, batches: Sequence[Batch]) -> None:
    """Record batches and fold, by turns."""
    ledger = Ledger(url)
    for source, entries in batches:
        ledger.record(source, entries, (), (), NOW)
        ledger.fold(size=3000)
    ledger.catch_up()


def utcnow() -> datetime:
    return datetime.now(UTC)


class File:
    """A publisher of which all processes write what arrives into one file, in the order of arrival."""

    name = 'file'

    def __init__(self, path: str) -> None:
        self.path = path

    def supports(self, name: str) -> bool:
        return True

    def __call__(self, samples: list[Any]) -> Sequence[Any]:
        with open(self.path, 'a', encoding='ascii') as file:
            file.writelines(f'{json.dumps([one.id, one.resource_metadata["revision"], said(one)])}\n'
                            for one in samples)
        return ()

    def arrived(self) -> list[tuple[str, int, Said]]:
        """List what arrived."""
        with open(self.path, encoding='ascii') as file:
            return [(identity, revision, Said(*one)) for identity, revision, one in map(json.loads, file)]


def settle_and_deliver(url: str, batches: Sequence[Batch], path: str) -> None:
    """Record batches, and after each settle a little more and deliver, as long as nobody else does."""
    ledger = Ledger(url)
    deliverer = Deliverer(ledger, File(path), STATED, holder=f'process {os.getpid()}', clock=utcnow, max_backoff=1)
    for place, (source, entries) in enumerate(batches):
        ledger.record(source, entries, (), (), NOW)
        ledger.fold(size=3000)
        ledger.restate(STATED.as_before)
        ledger.settle(Period(BEGIN, 3600, BEGIN + place * 1000 * SECOND))
        deliverer.drain()


def fold_for_ever(url: str, begun: Event) -> None:
    """Fold in small steps, until somebody ends it; tell of the first."""
    ledger = Ledger(url)
    while True:
        if ledger.fold(size=1500):
            begun.set()
        else:
            time.sleep(0.001)


class Folding(test_lives.FoldTest, test_lives.ChildrenTest, test_lives.CatchUpTest, test_lives.BeginningTest):
    """What the unit tests ask of folding."""


class Questions(test_usage.IntervalTest, test_usage.ResourceTest, test_usage.SumTest):
    """What the unit tests ask of questions."""


class Statements(test_statements.ToldTest, test_statements.RestatedTest, test_statements.PublishersTest,
                 test_settle.SettlerTest):
    """What the unit tests ask of settling, restating, and what publishers are told."""


class Processes(LedgerCase):
    """What the ledger of lives promises of several processes."""

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(lives, '_CHILDREN', 3))

    def make(self) -> str:
        """Make a place; SQLite waits for locks as long as an agent does."""
        return super().make().removesuffix('?timeout=0.1')

    def start(self, work: Callable[..., None], *arguments: object) -> FORK.Process:
        """Let another process do it."""
        self.ledger.close()  # whatever a process has open is not for its children
        process = FORK.Process(target=work, args=(self.url, *arguments))
        process.start()
        self.addCleanup(process.kill)
        return process

    def assert_lives(self, batches: Sequence[Batch]) -> None:
        """Expect the lives that one fold gives."""
        found: defaultdict[tuple[str, str], list[Span]] = defaultdict(list)
        for interval in self.ledger.intervals(EVER):
            found[interval.resource_type, interval.resource_id].append(as_span(interval))
        expected = from_scratch(batches)
        self.assertEqual(found, {key: spans for key, spans in expected.items() if spans})
        self.assertEqual({(one.resource_type, one.resource_id) for one in self.ledger.resources(EVER)}, set(expected))
        self.assertEqual((self.count('journal'), self.count('resource')), (0, len(expected)))
        self.assert_usage(expected)

    def assert_usage(self, expected: dict[tuple[str, str], list[Span]]) -> None:
        """Expect that the time of some hours is summed to the microsecond."""
        begin, end = BEGIN + 1234567, BEGIN + 8000 * SECOND + 765432
        sums: defaultdict[str, int] = defaultdict(int)
        for (resource_type, _), spans in expected.items():
            for span in spans:
                part = min(span.end or end, end) - max(span.begin, begin)
                sums[f'{resource_type} {span.project_id} {span.state} {sorted(span.size.items())}'] += max(part, 0)
        rows = self.ledger.usage(times.from_micros(begin), times.from_micros(end), EVER,
                                 ('resource_type', 'project_id', 'state', 'size'))
        self.assertEqual({'{resource_type} {project_id} {state} '.format_map(row.group)
                          + str(sorted(row.group['size'].items())): row.micros for row in rows},
                         {group: micros for group, micros in sums.items() if micros})

    def test_processes_that_record_and_fold_at_once_agree(self):
        """200 lives, told in any order and partly twice to three processes, are what one fold of them is."""
        chance = random.Random(1)
        batches = deliveries([fact for number in range(200) for fact in life(number, chance)], chance)
        workers = [self.start(record_and_fold, batches[place::3] + batches[:9]) for place in range(3)]
        for worker in workers:
            worker.join(60)
        self.assertEqual([worker.exitcode for worker in workers], [0, 0, 0])
        self.assert_lives(batches)

    def test_a_folder_that_is_killed_loses_and_doubles_nothing(self):
        """Whenever kill -9 comes, what was folded is kept and what was not is still in the journal."""
        chance = random.Random(2)
        batches = deliveries([fact for number in range(200) for fact in life(number, chance)], chance)
        recorder = self.start(record, batches)
        interrupted = 0
        for _ in range(12):
            begun = FORK.Event()
            folder = self.start(fold_for_ever, begun)
            begun.wait(1)
            time.sleep(chance.random() / 20)
            folder.kill()
            folder.join(60)
            interrupted += self.count('journal') > 0
        recorder.join(60)
        self.assertEqual(recorder.exitcode, 0)
        self.assertGreater(interrupted, 3)
        self.ledger.catch_up()
        self.assert_lives(batches)

    def test_a_question_during_folding_sees_one_state(self):
        """Time is neither missing nor counted twice, and a resource's row, intervals and facts fit together."""
        chance = random.Random(3)
        first = [Fact('server', f'r{number}', 'transition', 'create', BEGIN, BEGIN, 'active', project_id='p1')
                 for number in range(8)]
        turns = [fact._replace(time=BEGIN + turn * SECOND, timestamp=BEGIN + turn * SECOND, event_type='turn',
                               state=('active', 'stopped')[turn % 2]) for turn in range(1, 60) for fact in first]
        record(self.url, deliveries(first, chance))
        self.ledger.catch_up()
        record(self.url, deliveries(turns, chance))
        begin, end = times.from_micros(BEGIN), times.from_micros(BEGIN + 100 * SECOND)
        folder = self.start(fold_for_ever, FORK.Event())
        told = set()
        while self.count('journal'):
            usage = self.ledger.usage(begin, end, EVER, ('resource_id',))
            self.assertEqual({row.group['resource_id']: row.micros for row in usage},
                             {f'r{number}': 100 * SECOND for number in range(8)})
            for story in self.ledger.life(EVER._replace(resource_id=f'r{chance.randrange(8)}')):
                told.add(len(story.testimonies))
                spans = [as_span(interval) for interval in story.intervals]
                self.assertEqual([span.end for span in spans], [*(span.begin for span in spans[1:]), None])
                self.assertEqual((story.resource.state, story.resource.since),
                                 (spans[-1].state, times.from_micros(spans[-1].begin)))
                states = {one.time: one.state for one in story.testimonies}
                self.assertEqual([span.state for span in spans], [states[span.begin] for span in spans])
                self.assertEqual(len(spans), 1 + sum(states[one] != states[other] for one, other in
                                                     zip(sorted(states)[1:], sorted(states), strict=False)))
        folder.kill()
        self.assertGreater(len(told.difference((1, 60))), 2, 'no question came in between')

    def test_processes_that_settle_and_deliver_at_once_agree(self):
        """What arrived at a publisher, by whichever of three, is what the ledger says; none after a newer revision."""
        chance = random.Random(5)
        batches = deliveries([fact for number in range(80, 120) for fact in life(number, chance)], chance)
        self.ledger.begin(NOW)
        self.ledger.follow(['file'])
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'arrived')
        workers = [self.start(settle_and_deliver, batches[place::3] + batches[:9], path) for place in range(3)]
        for worker in workers:
            worker.join(120)
        self.assertEqual([worker.exitcode for worker in workers], [0, 0, 0])
        hours = 20
        self.ledger.catch_up()
        while self.ledger.restate(STATED.as_before):
            pass
        self.ledger.settle(Period(BEGIN, 3600, BEGIN + hours * 3600 * SECOND))
        publisher = File(path)
        Deliverer(self.ledger, publisher, STATED, holder='me', clock=utcnow, max_backoff=1).drain()
        periods = [(at, at + 3600 * SECOND) for at in range(BEGIN, BEGIN + hours * 3600 * SECOND, 3600 * SECOND)]
        arrived = publisher.arrived()
        self.assertEqual(list(faults(arrived, list(self.ledger.intervals(EVER)), periods)), [])
        self.assertTrue(any(revision > 1 for _, revision, _ in arrived))

    def test_sizes_that_differ_late_are_grouped_apart(self):
        """Usage tells long sizes apart that begin alike."""
        long = 'x' * 250
        facts = [Fact('server', f'r{number}', 'transition', 'create', BEGIN, BEGIN, 'active', project_id='p1',
                      size={**{f'a{place}': long for place in range(9)}, 'vcpus': number}) for number in range(3)]
        record(self.url, deliveries(facts, random.Random(4)))
        self.ledger.catch_up()
        rows = self.ledger.usage(NOW, NOW + timedelta(hours=1), EVER, ('size',))
        self.assertEqual({row.group['size']['vcpus']: row.micros for row in rows},
                         dict.fromkeys(range(3), 3600 * SECOND))


class PostgresqlFoldingTest(OnPostgresql, Folding):
    pass


class PostgresqlQuestionsTest(OnPostgresql, Questions):
    pass


class MariadbFoldingTest(OnMariadb, Folding):
    pass


class MariadbQuestionsTest(OnMariadb, Questions):
    pass


class PostgresqlStatementsTest(OnPostgresql, Statements):
    pass


class MariadbStatementsTest(OnMariadb, Statements):
    pass


class SqliteProcessesTest(Processes):
    pass


class PostgresqlProcessesTest(OnPostgresql, Processes):
    pass


class MariadbProcessesTest(OnMariadb, Processes):
    pass


del Folding, Questions, Statements, Processes  # only what is built of them is run

if __name__ == '__main__':
    unittest.main()
