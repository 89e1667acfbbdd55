# SPDX-License-Identifier: Apache-2.0
"""Journalled facts -> resources and their intervals, within transactions of :mod:`ceilometer_paas.ledger.store`.

Recording a batch only journals its facts: one row. Folding has three steps: :func:`load` reads rows of the journal and
what is known of the resources that they tell of, :func:`work_out` adds the facts to that, :func:`write` writes the
differences, if nobody else has folded since. An interval that begins when it did before keeps its row.

What one resource has too much of, and what this package fails at, is put into the quarantine, so that the lives of
others go on.

When a resource ended, or ended at another time than was known, the lives that are parts of it are folded anew. They may
be many, so that this is left to the next steps: the first row of the journal that was taken then stays, and holds
:class:`Parents` instead of facts.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from ceilometer_paas import times
from ceilometer_paas.errors import Refused, printable
from ceilometer_paas.ledger import intervals, parts, quarantine
from ceilometer_paas.ledger.evidence import SECOND, Evidence, News
from ceilometer_paas.ledger.intervals import Life, Span
from ceilometer_paas.ledger.schema import FOREVER, beginning, distinct, evidence, journal, resource, state_interval
from ceilometer_paas.model import DELETED, Fact, Quarantined, dump_facts

LOG = logging.getLogger(__name__)

MAX_EVIDENCE = 1024 * 1024
"""Characters that are kept of one resource: some nine thousand changes. Each further message costs 50 ms then."""

_ROWS = 100
"""Rows of the journal that are taken at once, at most."""

_CHILDREN = 500
"""Lives that are folded anew at once, at most, because their parent ended."""

_FIELDS = len(Fact._fields)
_ALONE = 1 << 30
"""Size of a row of the journal that no other is taken with."""

_Key = tuple[str, str]
_Told = list[tuple[str, Fact]]

_dumps = json.JSONEncoder(separators=(',', ':'), sort_keys=True).encode

# On a server nobody else folds until this transaction has ended. It comes first: what is read after it is what the last
# one left.
_FOLDS = sa.select(beginning.c.folds).with_for_update()
_MY_TURN = (beginning.update().where(beginning.c.folds == sa.bindparam('folds_before'))
            .values(folds=beginning.c.folds + 1))
_HEADS = sa.select(journal.c.id, journal.c.size).order_by(journal.c.id).limit(_ROWS)

_BODIES = sa.select(journal.c.source_id, journal.c.body)

_PRESENT = ('name', 'project_id', 'user_id', 'state', 'since', 'known_start', 'ended_at', 'parent_type', 'parent_id')
_KNOWN = sa.select(resource.c.resource_id, resource.c.id, evidence.c.body, *(resource.c[name] for name in _PRESENT)
                   ).join(evidence, evidence.c.resource_no == resource.c.id)
_CHANGE = resource.update().where(resource.c.id == sa.bindparam('number'))
_NUMBERS = sa.select(resource.c.resource_id, resource.c.id)
_ENDS = sa.select(resource.c.resource_id, resource.c.ended_at)
_PARTS = sa.select(resource.c.resource_type, resource.c.resource_id, resource.c.id).order_by(resource.c.id)

_INTERVAL = [column.name for column in state_interval.c if column.name not in ('id', 'resource_no')]
_INTERVALS = sa.select(state_interval.c.resource_no, state_interval.c.id,
                       *(state_interval.c[name] for name in _INTERVAL))
_RESTATE = state_interval.update().where(state_interval.c.id == sa.bindparam('number'))


class Parents(NamedTuple):
    """Resources that ended, of which the children are still to be folded anew.

    :ivar after: number of the last child of the first of them that was
    """

    keys: Sequence[_Key]
    after: int


class Loaded(NamedTuple):
    """What is to be folded, and what was known before.

    :ivar folds: how often had been folded until then
    :ivar taken: rows of the journal
    :ivar messages: how many they hold; 1 if they hold parents
    :ivar told: the facts of each resource, each with the id of its message; none of what is only folded anew
    :ivar sources: whence they came, by the number of the source
    :ivar known: number, evidence and present of the resources that were known
    :ivar kept: their intervals, by number and beginning, each with the number of its row
    :ivar ends: when the parents of these resources ended
    :ivar left: what the row will hold after this step, if it holds parents
    """

    folds: int
    taken: list[int]
    messages: int
    told: Mapping[_Key, _Told]
    sources: Mapping[_Key, int]
    known: Mapping[_Key, sa.Row[Any]]
    kept: Mapping[int, Mapping[int, tuple[int, tuple[Any, ...]]]]
    ends: Mapping[_Key | None, int | None]
    left: Parents | None


class Changes(NamedTuple):
    """What is to be written: rows of tables, by what is done to them.

    :ivar ended: resources that ended, or at another time than was known
    """

    ended: list[_Key]
    learnt: list[dict[str, Any]]
    present: list[dict[str, Any]]
    met: dict[_Key, tuple[str, tuple[Any, ...], Sequence[Span]]]
    gone: list[int]
    changed: list[dict[str, Any]]
    new: list[dict[str, Any]]
    refused: list[tuple[int, Quarantined, int]]


class _Found(NamedTuple):
    """What a life is now.

    :ivar present: the columns of the resource's row
    :ivar ended_at: by what was told of itself
    """

    present: tuple[Any, ...]
    ended_at: int | None
    spans: Sequence[Span]


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
    taken = _take(connection, size)
    messages, left = 0, None
    told: defaultdict[_Key, _Told] = defaultdict(list)
    sources: dict[_Key, int] = {}
    for source_id, body in connection.execute(_BODIES.where(journal.c.id.in_(taken))).all():
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
                sources[key] = source_id
    known = {(kind, row.resource_id): row for kind, row in _find(connection, _KNOWN, told)}
    kept: defaultdict[int, dict[int, tuple[int, tuple[Any, ...]]]] = defaultdict(dict)
    numbers = [row.id for row in known.values()]
    for row in connection.execute(_INTERVALS.where(state_interval.c.resource_no.in_(numbers))).all():
        kept[row[0]][row[2]] = row[1], row[2:]
    return Loaded(folds, taken, messages, told, sources, known, kept, _ends(connection, told, known), left)


def _take(connection: sa.Connection, size: int) -> list[int]:
    """Choose the oldest rows of the journal."""
    taken: list[int] = []
    for row_id, length in connection.execute(_HEADS).all():
        size -= length
        if taken and size < 0:
            break
        taken.append(row_id)
    return taken


def _children(connection: sa.Connection, parents: Parents) -> tuple[list[_Key], Parents | None]:
    """Find some children, of one parent after another and in the order of their numbers, and what is left then."""
    keys, after = list(parents.keys), parents.after
    found: list[_Key] = []
    while keys and len(found) < _CHILDREN:
        rows = connection.execute(_PARTS.where(resource.c.parent_type == keys[0][0], resource.c.parent_id == keys[0][1],
                                               resource.c.id > after).limit(_CHILDREN - len(found))).all()
        found += ((row.resource_type, row.resource_id) for row in rows)
        after = rows[-1].id if len(found) == _CHILDREN else 0
        keys = keys if after else keys[1:]
    return found, Parents(keys, after) if keys else None


def _ends(connection: sa.Connection, told: Mapping[_Key, _Told],
          known: Mapping[_Key, sa.Row[Any]]) -> dict[_Key | None, int | None]:
    """Look up when the parents of some resources ended, if they have any."""
    parents = {(row.parent_type, row.parent_id) for row in known.values() if row.parent_type is not None}
    parents.update(parent for facts in told.values() for _, fact in facts
                   if (parent := parts.parent_of(fact.attributes)) is not None)
    return {(kind, row.resource_id): row.ended_at for kind, row in _find(connection, _ENDS, parents)}


def work_out(loaded: Loaded) -> Changes:
    """Add what was told of each resource to what was known of it, and see what that changes."""
    changes = Changes([], [], [], {}, [], [], [], [])
    for key in loaded.told:
        row = loaded.known.get(key)
        try:
            body, found = _find_out(loaded, key)
        except Refused as refused:
            changes.refused.append(_set_aside(loaded, key, refused))
            continue
        except Exception as error:  # noqa: BLE001 - whatever it is, the lives of others go on
            LOG.exception('Folding %s %s failed; its facts are quarantined', *key)
            if loaded.told[key]:  # else they were folded before, and are kept
                changes.refused.append(_set_aside(loaded, key, Refused('fold.failed',
                                                                       f'{type(error).__name__}: {error}')))
            continue
        if body and row is not None:
            changes.learnt.append({'resource_no': row.id, 'body': body})
        if found is None:
            continue
        if found.ended_at != (row.ended_at if row else None):
            changes.ended.append(key)
        if row is None:
            changes.met[key] = body, found.present, found.spans
            continue
        if found.present != row[3:]:
            changes.present.append({'number': row.id, **dict(zip(_PRESENT, found.present, strict=True))})
        _compare(found.spans, row.id, loaded.kept[row.id], changes)
    return changes


def _find_out(loaded: Loaded, key: _Key) -> tuple[str, _Found | None]:
    """Add what was told of a resource to what was known of it.

    :returns: the evidence, empty if nothing is new; and the life, None if it is what it was
    :raises Refused: it is too much
    """
    row, facts = loaded.known.get(key), loaded.told[key]
    known = Evidence.load(row.body) if row else Evidence()
    news = max((known.add(message_id, fact) for message_id, fact in facts), default=News.NOTHING)
    body = known.dump() if news or row is None else ''
    if len(body) > MAX_EVIDENCE:
        raise Refused('fold.too_much', f'{key[0]} {key[1]}: {len(body)} characters; {MAX_EVIDENCE} are kept')
    if row and facts and (not news or news is News.AGAIN and _goes_on(facts, loaded.kept[row.id])):
        return body, None
    life = intervals.fold(known)
    end = parts.own_end(known, life)
    life = parts.within(life, loaded.ends.get(parts.parent_of(life.attributes)))
    return body, _Found(_present(life, end), end, life.spans)


def _goes_on(facts: _Told, kept: Mapping[int, tuple[int, tuple[Any, ...]]]) -> bool:
    """Tell whether facts that were said before say what the last interval says, of a time well within it.

    Then folding would find nothing else: what was said until the interval began was said until then already, and what
    agrees changes nothing.
    """
    if not kept:
        return False
    begins_at, ends_at, state, project_id, _, _, text, *_ = kept[max(kept)][1]
    size = json.loads(text)
    return bool(ends_at == FOREVER) and all(
        fact.state in (None, state) and fact.project_id in (None, project_id)
        and all(size.get(name) == value for name, value in fact.size.items())
        and begins_at < fact.time - fact.every * SECOND for _, fact in facts if fact.kind != 'witness')


def _set_aside(loaded: Loaded, key: _Key, refused: Refused) -> tuple[int, Quarantined, int]:
    """Make of what was told of a resource what can be journalled again; with its source, and its newest time."""
    told = loaded.told[key]
    body = f'[{",".join(f"[{_dumps(message_id)},{dump_facts((fact,))}]" for message_id, fact in told)}]'
    item = Quarantined('/'.join(key), refused.code, printable(refused.reason), body)
    return loaded.sources[key], item, max(fact.timestamp for _, fact in told)


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
    if changes.learnt:  # two statements for all of them, where an UPDATE would be one for each
        numbers = [row['resource_no'] for row in changes.learnt]
        connection.execute(evidence.delete().where(evidence.c.resource_no.in_(numbers)))
    new = changes.new + (_meet(connection, changes.met) if changes.met else [])
    for statement, rows in ((evidence.insert(), changes.learnt), (_CHANGE, changes.present),
                            (_RESTATE, changes.changed), (state_interval.insert(), new)):
        if rows:
            connection.execute(statement, rows)
    for source_id, item, at in changes.refused:
        quarantine.put(connection, source_id, [item], times.from_micros(at))
    _finish(connection, loaded, changes.ended)
    return True


def _finish(connection: sa.Connection, loaded: Loaded, ended: Sequence[_Key]) -> None:
    """Delete the rows of the journal that were folded; keep one for children that are to be folded anew."""
    left, done = loaded.left, loaded.taken
    if ended:
        types = distinct(connection, resource.c.parent_type)
        parents = [key for key in ended if key[0] in types]
        left = Parents(parents, 0) if parents else None
    if left is not None:
        first, *done = loaded.taken
        connection.execute(journal.update().where(journal.c.id == first)
                           .values(size=_ALONE, body=_dumps(left._asdict())))
    connection.execute(journal.delete().where(journal.c.id.in_(done)))


def _meet(connection: sa.Connection,
          met: Mapping[_Key, tuple[str, tuple[Any, ...], Sequence[Span]]]) -> list[dict[str, Any]]:
    """Enter resources that were not known, with their evidence; the rows of their intervals."""
    connection.execute(resource.insert(), [
        {'resource_type': key[0], 'resource_id': key[1], **dict(zip(_PRESENT, present, strict=True))}
        for key, (_, present, _) in met.items()])
    numbers = {(kind, row.resource_id): row.id for kind, row in _find(connection, _NUMBERS, met)}
    connection.execute(evidence.insert(), [{'resource_no': numbers[key], 'body': body}
                                           for key, (body, _, _) in met.items()])
    return [{'resource_no': numbers[key], **dict(zip(_INTERVAL, values, strict=True))}
            for key, (_, _, spans) in met.items() for values in _rows(spans)]


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


def _present(life: Life, ended_at: int | None) -> tuple[Any, ...]:
    """Give what a resource is now, by its last interval, or deleted since that ended: the columns of its row."""
    name = _fit(life.attributes.get('name'))
    rest = life.known_start, ended_at, *(parts.parent_of(life.attributes) or (None, None))
    if not life.spans:
        return name, None, None, '', None, *rest
    last = life.spans[-1]
    state, since = (last.state, last.begin) if last.end is None else (DELETED, last.end)
    return name, last.project_id, last.user_id, state, since, *rest


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
