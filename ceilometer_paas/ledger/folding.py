# SPDX-License-Identifier: Apache-2.0
"""What was told of some resources, and what was known of them -> what is to be written. Pure.

What one resource has too much of, and what this package fails at, is set aside, so that the lives of others go on.
"""

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ceilometer_paas.errors import Refused, printable
from ceilometer_paas.ledger import intervals, parts
from ceilometer_paas.ledger.evidence import SECOND, Evidence, News, dumps
from ceilometer_paas.ledger.intervals import Life, Span
from ceilometer_paas.ledger.schema import FOREVER, state_interval
from ceilometer_paas.model import DELETED, Fact, Quarantined, dump_facts

LOG = logging.getLogger(__name__)

MAX_EVIDENCE = 1024 * 1024
"""Characters that are kept of one resource: some nine thousand changes. Each further message costs 50 ms then."""

PRESENT = ('name', 'project_id', 'user_id', 'state', 'since', 'known_start', 'ended_at', 'parent_type', 'parent_id')
"""Columns of a resource's row that tell what it is now."""

INTERVAL = tuple(column.name for column in state_interval.c if column.name not in ('id', 'resource_no'))
"""Columns of an interval's row that tell what was."""

Key = tuple[str, str]
"""Type and id of a resource."""

Told = list[tuple[str, Fact]]
"""Facts, each with the id of its message."""

Kept = Mapping[int, tuple[int, tuple[Any, ...]]]
"""The intervals of a resource, by their beginnings: the number of the row, and its columns."""


class Parents(NamedTuple):
    """Resources that ended, of which the children are still to be folded anew.

    :ivar after: number of the last child of the first of them that was
    """

    keys: Sequence[Key]
    after: int


class Loaded(NamedTuple):
    """What is to be folded, and what was known before.

    :ivar folds: how often had been folded until then
    :ivar taken: rows of the journal
    :ivar messages: how many they hold; 1 if they hold parents
    :ivar told: the facts of each resource, each with the id of its message; none of what is only folded anew
    :ivar origins: whence they came, by the number of the source, and when they were collected
    :ivar known: number, evidence and present of the resources that were known
    :ivar kept: their intervals, by number and beginning, each with the number of its row
    :ivar ends: when the parents of these resources ended
    :ivar left: what the row will hold after this step, if it holds parents
    :ivar settled: until when lives were stated
    :ivar outdated: numbers of resources of which it is kept already what was stated
    """

    folds: int
    taken: list[int]
    messages: int
    told: Mapping[Key, Told]
    origins: Mapping[Key, tuple[int, datetime]]
    known: Mapping[Key, Any]
    kept: Mapping[int, Kept]
    ends: Mapping[Key | None, int | None]
    left: Parents | None
    settled: int
    outdated: Collection[int]


class Changes(NamedTuple):
    """What is to be written: rows of tables, by what is done to them.

    :ivar ended: resources that ended, or at another time than was known
    :ivar outdated: as they were stated, those that were otherwise
    """

    ended: list[Key]
    learnt: list[dict[str, Any]]
    present: list[dict[str, Any]]
    met: dict[Key, tuple[str, tuple[Any, ...], Sequence[Span]]]
    gone: list[int]
    changed: list[dict[str, Any]]
    new: list[dict[str, Any]]
    refused: list[tuple[int, datetime, Quarantined]]
    outdated: list[dict[str, Any]]


class _Found(NamedTuple):
    """What a life is now.

    :ivar present: the columns of the resource's row
    :ivar ended_at: by what was told of itself
    """

    present: tuple[Any, ...]
    ended_at: int | None
    spans: Sequence[Span]


def work_out(loaded: Loaded) -> Changes:
    """Add what was told of each resource to what was known of it, and see what that changes."""
    changes = Changes([], [], [], {}, [], [], [], [], [])
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
            changes.present.append({'number': row.id, **dict(zip(PRESENT, found.present, strict=True))})
        rows, kept = list(rows_of(found.spans)), loaded.kept[row.id]
        first = _compare(rows, row.id, kept, changes)
        if first < loaded.settled and row.id not in loaded.outdated:
            was = sorted(values for _, values in kept.values())
            if _stated(was, loaded.settled) != _stated(rows, loaded.settled):
                changes.outdated.append({'resource_no': row.id, 'body': dumps(was)})
    return changes


def _find_out(loaded: Loaded, key: Key) -> tuple[str, _Found | None]:
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


def _goes_on(facts: Told, kept: Kept) -> bool:
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


def _set_aside(loaded: Loaded, key: Key, refused: Refused) -> tuple[int, datetime, Quarantined]:
    """Make of what was told of a resource what can be journalled again; with its source, and when it was collected."""
    told = (f'[{dumps(message_id)},{dump_facts((fact,))}]' for message_id, fact in loaded.told[key])
    item = Quarantined('/'.join(key), refused.code, printable(refused.reason), f'[{",".join(told)}]')
    return *loaded.origins[key], item


def _compare(rows: Sequence[tuple[Any, ...]], number: int, kept: Kept, changes: Changes) -> int:
    """See how the intervals of a resource differ from those that are kept; the beginning of the first that does."""
    left, first = dict(kept), FOREVER
    for values in rows:
        row_id, before = left.pop(values[0], (None, None))
        if before == values:
            continue
        first = min(first, values[0])
        if row_id is None:
            changes.new.append({'resource_no': number, **dict(zip(INTERVAL, values, strict=True))})
        else:
            changes.changed.append({'number': row_id, **dict(zip(INTERVAL, values, strict=True))})
    changes.gone.extend(row_id for row_id, _ in left.values())
    return min([first, *left])


def _stated(rows: Sequence[tuple[Any, ...]], until: int) -> list[tuple[Any, ...]]:
    """Give what is stated of intervals until a time."""
    return [(begin, min(end, until), state, project_id, size)
            for begin, end, state, project_id, _, _, size, _, _ in rows if begin < until]


def _present(life: Life, ended_at: int | None) -> tuple[Any, ...]:
    """Give what a resource is now, by its last interval, or deleted since that ended: the columns of its row."""
    name = _fit(life.attributes.get('name'))
    rest = life.known_start, ended_at, *(parts.parent_of(life.attributes) or (None, None))
    if not life.spans:
        return name, None, None, '', None, *rest
    last = life.spans[-1]
    state, since = (last.state, last.begin) if last.end is None else (DELETED, last.end)
    return name, last.project_id, last.user_id, state, since, *rest


def rows_of(spans: Sequence[Span]) -> Iterator[tuple[Any, ...]]:
    """Give spans as the columns of their rows."""
    known: Mapping[str, Any] = {}
    flavor, text = None, '{}'
    for begins_at, ends_at, state, project_id, user_id, size, host, zone in spans:
        if size != known:
            known, flavor, text = size, _fit(size.get('flavor')), dumps(size)
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
