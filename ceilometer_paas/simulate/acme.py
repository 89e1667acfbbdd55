# SPDX-License-Identifier: Apache-2.0
"""``acme-queue``, a message queue as a service that no OpenStack release knows: the PaaS Event Format on its own topic.

Each queue says once an hour how many messages and bytes it served in that hour, and how many are waiting. One queue's
agent has a bug: in the eighth hour it writes a number as text, and the message can be metered by nobody.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ceilometer_paas.simulate.bus import Day, Sent, Service, Tenant, customer, new_id, play, zulu

_HOUR = timedelta(hours=1)
_BROKEN_HOUR = 8


class _Queue:
    def __init__(self, day: Day, tenant: Tenant, name: str, busy: int) -> None:
        self._chance: random.Random = day.chance('acme-queue', name)
        self._caller = customer(tenant)
        self._send = Service(self._chance, 'acme', topic='metering')
        self._broken_at = day.begin + _BROKEN_HOUR * _HOUR if name == 'billing' else None
        self._busy = busy
        self._about = {
            'version': '1.0',
            'project_id': tenant.project_id,
            'user_id': tenant.user_id,
            'service_id': new_id(day.chance('acme-queue')),
            'service_type': 'acme-queue',
            'instance_id': new_id(self._chance),
            'display_name': name,
            'instance_type_id': 'queue.standard',
            'instance_type': 'standard queue',
            'availability_zone': 'nova',
            'region': 'RegionOne',
            'state': 'active',
        }

    def changed(self, what: str, at: datetime) -> Iterator[Sent]:
        """Say that the queue was created or deleted: an event without metrics."""
        yield self._say(what, at, at, record_type='event')

    def usage(self, at: datetime) -> Iterator[Sent]:
        """Say what was served in the hour that ended."""
        messages = self._chance.randint(self._busy // 2, 2 * self._busy)
        volume: float | str = float(self._chance.randint(300 * messages, 900 * messages))
        if at == self._broken_at:
            volume = f'{volume:.0f} bytes'
        metrics = [
            {'metric_name': 'acme-queue.messages', 'metric_type': 'delta', 'metric_value': float(messages),
             'metric_units': 'message'},
            {'metric_name': 'acme-queue.bytes', 'metric_type': 'delta', 'metric_value': volume, 'metric_units': 'B'},
            {'metric_name': 'acme-queue.depth', 'metric_type': 'gauge', 'metric_value':
             float(self._chance.randint(0, 50)), 'metric_units': 'message'},
        ]
        yield self._say('exists', at - _HOUR, at, record_type='quantity', metrics=metrics)

    def _say(self, what: str, begin: datetime, end: datetime, **more: Any) -> Sent:
        period = {'audit_period_beginning': zulu(begin), 'audit_period_ending': zulu(end)}
        late = timedelta(seconds=self._chance.uniform(1, 8))
        return self._send(end + late, 'acme-queue.agent-1', f'acme-queue.{what}', self._about | period | more,
                          caller=self._caller)


def lives(day: Day, tenant: Tenant) -> Iterator[Sent]:
    """Give the day of two queues, of which one is made in the morning."""
    orders, billing = _Queue(day, tenant, 'orders', 4000), _Queue(day, tenant, 'billing', 90)
    return play(day, [(day.at(132), partial(orders.changed, 'create'))], day.every(orders.usage, 60, first=180),
                day.every(billing.usage, 60))
