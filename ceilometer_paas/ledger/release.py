# SPDX-License-Identifier: Apache-2.0
"""Quarantined samples, statements and facts -> tried again, within transactions of the ledger's store.

A message is not: it is decoded anew, by whoever releases it. A statement is stated anew, to every publisher, as it is
now: what was refused may have been restated since.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from ceilometer_paas import times
from ceilometer_paas.ledger import lives, outbox, quarantine, schema, settling
from ceilometer_paas.ledger.quarantine import Row
from ceilometer_paas.ledger.schema import resource
from ceilometer_paas.model import LASTING, TURNING

STATEMENTS = 'ceilometer_paas/statements'
"""Source of statements that were refused."""


def samples(connection: sa.Connection, ids: Collection[int]) -> int:
    """Release samples and statements that were refused; how many."""
    rows = _load(connection, ids, lambda row: row.is_sample)
    bodies = defaultdict(list)
    for row in rows:
        bodies[row.source, row.origin].append(row.body)
    for (source, origin), items in bodies.items():
        if source == STATEMENTS:
            _restate(connection, items)
        else:
            outbox.put(connection, schema.id_of(connection, schema.source, source),
                       [schema.id_of(connection, schema.target, origin)], items)
    return quarantine.drop(connection, [row.id for row in rows])


def facts(connection: sa.Connection, ids: Collection[int], now: datetime) -> int:
    """Release facts that were not folded; how many rows."""
    rows = _load(connection, ids, lambda row: row.is_facts)
    for row in rows:
        lives.put(connection, schema.id_of(connection, schema.source, row.source), [row.body], now)
    return quarantine.drop(connection, [row.id for row in rows])


def _load(connection: sa.Connection, ids: Collection[int], wanted: Callable[[Row], bool]) -> list[Row]:
    return [row for row in quarantine.load(connection, ids, lock=True) if wanted(row) and not row.truncated]


def _restate(connection: sa.Connection, bodies: Sequence[str]) -> None:
    """State again what some bodies of refused samples state."""
    lives.turn(connection)
    marks: defaultdict[tuple[int, int], int] = defaultdict(int)
    counts = set()
    for body in bodies:
        [[resource_id, project_id, _, timestamp, metadata, [[_, kind, *_]]]] = json.loads(body)[1]
        if 'highest' in metadata:
            begin = times.to_micros(times.parse_utc(metadata['period']['begin']))
            counts.add((begin, project_id, metadata['resource_type']))
            continue
        number = connection.scalar(sa.select(resource.c.id).where(
            resource.c.resource_type == metadata['resource_type'], resource.c.resource_id == resource_id))
        at = times.to_micros(times.parse_utc(timestamp))
        if number is not None:
            marks[number, at] |= LASTING if kind == 'delta' else TURNING
    settling.restate(connection, marks)
    settling.recount(connection, counts)
