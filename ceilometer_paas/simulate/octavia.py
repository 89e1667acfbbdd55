# SPDX-License-Identifier: Apache-2.0
"""Octavia: it speaks when a load balancer was created, updated or deleted, and never of how much it served.

Kept from life: no publisher id; no user; ``update.end`` carries the values from before the update; a load balancer
that failed to build has a ``delete.end`` without a ``create.end``.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from ceilometer_paas.simulate.bus import Caller, Day, Sent, Service, Tenant, new_id, play


class _Balancer:
    def __init__(self, day: Day, tenant: Tenant, name: str) -> None:
        chance = day.chance('octavia', name)
        self._send = Service(chance, 'octavia')
        self._caller = Caller(None, tenant.project_id, (), True)
        self._payload: dict[str, Any] = {
            'admin_state_up': True,
            'description': None,
            'loadbalancer_id': new_id(chance),
            'name': name,
            'project_id': tenant.project_id,
            'vip_address': f'198.51.100.{chance.randint(2, 250)}',
            'vip_network_id': new_id(chance),
            'vip_port_id': new_id(chance),
            'vip_subnet_id': new_id(chance),
            'vip_qos_policy_id': None,
            'availability_zone': None,
        }

    def say(self, what: str, at: datetime) -> Iterator[Sent]:
        """Say that an operation has ended."""
        yield self._send(at, None, f'octavia.loadbalancer.{what}.end', self._payload, caller=self._caller)

    def rename(self, name: str, at: datetime) -> Iterator[Sent]:
        """Give another name, of which only later messages tell."""
        yield from self.say('update', at)
        self._payload['name'] = name


def lives(day: Day, tenant: Tenant) -> Iterator[Sent]:
    """Give the day of a load balancer that stays, one that goes, and one that never worked."""
    shop, sale, broken = (_Balancer(day, tenant, name) for name in ('shop', 'sale', 'broken'))
    return play(day, [
        (day.at(125.2), partial(shop.say, 'create')),
        (day.at(213.9), partial(broken.say, 'delete')),
        (day.at(540.4), partial(sale.say, 'create')),
        (day.at(671.1), partial(shop.rename, 'shop-front')),
        (day.at(1090.7), partial(sale.say, 'delete')),
    ])
