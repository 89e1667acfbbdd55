# SPDX-License-Identifier: Apache-2.0
"""Manila: shares are created, extended and deleted, and their used size is gathered once an hour.

Kept from life: a payload without times; ``create.end`` still says ``creating``, and ``extend.end`` ``extending`` but
the new size; nobody is the caller of ``share.consumed.size``. The exchange is oslo.messaging's default, ``openstack``.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ceilometer_paas.simulate.bus import NOBODY, Caller, Day, Sent, Service, Tenant, Timed, customer, iso, new_id, play

_PUBLISHER = 'share.share-1@ceph'


def _context(caller: Caller, at: datetime) -> dict[str, Any]:
    return {'user_id': caller.user_id, 'project_name': None, 'domain_id': None, 'read_deleted': 'no',
            'remote_address': None, 'timestamp': iso(at), 'quota_class': None, 'service_catalog': []}


class _Share:
    def __init__(self, day: Day, tenant: Tenant, name: str, size: int) -> None:
        self._chance = day.chance('manila', name)
        self._send = Service(self._chance, 'openstack', context=_context)
        self._caller = customer(tenant)
        self._exists = False
        self._payload: dict[str, Any] = {
            'share_id': new_id(self._chance),
            'user_id': tenant.user_id,
            'project_id': tenant.project_id,
            'snapshot_id': None,
            'share_group_id': None,
            'size': size,
            'name': name,
            'description': None,
            'proto': 'NFS',
            'is_public': False,
            'availability_zone': 'nova',
            'host': 'share-1@ceph#cephfs',
            'status': 'creating',
            'share_type_id': new_id(day.chance('manila')),
            'share_type': 'default',
        }

    def create(self, at: datetime) -> Iterator[Sent]:
        """Make the share."""
        yield from self._operate('create', 'creating', at)
        self._exists = True
        self._payload['status'] = 'available'

    def extend(self, size: int, at: datetime) -> Iterator[Sent]:
        """Make the share larger, to so many GiB."""
        yield from self._operate('extend', 'extending', at, size=size)
        self._payload['status'] = 'available'

    def delete(self, at: datetime) -> Iterator[Sent]:
        """Remove the share."""
        yield from self._operate('delete', 'deleting', at)
        self._exists = False

    def gather(self, at: datetime) -> Iterator[Sent]:
        """Say how much of the share is used."""
        if self._exists:
            used = self._chance.randint(0, self._payload['size'])
            yield self._send(at, _PUBLISHER, 'share.consumed.size',
                             self._payload | {'used_size': used, 'gathered_at': iso(at - timedelta(seconds=0.03))},
                             caller=NOBODY._replace(roles=('admin',)))

    def _operate(self, what: str, status: str, at: datetime, **changes: Any) -> Iterator[Sent]:
        self._payload['status'] = status
        yield self._send(at, _PUBLISHER, f'share.{what}.start', self._payload, caller=self._caller)
        self._payload.update(changes)
        yield self._send(at + timedelta(seconds=4.1), _PUBLISHER, f'share.{what}.end', self._payload,
                         caller=self._caller)


def lives(day: Day, tenant: Tenant) -> Iterator[Sent]:
    """Give the day of a share that grows and one that goes."""
    home, scratch = _Share(day, tenant, 'home', 20), _Share(day, tenant, 'scratch', 5)
    acts: list[Timed] = [(day.at(41.3), home.create), (day.at(77.6), scratch.create),
                         (day.at(805.4), partial(home.extend, 50)), (day.at(933.2), scratch.delete)]
    return play(day, acts, day.every(home.gather, 60, first=9), day.every(scratch.gather, 60, first=9.01))
