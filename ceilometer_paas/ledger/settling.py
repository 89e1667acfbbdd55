# SPDX-License-Identifier: Apache-2.0
"""Periods that are over -> settled; lives that are otherwise than they were stated -> what is to be restated.

Within transactions of :mod:`ceilometer_paas.ledger.store`. Whoever settles takes turns with whoever folds, and settles
nothing while a life is still to be compared: what is kept of it is what was stated of all that is settled.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from ceilometer_paas.ledger import lives, segments
from ceilometer_paas.ledger.evidence import SECOND
from ceilometer_paas.ledger.folding import INTERVAL
from ceilometer_paas.ledger.periods import Calendar, Stretch
from ceilometer_paas.ledger.schema import recounted, resource, restated, restating, settled, state_interval
from ceilometer_paas.ledger.segments import Changed, Row

AsBefore = Callable[[str], Collection[str]]
"""Resource type -> states that count as the state before them."""

_LIVES = 20
_MARKS = 20_000
"""Lives that are compared, and what is found to be stated anew, at once; it may be more of one life."""

_SLICE = 1000
"""Rows that are named in one query at most."""

_STRETCHES = sa.select(settled.c.begins_at, settled.c.seconds, settled.c.until)
_ROWS = (sa.select(state_interval.c.resource_no, *(state_interval.c[name] for name in INTERVAL))
         .where(state_interval.c.resource_no.in_(sa.bindparam('numbers', expanding=True))))
_OUTDATED = (sa.select(restating.c.resource_no, restating.c.body, resource.c.resource_type)
             .join(resource, resource.c.id == restating.c.resource_no).order_by(restating.c.resource_no).limit(_LIVES))
_RESTATED = (restated.c.resource_no, restated.c.begins_at)
_RECOUNTED = (recounted.c.begins_at, recounted.c.project_id, recounted.c.resource_type)


class Period(NamedTuple):
    """What may be settled.

    :ivar begin: of all that is ever settled, if nothing is yet
    :ivar seconds: length of periods from now on
    :ivar until: what ended until then is over
    """

    begin: int
    seconds: int
    until: int


class Lives(NamedTuple):
    """Lives that are otherwise than they were stated.

    :ivar turn: as :func:`lives.turn` gave it
    :ivar kinds: number of the resource -> its type
    :ivar was: number of the resource -> its intervals as they were stated
    :ivar restated: number of the resource -> the beginnings of what was restated before
    """

    turn: int
    kinds: Mapping[int, str]
    was: Mapping[int, list[Row]]
    now: Mapping[int, list[Row]]
    restated: Mapping[int, list[int]]
    calendar: Calendar


class Settled(NamedTuple):
    """What was settled.

    :ivar turn: as :func:`lives.turn` gave it
    :ivar last: the last stretch that had been settled before, if any had
    :ivar new: what became of it, or the one that was begun after it
    """

    turn: int
    last: Stretch | None
    new: Stretch

    @property
    def begin(self) -> int:
        """From when on it was settled now, microseconds."""
        return self.new.begins_at if self.last is None else self.last.until


def calendar(connection: sa.Connection) -> Calendar:
    """Load what is settled."""
    rows = connection.execute(_STRETCHES.order_by(settled.c.begins_at)).all()
    return Calendar([Stretch(*row) for row in rows])


def intervals(connection: sa.Connection, numbers: Collection[int],
              *conditions: sa.ColumnElement[bool]) -> dict[int, list[Row]]:
    """Load intervals of some resources, those of each in order."""
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for row in connection.execute(_ROWS.where(*conditions), {'numbers': list(numbers)}).all():
        found[row[0]].append(row[1:])
    for rows in found.values():
        rows.sort()
    return found


def lags(connection: sa.Connection) -> bool:
    """Tell whether some lives that are otherwise than they were stated are still to be compared."""
    return bool(connection.scalar(sa.select(sa.exists(restating.select()))))


def load(connection: sa.Connection) -> Lives | None:
    """Load some lives that are otherwise than they were stated; None if there are none.

    Nobody waits for anybody as long as there are none.
    """
    if not lags(connection):
        return None
    turn = lives.turn(connection)
    rows = connection.execute(_OUTDATED).all()
    if not rows:
        return None
    kinds = {row.resource_no: row.resource_type for row in rows}
    was = {row.resource_no: [tuple(values) for values in json.loads(row.body)] for row in rows}
    before = defaultdict(list)
    for number, at in connection.execute(sa.select(*_RESTATED).where(restated.c.resource_no.in_(kinds))).all():
        before[number].append(at)
    return Lives(turn, kinds, was, intervals(connection, kinds), before, calendar(connection))


def compare(loaded: Lives, as_before: AsBefore) -> dict[int, Changed]:
    """See what is to be stated anew of each resource; if that is very much, of some of them."""
    span = loaded.calendar.begin, loaded.calendar.until
    found: dict[int, Changed] = {}
    for number, kind in loaded.kinds.items():
        if sum(len(changed.marks) for changed in found.values()) > _MARKS:
            break
        was, now = (segments.pieces(rows, as_before(kind), *span)
                    for rows in (loaded.was[number], loaded.now.get(number, [])))
        try:
            found[number] = segments.changed(was, now, loaded.calendar, loaded.restated.get(number, ()))
        except Exception as error:
            error.add_note(f'while comparing the {kind} with the number {number} with what was stated of it')
            raise
    return found


def write(connection: sa.Connection, loaded: Lives, found: Mapping[int, Changed]) -> bool:
    """Write what is to be restated; nothing, and False, if somebody else has had a turn meanwhile."""
    if not lives.is_first(connection, loaded.turn):
        return False
    restate(connection, {(number, at): marks for number, changed in found.items()
                         for at, marks in changed.marks.items()})
    recount(connection, {(begin, project_id, loaded.kinds[number]) for number, changed in found.items()
                         for project_id, begin in changed.projects})
    connection.execute(restating.delete().where(restating.c.resource_no.in_(found)))
    return True


def restate(connection: sa.Connection, marks: Mapping[tuple[int, int], int]) -> None:
    """Note what is to be stated anew of resources.

    :param marks: number of the resource, and beginning of a segment -> what is to be stated of it
    """
    known = connection.execute(sa.select(*_RESTATED, restated.c.number, restated.c.marks, restated.c.revision).where(
        restated.c.resource_no.in_({number for number, _ in marks}))).all() if marks else ()
    before = {row[:2]: row for row in known if row[:2] in marks}
    _replace(connection, restated, [row.number for row in before.values()], [
        {'resource_no': key[0], 'begins_at': key[1], 'marks': mark | (before[key].marks if key in before else 0),
         'revision': before[key].revision + 1 if key in before else 1} for key, mark in sorted(marks.items())])


def recount(connection: sa.Connection, keys: Collection[tuple[int, str, str]]) -> None:
    """Note what is to be stated anew of projects.

    :param keys: beginning of a period, project and resource type
    """
    begins = [key[0] for key in keys]
    known = connection.execute(sa.select(*_RECOUNTED, recounted.c.number, recounted.c.revision).where(
        recounted.c.begins_at.between(min(begins), max(begins)),
        recounted.c.project_id.in_({key[1] for key in keys}))).all() if keys else ()
    before = {row[:3]: row for row in known if row[:3] in keys}
    _replace(connection, recounted, [row.number for row in before.values()], [
        {'begins_at': key[0], 'project_id': key[1], 'resource_type': key[2],
         'revision': before[key].revision + 1 if key in before else 1} for key in sorted(keys)])


def _replace(connection: sa.Connection, table: sa.Table, gone: Sequence[int], rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows with new numbers in the stead of others."""
    for start in range(0, len(gone), _SLICE):
        connection.execute(table.delete().where(table.c.number.in_(gone[start:start + _SLICE])))
    if new := list(rows):
        connection.execute(table.insert(), new)


def due(connection: sa.Connection, period: Period) -> Settled | None:
    """See what can be settled; None if nothing can be, and then nobody has waited for anybody."""
    if _next(connection, period) is None:
        return None
    turn = lives.turn(connection)
    found = _next(connection, period)
    return None if found is None else Settled(turn, *found)


def _next(connection: sa.Connection, period: Period) -> tuple[Stretch | None, Stretch] | None:
    """Give the last stretch that is settled, and what can become of it, or come after it."""
    row = connection.execute(_STRETCHES.order_by(settled.c.begins_at.desc()).limit(1)).first()
    last = None if row is None else Stretch(*row)
    begin = period.begin if last is None else last.until
    until = period.until // (period.seconds * SECOND) * (period.seconds * SECOND)
    if until <= begin or lags(connection):
        return None
    if last is not None and last.seconds == period.seconds:
        return last, last._replace(until=until)
    return last, Stretch(begin, period.seconds, until)


def settle(connection: sa.Connection, found: Settled, new: Stretch) -> bool:
    """Settle; nothing, and False, if somebody else has had a turn meanwhile."""
    if not lives.is_first(connection, found.turn):
        return False
    if found.last is not None and found.last.begins_at == new.begins_at:
        connection.execute(settled.update().where(settled.c.begins_at == new.begins_at).values(until=new.until))
    else:
        connection.execute(settled.insert().values(**new._asdict()))
    return True
