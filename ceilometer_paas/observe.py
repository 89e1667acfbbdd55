# SPDX-License-Identifier: Apache-2.0
"""A :class:`~.model.Notification` -> the :class:`~.model.Fact` that it tells of a resource's life, or a refusal.

What is read, and from which events, is said by lifecycle definitions; what follows from it is worked out later, by
:mod:`ceilometer_paas.ledger.intervals`. A definition of which no meter is mapped to any queue is inactive; one whose
meters are mapped to other queues than the message's own refuses the message.
"""

import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ceilometer_paas import times
from ceilometer_paas.config.lifecycles import Event, Find, Lifecycle, Mark
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
            self._look_at(reading.lifecycle, fact)
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
        """Tell whether a definition is active; the queue must be one of those that may speak of its meters."""
        names = lifecycle.meter_names(resource_type)
        queues = frozenset[str]().union(*map(self._queues_of, names))
        if queues and queue not in queues:
            raise Refused('source.not_mapped', f'{" and ".join(names)} is not mapped to queue {queue!r}')
        return bool(queues)

    def _look_at(self, lifecycle: Lifecycle, fact: Fact) -> None:
        """Warn once of a state that the definitions do not list."""
        state = fact.resource_type, fact.state
        if lifecycle.states and fact.state not in (None, DELETED, *lifecycle.states) and state not in self._strange:
            self._strange.add(state)
            LOG.warning('A state of %s that no lifecycle definition lists is kept as it is: %s', *state)


class _Reading:
    """How to read messages of one type of event by one definition.

    :param may: resource type -> whether the definition is active; it may refuse the message
    """

    def __init__(self, lifecycle: Lifecycle, events: Sequence[Event], may: Callable[[str], bool]) -> None:
        self.lifecycle = lifecycle
        self._events = events
        self._may = may

    def __call__(self, message: Message, timestamp: int) -> Fact | None:
        event = next((event for event in self._events if _applies(event.when, message)), None)
        if event is None or event.kind == 'ignored':
            return None
        of = self.lifecycle
        resource_type = _id('resource_type', of.resource_type(message))
        if resource_type is None:
            raise Refused('observe.no_resource_id', 'resource_type')
        if not self._may(resource_type):
            return None
        resource_id = _id('resource_id', of.ids['resource_id'](message))
        if resource_id is None:
            raise Refused('observe.no_resource_id', 'resource_id')
        kind = event.kind
        if event.changed is not None and event.changed[0](message) == event.changed[1](message):
            kind = 'witness'
        state = _state(event.state(message)) if event.state is not None and kind != 'witness' else None
        only = event.sets if kind == 'change' else _ALL
        project_id = _id('project_id', of.ids['project_id'](message)) if 'project_id' in of.ids else None
        user_id = _id('user_id', of.ids['user_id'](message)) if 'user_id' in of.ids else None
        created, created_state = _moment(of.created, message)
        launched, launched_state = _moment(of.launched, message)
        return Fact(
            resource_type, resource_id, kind, message['event_type'],
            _time(event.time(message)) or timestamp if event.time is not None and kind != 'witness' else timestamp,
            timestamp, state, event.every if kind != 'witness' else 0,
            project_id if 'project_id' in only else None, user_id if 'project_id' in only else None,
            {name: value for name, find in of.size.items() if (value := _size(name, find(message))) is not None}
            if 'size' in only else {},
            {name: _place(find(message)) for name, find in of.place.items()},
            {name: value for name, find in of.attributes.items() if (value := find(message)) is not None},
            created, created_state, launched, launched_state, _moment(of.ended, message)[0],
            _shown(of.launched, message) if kind in _SHOWING else '')


_ALL = frozenset({'project_id', 'size'})
_SHOWING = frozenset({'observation', 'witness'})


def _applies(conditions: Iterable[tuple[Find, frozenset[str]]], message: Message) -> bool:
    return all(str(find(message)) in values for find, values in conditions)


def _moment(mark: Mark | None, message: Message) -> tuple[int | None, str]:
    """Find when something happened, and in which state the resource is since then."""
    if mark is None:
        return None, ''
    shown_states = (str(find(message)) for find, values in mark.unless if str(find(message)) in values)
    return _time(mark.time(message)), next(shown_states, mark.state)


def _shown(mark: Mark | None, message: Message) -> str:
    """Find the state that a message shows, which is where its exceptions from the launch stand."""
    values = (find(message) for find, _ in mark.unless) if mark else ()
    return next((value for value in values if is_id(value)), '')


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
        return str(value)
    raise Refused('observe.no_state' if value is None or value == '' else 'observe.bad_state', f'state: {shown(value)}')


def _id(field: str, value: Any) -> str | None:
    if value is None or value == '':
        return None
    if is_id(value):
        return str(value)
    raise Refused('observe.bad_id', f'{field}: {shown(value)}')


def _size(name: str, value: Any) -> str | int | float | None:
    if value is None or (type(value) is str and len(value) <= MAX_SIZE) or type(value) is int and is_finite(value):
        return value
    if type(value) is float and is_finite(value):
        return value
    raise Refused('observe.bad_size', f'{name}: {shown(value)}')


def _place(value: Any) -> str | None:
    return value[:MAX_SIZE] if isinstance(value, str) and value else None
