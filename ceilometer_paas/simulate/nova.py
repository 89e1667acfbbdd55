# SPDX-License-Identifier: Apache-2.0
"""Nova: the lives of servers, in its legacy (unversioned) format with ``update`` and hourly ``exists`` switched on.

Kept from life: an ``update`` at every change of state or task; ``launched_at`` jumps at a resize and an unshelve, and
``.start`` events print it without its fraction; an ``exists`` for the hour so far before a resize or a shelve, besides
the audit's; none while a server is offloaded; one more after it was deleted; and a server for which no host was found
tells so under another event type, with priority error.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from ceilometer_paas.simulate.bus import (
    NOBODY,
    Caller,
    Day,
    Sent,
    Service,
    Tenant,
    customer,
    iso,
    new_id,
    play,
    spaced,
    whole,
)


class _Flavor(NamedTuple):
    number: int
    name: str
    vcpus: int
    memory_mb: int
    root_gb: int
    ephemeral_gb: int

    def payload(self) -> dict[str, Any]:
        return {
            'instance_type': self.name,
            'instance_type_id': self.number,
            'instance_flavor_id': f'fl-{self.number}',
            'memory_mb': self.memory_mb,
            'disk_gb': self.root_gb + self.ephemeral_gb,
            'vcpus': self.vcpus,
            'root_gb': self.root_gb,
            'ephemeral_gb': self.ephemeral_gb,
        }


_SMALL = _Flavor(7, 'gp.small', 1, 2048, 20, 0)
_LARGE = _Flavor(8, 'gp.large', 4, 8192, 80, 40)
_HUGE = _Flavor(9, 'gp.huge', 80, 16384, 80, 0)
_IMAGE = '2f6b1a34-6a0e-4f3c-9f53-2f1f4bb0d001'


def _context(caller: Caller, at: datetime) -> dict[str, Any]:
    return {'user_id': caller.user_id, 'read_deleted': 'no', 'remote_address': None, 'timestamp': iso(at),
            'quota_class': None, 'user_name': None, 'service_catalog': [], 'project_name': None}


class Server:
    """One server; its methods are what can happen to it."""

    def __init__(self, day: Day, tenant: Tenant, number: int) -> None:
        self._chance = day.chance('nova', number)
        self._send = Service(self._chance, 'nova', context=_context)
        self._caller = customer(tenant)
        self._hosts = [f'compute-{(number + step) % 5 + 1}' for step in range(2)]
        self._speaker = 'nova-api'
        self._now = datetime.min.replace(tzinfo=day.begin.tzinfo)
        self._launched: datetime | None = None
        self._terminated: datetime | None = None
        name = f'{tenant.name}-{number}'
        self._payload: dict[str, Any] = {
            'tenant_id': tenant.project_id,
            'user_id': tenant.user_id,
            'instance_id': new_id(self._chance),
            'display_name': name,
            'reservation_id': f'r-{self._chance.getrandbits(40):08x}'[:10],
            'hostname': name,
            **_SMALL.payload(),
            'architecture': 'x86_64',
            'host': None,
            'node': None,
            'availability_zone': 'nova',
            'cell_name': '',
            'created_at': '',
            'terminated_at': '',
            'deleted_at': '',
            'launched_at': '',
            'image_ref_url': f'http://controller:9292/images/{_IMAGE}',
            'os_type': 'linux',
            'kernel_id': '',
            'ramdisk_id': '',
            'state': 'building',
            'state_description': '',
            'progress': '',
            'access_ip_v4': None,
            'access_ip_v6': None,
            'image_meta': {'architecture': 'x86_64', 'os_type': 'linux', 'os_distro': 'debian', 'min_ram': '512',
                           'min_disk': '20', 'disk_format': 'raw', 'container_format': 'bare',
                           'base_image_ref': _IMAGE},
            'metadata': {'cost_center': f'cc-{number % 3 + 40}'},
        }

    def create(self, at: datetime) -> Iterator[Sent]:
        """Build the server."""
        self._payload['created_at'] = f'{at:%Y-%m-%d %H:%M:%S}+00:00'
        yield self._update(at, task='scheduling')
        self._speaker = self._hosts[0]
        yield self._say('create.start', image_name='debian-12')
        self._place(self._hosts[0])
        yield self._update(task='spawning')
        self._launch()
        yield self._update(state='active')
        yield self._say('create.end', fixed_ips=[], message='Success')

    def fail(self, at: datetime) -> Iterator[Sent]:
        """Ask for a server that fits on no host."""
        self._payload.update(_HUGE.payload(), created_at=f'{at:%Y-%m-%d %H:%M:%S}+00:00', availability_zone=None)
        yield self._update(at, state='error')
        size = {key: self._payload[key] for key in ('root_gb', 'ephemeral_gb', 'memory_mb', 'vcpus')}
        wanted = {'project_id': self._payload['tenant_id'], 'user_id': self._payload['user_id'],
                  'availability_zone': None, 'uuid': self._payload['instance_id']} | size
        yield self._send(self._tick(), 'compute_task.conductor-1', 'compute_task.build_instances', {
            'request_spec': {'num_instances': 1, 'image': {'id': _IMAGE}, 'instance_properties': wanted,
                             'instance_type': {'id': _HUGE.number, 'name': _HUGE.name} | size},
            'instance_properties': wanted,
            'instance_id': self._payload['instance_id'],
            'state': 'error',
            'method': 'build_instances',
            'reason': 'No valid host was found. ',
        }, caller=self._caller, priority='error')

    def stop(self, at: datetime) -> Iterator[Sent]:
        """Switch the server off."""
        return self._operate(at, 'power_off', 'powering-off', 'stopped')

    def start(self, at: datetime) -> Iterator[Sent]:
        """Switch the server on."""
        return self._operate(at, 'power_on', 'powering-on', 'active')

    def suspend(self, at: datetime) -> Iterator[Sent]:
        """Save the server's memory and free it."""
        return self._operate(at, 'suspend', 'suspending', 'suspended')

    def resume(self, at: datetime) -> Iterator[Sent]:
        """Take a suspended server up again."""
        return self._operate(at, 'resume', 'resuming', 'active')

    def resize(self, at: datetime) -> Iterator[Sent]:
        """Move the server to another host, and make it larger."""
        yield self._update(at, task='resize_prep')
        yield self._so_far()
        yield self._say('resize.prep.start')
        yield self._say('resize.prep.end', new_instance_type=_LARGE.name, new_instance_type_id=_LARGE.number)
        yield self._update(task='resize_migrating')
        yield self._say('resize.start', fixed_ips=[])
        self._place(self._hosts[1])
        yield self._update(task='resize_migrated')
        yield self._say('resize.end', fixed_ips=[])
        self._payload.update(_LARGE.payload())
        yield self._update(task='resize_finish')
        yield self._say('finish_resize.start', fixed_ips=[])
        self._launch()
        yield self._update(state='resized')
        yield self._say('finish_resize.end', fixed_ips=[])

    def confirm(self, at: datetime) -> Iterator[Sent]:
        """Keep the new size."""
        self._tick(at)
        yield self._say('resize.confirm.start')
        yield self._update(state='active')
        yield self._say('resize.confirm.end', fixed_ips=[])

    def shelve(self, at: datetime) -> Iterator[Sent]:
        """Take the server off its host; an image of it is kept."""
        yield self._update(at, task='shelving')
        yield self._so_far()
        yield self._say('shelve.start')
        yield self._update(state='shelved')
        yield self._say('shelve.end')
        yield self._update(task='shelving_offloading')
        yield self._say('shelve_offload.start')
        self._place(None)
        yield self._update(state='shelved_offloaded')
        yield self._say('shelve_offload.end')

    def unshelve(self, at: datetime) -> Iterator[Sent]:
        """Bring the server back to a host."""
        yield self._update(at, task='unshelving')
        yield self._say('unshelve.start')
        self._place(self._hosts[1])
        yield self._update(task='spawning')
        self._launch()
        yield self._update(state='active')
        yield self._say('unshelve.end')

    def delete(self, at: datetime) -> Iterator[Sent]:
        """Remove the server."""
        yield self._update(at, task='deleting')
        yield self._say('delete.start')
        if self._payload['host']:
            yield self._say('shutdown.start')
            yield self._say('shutdown.end')
        self._terminated = self._tick()
        self._payload['terminated_at'] = iso(self._terminated)
        yield self._update(state='deleted')
        self._payload['deleted_at'] = iso(self._tick())
        yield self._say('delete.end')

    def audit(self, at: datetime) -> Iterator[Sent]:
        """Say that the server existed in the last full hour, if it was on a host then."""
        end = at.replace(minute=0, second=0, microsecond=0)
        begin = end - timedelta(hours=1)
        self._tick(at)
        if (self._payload['host'] and self._launched and self._launched < end
                and (self._terminated is None or self._terminated > begin)):
            yield self._exists(begin, end, NOBODY)

    def _operate(self, at: datetime, event: str, task: str, state: str) -> Iterator[Sent]:
        yield self._update(at, task=task)
        yield self._say(f'{event}.start')
        yield self._update(state=state)
        yield self._say(f'{event}.end')

    def _say(self, event: str, **more: Any) -> Sent:
        now = self._tick()
        if event.endswith('.start') and self._launched:
            more['launched_at'] = whole(self._launched)
        return self._send(now, f'compute.{self._speaker}', f'compute.instance.{event}', self._payload | more,
                          caller=self._caller)

    def _update(self, at: datetime | None = None, *, state: str | None = None, task: str | None = None) -> Sent:
        now = self._tick(at)
        old_state, old_task = self._payload['state'], self._payload['state_description'] or None
        self._payload.update(state=state or old_state, state_description=task or '')
        return self._send(now, 'compute.conductor-1', 'compute.instance.update', self._payload | {
            'old_state': old_state,
            'old_task_state': old_task or task,
            'new_task_state': task,
            'audit_period_beginning': iso(_hour(now)),
            'audit_period_ending': iso(now),
        }, caller=self._caller)

    def _so_far(self) -> Sent:
        now = self._tick()
        return self._exists(_hour(now), now, self._caller)

    def _exists(self, begin: datetime, end: datetime, caller: Caller) -> Sent:
        return self._send(self._tick(), f'compute.{self._payload["host"]}', 'compute.instance.exists',
                          self._payload | {'audit_period_beginning': spaced(begin), 'audit_period_ending': spaced(end)},
                          caller=caller)

    def _launch(self) -> None:
        self._launched = self._tick()
        self._payload['launched_at'] = iso(self._launched)

    def _place(self, host: str | None) -> None:
        self._payload.update(host=host, node=host, availability_zone='nova' if host else None)
        self._speaker = host or self._speaker

    def _tick(self, at: datetime | None = None) -> datetime:
        self._now = max(self._now, at or self._now) + timedelta(seconds=self._chance.uniform(0.003, 0.06))
        return self._now


def _hour(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


Step = tuple[float, Callable[[Server, datetime], Iterator[Sent]]]

STORIES: tuple[tuple[Step, ...], ...] = (
    ((-611.3, Server.create),),
    ((-95.2, Server.create), (62.4, Server.stop), (431.8, Server.start), (1142.6, Server.stop)),
    ((17.7, Server.create), (188.2, Server.resize), (205.9, Server.confirm), (1315.1, Server.delete)),
    ((33.9, Server.create), (307.4, Server.shelve), (731.3, Server.unshelve), (1021.2, Server.delete)),
    ((48.6, Server.fail), (104.1, Server.delete)),
    ((-1290.5, Server.create), (1066.4, Server.suspend), (1378.1, Server.resume)),
    ((523.8, Server.create), (571.6, Server.delete)),
    ((72.1, Server.create), (665.5, Server.resize), (667.3, Server.confirm)),
)
"""What happens to a server, and how many minutes after the day's beginning."""


def life(day: Day, tenant: Tenant, number: int) -> Iterator[Sent]:
    """Give one server's day; its number chooses the story."""
    server = Server(day, tenant, number)
    late = day.chance('nova', number, 'late').uniform(0, 9)
    story = [(day.at(minutes + late), partial(step, server)) for minutes, step in STORIES[number % len(STORIES)]]
    return play(day, story, day.every(server.audit, 60, first=0.5))
