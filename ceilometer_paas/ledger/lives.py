# SPDX-License-Identifier: Apache-2.0
"""Journalled facts -> resources and their intervals, within transactions of :mod:`ceilometer_paas.ledger.store`.

Recording a batch only journals its facts: one row. Folding has three steps: :func:`load` reads rows of the journal and
what is known of the resources that they tell of, :func:`~.folding.work_out` adds the facts to that, :func:`write`
writes the differences, if nobody else has folded since. An interval that begins when it did before keeps its row.

When a resource ended, or ended at another time than was known, the lives that are parts of it are folded anew. They may
be many, so that this is left to the next steps: the first row of the journal that was taken then stays, and holds
:class:`~.folding.Parents` instead of facts.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ceilometer_paas.ledger import parts, quarantine, schema
from ceilometer_paas.ledger.evidence import dumps
from ceilometer_paas.ledger.folding import INTERVAL, PRESENT, Changes, Key, Loaded, Parents, Told, rows_of
from ceilometer_paas.ledger.intervals import Span
from ceilometer_paas.ledger.schema import beginning, distinct, evidence, journal, resource, restating, state_interval
from ceilometer_paas.model import Fact

_ROWS = 100
"""Rows of the journal that are taken at once, at most."""

_CHILDREN = 500
"""Lives that are folded anew at once, at most, because their parent ended."""

_FIELDS = len(Fact._fields)
_ALONE = 1 << 30
"""Size of a row of the journal that no other is taken with."""

# It comes first: what is read after it is what the last turn left.
_FOLDS = sa.select(beginning.c.folds).with_for_update()
_MY_TURN = (beginning.update().where(beginning.c.folds == sa.bindparam('folds_before'))
            .values(folds=beginning.c.folds + 1))
_HEADS = sa.select(journal.c.id, journal.c.size).order_by(journal.c.id).limit(_ROWS)
_BODIES = sa.select(journal.c.source_id, journal.c.collected_at, journal.c.body)

_KNOWN = sa.select(resource.c.resource_id, resource.c.id, evidence.c.body, *(resource.c[name] for name in PRESENT)
                   ).join(evidence, evidence.c.resource_no == resource.c.id)
_CHANGE = resource.update().where(resource.c.id == sa.bindparam('number'))
_NUMBERS = sa.select(resource.c.resource_id, resource.c.id)
_ENDS = sa.select(resource.c.resource_id, resource.c.ended_at)
_PARTS = sa.select(resource.c.resource_type, resource.c.resource_id, resource.c.id).order_by(resource.c.id)

_SETTLED = sa.select(sa.func.max(schema.settled.c.until))
_OUTDATED = sa.select(restating.c.resource_no)

_INTERVALS = sa.select(state_interval.c.resource_no, state_interval.c.id,
                       *(state_interval.c[name] for name in INTERVAL))
_CHANGE_INTERVAL = state_interval.update().where(state_interval.c.id == sa.bindparam('number'))


def put(connection: sa.Connection, source_id: int, bodies: Iterable[str], now: datetime) -> None:
    """Journal facts.

    :param bodies: JSON arrays of ``[message_id, facts]``
    """
    rows = [{'source_id': source_id, 'collected_at': now, 'size': len(body), 'body': body} for body in bodies]
    if rows:
        connection.execute(journal.insert(), rows)


def load(connection: sa.Connection, size: int) -> Loaded | None:
    """Load the oldest rows of the journal, and what is known of the resources that they tell of; None if it is empty.

    :param size: characters of all rows together; one row is taken however large it is
    """
    folds = turn(connection)
    taken = _take(connection, size)
    if not taken:
        return None
    messages, left = 0, None
    told: defaultdict[Key, Told] = defaultdict(list)
    origins: dict[Key, tuple[int, datetime]] = {}
    for source_id, collected_at, body in connection.execute(_BODIES.where(journal.c.id.in_(taken))).all():
        content = json.loads(body)
        if isinstance(content, dict):
            keys, left = _children(connection, Parents(**content))
            told.update((key, []) for key in keys)
            messages = 1
            break
        for message_id, facts in content:
            messages += 1
            for values in facts:
                fact = Fact(*values[:_FIELDS])
                key = fact.resource_type, fact.resource_id
                told[key].append((message_id, fact))
                origins[key] = source_id, collected_at
    known = {(kind, row.resource_id): row for kind, row in _find(connection, _KNOWN, told)}
    kept: defaultdict[int, dict[int, tuple[int, tuple[Any, ...]]]] = defaultdict(dict)
    numbers = [row.id for row in known.values()]
    for row in connection.execute(_INTERVALS.where(state_interval.c.resource_no.in_(numbers))).all():
        kept[row[0]][row[2]] = row[1], row[2:]
    ends = _ends(connection, told, known)
    until: int = connection.scalar(_SETTLED) or 0
    outdated = frozenset(connection.scalars(_OUTDATED.where(restating.c.resource_no.in_(numbers)))) if until else ()
    return Loaded(folds, taken, messages, told, origins, known, kept, ends, left, until, outdated)


def turn(connection: sa.Connection) -> int:
    """Begin a turn: how many there were before. On a server nobody else has one until this transaction has ended."""
    folds: int = connection.execute(_FOLDS).scalar_one()
    return folds


def is_first(connection: sa.Connection, folds: int) -> bool:
    """Tell whether nobody else has had a turn since one began."""
    return bool(connection.execute(_MY_TURN, {'folds_before': folds}).rowcount)


def _take(connection: sa.Connection, size: int) -> list[int]:
    """Choose the oldest rows of the journal."""
    taken: list[int] = []
    for row_id, length in connection.execute(_HEADS).all():
        size -= length
        if taken and size < 0:
            break
        taken.append(row_id)
    return taken


def _children(connection: sa.Connection, parents: Parents) -> tuple[list[Key], Parents | None]:
    """Find some children, of one parent after another and in the order of their numbers, and what is left then."""
    keys, after = list(parents.keys), parents.after
    found: list[Key] = []
    while keys and len(found) < _CHILDREN:
        rows = connection.execute(_PARTS.where(resource.c.parent_type == keys[0][0], resource.c.parent_id == keys[0][1],
                                               resource.c.id > after).limit(_CHILDREN - len(found))).all()
        found += ((row.resource_type, row.resource_id) for row in rows)
        after = rows[-1].id if len(found) == _CHILDREN else 0
        keys = keys if after else keys[1:]
    return found, Parents(keys, after) if keys else None


def _ends(connection: sa.Connection, told: Mapping[Key, Told],
          known: Mapping[Key, sa.Row[Any]]) -> dict[Key | None, int | None]:
    """Look up when the parents of some resources ended, if they have any."""
    parents = {(row.parent_type, row.parent_id) for row in known.values() if row.parent_type is not None}
    parents.update(parent for facts in told.values() for _, fact in facts
                   if (parent := parts.parent_of(fact.attributes)) is not None)
    return {(kind, row.resource_id): row.ended_at for kind, row in _find(connection, _ENDS, parents)}


def write(connection: sa.Connection, loaded: Loaded, changes: Changes) -> bool:
    """Write the differences; nothing, and False, if somebody else has folded since they were worked out."""
    if not is_first(connection, loaded.folds):
        return False
    if changes.gone:
        connection.execute(state_interval.delete().where(state_interval.c.id.in_(changes.gone)))
    if changes.learnt:  # two statements for all of them, where an UPDATE would be one for each
        numbers = [row['resource_no'] for row in changes.learnt]
        connection.execute(evidence.delete().where(evidence.c.resource_no.in_(numbers)))
    met = _meet(connection, changes.met) if changes.met else []
    late = {row['resource_no'] for row in met if row['begins_at'] < loaded.settled}
    outdated = changes.outdated + [{'resource_no': number, 'body': '[]'} for number in sorted(late)]
    for statement, rows in ((evidence.insert(), changes.learnt), (_CHANGE, changes.present),
                            (_CHANGE_INTERVAL, changes.changed), (state_interval.insert(), changes.new + met),
                            (restating.insert(), outdated)):
        if rows:
            connection.execute(statement, rows)
    for source_id, collected_at, item in changes.refused:
        quarantine.put(connection, source_id, [item], collected_at)
    _finish(connection, loaded, changes.ended)
    return True


def _finish(connection: sa.Connection, loaded: Loaded, ended: Sequence[Key]) -> None:
    """Delete the rows of the journal that were folded; keep one for children that are to be folded anew."""
    left, done = loaded.left, loaded.taken
    if ended:
        types = distinct(connection, resource.c.parent_type)
        parents = [key for key in ended if key[0] in types]
        left = Parents(parents, 0) if parents else None
    if left is not None:
        first, *done = loaded.taken
        connection.execute(journal.update().where(journal.c.id == first)
                           .values(size=_ALONE, body=dumps(left._asdict())))
    connection.execute(journal.delete().where(journal.c.id.in_(done)))


def _meet(connection: sa.Connection,
          met: Mapping[Key, tuple[str, tuple[Any, ...], Sequence[Span]]]) -> list[dict[str, Any]]:
    """Enter resources that were not known, with their evidence; the rows of their intervals."""
    connection.execute(resource.insert(), [
        {'resource_type': key[0], 'resource_id': key[1], **dict(zip(PRESENT, present, strict=True))}
        for key, (_, present, _) in met.items()])
    numbers = {(kind, row.resource_id): row.id for kind, row in _find(connection, _NUMBERS, met)}
    connection.execute(evidence.insert(), [{'resource_no': numbers[key], 'body': body}
                                           for key, (body, _, _) in met.items()])
    return [{'resource_no': numbers[key], **dict(zip(INTERVAL, values, strict=True))}
            for key, (_, _, spans) in met.items() for values in rows_of(spans)]


def newest(connection: sa.Connection) -> int | None:
    """Give the number of the journal's newest row; numbers rise, and are not used again."""
    number: int | None = connection.scalar(sa.select(sa.func.max(journal.c.id)))
    return number


def waits(connection: sa.Connection, number: int) -> bool:
    """Tell whether a row of the journal up to that number is still to be folded."""
    return bool(connection.scalar(sa.select(sa.exists().where(journal.c.id <= number))))


def began(connection: sa.Connection) -> int | None:
    """Give the ledger's beginning, if it has begun."""
    at: int | None = connection.scalar(sa.select(beginning.c.begins_at))
    return at


def begin(connection: sa.Connection, at: int) -> int | None:
    """Set the ledger's beginning, if it has none; the one that it has then."""
    connection.execute(beginning.update().where(beginning.c.begins_at.is_(None)).values(begins_at=at))
    return began(connection)


def _find(connection: sa.Connection, query: sa.Select[Any], keys: Iterable[Key]) -> Iterator[tuple[str, sa.Row[Any]]]:
    """Look resources up; each row with the type of its resource."""
    ids = defaultdict(list)
    for resource_type, resource_id in keys:
        ids[resource_type].append(resource_id)
    for resource_type, some in ids.items():
        for row in connection.execute(query.where(resource.c.resource_type == resource_type,
                                                  resource.c.resource_id.in_(some))).all():
            yield resource_type, row
