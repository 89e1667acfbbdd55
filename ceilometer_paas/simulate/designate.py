# SPDX-License-Identifier: Apache-2.0
"""Designate: zones, their recordsets, and an hourly ``exists``.

Kept from life: whatever is said of a zone is said twice, as ``dns.domain.*`` and as ``dns.zone.*``, with different
message ids; a recordset changes the zone's serial and version; a deleted zone is heard of once more, in an update.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ceilometer_paas.simulate.bus import (
    NOBODY,
    Caller,
    Day,
    Sent,
    Service,
    Tenant,
    Timed,
    customer,
    iso,
    new_id,
    play,
    whole,
)

_CENTRAL, _PRODUCER = 'central.dns-1', 'producer.dns-1'
_TASK = NOBODY._replace(roles=('admin', 'reader'))


def _context(_caller: Caller, _at: datetime) -> dict[str, Any]:
    return {'original_project_id': None, 'service_catalog': None, 'all_tenants': False, 'abandon': None,
            'edit_managed_records': False, 'hard_delete': False, 'tsigkey_id': None, 'hide_counts': False,
            'client_addr': None, 'delete_shares': False}


class _Zone:
    def __init__(self, day: Day, tenant: Tenant, name: str) -> None:
        self._chance = day.chance('designate', name)
        self._send = Service(self._chance, 'designate', context=_context)
        self._caller = customer(tenant)
        self._recordsets: dict[str, dict[str, Any]] = {}
        self._exists = False
        self._zone: dict[str, Any] = {
            'shard': self._chance.randrange(4096),
            'tenant_id': tenant.project_id,
            'name': name,
            'email': f'dns@{name.rstrip(".")}',
            'ttl': 3600,
            'refresh': self._chance.randint(3500, 3600),
            'retry': 600,
            'expire': 86400,
            'minimum': 3600,
            'parent_zone_id': None,
            'serial': 0,
            'description': None,
            'status': 'PENDING',
            'action': 'CREATE',
            'pool_id': new_id(day.chance('designate')),
            'attributes': [],
            'masters': [],
            'type': 'PRIMARY',
            'transferred_at': None,
            'delayed_notify': False,
            'increment_serial': False,
            'id': new_id(self._chance),
            'created_at': None,
            'updated_at': None,
            'version': 0,
            'deleted': '0',
            'deleted_at': None,
        }

    def create(self, at: datetime) -> Iterator[Sent]:
        """Make the zone, which its name servers know a second later."""
        self._exists = True
        self._zone.update(created_at=whole(at), serial=int(at.timestamp()), version=1)
        yield from self._twins('create', at)
        self._zone['shared'] = False
        yield from self._propagated(at)

    def delete(self, at: datetime) -> Iterator[Sent]:
        """Remove the zone; nothing is said of its recordsets."""
        self._exists = False
        self._zone.update(status='PENDING', action='DELETE', updated_at=whole(at), version=self._zone['version'] + 1)
        yield from self._twins('delete', at)
        self._zone.update(status='DELETED', action='NONE')
        yield from self._twins('update', at + timedelta(seconds=1.1))

    def audit(self, at: datetime) -> Iterator[Sent]:
        """Say that the zone exists, for the hour up to now."""
        if self._exists:
            now = at - timedelta(seconds=0.04)
            yield from self._twins('exists', at, audit_period_beginning=iso(now - timedelta(hours=1)),
                                   audit_period_ending=iso(now))

    def add(self, label: str, kind: str, data: tuple[str, ...], at: datetime) -> Iterator[Sent]:
        """Make a recordset."""
        recordset = {
            'tenant_id': self._zone['tenant_id'], 'zone_id': self._zone['id'], 'zone_name': self._zone['name'],
            'name': f'{label}{self._zone["name"]}', 'type': kind, 'ttl': 300, 'description': None, 'records': [],
            'id': new_id(self._chance), 'created_at': whole(at), 'updated_at': None, 'version': 1,
        }
        recordset['records'] = [self._record(recordset['id'], text, at) for text in data]
        self._recordsets[label] = recordset
        yield from self._recordset('create', recordset, at)

    def drop(self, label: str, at: datetime) -> Iterator[Sent]:
        """Remove a recordset."""
        recordset = self._recordsets.pop(label)
        recordset |= {'updated_at': whole(at), 'version': recordset['version'] + 1}
        recordset['records'] = [record | {'action': 'DELETE', 'version': record['version'] + 1}
                                for record in recordset['records']]
        yield from self._recordset('delete', recordset, at)

    def _recordset(self, what: str, recordset: Mapping[str, Any], at: datetime) -> Iterator[Sent]:
        yield self._send(at, _CENTRAL, f'dns.recordset.{what}', recordset, caller=self._caller)
        yield from self._propagated(at)

    def _propagated(self, at: datetime) -> Iterator[Sent]:
        done = at + timedelta(seconds=self._chance.uniform(1.0, 4.5))
        self._zone.update(status='ACTIVE', action='NONE', updated_at=whole(done), serial=int(done.timestamp()),
                          version=self._zone['version'] + 2)
        yield from self._twins('update', done)

    def _twins(self, what: str, at: datetime, **more: str) -> Iterator[Sent]:
        publisher, caller = (_PRODUCER, _TASK) if what == 'exists' else (_CENTRAL, self._caller)
        for family, later in (('domain', 0.0), ('zone', 0.0015)):
            yield self._send(at + timedelta(seconds=later), publisher, f'dns.{family}.{what}', self._zone | more,
                             caller=caller)

    def _record(self, recordset_id: str, data: str, at: datetime) -> dict[str, Any]:
        return {
            'data': data, 'zone_id': self._zone['id'], 'managed': False, 'managed_resource_type': None,
            'managed_resource_id': None, 'managed_plugin_name': None, 'managed_plugin_type': None,
            'hash': f'{self._chance.getrandbits(128):032x}', 'description': None, 'status': 'PENDING',
            'tenant_id': self._zone['tenant_id'], 'recordset_id': recordset_id, 'managed_tenant_id': None,
            'managed_resource_region': None, 'managed_extra': None, 'action': 'CREATE',
            'serial': self._zone['serial'], 'id': new_id(self._chance), 'created_at': whole(at), 'updated_at': None,
            'version': 1,
        }


def lives(day: Day, tenant: Tenant) -> Iterator[Sent]:
    """Give the day of a new zone that gets recordsets, and of an old one that is deleted."""
    shop, old = _Zone(day, tenant, 'shop.example.com.'), _Zone(day, tenant, 'old.example.net.')
    acts: list[Timed] = [
        (day.at(-4000), old.create),
        (day.at(24.7), shop.create),
        (day.at(26.1), partial(shop.add, 'www.', 'A', ('192.0.2.10', '192.0.2.11'))),
        (day.at(26.9), partial(shop.add, '', 'MX', ('10 mail.shop.example.com.',))),
        (day.at(28.3), partial(shop.add, 'txt.', 'TXT', ('"v=spf1 -all"',))),
        (day.at(512.5), partial(shop.add, 'api.', 'AAAA', ('2001:db8::17',))),
        (day.at(700.8), partial(shop.drop, 'txt.')),
        (day.at(843.3), old.delete),
    ]
    return play(day, acts, day.every(shop.audit, 60, first=12.45), day.every(old.audit, 60, first=12.4502))
