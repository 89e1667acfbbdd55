# SPDX-License-Identifier: Apache-2.0
"""The quarantine's rows, within a transaction of :mod:`ceilometer_paas.ledger.store`.

A row is a message, a sample or an event, or facts of one resource. Its code tells which: that of a sample or an event
begins with ``publish.``, that of facts with ``fold.``.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from ceilometer_paas.ledger.schema import quarantine, source
from ceilometer_paas.model import Quarantined

MAX_BODY = 4 * 1024 * 1024
"""Characters of a body that are kept; the bodies are ASCII, and MariaDB takes 16 MB at once by default."""

SAMPLES = 'publish.'
"""How the codes of refused samples and events begin."""

FACTS = 'fold.'
"""How the codes of facts begin that were not folded."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the quarantine.

    :ivar source: ``<endpoint>/<exchange>``
    :ivar origin: the queue it came from, the publisher that refused it, or the resource (type/id) that facts are of
    :ivar code: why it was refused the last time
    :ivar truncated: the body is cut, so that nothing can be made of it any more
    :ivar count: how often it was refused
    :ivar body: JSON from which it can be tried again; empty in a listing
    """

    id: int
    source: str
    origin: str
    code: str
    reason: str
    first_at: datetime
    last_at: datetime
    count: int
    truncated: bool
    body: str = ''

    @property
    def is_sample(self) -> bool:
        """Whether this is a sample, or an event, that a publisher refused."""
        return self.code.startswith(SAMPLES)

    @property
    def is_facts(self) -> bool:
        """Whether these are facts of a resource that were not folded."""
        return self.code.startswith(FACTS)


class Filter(NamedTuple):
    """Which rows are meant: those that equal whatever is given."""

    source: str | None = None
    code: str | None = None
    origin: str | None = None


_LISTED = (
    sa.select(quarantine.c.id, source.c.name, quarantine.c.origin, quarantine.c.code, quarantine.c.reason,
              quarantine.c.first_at, quarantine.c.last_at, quarantine.c.count, quarantine.c.truncated)
    .join(source, quarantine.c.source_id == source.c.id).order_by(quarantine.c.id))


def put(connection: sa.Connection, source_id: int, refused: Sequence[Quarantined], now: datetime) -> None:
    """Set aside; what is there already is counted and keeps its row, with the newest code and reason."""
    if not refused:
        return
    newest = {_digest(item): item for item in refused}
    counts = Counter(map(_digest, refused))
    known = set(connection.scalars(sa.select(quarantine.c.digest).where(
        quarantine.c.source_id == source_id, quarantine.c.digest.in_(newest))))
    if known:
        connection.execute(
            quarantine.update().where(quarantine.c.source_id == source_id, quarantine.c.digest == sa.bindparam('key'))
            .values(count=quarantine.c.count + sa.bindparam('more'), last_at=now),
            [{'key': digest, 'more': counts[digest], 'code': newest[digest].code, 'reason': newest[digest].reason}
             for digest in known])
    if len(known) < len(newest):
        connection.execute(quarantine.insert(), [
            {'source_id': source_id, 'digest': digest, 'count': counts[digest], 'first_at': now, 'last_at': now,
             'truncated': len(item.body) > MAX_BODY, **item._asdict(), 'body': item.body[:MAX_BODY]}
            for digest, item in newest.items() if digest not in known])


def find(connection: sa.Connection, which: Filter, limit: int | None) -> list[Row]:
    """List rows without their bodies, the oldest first."""
    columns = (source.c.name, quarantine.c.code, quarantine.c.origin)
    given = [column == value for column, value in zip(columns, which, strict=True) if value is not None]
    return [Row(*row) for row in connection.execute(_LISTED.where(*given).limit(limit))]


def load(connection: sa.Connection, ids: Collection[int], lock: bool = False) -> list[Row]:
    """Load whole rows, the oldest first; ids that are gone are left out.

    :param lock: nobody else changes the rows before this transaction has ended
    """
    query = _LISTED.add_columns(quarantine.c.body).where(quarantine.c.id.in_(ids))
    return [Row(*row) for row in connection.execute(query.with_for_update(of=quarantine) if lock else query)]


def drop(connection: sa.Connection, ids: Collection[int]) -> int:
    """Delete rows; how many there were."""
    return connection.execute(quarantine.delete().where(quarantine.c.id.in_(ids))).rowcount if ids else 0


def _digest(item: Quarantined) -> str:
    # The origin counts: one sample that two publishers refused is two rows, each of which can be released.
    return hashlib.sha256(f'{item.origin}\0{item.body}'.encode()).hexdigest()
