# SPDX-License-Identifier: Apache-2.0
"""Questions to the ledger of lives: who was in which state, since when, and for how long.

Nothing here folds: what is still in the journal is not seen. Nothing earlier than a scope's beginning is shown; an
interval that began earlier is shown as if it had begun then.
"""

import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from ceilometer_paas import times
from ceilometer_paas.ledger import parts
from ceilometer_paas.ledger.evidence import SECOND, Evidence
from ceilometer_paas.ledger.intervals import Life, Testimony, fold, testimonies
from ceilometer_paas.ledger.schema import FOREVER, distinct, evidence, resource, state_interval
from ceilometer_paas.model import DELETED

GROUPS = ('project_id', 'resource_type', 'resource_id', 'state', 'flavor', 'size', 'user_id', 'host',
          'availability_zone')
"""What usage can be grouped by."""

DEFAULT_GROUPS = ('project_id', 'resource_type', 'state', 'size')

_SLICE = 500
"""Resources that one transaction reads at most."""

Read = Callable[[], AbstractContextManager[sa.Connection]]


class Scope(NamedTuple):
    """Which resources are meant, those that equal whatever is given, and from when on.

    :ivar beginning: nothing earlier is shown
    """

    beginning: datetime
    resource_type: str | None = None
    resource_id: str | None = None
    project_id: str | None = None


class Interval(NamedTuple):
    """A time, half-open, in which a resource's state, size and owner were the same.

    :ivar size: what a price may depend on, the flavor included
    :ivar end: None while it lasts
    """

    resource_type: str
    resource_id: str
    project_id: str | None
    user_id: str | None
    state: str
    flavor: str | None
    size: Mapping[str, Any]
    begin: datetime
    end: datetime | None
    host: str | None
    availability_zone: str | None


class Resource(NamedTuple):
    """What a resource is now.

    :ivar state: ``deleted`` if it has ended; empty if nothing is known but its end
    :ivar since: when the last interval began or, of what has ended, when it ended; None where the state is empty
    :ivar known_start: whether its first interval is known to be its first; if not, it may have been before
    """

    resource_type: str
    resource_id: str
    name: str | None
    project_id: str | None
    user_id: str | None
    state: str
    since: datetime | None
    known_start: bool


class Story(NamedTuple):
    """A resource's life, and the facts behind it, in order; if it ended with its parent, the one that ended that too.

    :ivar attributes: the newest of each: ``name``, ``image``, ``license``, ``metadata``, ``tags``, ``parent``
    """

    resource: Resource
    attributes: Mapping[str, Any]
    intervals: list[Interval]
    testimonies: list[Testimony]


class Usage(NamedTuple):
    """How long resources were used.

    :ivar group: what they have in common, by the columns that were asked for
    :ivar micros: microseconds of all of them together
    """

    group: Mapping[str, Any]
    micros: int


class Period(NamedTuple):
    """A half-open time in microseconds since 1970."""

    begin: int
    end: int

    @classmethod
    def of(cls, scope: Scope, begin: datetime | None, end: datetime | None) -> 'Period':
        """Begin no earlier than the scope; None is no limit."""
        beginning = times.to_micros(scope.beginning)
        return cls(beginning if begin is None else max(beginning, times.to_micros(begin)),
                   FOREVER if end is None else times.to_micros(end))

    def overlaps(self) -> sa.ColumnElement[bool]:
        """Select the intervals that have a part in it."""
        return sa.and_(state_interval.c.ends_at > self.begin, state_interval.c.begins_at < self.end)


_RESOURCES = sa.select(*(resource.c[name] for name in Resource._fields))
_INTERVALS = (
    sa.select(*(resource.c[name] for name in ('id', 'resource_type', 'resource_id')),
              *(state_interval.c[name] for name in ('project_id', 'user_id', 'state', 'flavor', 'size', 'begins_at',
                                                    'ends_at', 'host', 'availability_zone')))
    .join(resource, resource.c.id == state_interval.c.resource_no))


def intervals(read: Read, scope: Scope, begin: datetime | None, end: datetime | None) -> Iterator[Interval]:
    """List the intervals that overlap a period, by type and id of the resource, and time.

    Each transaction reads those of some resources; between them only the numbers of the resources are kept.
    """
    period = Period.of(scope, begin, end)
    if period.begin >= period.end:
        return
    with read() as connection:
        numbers = array('q', connection.scalars(_numbers(connection, scope, period)))
    for start in range(0, len(numbers), _SLICE):
        with read() as connection:
            found = list(_load(connection, numbers[start:start + _SLICE], scope, period))
        yield from found


def resources(read: Read, scope: Scope) -> Iterator[Resource]:
    """List resources, by type and id; those that ended before the beginning are left out."""
    with read() as connection:
        types = _types(connection, scope)
    for resource_type in types:
        after = ''
        while True:
            query = (_RESOURCES.where(resource.c.resource_type == resource_type, resource.c.resource_id > after,
                                      *_shown(scope))
                     .order_by(resource.c.resource_id).limit(_SLICE))
            with read() as connection:
                rows = connection.execute(query).all()
            if not rows:
                break
            after = rows[-1].resource_id
            for row in rows:
                yield _resource(row, times.to_micros(scope.beginning))


def stories(connection: sa.Connection, scope: Scope) -> list[Story]:
    """Tell the lives of the resources of a scope, which are all loaded at once."""
    beginning, every = times.to_micros(scope.beginning), scope._replace(project_id=None)
    query = (_RESOURCES.add_columns(resource.c.id, evidence.c.body)
             .join(evidence, evidence.c.resource_no == resource.c.id)
             .where(resource.c.resource_type.in_(_types(connection, scope)), *_shown(scope))
             .order_by(resource.c.resource_type, resource.c.resource_id))
    told = []
    for *values, number, text in connection.execute(query).all():
        known = Evidence.load(text)
        life = fold(known)
        facts = [*testimonies(known), *_parents(connection, known, life)]
        told.append(Story(_resource(values, beginning), life.attributes,
                          list(_load(connection, [number], every, Period(beginning, FOREVER))), sorted(facts)))
    return told


def _parents(connection: sa.Connection, known: Evidence, life: Life) -> Iterator[Testimony]:
    """Give what ended the parent of a life, if it did so before that ended by itself."""
    parent, end = parts.parent_of(life.attributes), parts.own_end(known, life)
    if parent is None:
        return
    query = (sa.select(evidence.c.body).join(resource, evidence.c.resource_no == resource.c.id)
             .where(resource.c.resource_type == parent[0], resource.c.resource_id == parent[1]))
    for text in connection.scalars(query).all():
        told = parts.ending(Evidence.load(text))
        if told is not None and (end is None or told.time < end):
            yield told


def summed(connection: sa.Connection, scope: Scope, period: Period, group_by: Sequence[str]) -> list[Usage]:
    """Sum the time that resources spent within a period.

    :raises LookupError: usage cannot be grouped so
    """
    if unknown := set(group_by).difference(GROUPS):
        raise LookupError(f'usage cannot be grouped by {", ".join(sorted(unknown))}')
    if period.begin >= period.end:
        return []
    columns = [resource.c[name] if name in ('resource_type', 'resource_id') else state_interval.c[name]
               for name in group_by]
    begin, end = state_interval.c.begins_at, state_interval.c.ends_at
    micros = (sa.case((end > period.end, period.end), else_=end)
              - sa.case((begin < period.begin, period.begin), else_=begin))
    # SQLite refuses a sum beyond 64 bits, which 300,000 years in microseconds are; the division leaves no rest.
    rest = micros % SECOND
    query = (sa.select(*columns, sa.func.sum((micros - rest) // SECOND), sa.func.sum(rest))
             .join_from(state_interval, resource, resource.c.id == state_interval.c.resource_no)
             .where(period.overlaps(), *_owned(scope), *within(connection, scope)).group_by(*columns))
    rows = sorted(connection.execute(query), key=lambda row: [(value is not None, value) for value in row[:-2]])
    return [Usage(_group(group_by, values), int(seconds) * SECOND + int(micros))
            for *values, seconds, micros in rows if seconds is not None]


def _load(connection: sa.Connection, numbers: Sequence[int], scope: Scope, period: Period) -> Iterator[Interval]:
    """Load the intervals of some resources that overlap a period, in the order of those and of time.

    They are sorted, and those of other owners left out, in Python: MariaDB sorts long texts on its disk, and SQLite
    would rather go through all intervals of a project than look up those of a resource.
    """
    places = {number: place for place, number in enumerate(numbers)}
    rows = connection.execute(_INTERVALS.where(state_interval.c.resource_no.in_(places), period.overlaps())).all()
    beginning = times.to_micros(scope.beginning)
    for _, *values in sorted(rows, key=lambda row: (places[row.id], row.begins_at)):
        interval = Interval(*values)
        begin, end = values[7:9]
        if scope.project_id in (None, interval.project_id):
            yield interval._replace(size=json.loads(values[6]), begin=times.from_micros(max(begin, beginning)),
                                    end=None if end == FOREVER else times.from_micros(end))


def _numbers(connection: sa.Connection, scope: Scope, period: Period) -> sa.Select[int]:
    """Select the numbers of the resources that may have intervals in a period, by type and id."""
    query = (sa.select(resource.c.id).where(*within(connection, scope))
             .order_by(resource.c.resource_type, resource.c.resource_id))
    if scope.resource_id is not None:
        return query
    number = state_interval.c.resource_no + 0  # as it is, SQLite would go through all there are in their index's order
    some = sa.select(number.label('number')).where(period.overlaps(), *_owned(scope)).distinct().subquery()
    return query.join(some, some.c.number == resource.c.id)


def _types(connection: sa.Connection, scope: Scope) -> list[str]:
    """List the types of a scope."""
    return distinct(connection, resource.c.resource_type) if scope.resource_type is None else [scope.resource_type]


def within(connection: sa.Connection, scope: Scope) -> list[sa.ColumnElement[bool]]:
    """Say which resources a scope means, whoever owns them; an id is looked up below its type."""
    if scope.resource_id is not None:
        return [resource.c.resource_type.in_(_types(connection, scope)), resource.c.resource_id == scope.resource_id]
    return [] if scope.resource_type is None else [resource.c.resource_type == scope.resource_type]


def _owned(scope: Scope) -> list[sa.ColumnElement[bool]]:
    return [] if scope.project_id is None else [state_interval.c.project_id == scope.project_id]


def _shown(scope: Scope) -> list[sa.ColumnElement[bool]]:
    """Select, among the resources of a type, those that are shown."""
    given = [resource.c[name] == value for name, value in (('resource_id', scope.resource_id),
                                                           ('project_id', scope.project_id)) if value is not None]
    over = sa.and_(resource.c.state == DELETED, resource.c.since <= times.to_micros(scope.beginning))
    return [*given, sa.not_(over)]


def _resource(row: Sequence[Any], beginning: int) -> Resource:
    found = Resource(*row)
    since: Any = found.since
    return found._replace(since=None if since is None else times.from_micros(max(since, beginning)))


def _group(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    group = dict(zip(names, values, strict=True))
    return group | {'size': json.loads(group['size'])} if 'size' in group else group
