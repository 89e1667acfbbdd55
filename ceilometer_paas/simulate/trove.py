# SPDX-License-Identifier: Apache-2.0
"""Trove: databases that are created, resized and deleted, and an ``exists`` that comes far too often.

Kept from life: ``exists`` comes every 60 to 90 seconds while each claims a window of an hour, knows neither volume nor
memory, and names Trove's own user; ``create`` and ``modify_flavor`` say that the state is unknown; the size of a volume
changes without any ``trove.instance`` event, only ``dbaas.instance_resize_volume`` tells.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from ceilometer_paas.simulate.bus import (
    Caller,
    Day,
    Sent,
    Service,
    Tenant,
    Timed,
    customer,
    new_hex,
    new_id,
    play,
    whole,
    zulu,
)

_HOST = 'trove-1'


class _Flavor(NamedTuple):
    name: str
    memory_mb: int
    id: str


_SMALL = _Flavor('db.small', 2048, '5c1f8a70-94a1-4f0f-8a35-0d3b1a5e0f01')
_MEDIUM = _Flavor('db.medium', 4096, '5c1f8a70-94a1-4f0f-8a35-0d3b1a5e0f02')


def _context(_caller: Caller, _at: datetime) -> dict[str, Any]:
    return {'limit': None, 'marker': None, 'service_catalog': None}


class _Database:
    def __init__(self, day: Day, tenant: Tenant, name: str, gigabytes: int) -> None:
        self._chance = day.chance('trove', name)
        self._send = Service(self._chance, 'trove', context=_context)
        self._caller = customer(tenant)
        service = day.chance('trove')
        self._task = Caller('trove', new_hex(service), (), False)
        self._server_user = new_hex(service)
        self._name = name
        self._flavor = _SMALL
        self._gigabytes = gigabytes
        self._ids = {'instance_id': new_id(self._chance), 'nova_instance_id': new_id(self._chance),
                     'nova_volume_id': new_id(self._chance)}
        self._service_id = new_id(service)
        self._created = self._built = day.begin
        self._exists = False

    def create(self, at: datetime) -> Iterator[Sent]:
        """Build the database."""
        asked = {'name': self._name, 'flavor_id': self._flavor.id, 'datastore': 'mysql', 'datastore_version': '8.0',
                 'availability_zone': None, 'region_name': 'RegionOne', 'locality': None, 'volume_type': None,
                 'volume_size': self._gigabytes}
        yield self._dbaas('instance_create.start', 'api', at, **asked)
        self._created, self._built = at, at + timedelta(seconds=56)
        self._exists = True
        yield self._dbaas('instance_create.end', 'guest', self._built, **asked, instance_id=self._ids['instance_id'])
        yield self._said('create', at + timedelta(seconds=57.5))

    def resize(self, flavor: _Flavor, at: datetime) -> Iterator[Sent]:
        """Change the flavor."""
        asked = {'instance_id': self._ids['instance_id'], 'new_flavor_id': flavor.id}
        yield self._dbaas('instance_resize_instance.start', 'api', at, **asked)
        done = at + timedelta(seconds=16)
        size, self._flavor = self._flavor.memory_mb, flavor
        yield self._said('modify_flavor', done, old_instance_size=size, modify_at=zulu(done))
        yield self._dbaas('instance_resize_instance.end', 'taskmanager', done + timedelta(seconds=0.002), **asked)

    def extend(self, gigabytes: int, at: datetime) -> Iterator[Sent]:
        """Change the size of the volume."""
        asked = {'instance_id': self._ids['instance_id'], 'new_size': gigabytes}
        yield self._dbaas('instance_resize_volume.start', 'api', at, **asked)
        self._gigabytes = gigabytes
        yield self._dbaas('instance_resize_volume.end', 'taskmanager', at + timedelta(seconds=5.2), **asked)

    def delete(self, at: datetime) -> Iterator[Sent]:
        """Remove the database."""
        asked = {'instance_id': self._ids['instance_id']}
        yield self._dbaas('instance_delete.start', 'api', at, **asked)
        yield self._said('delete', at + timedelta(seconds=4.2), deleted_at=zulu(at))
        yield self._dbaas('instance_delete.end', 'taskmanager', at + timedelta(seconds=4.3), **asked)
        self._exists = False

    def audit(self, at: datetime) -> Iterator[Sent]:
        """Say that the database exists."""
        if not self._exists:
            return
        state = 'build' if at < self._built else 'active'
        ids = {key: self._ids[key] for key in ('instance_id', 'nova_instance_id')}
        yield self._send(at, f'taskmanager.{_HOST}', 'trove.instance.exists', {
            'instance_type': self._flavor.name,
            'user_id': self._server_user,
            'audit_period_beginning': zulu(at - timedelta(hours=1)),
            'audit_period_ending': zulu(at),
            'created_at': whole(self._created),
            'display_name': self._name,
            'instance_name': self._name,
            'instance_type_id': self._flavor.id,
            'launched_at': whole(self._created),
            'region': 'RegionOne',
            'state_description': state,
            'state': state,
            'tenant_id': self._caller.project_id,
            'service_id': self._service_id,
        } | ids, caller=self._task)

    def _said(self, what: str, at: datetime, **more: Any) -> Sent:
        state = 'shutdown' if what == 'delete' else 'unknown'
        return self._send(at, _HOST, f'trove.instance.{what}', {
            'created_at': zulu(self._created),
            'name': self._name,
            'instance_name': self._name,
            'instance_type_id': self._flavor.id,
            'launched_at': zulu(self._created),
            'region': 'RegionOne',
            'state_description': state,
            'state': state,
            'tenant_id': self._caller.project_id,
            'user_id': self._caller.user_id,
            'instance_size': self._flavor.memory_mb,
            'availability_zone': 'nova',
            'volume_size': self._gigabytes,
            'instance_type': self._flavor.name,
            'service_id': self._service_id,
        } | self._ids | more, caller=self._caller)

    def _dbaas(self, what: str, publisher: str, at: datetime, **more: Any) -> Sent:
        return self._send(at, f'{publisher}.{_HOST}', f'dbaas.{what}', {
            'request_id': f'req-{new_id(self._chance)}',
            'server_type': publisher,
            'client_ip': '192.0.2.77',
            'server_ip': '192.0.2.5:8779',
            'tenant_id': self._caller.project_id,
            'notification_classname': 'trove.common.notification.DBaaS' +
                                      what.split('.')[0].title().replace('_', ''),
        } | more, caller=self._caller)


def lives(day: Day, tenant: Tenant) -> Iterator[Sent]:
    """Give the day of a database that grows and one that goes."""
    orders, test = _Database(day, tenant, 'orders-db', 10), _Database(day, tenant, 'test-db', 2)
    acts: list[Timed] = [(day.at(46.7), orders.create), (day.at(310.2), test.create), (day.at(488.2), test.delete),
                         (day.at(561.8), partial(orders.resize, _MEDIUM)), (day.at(781.4), partial(orders.extend, 15))]
    return play(day, acts, day.every(orders.audit, 1, 1.5, first=0.5), day.every(test.audit, 1, 1.5, first=0.5001))
