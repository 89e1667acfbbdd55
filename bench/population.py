# SPDX-License-Identifier: Apache-2.0
"""A ledger with many servers, each a month old, and the next audit of each.

A few patterns go the whole way: messages, facts, journal, fold. All others are copies of their rows under other ids and
projects, written into the tables directly, for the messages of all of them would take most of a day.
"""

import random
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
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


class Pattern(NamedTuple):
    """A server that was a month old: its rows, without their numbers, and what its next audit tells."""

    resource: Mapping[str, Any]
    evidence: str
    intervals: Sequence[Mapping[str, Any]]
    audit: Fact


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


def _life(day: bus.Day, number: int) -> Iterator[bus.Sent]:
    server = nova.Server(day, _TENANT, number)
    story = [(day.at(11 + number), partial(nova.Server.create, server))]
    if number % 2:
        story.append((day.at((3 + number) * 1440), partial(nova.Server.stop, server)))
    return bus.play(day, story, day.every(server.audit, 60, first=0.5))


def _patterns(url: str, audits: Sequence[Fact]) -> Iterator[Pattern]:
    rows = sa.select(resource, evidence.c.body).join(evidence, evidence.c.resource_no == resource.c.id)
    with engine.begin(engine.create(url)) as connection:
        for audit in audits:
            row = connection.execute(rows.where(resource.c.resource_id == audit.resource_id)).mappings().one()
            spans = connection.execute(sa.select(state_interval).where(
                state_interval.c.resource_no == row['id']).order_by(state_interval.c.begins_at)).mappings().all()
            yield Pattern(_without(row, 'id', 'body'), row['body'], [_without(span, 'id') for span in spans], audit)


def _without(row: Mapping[Any, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def fill(url: str, copies: Sequence[Copy]) -> None:
    """Write servers into an empty ledger, and let PostgreSQL count them, as it would do by itself within a minute."""
    database = engine.create(url)
    with database.begin() as connection:
        for start in range(0, len(copies), _SLICE):
            _write(connection, copies[start:start + _SLICE])
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
    return [Entry(f'audit-{copy.resource_id}', '[]', dump_facts((copy.pattern.audit._replace(
        resource_id=copy.resource_id, project_id=copy.project_id),))) for copy in copies]
