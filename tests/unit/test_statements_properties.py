# SPDX-License-Identifier: Apache-2.0
"""Whatever is told when, and whoever crashes: the published statements, folded by id, equal the ledger."""

import contextlib
import shutil
import tempfile
import unittest
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import hypothesis
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_db import exception
from sqlalchemy import event

from ceilometer_paas import deliver, times
from ceilometer_paas.errors import Unavailable
from ceilometer_paas.ledger import engine, lives, settling, statements
from ceilometer_paas.ledger.settling import Period
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.ledger.usage import Interval, Scope
from ceilometer_paas.model import DELETED, Fact
from ceilometer_paas.publish import samples
from tests import lives as lived
from tests.ledgers import telling
from tests.lives import HOUR, NOON, SECOND
from tests.stated import STATED, Key, Said, expected, surplus

TARGETS = 'one', 'another'
EVER = Scope(times.from_micros(NOON) - timedelta(days=999))
BEGIN = NOON + 1000 * SECOND
"""When the ledger begins: some lives have begun before."""

Step = tuple[Any, ...]


class Plan(NamedTuple):
    """What is told, and what is done, in this order.

    :ivar told: ids of messages, and their facts
    """

    told: Sequence[tuple[str, Fact]]
    steps: Sequence[Step]


class Publisher:
    """A publisher that may fail before it has published, or after, and that remembers all that arrived."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fate = 'works'
        self.arrived: list[tuple[str, int, Said]] = []

    def supports(self, name: str) -> bool:
        return True

    def __call__(self, batch: list[Any]) -> Sequence[Any]:
        if self.fate == 'fails':
            raise Unavailable('down')
        self.arrived += ((one.id, one.resource_metadata['revision'], said(one)) for one in batch)
        if self.fate == 'dies':
            raise Unavailable('died')
        return ()


def said(sample: Any) -> Said:
    """Give what a sample says, but for what may be said otherwise without a restatement."""
    about = {name: value for name, value in sample.resource_metadata.items()
             if name in ('state', 'size', 'states', 'flavors', 'highest', 'lowest', 'period')}
    return Said(sample.name, sample.resource_id, sample.timestamp, sample.volume, sample.project_id, about)


class World:
    """A ledger, two processes that work on it, and two publishers to which either of them delivers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.publishers = {name: Publisher(name) for name in TARGETS}
        self.now = times.from_micros(NOON)
        self.periods: list[tuple[int, int]] = []
        self.reached = BEGIN
        self.ledgers = [Ledger(url) for _ in range(2)]
        self.ledgers[0].begin(times.from_micros(BEGIN))
        self.ledgers[0].follow(TARGETS)
        self.deliverers = [self.make(place) for place in range(2)]

    def close(self) -> None:
        for ledger in self.ledgers:
            ledger.close()

    def make(self, place: int) -> dict[str, deliver.Deliverer]:
        return {name: deliver.Deliverer(self.ledgers[place], publisher, STATED, holder=f'process-{place}',
                                        clock=lambda: self.now, max_backoff=1)
                for name, publisher in self.publishers.items()}

    def restart(self, place: int) -> None:
        """A process ends and comes back: it remembers nothing."""
        self.ledgers[place].close()
        self.ledgers[place] = Ledger(self.url)
        self.deliverers[place] = self.make(place)

    def tell(self, told: Sequence[tuple[str, Fact]]) -> None:
        self.ledgers[0].record('cloud/nova', [telling(*one) for one in told], (), (), self.now)

    def fold(self, place: int) -> bool:
        return bool(self.ledgers[place].fold(size=1))

    def restate(self, place: int) -> bool:
        return bool(self.ledgers[place].restate(STATED.as_before))

    def catch_up(self, place: int, until: int, hours: int) -> None:
        """Work off what was told until now, and settle."""
        while self.fold(place) or self.restate(place):
            pass
        self.settle(place, until, hours)

    def settle(self, place: int, until: int, hours: int) -> None:
        """Settle; the periods are worked out once more, hour by hour.

        :param until: hours after NOON
        :param hours: length of a period
        """
        until = NOON + until * HOUR + 1
        if self.ledgers[place].settle(Period(BEGIN, hours * 3600, until)) is None:
            return
        end = until // (hours * HOUR) * hours * HOUR
        while self.reached < end:
            after = self.reached // HOUR * HOUR + HOUR
            while after % (hours * HOUR):
                after += HOUR
            self.periods.append((self.reached, after))
            self.reached = after

    def deliver(self, place: int, target: str, fate: str) -> bool:
        """Let a process deliver; whoever has the lease has let it run out."""
        self.now += timedelta(seconds=deliver.LEASE)
        self.publishers[target].fate = fate
        return bool(self.deliverers[place][target].step(self.now))

    def do(self, step: Step, told: Iterator[Sequence[tuple[str, Fact]]]) -> None:
        """Do one step, which may break off as it is written down."""
        what, breaks, *arguments = step
        with contextlib.suppress(Unavailable), broken_commits() if breaks else contextlib.nullcontext():
            if what == 'tell':
                if not breaks:
                    self.tell(next(told, ()))
            else:
                getattr(self, what)(*arguments)

    def drain(self, rest: Sequence[tuple[str, Fact]]) -> None:
        """Tell the rest, settle some more, and let everything be worked off, in larger steps."""
        self.tell(rest)
        self.catch_up(1, (self.reached - NOON) // HOUR + 7, 6)
        with small(100):
            for place, name in enumerate(TARGETS):
                while self.deliver(place, name, 'works'):
                    self.deliverers[place][name].drain()

    def faults(self) -> list[str]:
        """Say what is wrong with what arrived."""
        intervals = list(self.ledgers[0].intervals(EVER))
        return [f'{name}: {fault}' for name, publisher in self.publishers.items()
                for fault in faults(publisher.arrived, intervals, self.periods)]


def faults(arrived: Sequence[tuple[str, int, Said]], intervals: Sequence[Interval],
           periods: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Compare what arrived with what follows from the ledger."""
    newest: dict[str, tuple[int, Said]] = {}
    for identity, revision, one in arrived:
        before, other = newest.get(identity, (0, one))
        if revision < before:
            yield f'{one} arrived in revision {revision} after {before}'
        elif revision == before and one != other:
            yield f'{one} and {other} have the same revision {revision}'
        newest[identity] = max((revision, one), (before, other), key=lambda pair: pair[0])
    found: dict[Key, Said] = {one.key: one for _, one in newest.values()}
    if len(found) != len(newest):
        yield 'two ids name the same'
    should = expected(intervals, periods)
    yield from (f'{should[key]} is missing' for key in should.keys() - found.keys())
    for key, one in found.items():
        right = should.get(key) or surplus(one, intervals, periods)
        if one != right:
            yield f'{one} should be {right}'


@contextlib.contextmanager
def small(number: int) -> Iterator[None]:
    """Let everything be done in steps of so many."""
    with contextlib.ExitStack() as stack:
        for module, name in ((statements, '_RESOURCES'), (statements, '_PROJECTS'), (statements, '_RESTATED'),
                             (settling, '_LIVES'), (settling, '_SLICE'), (lives, '_CHILDREN'), (lives, '_ROWS')):
            stack.enter_context(mock.patch.object(module, name, number))
        yield


@contextlib.contextmanager
def broken_commits() -> Iterator[None]:
    """Let whatever is to be committed be lost."""
    def die(connection: Any) -> None:
        raise exception.DBConnectionError()

    event.listen(sqlalchemy.Engine, 'commit', die)
    try:
        yield
    finally:
        event.remove(sqlalchemy.Engine, 'commit', die)


# Times are often those of another fact, or a boundary.
MOMENTS = st.sampled_from([-1, 0, 0.5, 1, 1, 2, 3, 4, 6, 6, 8, 12, 13]).map(lambda hours: NOON + round(hours * HOUR))
STATES = st.sampled_from(['building', 'active', 'active', 'stopped', 'resized', DELETED])


@st.composite
def anything(draw: st.DrawFn) -> Fact:
    """Draw a fact of one of a few resources, of which one may be a part of another."""
    name = draw(st.sampled_from(['r1', 'r1', 'r2', 'part']))
    kind = draw(st.sampled_from(['transition', 'transition', 'observation', 'change']))
    time = draw(MOMENTS)
    return Fact('part' if name == 'part' else 'instance', name, kind, draw(st.sampled_from('ab')), time,
                time + draw(st.sampled_from([0, 0, 70 * SECOND])), None if kind == 'change' else draw(STATES),
                60 if kind == 'observation' else 0, draw(st.sampled_from([*lived.PROJECTS, None])), 'u1',
                draw(st.sampled_from([*lived.SIZES, {}])), {'host': draw(st.sampled_from('xy'))},
                {'parent': 'instance/r1'} if name == 'part' else {},
                ended=draw(st.sampled_from([None] * 9 + [NOON + 5 * HOUR])))


@st.composite
def machines(draw: st.DrawFn) -> list[tuple[str, Fact]]:
    """Draw the life of a machine, and that of a service's instance, as they are told; few audits."""
    told = []
    for name, one in ('m1', draw(lived.servers())), ('s1', draw(lived.services())):
        audits = [item for item in one.told if item[1].kind == 'observation']
        few = [item for item in one.told if item[1].kind != 'observation'] + audits[::len(audits) // 3 + 1]
        told += ((f'{name}-{message}', fact._replace(resource_type='instance', resource_id=name))
                 for message, fact in few)
    return told


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw what is told, in any order and some of it twice, and what is done meanwhile."""
    facts = draw(st.lists(anything(), min_size=1, max_size=12))
    told = [(f'm{place}', fact) for place, fact in enumerate(facts)]
    if draw(st.integers(0, 5)) == 0:
        told = draw(machines())
    told = draw(st.permutations(told + told[:draw(st.integers(0, 2))]))
    breaks, place, target = st.sampled_from([False] * 5 + [True]), st.integers(0, 1), st.sampled_from(TARGETS)
    times = st.sampled_from([2, 4, 5, 6, 7, 9, 12]), st.sampled_from([1, 2, 3, 3, 6])
    steps = [('tell', breaks), ('fold', breaks, place), ('restate', breaks, place), ('settle', breaks, place, *times),
             ('catch_up', st.just(False), place, *times), ('restart', st.just(False), place)]
    steps += [('deliver', breaks, place, target, st.sampled_from(['works', 'works', 'works', 'fails', 'dies']))] * 4
    step = st.sampled_from(steps).flatmap(lambda one: st.tuples(st.just(one[0]), *one[1:]))
    return Plan(told, [('tell', False), ('catch_up', False, 0, draw(times[0]), draw(times[1])),
                       *draw(st.lists(step, min_size=8, max_size=30))])


class StatementsCase(unittest.TestCase):
    """Everything is done in as small steps as can be."""

    def setUp(self) -> None:
        self.enterContext(small(1))
        self.enterContext(mock.patch.object(engine, '_SQLITE_SETTINGS', ('PRAGMA synchronous = OFF',)))
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        ledger = Ledger(f'sqlite:///{self.directory}/empty.sqlite')
        ledger.upgrade()
        ledger.close()

    def outcome(self, plan: Plan) -> list[str]:
        """Do what was planned, then the rest; what is wrong in the end."""
        with tempfile.TemporaryDirectory() as directory:
            shutil.copy(self.directory / 'empty.sqlite', f'{directory}/ledger.sqlite')
            world = World(f'sqlite:///{directory}/ledger.sqlite')
            size = max(1, len(plan.told) // 8)
            told = iter([plan.told[start:start + size] for start in range(0, len(plan.told), size)])
            try:
                for step in plan.steps:
                    world.do(step, told)
                world.drain([one for some in told for one in some])
                return world.faults()
            finally:
                world.close()


class StatementsTest(StatementsCase):
    @settings(max_examples=60, deadline=None)
    @given(plans())
    def test_what_was_published_is_what_the_ledger_says(self, plan):
        """Of each id the newest revision is right, none is missing, and none came after a newer one."""
        self.assertEqual(self.outcome(plan), [])


class BrokenStatementsTest(StatementsCase):
    """The property finds what is wrong with a way that is."""

    def expect_found(self) -> None:
        """Expect that there is a counterexample, which hypothesis fails to find otherwise."""
        example = hypothesis.find(plans(), lambda plan: bool(self.outcome(plan)), settings=settings(
            max_examples=300, derandomize=True, database=None, deadline=None, report_multiple_bugs=False,
            phases=[hypothesis.Phase.generate]))
        self.assertTrue(self.outcome(example))

    def test_marked_off_before_it_is_published(self):
        """What a crash comes between is lost."""
        def state(deliverer: Any, reckon: Any, now: Any) -> bool:
            due = deliverer._ledger.due(deliverer.name, reckon.as_before)
            if due is not None:
                deliverer._ledger.told(deliverer.name, due, [], now)
                deliverer._publish(samples.from_statements(reckon(due.accounts, due.counts)))
            return due is not None

        self.enterContext(mock.patch.object(deliver.Deliverer, '_state', state))
        self.expect_found()

    def test_what_is_gone_is_not_stated(self):
        """It stays as it was stated."""
        def cut_only(found: Any, calendar: Any, marks: Any) -> Iterator[Any]:
            return (one for one in anew(found, calendar, marks) if one.begin < one.end)

        anew = statements.anew
        self.enterContext(mock.patch.object(statements, 'anew', cut_only))
        self.expect_found()


if __name__ == '__main__':
    unittest.main()
