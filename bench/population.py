# SPDX-License-Identifier: Apache-2.0
"""Ledgers with many servers: each a month old, and the next audit of each; or of all ages, and what one hour changed.

A few patterns go the whole way: messages or facts, journal, fold. All others are copies of their rows under other ids
and projects, written into the tables directly, for the messages of all of them would take most of a day.
"""

import itertools
import random
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa

from ceilometer_paas import serve, times
from ceilometer_paas.config.load import Configuration
from ceilometer_paas.decode import Decoder, split_context
from ceilometer_paas.ledger import engine
from ceilometer_paas.ledger.schema import evidence, resource, state_interval
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.ledger.usage import Scope
from ceilometer_paas.model import Entry, Envelope, Fact, Notification, dump_facts
from ceilometer_paas.simulate import bus, nova

BEGIN, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
PROJECTS = 200
PATTERNS = 20
"""Every other one is switched off in the course of the month, so that it has three intervals instead of two."""

NOVA = 'ceilometer-paas.nova'
BATCH = 200

_TENANT = bus.Tenant('pattern', 'f' * 32, 'e' * 32)
_AFTER = END + timedelta(hours=1)
_SLICE = 1000
_DAY = 86400

_Story = Sequence[tuple[int, str]]
"""Seconds from :data:`END`, and the state that a server is in since then."""

_OLD: _Story = (-400 * _DAY, 'building'), (-400 * _DAY + 40, 'active')
_RESTLESS: _Story = [(day * _DAY + hours * 3600, state) for day in range(-30, 0)
                     for hours, state in ((7, 'active'), (19, 'stopped'))]
STORIES: Sequence[tuple[int, _Story]] = (
    (780, _OLD),
    (120, (*_OLD, (-10 * _DAY, 'stopped'))),
    (30, (*_OLD, *_RESTLESS)),
    (30, (*_OLD, (900, 'stopped'), (1200, 'active'))),
    (10, (*_OLD, (600, 'resized'), (720, 'active'))),
    (10, (*_OLD, (1500, 'paused'))),
    (10, ((1800, 'building'), (1840, 'active'))),
    (10, (*_OLD, (2400, 'deleted'))),
    (200, (*_OLD, (-20 * _DAY, 'deleted'))))
"""Of how many it was so, for each thousand that are there in the hour after :data:`END`; the last were gone before."""


class Pattern(NamedTuple):
    """A server: its rows, without their numbers, and what is told of it next (of a month's, its next audit)."""

    resource: Mapping[str, Any]
    evidence: str
    intervals: Sequence[Mapping[str, Any]]
    news: Fact


class Copy(NamedTuple):
    """A server like one of the patterns."""

    pattern: Pattern
    resource_id: str
    project_id: str


class Month(NamedTuple):
    """Many servers; each project has equally many of each pattern.

    :ivar micros: how long all of them together have been in any state
    """

    copies: Sequence[Copy]
    intervals: int
    micros: int


class Crowd(NamedTuple):
    """Many servers of all ages, a project for each hundred of them, but a fifth in one.

    :ivar old: one of :data:`STORIES` that was active for more than a year, and still is
    """

    patterns: Sequence[Pattern]
    number: int

    @property
    def old(self) -> Pattern:
        return self.patterns[0]

    @property
    def largest(self) -> str:
        """Name the project of a fifth of them."""
        return _project(-1)

    def copies(self) -> Iterator[Copy]:
        """Give them in an order that mixes all, always the same."""
        chance = random.Random(self.number)
        weights = [weight for weight, _ in STORIES]
        total = self.number * sum(weights) // 1000
        for pattern in chance.choices(self.patterns, weights, k=total):
            project = chance.randrange(max(1, total // 100)) if chance.random() < 0.8 else -1
            yield Copy(pattern, str(uuid.UUID(int=chance.getrandbits(128), version=4)), _project(project))


def _project(number: int) -> str:
    return uuid.uuid5(uuid.NAMESPACE_DNS, str(number)).hex


def envelope(message: bus.Message) -> Envelope:
    """Give a message as the listener does."""
    return split_context(message.body, 4000)


def decode(given: Envelope) -> Notification:
    """Decode a message of Nova's."""
    return Decoder('oslo', 1 << 20, 1000)(given)


def month(number: int, config: Configuration) -> Month:
    """Think of a number of servers; their patterns' messages are collected and folded."""
    day = bus.Day(1, BEGIN, _AFTER)
    lives = [list(_life(day, place)) for place in range(PATTERNS)]
    with tempfile.TemporaryDirectory() as directory:
        url = f'sqlite:///{directory}/patterns.sqlite'
        with closing(Ledger(url)) as ledger:
            ledger.upgrade()
            collect = serve.way_in(config, ledger, [])(config.sources.queues[NOVA])
            for life in lives:
                told = [envelope(message) for at, message in life if at < END]
                for start in range(0, len(told), BATCH):
                    collect(told[start:start + BATCH], END)
                while ledger.fold():
                    pass
            used, = ledger.usage(BEGIN, END, Scope(BEGIN), ('resource_type',))
        expected = sum(times.to_micros(END) - times.to_micros(life[0][0]) for life in lives)
        assert abs(used.micros - expected) < PATTERNS * 1_000_000, (used, expected)
        observe = serve.observer(config)
        audits = [observe(decode(envelope(life[-1][1])), NOVA, times.to_micros(_AFTER))[0] for life in lives]
        patterns = list(_patterns(url, audits))
    chance = random.Random(number)
    projects = [f'{chance.getrandbits(128):032x}' for _ in range(PROJECTS)]
    copies = [Copy(patterns[place % PATTERNS], str(uuid.UUID(int=chance.getrandbits(128), version=4)),
                   projects[place // PATTERNS % PROJECTS]) for place in range(number)]
    return Month(copies, sum(len(copy.pattern.intervals) for copy in copies), used.micros * number // PATTERNS)


def crowd(number: int) -> Crowd:
    """Think of servers, of which so many are there in the hour after :data:`END`, or begin then."""
    with tempfile.TemporaryDirectory() as directory:
        url = f'sqlite:///{directory}/patterns.sqlite'
        lives = [[_fact(place, *change) for change in story] for place, (_, story) in enumerate(STORIES)]
        with closing(Ledger(url)) as ledger:
            ledger.upgrade()
            ledger.record('cloud/nova', [Entry(f'{place} {number}', '[]', dump_facts((fact,)))
                                         for place, life in enumerate(lives)
                                         for number, fact in enumerate(life)], (), (), END)
            ledger.catch_up()
        return Crowd(list(_patterns(url, [life[-1] for life in lives])), number)


def _fact(place: int, after: int, state: str) -> Fact:
    at = times.to_micros(END) + after * 1_000_000
    size = {'ephemeral_gb': 0, 'flavor': 'm1.small', 'memory_mb': 2048, 'root_gb': 20, 'vcpus': 1}
    return Fact('instance', f'pattern-{place}', 'transition', 'bench', at, at, state, 0, _TENANT.project_id,
                _TENANT.user_id, size, {'availability_zone': 'nova', 'host': 'compute-1'}, {'name': f'server-{place}'})


def _life(day: bus.Day, number: int) -> Iterator[bus.Sent]:
    server = nova.Server(day, _TENANT, number)
    story = [(day.at(11 + number), partial(nova.Server.create, server))]
    if number % 2:
        story.append((day.at((3 + number) * 1440), partial(nova.Server.stop, server)))
    return bus.play(day, story, day.every(server.audit, 60, first=0.5))


def _patterns(url: str, news: Iterable[Fact]) -> Iterator[Pattern]:
    rows = sa.select(resource, evidence.c.body).join(evidence, evidence.c.resource_no == resource.c.id)
    with engine.begin(engine.create(url)) as connection:
        for fact in news:
            row = connection.execute(rows.where(resource.c.resource_id == fact.resource_id)).mappings().one()
            spans = connection.execute(sa.select(state_interval).where(
                state_interval.c.resource_no == row['id']).order_by(state_interval.c.begins_at)).mappings().all()
            yield Pattern(_without(row, 'id', 'body'), row['body'], [_without(span, 'id') for span in spans], fact)


def _without(row: Mapping[Any, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def fill(url: str, copies: Iterable[Copy]) -> None:
    """Write servers into an empty ledger, and let PostgreSQL count them, as it would do by itself within a minute."""
    database = engine.create(url)
    with database.begin() as connection:
        rest = iter(copies)
        while some := list(itertools.islice(rest, _SLICE)):
            _write(connection, some)
    if database.dialect.name == 'postgresql':
        with database.begin() as connection:
            connection.exec_driver_sql('ANALYZE')
    database.dispose()


def _write(connection: sa.Connection, copies: Sequence[Copy]) -> None:
    connection.execute(resource.insert(), [
        {**copy.pattern.resource, 'resource_id': copy.resource_id, 'project_id': copy.project_id} for copy in copies])
    ids = [copy.resource_id for copy in copies]
    query = sa.select(resource.c.resource_id, resource.c.id).where(
        resource.c.resource_type == copies[0].pattern.resource['resource_type'], resource.c.resource_id.in_(ids))
    numbers: dict[str, int] = dict(connection.execute(query).tuples().all())
    connection.execute(evidence.insert(), [
        {'resource_no': numbers[copy.resource_id],
         'body': copy.pattern.evidence.replace(_TENANT.project_id, copy.project_id)} for copy in copies])
    connection.execute(state_interval.insert(), [
        {**span, 'resource_no': numbers[copy.resource_id], 'project_id': copy.project_id}
        for copy in copies for span in copy.pattern.intervals])


def audits(copies: Sequence[Copy]) -> list[Entry]:
    """Give what the next audit tells of each server, as collecting records it."""
    return [Entry(f'audit-{copy.resource_id}', '[]', dump_facts((told(copy),))) for copy in copies]


def told(copy: Copy, **otherwise: Any) -> Fact:
    """Give what is told of a server next; some of it otherwise."""
    return copy.pattern.news._replace(resource_id=copy.resource_id, project_id=copy.project_id, **otherwise)
