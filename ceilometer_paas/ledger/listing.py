# SPDX-License-Identifier: Apache-2.0
"""What is settled -> what is stated of it now, and which publishers were told so."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ceilometer_paas.ledger import segments, settling, statements, usage
from ceilometer_paas.ledger.counting import count
from ceilometer_paas.ledger.periods import Calendar
from ceilometer_paas.ledger.schema import distinct, position, recounted, resource, restated, state_interval, target
from ceilometer_paas.ledger.settling import AsBefore
from ceilometer_paas.ledger.statements import Position
from ceilometer_paas.ledger.usage import Period, Read, Scope
from ceilometer_paas.model import Account, Count, Segment

_SLICE = 100
"""Resources that one transaction reads at most."""

_SEGMENTS = 20_000
"""Segments that one transaction reads, about; of one resource it reads all."""

Stated = tuple[Account | Count, list[str]]
"""One segment of a resource, or one count, and the publishers that were told of it as it is."""


def listed(read: Read, scope: Scope, begin: datetime | None, end: datetime | None, *,
           as_before: AsBefore) -> Iterator[Stated]:
    """List what is stated of resources, by number and time, then of projects, by time.

    :param begin: only what is stated of times from then on
    :param end: and before that
    """
    with read() as connection:
        calendar = settling.calendar(connection)
        asked = Period.of(scope, begin, end)
        period = Period(max(asked.begin, calendar.begin), min(asked.end, calendar.until))
        if period.begin >= period.end:
            return
        numbers = connection.scalars(_numbers(connection, scope, period)).all()
    size = max(1, min(_SLICE, _SEGMENTS // sum(1 for _ in calendar.periods(*period))))
    for start in range(0, len(numbers), size):
        with read() as connection:
            view = _View(connection, calendar, period)
            found = list(view.accounts(numbers[start:start + size], as_before))
        yield from (one for one in found if scope.project_id in (None, one[0].segments[0].project_id))
    if scope.resource_id is None:
        yield from _counts(read, scope, calendar, period)


def _counts(read: Read, scope: Scope, calendar: Calendar, period: Period) -> Iterator[tuple[Count, list[str]]]:
    with read() as connection:
        projects = _projects(connection, period) if scope.project_id is None else [scope.project_id]
    for one in calendar.periods(*period):
        if one[0] < period.begin:
            continue
        for start in range(0, len(projects), _SLICE):
            with read() as connection:
                found = list(_View(connection, calendar, period).counts(projects[start:start + _SLICE], one))
            yield from (pair for pair in found if scope.resource_type in (None, pair[0].resource_type))


class _View:
    """What is stated, and how far each publisher was told, as one transaction sees it."""

    def __init__(self, connection: sa.Connection, calendar: Calendar, period: Period) -> None:
        self._connection, self._calendar, self._period = connection, calendar, period
        rows = connection.execute(sa.select(target.c.name, *(position.c[name] for name in Position._fields))
                                  .join(target, target.c.id == position.c.target_id).order_by(target.c.name))
        self._positions = [(name, Position(*values)) for name, *values in rows]

    def accounts(self, numbers: Sequence[int], as_before: AsBefore) -> Iterator[tuple[Account, list[str]]]:
        """Give what is stated of resources, a segment at a time."""
        begin, end = self._period
        marks: defaultdict[int, dict[int, Any]] = defaultdict(dict)
        for row in self._connection.execute(statements.ROW.where(
                restated.c.resource_no.in_(numbers), restated.c.begins_at >= begin, restated.c.begins_at < end)):
            marks[row.resource_no][row.begins_at] = row
        rows = settling.intervals(self._connection, numbers)
        window = self._calendar.period(begin)[0], self._calendar.period(end - 1)[1]
        for number, kind, resource_id, name in statements.resources(self._connection, numbers):
            found = segments.pieces(rows.get(number, []), as_before(kind), self._calendar.begin, self._calendar.until)
            again = {at: (row.marks, row.revision) for at, row in marks[number].items()}
            told = {one.begin: one for one in segments.cut(found, self._calendar, *window) if begin <= one.begin < end}
            told.update((one.begin, one) for one in statements.anew(found, self._calendar, again))
            for at, segment in sorted(told.items()):
                restatement = marks[number][at].number if at in again else 0
                yield Account(kind, resource_id, name, [segment]), self._told(segment, number, restatement)

    def counts(self, projects: Sequence[str], period: tuple[int, int]) -> Iterator[tuple[Count, list[str]]]:
        """Give how many resources projects had in a period, and, where that was restated, that they had none."""
        again = {(row.resource_type, row.project_id): row for row in self._connection.execute(statements.COUNTED.where(
            recounted.c.begins_at == period[0], recounted.c.project_id.in_(projects)))}
        had = {one[:2]: one for one in count(self._connection, projects, [period])}
        for key in sorted({*had, *again}):
            one, row = had.get(key, Count(*key, 0, {}, {}, 0, 0, period)), again.get(key)
            yield one._replace(revision=row.revision if row else 0), [
                name for name, place in self._positions
                if place.since <= period[0] < self._reached(place) and (row is None or row.number <= place.recounted)]

    def _told(self, segment: Segment, number: int, again: int) -> list[str]:
        """Name the publishers that were told of a segment as it is."""
        return [name for name, place in self._positions
                if place.since <= segment.begin < self._end(place, number) and again <= place.restated]

    def _reached(self, place: Position) -> int:
        return max(place.until, self._calendar.begin)

    def _end(self, place: Position, number: int) -> int:
        """Tell until when a publisher was told of a resource."""
        reached, within = self._reached(place), place.project_id is not None or number <= place.resource_no
        return self._calendar.period(reached)[1] if within and reached < self._calendar.until else reached


def _projects(connection: sa.Connection, period: Period) -> list[str]:
    """Name the projects that ever owned anything, and those of which something was restated."""
    counted = connection.scalars(sa.select(recounted.c.project_id).where(
        recounted.c.begins_at >= period.begin, recounted.c.begins_at < period.end).distinct())
    return sorted({*distinct(connection, state_interval.c.project_id), *counted})


def _numbers(connection: sa.Connection, scope: Scope, period: Period) -> sa.Select[int]:
    """Select the numbers of the resources of a scope of which something may be stated in a period."""
    some = sa.union(
        sa.select(state_interval.c.resource_no).where(state_interval.c.ends_at >= period.begin,
                                                      state_interval.c.begins_at < period.end),
        sa.select(restated.c.resource_no).where(restated.c.begins_at >= period.begin,
                                                restated.c.begins_at < period.end)).subquery()
    return (sa.select(resource.c.id).where(*usage.within(connection, scope), resource.c.id.in_(sa.select(some.c[0])))
            .order_by(resource.c.resource_type, resource.c.resource_id))
