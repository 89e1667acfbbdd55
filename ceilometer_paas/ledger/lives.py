# SPDX-License-Identifier: Apache-2.0
"""Journalled facts -> resources and their intervals, within a transaction of :mod:`ceilometer_paas.ledger.store`.

Recording a batch only journals its facts: one row. Folding takes rows of the journal, adds their facts to what is known
of each resource, and writes what that changes. An interval that begins when it did before keeps its row.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from ceilometer_paas.ledger import intervals
from ceilometer_paas.ledger.intervals import Evidence, Life, Span
from ceilometer_paas.ledger.schema import FOREVER, beginning, evidence, journal, resource, state_interval
from ceilometer_paas.model import DELETED, Fact

_ROWS = 100
"""Rows of the journal that are taken at once, at most."""

_SLICE = 200
"""Resources that are held in memory at once."""

_Key = tuple[str, str]
_Told = list[tuple[str, Fact]]

_dumps = json.JSONEncoder(separators=(',', ':'), sort_keys=True).encode

# Nobody else folds before this transaction has ended. It comes first: what is read after it is what the last one left.
_LOCK = sa.select(beginning.c.id).with_for_update()
_HEADS = sa.select(journal.c.id, journal.c.size).order_by(journal.c.id).limit(_ROWS)

_RESOURCE = ('name', 'project_id', 'user_id', 'state', 'since', 'known_start')
_KNOWN = sa.select(resource.c.resource_id, resource.c.id, evidence.c.body, *(resource.c[name] for name in _RESOURCE)
                   ).join(evidence, evidence.c.resource_no == resource.c.id)
_CHANGE = resource.update().where(resource.c.id == sa.bindparam('number'))
_LEARN = evidence.update().where(evidence.c.resource_no == sa.bindparam('number'))
_NUMBERS = sa.select(resource.c.resource_id, resource.c.id)

_INTERVAL = [column.name for column in state_interval.c if column.name not in ('id', 'resource_no')]
_INTERVALS = sa.select(state_interval.c.resource_no, state_interval.c.id,
                       *(state_interval.c[name] for name in _INTERVAL))
_RESTATE = state_interval.update().where(state_interval.c.id == sa.bindparam('number'))


def put(connection: sa.Connection, source_id: int, bodies: Iterable[str]) -> None:
    """Journal facts.

    :param bodies: JSON arrays of ``[message_id, facts]``
    """
    rows = [{'source_id': source_id, 'size': len(body), 'body': body} for body in bodies]
    if rows:
        connection.execute(journal.insert(), rows)


def fold(connection: sa.Connection, size: int) -> int:
    """Fold the oldest rows of the journal; how many messages they held.

    :param size: characters of all rows together; one row is taken however large it is
    """
    connection.execute(_LOCK).all()
    chosen: list[int] = []
    for row_id, length in connection.execute(_HEADS).all():
        size -= length
        if chosen and size < 0:
            break
        chosen.append(row_id)
    if not chosen:
        return 0
    messages = 0
    told: defaultdict[_Key, _Told] = defaultdict(list)
    for body in connection.scalars(sa.select(journal.c.body).where(journal.c.id.in_(chosen))).all():
        for message_id, facts in json.loads(body):
            messages += 1
            for values in facts:
                fact = Fact(*values)
                told[fact.resource_type, fact.resource_id].append((message_id, fact))
    keys = iter(told)
    while some := list(islice(keys, _SLICE)):
        _learn(connection, {key: told[key] for key in some})
    connection.execute(journal.delete().where(journal.c.id.in_(chosen)))
    return messages


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


def _learn(connection: sa.Connection, told: Mapping[_Key, _Told]) -> None:
    """Add what was told of some resources to what is known of them, and write what follows."""
    known = {(kind, row.resource_id): row for kind, row in _find(connection, _KNOWN, told)}
    new, learnt, changed = {}, [], []
    spans: dict[int, Sequence[Span]] = {}
    for key, facts in told.items():
        row = known.get(key)
        all_known = Evidence.load(row.body) if row else Evidence()
        for message_id, fact in facts:
            all_known.add(message_id, fact)
        body = all_known.dump()
        if row is None:
            new[key] = body, intervals.fold(all_known)
        elif row.body != body:
            life = intervals.fold(all_known)
            spans[row.id] = life.spans
            learnt.append({'number': row.id, 'body': body})
            values = _present(life)
            if values != row[3:]:
                changed.append({'number': row.id, **dict(zip(_RESOURCE, values, strict=True))})
    if learnt:
        connection.execute(_LEARN, learnt)
    if changed:
        connection.execute(_CHANGE, changed)
    if new:
        spans |= _add(connection, new)
    if spans:
        _restate(connection, spans)


def _add(connection: sa.Connection, new: Mapping[_Key, tuple[str, Life]]) -> dict[int, Sequence[Span]]:
    """Enter resources that were not known, with their evidence; what the intervals of each are to be."""
    connection.execute(resource.insert(), [
        {'resource_type': key[0], 'resource_id': key[1], **dict(zip(_RESOURCE, _present(life), strict=True))}
        for key, (_, life) in new.items()])
    numbers = {(kind, row.resource_id): row.id for kind, row in _find(connection, _NUMBERS, new)}
    connection.execute(evidence.insert(), [{'resource_no': numbers[key], 'body': body}
                                           for key, (body, _) in new.items()])
    return {numbers[key]: life.spans for key, (_, life) in new.items()}


def _find(connection: sa.Connection, query: sa.Select[Any], keys: Iterable[_Key]) -> Iterator[tuple[str, sa.Row[Any]]]:
    """Look resources up; each row with the type of its resource."""
    ids = defaultdict(list)
    for resource_type, resource_id in keys:
        ids[resource_type].append(resource_id)
    for resource_type, some in ids.items():
        for row in connection.execute(query.where(resource.c.resource_type == resource_type,
                                                  resource.c.resource_id.in_(some))).all():
            yield resource_type, row


def _present(life: Life) -> tuple[Any, ...]:
    """Give what a resource is now, by its last interval, or deleted since that ended: the columns of its row."""
    name = _fit(life.attributes.get('name'))
    if not life.spans:
        return name, None, None, '', None, life.known_start
    last = life.spans[-1]
    state, since = (last.state, last.begin) if last.end is None else (DELETED, last.end)
    return name, last.project_id, last.user_id, state, since, life.known_start


def _restate(connection: sa.Connection, spans: Mapping[int, Sequence[Span]]) -> None:
    """Make the intervals of some resources those spans: delete, change and insert what differs."""
    kept: defaultdict[int, dict[int, tuple[int, tuple[Any, ...]]]] = defaultdict(dict)
    for row in connection.execute(_INTERVALS.where(state_interval.c.resource_no.in_(spans))).all():
        kept[row[0]][row[2]] = row[1], row[2:]
    changed, new = [], []
    for number, some in spans.items():
        old = kept[number]
        for values in _rows(some):
            row_id, before = old.pop(values[0], (None, None))
            if row_id is None:
                new.append({'resource_no': number, **dict(zip(_INTERVAL, values, strict=True))})
            elif before != values:
                changed.append({'number': row_id, **dict(zip(_INTERVAL, values, strict=True))})
    gone = [row_id for old in kept.values() for row_id, _ in old.values()]
    if gone:
        connection.execute(state_interval.delete().where(state_interval.c.id.in_(gone)))
    if changed:
        connection.execute(_RESTATE, changed)
    if new:
        connection.execute(state_interval.insert(), new)


def _rows(spans: Sequence[Span]) -> Iterator[tuple[Any, ...]]:
    """Give spans as the columns of their rows."""
    known: Mapping[str, Any] = {}
    flavor, text = None, '{}'
    for begins_at, ends_at, state, project_id, user_id, size, host, zone in spans:
        if size != known:
            known, flavor, text = size, _fit(size.get('flavor')), _dumps(size)
        yield (begins_at, FOREVER if ends_at is None else ends_at, state, project_id, user_id, flavor, text,
               _fit(host), _fit(zone))


def _fit(value: object) -> str | None:
    """Make what a message says fit for a column: printable, at most 255 characters; None stays None."""
    if value is None:
        return None
    text = str(value)
    if len(text) < 256 and text.isprintable():
        return text
    return ''.join(filter(str.isprintable, text))[:255]
