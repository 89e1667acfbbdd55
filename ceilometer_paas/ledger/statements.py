# SPDX-License-Identifier: Apache-2.0
"""What is settled, and how far each publisher was told of it -> what it is to be told next; nothing of it is stored.

A publisher is told of one period after another: of each resource that was there, by its number, then of the projects.
Before it goes on, it is told of what was restated meanwhile, unless that lies in a period of which it was told nothing.
Whatever it is told is as it is now: so it never hears of an older revision after a newer one.
"""

import bisect
import itertools
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import sqlalchemy as sa

from ceilometer_paas.ledger import segments, settling
from ceilometer_paas.ledger.counting import count
from ceilometer_paas.ledger.evidence import SECOND
from ceilometer_paas.ledger.periods import Calendar
from ceilometer_paas.ledger.schema import position, recounted, resource, restated, state_interval, target
from ceilometer_paas.ledger.settling import AsBefore
from ceilometer_paas.model import Account, Count, Segment

_RESOURCES = 500
_PROJECTS = 50
_RESTATED = 500
"""Of how many a publisher is told at once, at most."""

_WEEK = 7 * 86400 * SECOND
"""What is counted anew in one go."""

_NUMBERS: sa.BindParameter[Any] = sa.bindparam('numbers', expanding=True)
_RESOURCE = (sa.select(resource.c.id, resource.c.resource_type, resource.c.resource_id, resource.c.name)
             .where(resource.c.id.in_(_NUMBERS)).order_by(resource.c.id))
ROW = sa.select(restated.c.number, restated.c.begins_at, restated.c.resource_no, restated.c.marks, restated.c.revision)
COUNTED = sa.select(recounted.c.number, recounted.c.begins_at, recounted.c.project_id, recounted.c.resource_type,
                    recounted.c.revision)
_PROJECT = (sa.select(sa.func.min(state_interval.c.project_id))
            .where(state_interval.c.project_id > sa.bindparam('after')))


class Position(NamedTuple):
    """How far a publisher was told.

    :ivar since: of nothing before that
    :ivar until: of all periods until then
    :ivar resource_no: of the period after that, of the resources up to this one
    :ivar project_id: and of the projects up to this one; None while it is not yet told of all resources
    :ivar restated: of the restatements up to this number
    :ivar recounted: and of those of projects
    """

    since: int
    until: int
    resource_no: int
    project_id: str | None
    restated: int
    recounted: int


class Due(NamedTuple):
    """What a publisher is to be told next; it may be nothing, and yet lead on."""

    accounts: list[Account]
    counts: list[Count]
    before: Position
    after: Position


class Statements:
    """What is stated to publishers, by the rooms of the ledger that know lives and what is settled.

    :param read: begins a transaction that reads
    """

    def __init__(self, read: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._read = read
        self._members: dict[int, tuple[tuple[int, int], Sequence[int]]] = {}

    def due(self, target_id: int, as_before: AsBefore) -> Due | None:
        """Load what a publisher is to be told next; None if it was told everything that is settled.

        Nobody is told anything while lives are to be compared with what was stated: what they are now may change yet.

        :param as_before: as :func:`~.settling.compare` takes it
        """
        with self._read() as connection:
            calendar = settling.calendar(connection)
            before = load_position(connection, target_id)
            if before is None or calendar.until == 0 or settling.lags(connection):
                return None
            reached = max(before.until, calendar.begin)
            begun = calendar.period(reached)[1] if reached < calendar.until else calendar.until
            again = _Again(connection, calendar, before, begun)
            if again.after != before:
                return Due(list(again.accounts(as_before)), list(again.counts()), before, again.after)
            if reached >= calendar.until:
                return None
            return self._next(connection, target_id, calendar, before, as_before=as_before)

    def _next(self, connection: sa.Connection, target_id: int, calendar: Calendar, before: Position, *,
              as_before: AsBefore) -> Due:
        """Go on within a period, or to its end."""
        period = calendar.period(max(before.until, calendar.begin))
        accounts: list[Account] = []
        after = before
        if before.project_id is None:
            numbers = self._numbers(connection, target_id, period, before.resource_no)
            accounts = list(_accounts(connection, numbers, calendar, period, as_before=as_before)) if numbers else []
            if len(numbers) == _RESOURCES:
                return Due(accounts, [], before, before._replace(resource_no=numbers[-1]))
            after = before._replace(resource_no=0, project_id='')
        some = projects(connection, after.project_id or '')
        counts = list(_counts(connection, some, period))
        if len(some) == _PROJECTS:
            return Due(accounts, counts, before, after._replace(project_id=some[-1]))
        self._members.pop(target_id, None)
        return Due(accounts, counts, before, after._replace(until=period[1], resource_no=0, project_id=None))

    def _numbers(self, connection: sa.Connection, target_id: int, period: tuple[int, int], after: int) -> Sequence[int]:
        """Give the next resources that were there in a period.

        Between two questions their numbers are kept; who comes late is told of by a restatement.
        """
        if target_id not in self._members or self._members[target_id][0] != period:
            self._members[target_id] = period, _members(connection, *period)
        numbers = self._members[target_id][1]
        start = bisect.bisect(numbers, after)
        return numbers[start:start + _RESOURCES]


class _Again:
    """What was restated, of what a publisher was, or may have been, told before.

    :param begun: it was told nothing of what is after that
    """

    def __init__(self, connection: sa.Connection, calendar: Calendar, before: Position, begun: int) -> None:
        self._connection, self._calendar = connection, calendar
        rows = connection.execute(ROW.where(restated.c.number > before.restated).order_by(restated.c.number)
                                  .limit(_RESTATED)).all()
        counted = connection.execute(COUNTED.where(recounted.c.number > before.recounted).order_by(recounted.c.number)
                                     .limit(_RESTATED)).all()
        self._rows = [row for row in rows if before.since <= row.begins_at < begun]
        self._counted = [row for row in counted if before.since <= row.begins_at < begun]
        self.after = before._replace(restated=rows[-1].number if rows else before.restated,
                                     recounted=counted[-1].number if counted else before.recounted)

    def accounts(self, as_before: AsBefore) -> Iterator[Account]:
        """Give the segments that are stated anew, or are gone."""
        marks: defaultdict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
        for row in self._rows:
            marks[row.resource_no][row.begins_at] = row.marks, row.revision
        rows = settling.intervals(self._connection, marks) if marks else {}
        for number, kind, resource_id, name in resources(self._connection, marks):
            found = segments.pieces(rows.get(number, []), as_before(kind), self._calendar.begin, self._calendar.until)
            yield Account(kind, resource_id, name, list(anew(found, self._calendar, marks[number])))

    def counts(self) -> Iterator[Count]:
        """Give what is counted anew; where a project had nothing, that."""
        rows = sorted(self._counted, key=lambda row: int(row.begins_at))
        for _, some in itertools.groupby(rows, lambda row: int(row.begins_at) // _WEEK):
            revisions = {(row.resource_type, row.project_id, self._calendar.period(row.begins_at)): row.revision
                         for row in some}
            had = {(*one[:2], one.period): one for one in count(
                self._connection, sorted({key[1] for key in revisions}), sorted({key[2] for key in revisions}))}
            for key, revision in revisions.items():
                yield had.get(key, Count(*key[:2], 0, {}, {}, 0, 0, key[2]))._replace(revision=revision)


def follow(connection: sa.Connection, target_id: int) -> None:
    """Begin to tell a publisher of what is settled from now on; one that is being told already goes on."""
    if load_position(connection, target_id) is None:
        numbers = [connection.scalar(sa.select(sa.func.max(table.c.number))) or 0 for table in (restated, recounted)]
        until = settling.calendar(connection).until
        connection.execute(position.insert(),
                           {'target_id': target_id, **Position(until, until, 0, None, *numbers)._asdict()})


def told(connection: sa.Connection, target_id: int, due: Due) -> None:
    """Mark off what a publisher was told, unless another process did so."""
    same = [position.c[name].is_(None) if value is None else position.c[name] == value
            for name, value in due.before._asdict().items()]
    connection.execute(position.update().where(position.c.target_id == target_id, *same).values(**due.after._asdict()))


def behind(connection: sa.Connection) -> dict[str, int]:
    """Tell until when publishers were told, those that were not told of all that is settled."""
    calendar = settling.calendar(connection)
    rows = connection.execute(
        sa.select(target.c.name, position.c.until).join(target, target.c.id == position.c.target_id)
        .where(position.c.until < calendar.until).order_by(target.c.name))
    return {name: max(until, calendar.begin) for name, until in rows}


def load_position(connection: sa.Connection, target_id: int) -> Position | None:
    """Load how far a publisher was told; None if it is told nothing."""
    row = connection.execute(sa.select(*(position.c[name] for name in Position._fields))
                             .where(position.c.target_id == target_id)).first()
    return None if row is None else Position(*row)


def _members(connection: sa.Connection, begin: int, end: int) -> 'array[int]':
    """List the resources that were there in a period, or ended as it began, by number."""
    number = state_interval.c.resource_no + 0  # as it is, SQLite would go through all there are in their index's order
    query = (sa.select(number).where(state_interval.c.ends_at >= begin, state_interval.c.begins_at < end).distinct()
             .order_by(number))
    return array('q', connection.scalars(query, execution_options={'yield_per': 10_000}))


def _accounts(connection: sa.Connection, numbers: Sequence[int], calendar: Calendar, period: tuple[int, int], *,
              as_before: AsBefore) -> Iterator[Account]:
    """Give the segments of some resources in a period."""
    begin, end = period
    rows = settling.intervals(connection, numbers, state_interval.c.ends_at >= begin, state_interval.c.begins_at < end)
    found = list(resources(connection, numbers))
    unknown = [number for number, kind, _, _ in found if number in rows and rows[number][0][2] in as_before(kind)]
    if unknown:
        rows.update(settling.intervals(connection, unknown, state_interval.c.begins_at < end))
    revisions: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for row in connection.execute(ROW.where(restated.c.begins_at >= begin, restated.c.begins_at < end,
                                            restated.c.resource_no.in_(_NUMBERS)), {'numbers': numbers}):
        revisions[row.resource_no][row.begins_at] = row.revision
    for number, kind, resource_id, name in found:
        pieces = segments.pieces(rows.get(number, []), as_before(kind), calendar.begin, end)
        told = list(segments.within(pieces, period))
        if number in revisions:
            known = revisions[number]
            told = [one._replace(revision=known.get(one.begin, 0)) for one in told]
        if told:
            yield Account(kind, resource_id, name, told)


def anew(found: Sequence[segments.Piece], calendar: Calendar,
         marks: Mapping[int, tuple[int, int]]) -> Iterator[Segment]:
    """Give, for some times at which something was stated, what is to be stated of them now."""
    for at, (mark, revision) in sorted(marks.items()):
        period = calendar.period(at)
        now = [one for one in segments.within(found, period) if one.begin == at]
        segment = now[0] if now else segments.gone(found, at, mark, period)
        yield segment._replace(marks=segment.marks | mark, revision=revision)


def _counts(connection: sa.Connection, projects: Sequence[str], period: tuple[int, int]) -> Iterator[Count]:
    """Count what some projects had in a period."""
    revisions = {(row.resource_type, row.project_id): row.revision for row in connection.execute(
        COUNTED.where(recounted.c.begins_at == period[0], recounted.c.project_id.in_(projects)))} if projects else {}
    for one in count(connection, projects, [period]) if projects else ():
        yield one._replace(revision=revisions.get(one[:2], 0))


def projects(connection: sa.Connection, after: str) -> list[str]:
    """Give the next projects that ever owned anything: the index leads from each to the next."""
    found: list[str] = []
    while len(found) < _PROJECTS and (project := connection.scalar(
            _PROJECT, {'after': found[-1] if found else after})) is not None:
        found.append(project)
    return found


def resources(connection: sa.Connection, numbers: Collection[int]) -> Iterator[Any]:
    """Give number, type, id and name of resources, by number."""
    return iter(connection.execute(_RESOURCE, {'numbers': list(numbers)}).all() if numbers else ())
