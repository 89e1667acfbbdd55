# SPDX-License-Identifier: Apache-2.0
"""The ledger's transactions: a batch comes in and is durable; parcels go out and are marked off.

A :class:`Ledger` serves several threads, its database several processes and hosts. A process makes its own, and does
not go on with one that its parent used before the fork.
"""

import functools
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from oslo_db import exception

from ceilometer_paas import times
from ceilometer_paas.ledger import engine, folding, lives, quarantine, schema, usage
from ceilometer_paas.ledger.quarantine import Filter, Row
from ceilometer_paas.ledger.schema import delivery, message, outbox
from ceilometer_paas.ledger.usage import Interval, Resource, Scope, Story, Usage
from ceilometer_paas.model import Entry, Parcel, Quarantined

MAX_PARCEL = 1024 * 1024
"""Characters after which a parcel is closed and another one begun."""

MAX_STEP = MAX_PARCEL // 2
"""Characters of facts after which a row of the journal is closed, and that are folded at once."""

LONGEST = timedelta(minutes=10)
"""How long a lease can be; the clocks of hosts that share a ledger differ by less."""

_ATTEMPTS = 5
_SLICE = 1000
"""Rows that one transaction deletes at most, so that nobody waits long for it."""

_SEEN = sa.select(message.c.message_id).where(message.c.source_id == sa.bindparam('source_id'),
                                              message.c.message_id.in_(sa.bindparam('ids', expanding=True)))
_NEW = message.insert()

_quote = json.JSONEncoder().encode
_T = TypeVar('_T')


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

    def upgrade(self) -> None:
        """Create the tables, or bring them up to date.

        :raises ConfigError: there can be no database where the URL points, or a newer program wrote it
        """
        schema.upgrade(self._engine)

    def check(self) -> None:
        """Look whether :meth:`upgrade` could do its work, and change nothing.

        :raises ConfigError: as :meth:`upgrade`
        """
        schema.check(self._engine)

    def close(self) -> None:
        """Disconnect; another call connects again."""
        self._engine.dispose()

    def record(self, source: str, entries: Sequence[Entry], quarantined: Sequence[Quarantined], to: Sequence[str],
               now: datetime, released: Sequence[int] = ()) -> set[str]:
        """Record a batch in one transaction: all of it, or nothing.

        A message that was seen before changes nothing. An entry whose readings are ``[]`` is seen, but not published.
        Facts are journalled, for :meth:`fold`.

        :param source: ``<endpoint>/<exchange>``, within which message ids are unique
        :param to: names of the publishers that get it; without any, the entries are only seen
        :param released: rows that leave the quarantine
        :returns: the message ids that had been seen, in earlier batches or earlier in this one
        """
        source_id = self._id_of(schema.source, source)
        target_ids = [self._id_of(schema.target, name) for name in to]

        def work(connection: sa.Connection) -> set[str]:
            seen, new = _see(connection, source_id, entries, now)
            if target_ids:
                _put(connection, source_id, target_ids, (f'[{_quote(entry.message_id)},{entry.readings}]'
                                                         for entry in new if entry.readings != '[]'))
            lives.put(connection, source_id, _parcels((f'[{_quote(entry.message_id)},{entry.facts}]'
                                                       for entry in new if entry.facts), MAX_STEP), now)
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
        heads = (sa.select(outbox.c.id, outbox.c.size).join(delivery, delivery.c.outbox_id == outbox.c.id)
                 .where(delivery.c.target_id == target_id).order_by(delivery.c.outbox_id).limit(limit))
        bodies = (sa.select(outbox.c.id, schema.source.c.name, outbox.c.body)
                  .join(schema.source, outbox.c.source_id == schema.source.c.id).order_by(outbox.c.id))
        with self._read() as connection:
            chosen: list[int] = []
            for parcel_id, length in connection.execute(heads).all():
                size -= length
                if chosen and size < 0:
                    break
                chosen.append(parcel_id)
            return [Parcel(*row) for row in connection.execute(bodies.where(outbox.c.id.in_(chosen)))] if chosen else []

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
            _mark_off(connection, target_id, parcel_ids)

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
            step, last = self._write(functools.partial(_prune, before=before, after=last))
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

        Rows that hold anything else, that are cut or that are gone are left as they are.
        """
        return sum(self._write(functools.partial(_release, ids=part)) for part in _slices(ids))

    def quarantine_release_facts(self, ids: Sequence[int], now: datetime) -> int:
        """Journal facts again that were not folded, and return how many rows; others are left as they are."""
        return sum(self._write(functools.partial(_release_facts, ids=part, now=now)) for part in _slices(ids))

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
        def work(connection: sa.Connection) -> int:
            loaded = lives.load(connection, size)
            if loaded.messages:
                lives.write(connection, loaded, folding.work_out(loaded))
            return loaded.messages

        return self._fold_apart(size) if self._engine.dialect.name == 'sqlite' else self._write(work)

    def catch_up(self) -> None:
        """Fold all that has been journalled up to now."""
        with self._read() as connection:
            newest = lives.newest(connection)
        while newest is not None and self._waits(newest):
            self.fold()

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

    def _fold_apart(self, size: int) -> int:
        """Fold on SQLite, and keep others from writing only while the differences are written."""
        while True:
            with self._read() as connection:
                loaded = lives.load(connection, size)
            if not loaded.messages:
                return 0
            if self._write(functools.partial(lives.write, loaded=loaded, changes=folding.work_out(loaded))):
                return loaded.messages

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
            self._ids[key] = self._write(functools.partial(_id_of, table=table, name=name))
        return self._ids[key]


def _id_of(connection: sa.Connection, table: sa.Table, name: str) -> int:
    known: int | None = connection.scalar(sa.select(table.c.id).where(table.c.name == name))
    return _insert(connection, table, name=name) if known is None else known


def _see(connection: sa.Connection, source_id: int, entries: Sequence[Entry],
         now: datetime) -> tuple[set[str], Collection[Entry]]:
    """Remember messages; which were seen before, and the others."""
    if not entries:
        return set(), ()
    seen = set(connection.scalars(_SEEN, {'source_id': source_id, 'ids': [entry.message_id for entry in entries]}))
    doubles: set[str] = set()
    new: dict[str, Entry] = {}
    for entry in entries:
        if entry.message_id in new:
            doubles.add(entry.message_id)
        elif entry.message_id not in seen:
            new[entry.message_id] = entry
    if new:
        seen_at = int(now.timestamp())
        connection.execute(_NEW, [{'source_id': source_id, 'message_id': message_id, 'seen_at': seen_at}
                                  for message_id in new])
    return seen | doubles, new.values()


def _put(connection: sa.Connection, source_id: int, target_ids: Collection[int], items: Iterable[str]) -> None:
    """Put messages, each ``[message_id, readings]``, into the outbox for some targets."""
    for body in _parcels(items):
        parcel_id = _insert(connection, outbox, source_id=source_id, size=len(body), body=body)
        connection.execute(delivery.insert(), [{'target_id': target_id, 'outbox_id': parcel_id}
                                               for target_id in target_ids])


def _parcels(items: Iterable[str], most: int = MAX_PARCEL) -> Iterator[str]:
    parcel: list[str] = []
    size = 0
    for item in items:
        parcel.append(item)
        size += len(item)
        if size >= most:
            yield f'[{",".join(parcel)}]'
            parcel, size = [], 0
    if parcel:
        yield f'[{",".join(parcel)}]'


def _insert(connection: sa.Connection, table: sa.Table, **values: Any) -> int:
    """Insert a row; its number."""
    key = connection.execute(table.insert(), values).inserted_primary_key
    assert key is not None
    number: int = key[0]
    return number


def _mark_off(connection: sa.Connection, target_id: int, parcel_ids: Sequence[int]) -> None:
    # Two targets may finish a parcel at once: the lock lets the second see that the first is done.
    connection.execute(sa.select(outbox.c.id).where(outbox.c.id.in_(parcel_ids)).order_by(outbox.c.id)
                       .with_for_update()).all()
    connection.execute(delivery.delete().where(delivery.c.target_id == target_id, delivery.c.outbox_id.in_(parcel_ids)))
    awaited = sa.select(delivery.c.outbox_id).where(delivery.c.target_id.in_(sa.select(schema.target.c.id)),
                                                    delivery.c.outbox_id.in_(parcel_ids))
    finished = set(parcel_ids).difference(connection.scalars(awaited))
    connection.execute(outbox.delete().where(outbox.c.id.in_(finished)))


def _prune(connection: sa.Connection, before: datetime, after: int) -> tuple[int, int]:
    """Forget within the next slice above an id; how many, and the slice's last id."""
    some = sa.select(message.c.id).where(message.c.id > after).order_by(message.c.id).limit(_SLICE).subquery()
    last: int = connection.scalar(sa.select(sa.func.max(some.c.id))) or after
    old = sa.and_(message.c.id > after, message.c.id <= last, message.c.seen_at < before.timestamp())
    return connection.execute(message.delete().where(old)).rowcount, last


def _release(connection: sa.Connection, ids: Collection[int]) -> int:
    rows = [row for row in quarantine.load(connection, ids, lock=True) if row.is_sample and not row.truncated]
    bodies = defaultdict(list)
    for row in rows:
        bodies[row.source, row.origin].append(row.body)
    for (source, origin), items in bodies.items():
        _put(connection, _id_of(connection, schema.source, source), [_id_of(connection, schema.target, origin)], items)
    return quarantine.drop(connection, [row.id for row in rows])


def _release_facts(connection: sa.Connection, ids: Collection[int], now: datetime) -> int:
    rows = [row for row in quarantine.load(connection, ids, lock=True) if row.is_facts and not row.truncated]
    for row in rows:
        lives.put(connection, _id_of(connection, schema.source, row.source), [row.body], now)
    return quarantine.drop(connection, [row.id for row in rows])


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start:start + _SLICE] for start in range(0, len(ids), _SLICE))
