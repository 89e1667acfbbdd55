# SPDX-License-Identifier: Apache-2.0
"""A seed and a day -> what a small cloud puts on its bus that day, message by message, in the order of arrival.

Two tenants; servers that stop, are resized, shelved and deleted, and one that never gets a host; a database that is
resized; zones with recordsets; load balancers; a share; a Kubernetes cluster; and ``acme-queue``, a service that
speaks the PaaS Event Format. Shapes, cadences and traps are those of the real services; each has a module.

Pure: no clock, no chance but the seed's. The same arguments give the same messages, ids included, so that a day that
is sent twice is metered once.
"""

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from operator import itemgetter

from ceilometer_paas.simulate import acme, designate, magnum, manila, nova, octavia, trove
from ceilometer_paas.simulate.bus import Day, Message, Sent, Tenant, in_order, new_hex, source_of_chance

__all__ = ['SERVERS', 'Message', 'Tenant', 'cloud_day', 'tenants']

SERVERS = len(nova.STORIES)
"""How many servers it takes to see every story once."""

_ODD = {
    'trove.instance.create': (0.0, 0.8),
    'compute.instance.exists': (0.0, 2.5),
    'trove.instance.modify_flavor': (2400.0,),
}
"""Event type -> after how many seconds the first message of that type arrives: twice (a second topic, a redelivery),
or late."""


def tenants(seed: int) -> tuple[Tenant, Tenant]:
    """Name the two customers of a seed's cloud."""
    chance = source_of_chance(seed, 'tenants')
    shop, lab = (Tenant(name, new_hex(chance), new_hex(chance)) for name in ('shop', 'lab'))
    return shop, lab


def cloud_day(seed: int, begin: datetime, *, hours: int = 24, servers: int = SERVERS) -> Iterator[Message]:
    """Give what arrives on the bus, in the order of arrival.

    Besides much that nothing meters, as on every shared exchange, two messages arrive twice, one arrives late, and
    exactly one cannot be metered at all (:mod:`~ceilometer_paas.simulate.acme`, in the eighth hour).

    :param begin: the first moment of the day, aware
    :param hours: how long the day is
    :param servers: how many Nova servers there are; their stories repeat
    """
    day = Day(seed, begin, begin + timedelta(hours=hours))
    shop, lab = tenants(seed)
    services = [acme.lives(day, shop), designate.lives(day, shop), magnum.lives(day, lab), manila.lives(day, lab),
                octavia.lives(day, shop), trove.lives(day, shop)]
    services += [nova.life(day, (shop, lab)[number % 2], number) for number in range(servers)]
    sent = heapq.merge(*services, key=itemgetter(0))
    for at, message in in_order(_arrivals(sent)):
        if at < day.end:
            yield message


def _arrivals(sent: Iterable[Sent]) -> Iterator[tuple[datetime, list[Sent]]]:
    """Tell when a message arrives that is sent: at once, but for some that come twice, or late."""
    odd = dict(_ODD)
    for at, message in sent:
        delays = odd.pop(message.body['event_type'], (0.0,))
        yield at, [(at + timedelta(seconds=delay), message) for delay in delays]
