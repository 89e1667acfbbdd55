# SPDX-License-Identifier: Apache-2.0
"""Which messages were seen, within transactions of :mod:`ceilometer_paas.ledger.store`."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from ceilometer_paas.ledger.schema import message
from ceilometer_paas.model import Entry

_SLICE = 1000
"""Rows that are forgotten at once at most, so that nobody waits long for it."""

_SEEN = sa.select(message.c.message_id).where(message.c.source_id == sa.bindparam('source_id'),
                                              message.c.message_id.in_(sa.bindparam('ids', expanding=True)))
_NEW = message.insert()


def see(connection: sa.Connection, source_id: int, entries: Sequence[Entry],
        now: datetime) -> tuple[set[str], Collection[Entry]]:
    """Remember messages; which were seen before, and the others."""
    if not entries:
        return set(), ()
    seen = set(connection.scalars(_SEEN, {'source_id': source_id, 'ids': [entry.message_id for entry in entries]}))
    doubles: set[str] = set()
    new: dict[str, Entry] = {}
    for entry in entries:
        if entry.message_id in new:
            doubles.add(entry.message_id)
        elif entry.message_id not in seen:
            new[entry.message_id] = entry
    if new:
        seen_at = int(now.timestamp())
        connection.execute(_NEW, [{'source_id': source_id, 'message_id': message_id, 'seen_at': seen_at}
                                  for message_id in new])
    return seen | doubles, new.values()


def prune(connection: sa.Connection, before: datetime, after: int) -> tuple[int, int]:
    """Forget within the next slice above an id; how many, and the slice's last id."""
    some = sa.select(message.c.id).where(message.c.id > after).order_by(message.c.id).limit(_SLICE).subquery()
    last: int = connection.scalar(sa.select(sa.func.max(some.c.id))) or after
    old = sa.and_(message.c.id > after, message.c.id <= last, message.c.seen_at < before.timestamp())
    return connection.execute(message.delete().where(old)).rowcount, last
