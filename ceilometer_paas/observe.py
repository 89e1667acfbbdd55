# SPDX-License-Identifier: Apache-2.0
"""A :class:`~.model.Notification` -> the :class:`~.model.Fact` that it tells of a resource's life, or a refusal.

What is read, and from which events, is said by lifecycle definitions; what follows from it is worked out later, by
:mod:`ceilometer_paas.ledger.intervals`. A definition of which no meter is mapped to any queue is inactive; one of
which some meter is mapped to other queues than the message's own refuses the message.
"""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ceilometer_paas import times
from ceilometer_paas.config.events import Event
from ceilometer_paas.config.lifecycles import Lifecycle, Mark
from ceilometer_paas.config.paths import Message, as_message
from ceilometer_paas.errors import Refused, shown
from ceilometer_paas.model import DELETED, Fact, Notification, is_finite, is_id

LOG = logging.getLogger(__name__)

MAX_SIZE = 255
"""Characters that a size may have."""

_MEMO = 4096
_TIMES = 8192


class Observer:
    """Reads notifications by lifecycle definitions.

    :param queues_of: metric type -> names of the queues that may speak of it
    :param formats: queue -> its format
    :param max_future: seconds that a time may be ahead of now
    """

    def __init__(self, lifecycles: Sequence[Lifecycle], queues_of: Callable[[str], frozenset[str]],
                 formats: Mapping[str, str], max_future: float) -> None:
        self._lifecycles = lifecycles
        self._queues_of = queues_of
        self._formats = formats
        self._max_future = int(max_future * 1_000_000)
        self._strange: set[tuple[str, str | None]] = set()
        self._plan = functools.lru_cache(_MEMO)(self._make_plan)
        self._may = functools.lru_cache(_MEMO)(self._ask)

    def __call__(self, notification: Notification, queue: str, now: int) -> tuple[Fact, ...]:
        """Read one notification.

        :param queue: the queue it came from
        :param now: microseconds since 1970
        :returns: empty if no definition speaks of it
        :raises Refused: with an ``observe.*`` code or ``source.not_mapped``
        """
        plan = self._plan(notification.event_type, queue)
        if not plan:
            return ()
        message = as_message(notification)
        timestamp = _micros(notification.timestamp)
        facts = []
        for reading in plan:
            fact = reading(message, timestamp)
            if fact is None:
                continue
            latest = max(fact.timestamp, fact.time, fact.created or 0, fact.launched or 0, fact.ended or 0)
            if latest > now + self._max_future:
                raise Refused('observe.in_future', f'{times.from_micros(latest).isoformat()} is more than '
                                                   f'{self._max_future / 1_000_000:g} s from now')
            if reading.states and fact.state not in reading.states:
                self._warn(fact)
            facts.append(fact)
        return tuple(facts)

    def _make_plan(self, event_type: str, queue: str) -> tuple['_Reading', ...]:
        chosen = self._formats.get(queue, 'oslo')
        readings = []
        for lifecycle in self._lifecycles:
            events = tuple(event for event in lifecycle.events if event.matches(event_type))
            if lifecycle.format == chosen and events:
                readings.append(_Reading(lifecycle, events, functools.partial(self._may, lifecycle, queue)))
        return tuple(readings)

    def _ask(self, lifecycle: Lifecycle, queue: str, resource_type: str) -> bool:
        """Tell whether a definition is active; of its meters, the queue must be one for each that is mapped.

        A message that names its type must also come from where those of a type that is defined by that name may.
        """
        named = next((one for one in self._lifecycles if one.type_name == resource_type), lifecycle)
        mapped: dict[str, frozenset[str]] = {}
        for one in (named, lifecycle):
            mapped = {name: queues for name in one.meter_names(resource_type) if (queues := self._queues_of(name))}
            for name, queues in mapped.items():
                if queue not in queues:
                    raise Refused('source.not_mapped', f'{name} is not mapped to queue {queue!r}')
        return bool(mapped)

    def _warn(self, fact: Fact) -> None:
        """Warn, once, of a state that the definitions do not list."""
        state = fact.resource_type, fact.state
        if state not in self._strange and len(self._strange) < _MEMO:
            self._strange.add(state)
            LOG.warning('A state of %s that no lifecycle definition lists is kept as it is: %s', *state)


class _Reading:
    """How to read messages of one type of event by one definition.

    :param may: resource type -> whether the definition is active; it may refuse the message
    :ivar states: those that a fact may have without a warning; any if there are none
    """

    def __init__(self, lifecycle: Lifecycle, events: Sequence[Event], may: Callable[[str], bool]) -> None:
        self.states = frozenset({None, DELETED, *lifecycle.states}) if lifecycle.states else None
        self._lifecycle = lifecycle
        self._events = events
        self._may = may
        self._resource_id, self._project_id, self._user_id = (
            lifecycle.ids.get(name, _nothing) for name in ('resource_id', 'project_id', 'user_id'))
        self._size, self._place, self._attributes = (
            tuple(finds.items()) for finds in (lifecycle.size, lifecycle.place, lifecycle.attributes))

    def __call__(self, message: Message, timestamp: int) -> Fact | None:
        event = self._event(message)
        if event is None or event.kind == 'ignored':
            return None
        of = self._lifecycle
        resource_type = of.type_name or _id('resource_type', of.resource_type(message))
        if resource_type is None:
            raise Refused('observe.no_resource_id', 'resource_type')
        if not self._may(resource_type):
            return None
        resource_id = _id('resource_id', self._resource_id(message))
        if resource_id is None:
            raise Refused('observe.no_resource_id', 'resource_id')
        project_id, user_id = _id('project_id', self._project_id(message)), _id('user_id', self._user_id(message))
        kind, state, time, every = event.kind, None, None, event.every
        if event.changed is not None and event.changed[0](message) == event.changed[1](message):
            kind, every = 'witness', 0
        elif kind != 'witness':
            state = None if event.state is None else _state(event.state(message))
            time = None if event.time is None else _time(event.time(message))
        if kind == 'change' and 'project_id' not in event.sets:
            project_id = user_id = None
        created, created_state = _moment(of.created, message)
        launched, launched_state = _moment(of.launched, message)
        return Fact(
            resource_type, resource_id, kind, message['event_type'], time or timestamp, timestamp, state, every,
            project_id, user_id, {} if kind == 'change' and 'size' not in event.sets else self._find_size(message),
            {name: _place(find(message)) for name, find in self._place}, self._find_attributes(message),
            created, created_state, launched, launched_state, _moment(of.ended, message)[0],
            _shown(of.launched, message) if kind in _SHOWING else '')

    def _event(self, message: Message) -> Event | None:
        for event in self._events:
            if not event.when or all(str(find(message)) in values for find, values in event.when):
                return event
        return None

    def _find_size(self, message: Message) -> dict[str, Any]:
        return {name: value for name, find in self._size if (value := _size(name, find(message))) is not None}

    def _find_attributes(self, message: Message) -> dict[str, Any]:
        found = {name: value for name, find in self._attributes if (value := find(message)) is not None}
        parent = self._lifecycle.parent
        if parent is not None and (parent_id := _id('parent', parent.resource_id(message))) is not None:
            found['parent'] = f'{parent.resource_type}/{parent_id}'
        return found


_SHOWING = frozenset({'observation', 'witness'})


def _nothing(_message: Message) -> None:
    """Find what is not defined."""


def _moment(mark: Mark | None, message: Message) -> tuple[int | None, str]:
    """Find when something happened, and in which state the resource is since then."""
    if mark is None:
        return None, ''
    time = _time(mark.time(message))
    for find, values in mark.unless:
        if (found := str(find(message))) in values:
            return time, found
    return time, mark.state


def _shown(mark: Mark | None, message: Message) -> str:
    """Find the state that a message shows, which is where its exceptions from the launch stand."""
    for find, _ in mark.unless if mark else ():
        if is_id(value := find(message)):
            return value
    return ''


def _time(value: Any) -> int | None:
    """Read a time; services write ``""`` or null for none."""
    if value is None or value == '':
        return None
    return _micros(value)


def _micros(value: Any) -> int:
    try:
        return _parse(value)
    except (TypeError, ValueError):
        raise Refused('observe.bad_timestamp', shown(value)) from None


@functools.lru_cache(_TIMES)
def _parse(text: str) -> int:
    return times.to_micros(times.parse_utc(text))


def _state(value: Any) -> str:
    if is_id(value):
        return value
    raise Refused('observe.no_state' if value is None or value == '' else 'observe.bad_state', f'state: {shown(value)}')


def _id(field: str, value: Any) -> str | None:
    if is_id(value):
        return value
    if value is None or value == '':
        return None
    raise Refused('observe.bad_id', f'{field}: {shown(value)}')


def _size(name: str, value: Any) -> str | int | float | None:
    if value is None or (type(value) is str and len(value) <= MAX_SIZE) or type(value) is int and is_finite(value):
        return value
    if type(value) is float and is_finite(value):
        return value
    raise Refused('observe.bad_size', f'{name}: {shown(value)}')


def _place(value: Any) -> str | None:
    return value[:MAX_SIZE] if isinstance(value, str) and value else None
