# SPDX-License-Identifier: Apache-2.0
"""Journalled facts -> resources and their intervals, within transactions of :mod:`ceilometer_paas.ledger.store`.

Recording a batch only journals its facts: one row. Folding has three steps: :func:`load` reads rows of the journal and
what is known of the resources that they tell of, :func:`work_out` adds the facts to that, :func:`write` writes the
differences, if nobody else has folded since. An interval that begins when it did before keeps its row.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from ceilometer_paas.ledger import intervals
from ceilometer_paas.ledger.evidence import Evidence
from ceilometer_paas.ledger.intervals import Life, Span
from ceilometer_paas.ledger.schema import FOREVER, beginning, evidence, journal, resource, state_interval
from ceilometer_paas.model import DELETED, Fact

_ROWS = 100
"""Rows of the journal that are taken at once, at most."""

_Key = tuple[str, str]
_Told = list[tuple[str, Fact]]

_dumps = json.JSONEncoder(separators=(',', ':'), sort_keys=True).encode

# On a server nobody else folds until this transaction has ended. It comes first: what is read after it is what the last
# one left.
_FOLDS = sa.select(beginning.c.folds).with_for_update()
_MY_TURN = (beginning.update().where(beginning.c.folds == sa.bindparam('folds_before'))
            .values(folds=beginning.c.folds + 1))
_HEADS = sa.select(journal.c.id, journal.c.size).order_by(journal.c.id).limit(_ROWS)

_PRESENT = ('name', 'project_id', 'user_id', 'state', 'since', 'known_start')
_KNOWN = sa.select(resource.c.resource_id, resource.c.id, evidence.c.body, *(resource.c[name] for name in _PRESENT)
                   ).join(evidence, evidence.c.resource_no == resource.c.id)
_CHANGE = resource.update().where(resource.c.id == sa.bindparam('number'))
_LEARN = evidence.update().where(evidence.c.resource_no == sa.bindparam('number'))
_NUMBERS = sa.select(resource.c.resource_id, resource.c.id)

_INTERVAL = [column.name for column in state_interval.c if column.name not in ('id', 'resource_no')]
_INTERVALS = sa.select(state_interval.c.resource_no, state_interval.c.id,
                       *(state_interval.c[name] for name in _INTERVAL))
_RESTATE = state_interval.update().where(state_interval.c.id == sa.bindparam('number'))


class Loaded(NamedTuple):
    """What is to be folded, and what was known before.

    :ivar folds: how often had been folded until then
    :ivar taken: rows of the journal
    :ivar messages: how many they hold
    :ivar told: the facts of each resource, each with the id of its message
    :ivar known: number, evidence and present of the resources that were known
    :ivar kept: their intervals, by number and beginning, each with the number of its row
    """

    folds: int
    taken: list[int]
    messages: int
    told: Mapping[_Key, _Told]
    known: Mapping[_Key, sa.Row[Any]]
    kept: Mapping[int, Mapping[int, tuple[int, tuple[Any, ...]]]]


class Changes(NamedTuple):
    """What is to be written: rows of tables, by what is done to them."""

    learnt: list[dict[str, Any]]
    present: list[dict[str, Any]]
    met: dict[_Key, tuple[str, Life]]
    gone: list[int]
    changed: list[dict[str, Any]]
    new: list[dict[str, Any]]


def put(connection: sa.Connection, source_id: int, bodies: Iterable[str]) -> None:
    """Journal facts.

    :param bodies: JSON arrays of ``[message_id, facts]``
    """
    rows = [{'source_id': source_id, 'size': len(body), 'body': body} for body in bodies]
    if rows:
        connection.execute(journal.insert(), rows)


def load(connection: sa.Connection, size: int) -> Loaded:
    """Load the oldest rows of the journal, and what is known of the resources that they tell of.

    :param size: characters of all rows together; one row is taken however large it is
    """
    folds: int = connection.execute(_FOLDS).scalar_one()
    taken: list[int] = []
    for row_id, length in connection.execute(_HEADS).all():
        size -= length
        if taken and size < 0:
            break
        taken.append(row_id)
    messages = 0
    told: defaultdict[_Key, _Told] = defaultdict(list)
    for body in connection.scalars(sa.select(journal.c.body).where(journal.c.id.in_(taken))).all():
        for message_id, facts in json.loads(body):
            messages += 1
            for values in facts:
                fact = Fact(*values)
                told[fact.resource_type, fact.resource_id].append((message_id, fact))
    known = {(kind, row.resource_id): row for kind, row in _find(connection, _KNOWN, told)}
    kept: defaultdict[int, dict[int, tuple[int, tuple[Any, ...]]]] = defaultdict(dict)
    numbers = [row.id for row in known.values()]
    for row in connection.execute(_INTERVALS.where(state_interval.c.resource_no.in_(numbers))).all():
        kept[row[0]][row[2]] = row[1], row[2:]
    return Loaded(folds, taken, messages, told, known, kept)


def work_out(loaded: Loaded) -> Changes:
    """Add what was told of each resource to what was known of it, and see what that changes."""
    changes = Changes([], [], {}, [], [], [])
    for key, facts in loaded.told.items():
        row = loaded.known.get(key)
        known = Evidence.load(row.body) if row else Evidence()
        news = [known.add(message_id, fact) for message_id, fact in facts]
        if row is None:
            changes.met[key] = known.dump(), intervals.fold(known)
        elif any(news):
            life = intervals.fold(known)
            present = _present(life)
            changes.learnt.append({'number': row.id, 'body': known.dump()})
            if present != row[3:]:
                changes.present.append({'number': row.id, **dict(zip(_PRESENT, present, strict=True))})
            _compare(life.spans, row.id, loaded.kept[row.id], changes)
    return changes


def _compare(spans: Sequence[Span], number: int, kept: Mapping[int, tuple[int, tuple[Any, ...]]],
             changes: Changes) -> None:
    """See how the intervals of a resource differ from those that are kept."""
    left = dict(kept)
    for values in _rows(spans):
        row_id, before = left.pop(values[0], (None, None))
        if row_id is None:
            changes.new.append({'resource_no': number, **dict(zip(_INTERVAL, values, strict=True))})
        elif before != values:
            changes.changed.append({'number': row_id, **dict(zip(_INTERVAL, values, strict=True))})
    changes.gone.extend(row_id for row_id, _ in left.values())


def write(connection: sa.Connection, loaded: Loaded, changes: Changes) -> bool:
    """Write the differences; nothing, and False, if somebody else has folded since they were worked out."""
    if not connection.execute(_MY_TURN, {'folds_before': loaded.folds}).rowcount:
        return False
    if changes.gone:
        connection.execute(state_interval.delete().where(state_interval.c.id.in_(changes.gone)))
    new = changes.new + (_meet(connection, changes.met) if changes.met else [])
    for statement, rows in ((_LEARN, changes.learnt), (_CHANGE, changes.present), (_RESTATE, changes.changed),
                            (state_interval.insert(), new)):
        if rows:
            connection.execute(statement, rows)
    connection.execute(journal.delete().where(journal.c.id.in_(loaded.taken)))
    return True


def _meet(connection: sa.Connection, met: Mapping[_Key, tuple[str, Life]]) -> list[dict[str, Any]]:
    """Enter resources that were not known, with their evidence; the rows of their intervals."""
    connection.execute(resource.insert(), [
        {'resource_type': key[0], 'resource_id': key[1], **dict(zip(_PRESENT, _present(life), strict=True))}
        for key, (_, life) in met.items()])
    numbers = {(kind, row.resource_id): row.id for kind, row in _find(connection, _NUMBERS, met)}
    connection.execute(evidence.insert(), [{'resource_no': numbers[key], 'body': body}
                                           for key, (body, _) in met.items()])
    return [{'resource_no': numbers[key], **dict(zip(_INTERVAL, values, strict=True))}
            for key, (_, life) in met.items() for values in _rows(life.spans)]


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
