# SPDX-License-Identifier: Apache-2.0
"""What all simulated services share: the day, a message as oslo.messaging writes it, and where ids come from."""

import heapq
import itertools
import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple


class Message(NamedTuple):
    """One notification and where it is sent.

    :ivar priority: as in the queue's name: ``info`` or ``error``
    :ivar body: the notification with its ``_context_*`` and ``_unique_id`` keys, as it travels without an envelope
    """

    exchange: str
    topic: str
    priority: str
    body: dict[str, Any]


Sent = tuple[datetime, Message]
"""When, and what."""

Act = Callable[[datetime], Iterable[Sent]]
"""Something that happens at a time, and what the bus hears of it, in order."""

Timed = tuple[datetime, Act]


class Tenant(NamedTuple):
    """A customer of the cloud: a Keystone project and the user who acts for it."""

    name: str
    project_id: str
    user_id: str


class Day(NamedTuple):
    """A seed and a span of time.

    :ivar begin: aware
    :ivar end: aware; nothing happens then or later
    """

    seed: int
    begin: datetime
    end: datetime

    def chance(self, *names: object) -> random.Random:
        """Give each resource of a day a source of chance of its own, so that adding one changes no other."""
        return source_of_chance(self.seed, self.begin.isoformat(), *names)

    def at(self, minutes: float) -> datetime:
        """Give a time by its distance from the day's beginning; it may be negative."""
        return self.begin + timedelta(minutes=minutes)

    def every(self, act: Act, *minutes: float, first: float = 0.0) -> Iterator[Timed]:
        """Let something happen again and again, the steps in minutes taking turns."""
        time = self.at(first)
        for step in itertools.cycle(minutes):
            if time >= self.end:
                return
            yield time, act
            time += timedelta(minutes=step)


def source_of_chance(seed: int, *names: object) -> random.Random:
    """Give what a seed and a name always give."""
    return random.Random('/'.join(map(str, (seed, *names))))


def in_order(groups: Iterable[tuple[datetime, Iterable[Sent]]]) -> Iterator[Sent]:
    """Put messages in the order of time.

    :param groups: in the order of time, each a time and messages that are sent then or later
    """
    number = itertools.count()
    waiting: list[tuple[datetime, int, Message]] = []
    for time, group in groups:
        while waiting and waiting[0][0] < time:
            at, _, message = heapq.heappop(waiting)
            yield at, message
        for at, message in group:
            heapq.heappush(waiting, (at, next(number), message))
    for at, _, message in sorted(waiting):
        yield at, message


def play(day: Day, *acts: Iterable[Timed]) -> Iterator[Sent]:
    """Let things happen in the order of their times; what happened on an earlier day is not sent again.

    :param acts: each in the order of time
    """
    happening = heapq.merge(*acts, key=itemgetter(0))
    return (sent for sent in in_order((time, act(time)) for time, act in happening) if sent[0] >= day.begin)


def new_id(chance: random.Random) -> str:
    """Make an id as uuid.uuid4 would."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def new_hex(chance: random.Random) -> str:
    """Make an id without dashes, as Keystone does."""
    return f'{chance.getrandbits(128):032x}'


def spaced(time: datetime) -> str:
    """Write a time as oslo's notifier does: UTC, a space, no zone."""
    return str(time.astimezone(UTC).replace(tzinfo=None))


def iso(time: datetime) -> str:
    """Write a time with T, six digits and no zone, as oslo.versionedobjects does."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')


def whole(time: datetime) -> str:
    """Write a time as :func:`iso` does, cut to seconds, as a database without fractions hands it back."""
    return iso(time.replace(microsecond=0))


def zulu(time: datetime) -> str:
    """Write a time in whole seconds with Z."""
    return time.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


class Caller(NamedTuple):
    """On whose behalf a service acts."""

    user_id: str | None
    project_id: str | None
    roles: tuple[str, ...]
    is_admin: bool


NOBODY = Caller(None, None, (), True)
"""The service itself, in its periodic tasks."""


def customer(tenant: Tenant) -> Caller:
    """Let a tenant's user be the caller."""
    return Caller(tenant.user_id, tenant.project_id, ('member', 'reader'), False)


def _no_more(_caller: Caller, _at: datetime) -> dict[str, Any]:
    return {}


class Service:
    """Writes the notifications of one service.

    :param exchange: its control_exchange
    :param topic: its [oslo_messaging_notifications] topics
    :param context: what its request context has besides oslo.context's keys
    """

    def __init__(self, chance: random.Random, exchange: str, *, topic: str = 'notifications',
                 context: Callable[[Caller, datetime], dict[str, Any]] = _no_more) -> None:
        self._chance = chance
        self._exchange = exchange
        self._topic = topic
        self._more_context = context

    def __call__(self, at: datetime, publisher: str | None, event_type: str, payload: Mapping[str, Any], *,
                 caller: Caller = NOBODY, priority: str = 'info') -> Sent:
        """Write one notification; the payload's top level is copied, for it may change afterwards."""
        body = {
            'message_id': new_id(self._chance),
            'publisher_id': publisher,
            'event_type': event_type,
            'priority': priority.upper(),
            'payload': dict(payload),
            'timestamp': spaced(at),
            '_unique_id': new_hex(self._chance),
        }
        context = self._context(caller) | self._more_context(caller, at)
        body.update({f'_context_{key}': value for key, value in context.items()})
        return at, Message(self._exchange, self._topic, priority, body)

    def _context(self, caller: Caller) -> dict[str, Any]:
        return {
            'user': caller.user_id,
            'project_id': caller.project_id,
            'system_scope': None,
            'project': caller.project_id,
            'domain': None,
            'user_domain': None,
            'project_domain': None,
            'is_admin': caller.is_admin,
            'read_only': False,
            'show_deleted': False,
            'auth_token': None,
            'request_id': f'req-{new_id(self._chance)}',
            'global_request_id': None,
            'resource_uuid': None,
            'roles': list(caller.roles),
            'user_identity': f'{caller.user_id or "-"} {caller.project_id or "-"} - - -',
            'is_admin_project': True,
        }
