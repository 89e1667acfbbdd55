# SPDX-License-Identifier: Apache-2.0
"""The ledger's transactions: a batch comes in and is durable; parcels go out and are marked off.

A :class:`Ledger` serves several threads, its database several processes and hosts. A process makes its own, and does
not go on with one that its parent used before the fork.
"""

import functools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from typing import TypeVar

import sqlalchemy as sa
from oslo_db import exception

from ceilometer_paas import times
from ceilometer_paas.ledger import (
    engine,
    folding,
    listing,
    lives,
    messages,
    outbox,
    quarantine,
    release,
    schema,
    settling,
    statements,
    usage,
)
from ceilometer_paas.ledger.outbox import MAX_PARCEL
from ceilometer_paas.ledger.quarantine import Filter, Row
from ceilometer_paas.ledger.schema import delivery
from ceilometer_paas.ledger.settling import AsBefore, Settled
from ceilometer_paas.ledger.statements import Due, Statements
from ceilometer_paas.ledger.usage import Interval, Resource, Scope, Story, Usage
from ceilometer_paas.model import Entry, Parcel, Quarantined

MAX_STEP = MAX_PARCEL // 2
"""Characters of facts after which a row of the journal is closed, and that are folded at once."""

LONGEST = timedelta(minutes=10)
"""How long a lease can be; the clocks of hosts that share a ledger differ by less."""

_ATTEMPTS = 5
_SLICE = 1000
"""Rows that one transaction deletes at most, so that nobody waits long for it."""

_quote = json.JSONEncoder().encode
_T = TypeVar('_T')
_L = TypeVar('_L')
_C = TypeVar('_C')


class Ledger:
    """The durable record of what was seen, what is to be published, and what was set aside.

    Every method raises :exc:`Unavailable` when the database cannot be reached, is locked, full or read-only. Nothing
    has changed then, unless the connection broke in the moment of the commit; the same call may be made again in
    either case.

    :param connection: SQLAlchemy URL
    :raises ConfigError: the URL cannot be used
    """

    def __init__(self, connection: str) -> None:
        self._engine = engine.create(connection)
        self._reader = self._engine.execution_options(reading=True)
        self._ids: dict[tuple[str, str], int] = {}
        self._statements = Statements(self._read)

    def upgrade(self) -> None:
        """Create the tables, or bring them up to date.

        :raises ConfigError: there can be no database where the URL points, or a newer program wrote it
        """
        schema.upgrade(self._engine)

    def check(self) -> str:
        """Look whether :meth:`upgrade` could do its work, and change nothing.

        :returns: one of :data:`~ceilometer_paas.ledger.schema.STATES`
        :raises ConfigError: as :meth:`upgrade`
        """
        return schema.check(self._engine)

    def close(self) -> None:
        """Disconnect; another call connects again."""
        self._engine.dispose()

    def record(self, source: str, entries: Sequence[Entry], quarantined: Sequence[Quarantined], to: Sequence[str],
               now: datetime, released: Sequence[int] = (), events_to: Sequence[str] = ()) -> set[str]:
        """Record a batch in one transaction: all of it, or nothing.

        A message that was seen before changes nothing. An entry whose readings are ``[]`` is seen, but not published.
        Facts are journalled, for :meth:`fold`.

        :param source: ``<endpoint>/<exchange>``, within which message ids are unique
        :param to: names of the publishers that get the readings; without any, the entries are only seen
        :param released: rows that leave the quarantine
        :param events_to: names of the publishers that get the events
        :returns: the message ids that had been seen, in earlier batches or earlier in this one
        """
        source_id = self._id_of(schema.source, source)
        target_ids, event_ids = ([self._id_of(schema.target, name) for name in names] for names in (to, events_to))

        def work(connection: sa.Connection) -> set[str]:
            seen, new = messages.see(connection, source_id, entries, now)
            outbox.put(connection, source_id, target_ids, (f'[{_quote(entry.message_id)},{entry.readings}]'
                                                           for entry in new if entry.readings != '[]'))
            outbox.put(connection, source_id, event_ids, (f'[{_quote(entry.message_id)},{entry.event}]'
                                                          for entry in new if entry.event))
            facts = (f'[{_quote(entry.message_id)},{entry.facts}]' for entry in new if entry.facts)
            lives.put(connection, source_id, outbox.parcels(facts, MAX_STEP), now)
            quarantine.drop(connection, released)
            quarantine.put(connection, source_id, quarantined, now)
            return seen

        return self._write(work)

    def pending(self, target: str, limit: int = 100, size: int = MAX_PARCEL // 2) -> list[Parcel]:
        """Load the oldest parcels that are still to be published to a target.

        :param limit: parcels
        :param size: characters of all bodies together; one parcel is loaded however large it is
        """
        target_id = self._id_of(schema.target, target)
        with self._read() as connection:
            return outbox.pending(connection, target_id, limit, size)

    def delivered(self, target: str, parcel_ids: Sequence[int], refused: Sequence[tuple[str, Quarantined]],
                  now: datetime) -> None:
        """Mark parcels off for a target; a parcel that nobody else waits for is deleted.

        What is marked off already stays so: marks of a process that has lost its lease do no harm.

        :param refused: the samples of these parcels that the target refused for ever, each with its source
        """
        target_id = self._id_of(schema.target, target)
        by_source = defaultdict(list)
        for name, item in refused:
            by_source[self._id_of(schema.source, name)].append(item)

        def work(connection: sa.Connection) -> None:
            for source_id, items in by_source.items():
                quarantine.put(connection, source_id, items, now)
            outbox.mark_off(connection, target_id, parcel_ids)

        self._write(work)

    def lease(self, target: str, holder: str, now: datetime, seconds: float) -> bool:
        """Take, keep or (for 0 seconds) give back the right to deliver for a target; False while another holds it.

        A lease that would last longer than :data:`LONGEST` was taken by a clock that was wrong, and is over.
        """
        target_id = self._id_of(schema.target, target)
        columns = schema.target.c
        free = sa.or_(columns.holder == holder, columns.leased_until.is_(None), columns.leased_until <= now,
                      columns.leased_until > now + LONGEST)
        statement = (schema.target.update().where(columns.id == target_id, free)
                     .values(holder=holder, leased_until=now + timedelta(seconds=seconds)))
        return self._write(lambda connection: connection.execute(statement).rowcount == 1)

    def sources(self) -> list[str]:
        """Name the sources of which anything was ever recorded or set aside; the tables must be there."""
        with self._read() as connection:
            return schema.distinct(connection, schema.source.c.name)

    def backlog(self) -> dict[str, int]:
        """Count the parcels that wait for each target, targets that the pipeline no longer names included."""
        name = schema.target.c.name
        query = (sa.select(name, sa.func.count()).join(delivery, delivery.c.target_id == schema.target.c.id)
                 .group_by(name))
        with self._read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def prune(self, before: datetime) -> int:
        """Forget the messages that were seen earlier than that, and return how many they were.

        Ids rise with time: this goes up from the lowest, and ends at the first slice without any.
        """
        forgotten = last = 0
        while True:
            step, last = self._write(functools.partial(messages.prune, before=before, after=last))
            forgotten += step
            if not step:
                return forgotten

    def quarantine_list(self, source: str | None = None, code: str | None = None, origin: str | None = None,
                        limit: int | None = None) -> list[Row]:
        """List quarantine rows without their bodies, the oldest first; None means any."""
        with self._read() as connection:
            return quarantine.find(connection, Filter(source, code, origin), limit)

    def quarantine_load(self, ids: Iterable[int]) -> Iterator[Row]:
        """Load quarantine rows with their bodies, one at a time; those that are gone are left out."""
        for row_id in ids:
            with self._read() as connection:
                rows = quarantine.load(connection, [row_id])
            yield from rows

    def quarantine_get(self, row_id: int) -> Row | None:
        """Load a quarantine row with its body; None if there is none."""
        return next(self.quarantine_load([row_id]), None)

    def quarantine_delete(self, ids: Sequence[int]) -> int:
        """Delete quarantine rows for good, and return how many there were."""
        return sum(self._write(functools.partial(quarantine.drop, ids=part)) for part in _slices(ids))

    def quarantine_release_samples(self, ids: Sequence[int]) -> int:
        """Put refused samples back into the outbox, each for the publisher that refused it, and return how many.

        Statements are stated anew instead, to every publisher.

        Rows that hold anything else, that are cut or that are gone are left as they are.
        """
        return sum(self._write(functools.partial(release.samples, ids=part)) for part in _slices(ids))

    def quarantine_release_facts(self, ids: Sequence[int], now: datetime) -> int:
        """Journal facts again that were not folded, and return how many rows; others are left as they are."""
        return sum(self._write(functools.partial(release.facts, ids=part, now=now)) for part in _slices(ids))

    def began(self) -> datetime | None:
        """Tell when the ledger of lives began, if it has."""
        with self._read() as connection:
            at = lives.began(connection)
        return None if at is None else times.from_micros(at)

    def begin(self, at: datetime) -> datetime:
        """Let the ledger of lives begin, if it has not yet; when it began."""
        began = self.began()
        if began is None:
            micros = self._write(functools.partial(lives.begin, at=times.to_micros(at)))
            assert micros is not None
            began = times.from_micros(micros)
        return began

    def fold(self, size: int = MAX_STEP) -> int:
        """Fold the oldest facts of the journal into the lives of their resources; several processes take turns.

        :param size: characters of the facts that are folded at once; one row is folded however large it is
        :returns: how many messages they came from, 1 for a step in which lives end with their parents; 0 when nothing
            is left
        """
        folded = self._in_turn(functools.partial(lives.load, size=size), folding.work_out, lives.write)
        return 0 if folded is None else folded.messages

    def catch_up(self) -> None:
        """Fold all that has been journalled up to now."""
        with self._read() as connection:
            newest = lives.newest(connection)
        while newest is not None and self._waits(newest):
            self.fold()

    def restate(self, as_before: AsBefore) -> int:
        """Note what is to be restated of some lives that are otherwise than they were stated, and return how many.

        :param as_before: resource type -> states that count as the state before them
        """
        compared = self._in_turn(settling.load, functools.partial(settling.compare, as_before=as_before),
                                 settling.write)
        return 0 if compared is None else len(compared.kinds)

    def settle(self, period: settling.Period) -> Settled | None:
        """Settle the periods that are over; nothing while a life is to be restated, or if none is over."""
        return self._in_turn(functools.partial(settling.due, period=period), lambda found: found.new, settling.settle)

    def lags(self) -> bool:
        """Tell whether a life is still to be compared with what was stated of it; nothing is settled until then."""
        with self._read() as connection:
            return settling.lags(connection)

    def settled(self) -> datetime | None:
        """Tell until when is settled, if anything is."""
        with self._read() as connection:
            until = settling.calendar(connection).until
        return times.from_micros(until) if until else None

    def follow(self, targets: Iterable[str]) -> None:
        """Begin to tell publishers of what is settled from now on, those that are not told of it yet."""
        for target in targets:
            target_id = self._id_of(schema.target, target)
            self._write(functools.partial(statements.follow, target_id=target_id))

    def due(self, target: str, as_before: AsBefore) -> Due | None:
        """Load what a publisher is to be told next of what is settled; None if it was told everything.

        :param as_before: as :meth:`restate` takes it
        """
        return self._statements.due(self._id_of(schema.target, target), as_before)

    def behind(self) -> dict[str, datetime]:
        """Tell until when publishers were told, those that were not told of all that is settled."""
        with self._read() as connection:
            return {name: times.from_micros(until) for name, until in statements.behind(connection).items()}

    def listed(self, scope: Scope, begin: datetime | None, end: datetime | None,
               as_before: AsBefore) -> Iterator[listing.Stated]:
        """List what is stated of resources within a period, then of projects, with the publishers that were told so."""
        return listing.listed(self._read, scope, begin, end, as_before=as_before)

    def told(self, target: str, due: Due, refused: Sequence[Quarantined], now: datetime) -> None:
        """Mark off what a publisher was told; nothing if another process has done so.

        :param refused: the statements that it refused for ever
        """
        target_id, source_id = self._id_of(schema.target, target), self._id_of(schema.source, release.STATEMENTS)

        def work(connection: sa.Connection) -> None:
            quarantine.put(connection, source_id, refused, now)
            statements.told(connection, target_id, due)

        self._write(work)

    def intervals(self, scope: Scope, begin: datetime | None = None, end: datetime | None = None) -> Iterator[Interval]:
        """List the intervals that overlap a period, by type and id of the resource, and time."""
        return usage.intervals(self._read, scope, begin, end)

    def resources(self, scope: Scope) -> Iterator[Resource]:
        """List resources, by type and id, deleted ones too; a scope's project is the present one."""
        return usage.resources(self._read, scope)

    def life(self, scope: Scope) -> list[Story]:
        """Tell the lives of resources, with the facts behind them."""
        with self._read() as connection:
            return usage.stories(connection, scope)

    def usage(self, begin: datetime, end: datetime, scope: Scope,
              group_by: Sequence[str] = usage.DEFAULT_GROUPS) -> list[Usage]:
        """Sum the time that resources spent, within a period, in each group.

        :param end: not in the future: what lasts counts until then
        :param group_by: some of :data:`ceilometer_paas.ledger.usage.GROUPS`
        """
        with self._read() as connection:
            return usage.summed(connection, scope, usage.Period.of(scope, begin, end), group_by)

    def _in_turn(self, load: Callable[[sa.Connection], _L | None], work_out: Callable[[_L], _C],
                 write: Callable[[sa.Connection, _L, _C], bool]) -> _L | None:
        """Change lives, or what is stated of them, as one process does at a time; nothing if nothing is loaded.

        On SQLite others are kept from writing only while the changes are written.

        :param write: does nothing, and gives False, if another process was quicker
        :returns: what was loaded
        """
        def work(connection: sa.Connection) -> _L | None:
            loaded = load(connection)
            if loaded is not None:
                write(connection, loaded, work_out(loaded))
            return loaded

        if self._engine.dialect.name != 'sqlite':
            return self._write(work)
        while True:
            with self._read() as connection:
                loaded = load(connection)
            if loaded is None or self._write(functools.partial(_change, write, loaded, work_out(loaded))):
                return loaded

    def _waits(self, number: int) -> bool:
        with self._read() as connection:
            return lives.waits(connection, number)

    def _read(self) -> AbstractContextManager[sa.Connection]:
        return engine.begin(self._reader)

    def _write(self, work: Callable[[sa.Connection], _T]) -> _T:
        """Do it in one transaction; do it again, then seeing what is new, where another process came first."""
        with engine.translated():
            for _ in range(_ATTEMPTS - 1):
                with suppress(exception.DBDuplicateEntry, exception.DBDeadlock), self._engine.begin() as connection:
                    return work(connection)
            with self._engine.begin() as connection:
                return work(connection)

    def _id_of(self, table: sa.Table, name: str) -> int:
        """Look up, or give, the number of a source or a target; it is never another one."""
        key = table.name, name
        if key not in self._ids:
            self._ids[key] = self._write(functools.partial(schema.id_of, table=table, name=name))
        return self._ids[key]


def _change(write: Callable[[sa.Connection, _L, _C], bool], loaded: _L, changes: _C, connection: sa.Connection) -> bool:
    return write(connection, loaded, changes)


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start:start + _SLICE] for start in range(0, len(ids), _SLICE))
