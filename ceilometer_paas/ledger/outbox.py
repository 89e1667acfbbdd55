# SPDX-License-Identifier: Apache-2.0
"""What was recorded and is still to be published, within transactions of :mod:`ceilometer_paas.ledger.store`."""

from collections.abc import Collection, Iterable, Iterator, Sequence

import sqlalchemy as sa

from ceilometer_paas.ledger import schema
from ceilometer_paas.ledger.schema import delivery, insert, outbox
from ceilometer_paas.model import Parcel

MAX_PARCEL = 1024 * 1024
"""Characters after which a parcel is closed and another one begun."""


def put(connection: sa.Connection, source_id: int, target_ids: Collection[int], items: Iterable[str]) -> None:
    """Put messages, each ``[message_id, readings]`` or ``[message_id, event]``, into the outbox for some targets."""
    for body in parcels(items) if target_ids else ():
        parcel_id = insert(connection, outbox, source_id=source_id, size=len(body), body=body)
        connection.execute(delivery.insert(), [{'target_id': target_id, 'outbox_id': parcel_id}
                                               for target_id in target_ids])


def parcels(items: Iterable[str], most: int = MAX_PARCEL) -> Iterator[str]:
    """Join items, each JSON, to arrays.

    :param most: characters after which an array is closed
    """
    parcel: list[str] = []
    size = 0
    for item in items:
        parcel.append(item)
        size += len(item)
        if size >= most:
            yield f'[{",".join(parcel)}]'
            parcel, size = [], 0
    if parcel:
        yield f'[{",".join(parcel)}]'


def pending(connection: sa.Connection, target_id: int, limit: int, size: int) -> list[Parcel]:
    """Load the oldest parcels that a target waits for."""
    heads = (sa.select(outbox.c.id, outbox.c.size).join(delivery, delivery.c.outbox_id == outbox.c.id)
             .where(delivery.c.target_id == target_id).order_by(delivery.c.outbox_id).limit(limit))
    bodies = (sa.select(outbox.c.id, schema.source.c.name, outbox.c.body)
              .join(schema.source, outbox.c.source_id == schema.source.c.id).order_by(outbox.c.id))
    chosen: list[int] = []
    for parcel_id, length in connection.execute(heads).all():
        size -= length
        if chosen and size < 0:
            break
        chosen.append(parcel_id)
    return [Parcel(*row) for row in connection.execute(bodies.where(outbox.c.id.in_(chosen)))] if chosen else []


def mark_off(connection: sa.Connection, target_id: int, parcel_ids: Sequence[int]) -> None:
    """Mark parcels off for a target; delete those that nobody else waits for."""
    # Two targets may finish a parcel at once: the lock lets the second see that the first is done.
    connection.execute(sa.select(outbox.c.id).where(outbox.c.id.in_(parcel_ids)).order_by(outbox.c.id)
                       .with_for_update()).all()
    connection.execute(delivery.delete().where(delivery.c.target_id == target_id, delivery.c.outbox_id.in_(parcel_ids)))
    awaited = sa.select(delivery.c.outbox_id).where(delivery.c.target_id.in_(sa.select(schema.target.c.id)),
                                                    delivery.c.outbox_id.in_(parcel_ids))
    finished = set(parcel_ids).difference(connection.scalars(awaited))
    connection.execute(outbox.delete().where(outbox.c.id.in_(finished)))
