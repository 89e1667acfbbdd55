# SPDX-License-Identifier: Apache-2.0
"""A :class:`~.model.Notification` -> what it says was used, by meter definitions; or a refusal of the whole message.

The values are those that Ceilometer's ``MeterDefinition`` and ``Sample.from_notification`` find, with these exceptions:

* A volume that is not a finite number, a negative delta, an id that is not a printable string of 1 to 255 characters, a
  path to a name or unit that finds nothing: Ceilometer publishes such samples, here the message is refused.
* An empty project or user id is none: some services write ``""`` for what they do not know.
* A meter whose name is mapped to no queue is inactive; one that is mapped to other queues than the message's own
  refuses the message.

A volume that is absent says that the message does not measure this meter. If that leaves nothing at all, and not by a
condition (a filter, ``where``, ``lookup``, the plug-in ``paas_when``), the message is refused: the service has changed.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ceilometer_paas import times
from ceilometer_paas.config.meters import ATTRIBUTES, TYPES, Meter
from ceilometer_paas.config.paths import Definition, Getter, Message, Path, as_message, compile_path
from ceilometer_paas.errors import Refused, shown
from ceilometer_paas.model import Amount, Notification, Reading, is_finite, is_id

_MEMO = 4096
_SHARED = ('resource_id', 'project_id', 'user_id', 'timestamp', 'metadata', 'user_metadata')
# As Ceilometer writes them. JSONPath binds | before . and so finds nothing in real contexts: ctxt.(user_id|ctxt).user
_OWNERS = {'user_id': 'ctxt.user_id|ctxt.user', 'project_id': 'ctxt.project_id|ctxt.tenant_id'}

Allowed = Callable[[str], bool]
Measure = Callable[[Message], Amount | None]
Step = Callable[[Message, str], Iterable[Reading]]


class _Plan(NamedTuple):
    """How to read one type of event from one queue.

    :ivar refusal: why it is refused unread; empty if it is not
    :ivar expected: names of the meters that every such message measures
    """

    refusal: str
    steps: tuple[Step, ...]
    expected: tuple[str, ...]


class Translator:
    """Reads notifications by definitions; what can be known of a type of event beforehand is worked out once.

    :param queues_of: metric type -> names of the queues that may speak of it
    :param max_metrics: samples of one message that are accepted at most
    """

    def __init__(self, meters: Sequence[Meter], queues_of: Callable[[str], frozenset[str]], max_metrics: int) -> None:
        self._meters = meters
        self._queues_of = queues_of
        self._max_metrics = max_metrics
        self._owners = {name: compile_path(Definition(name, text, None)) for name, text in _OWNERS.items()}
        self._plan = functools.lru_cache(_MEMO)(self._make_plan)

    def __call__(self, notification: Notification, queue: str) -> tuple[Reading, ...]:
        """Read one notification: its own readings first, then those of the definitions in their order.

        :param queue: the queue it came from
        :returns: empty if no definition speaks of it
        :raises Refused: with a ``translate.*`` code or ``source.not_mapped``
        """
        for reading in notification.readings:
            for amount in reading.amounts:
                if queue not in self._queues_of(amount.name):
                    raise Refused('source.not_mapped', f'{amount.name!r} is not mapped to queue {queue!r}')
        plan = self._plan(notification.event_type, queue)
        if plan.refusal:
            raise Refused('source.not_mapped', plan.refusal)
        readings = notification.readings
        if plan.steps:
            message = as_message(notification)
            found = (reading for step in plan.steps for reading in step(message, notification.timestamp))
            readings = (*readings, *found)
            if not readings and plan.expected:
                raise Refused('translate.no_volume', f'no volume for {", ".join(plan.expected)}')
        if sum(len(reading.amounts) for reading in readings) > self._max_metrics:
            raise Refused('translate.too_many', f'more than {self._max_metrics} samples')
        return readings

    def matching(self, event_type: str) -> tuple[Meter, ...]:
        """Name the definitions that speak of a type of event, active or not."""
        return tuple(meter for meter in self._meters if meter.matches(event_type))

    def _make_plan(self, event_type: str, queue: str) -> _Plan:
        allowed = functools.partial(self._allowed, queue)
        active: list[Meter] = []
        for meter in self.matching(event_type):
            name = _constant(meter, 'name')
            try:
                if name is None or allowed(name):
                    active.append(meter)
            except Refused as refusal:
                return _Plan(refusal.reason, (), ())
        steps: list[Step] = []
        for group in _groups(active):
            if group[0].lookup:
                steps.append(_Lookup(group[0], self._owners, allowed))
            else:
                steps.append(_Shared(group, self._owners, allowed))
        expected = (meter.name for meter in active if not (
            meter.lookup or meter.paths['volume'].conditional or _constant(meter, 'name') is None))
        return _Plan('', tuple(steps), tuple(dict.fromkeys(expected)))

    def _allowed(self, queue: str, name: str) -> bool:
        """Tell whether a meter is active; the queue must be one of those that may speak of it."""
        queues = self._queues_of(name)
        if queues and queue not in queues:
            raise Refused('source.not_mapped', f'{name!r} is not mapped to queue {queue!r}')
        return bool(queues)


class _Shared:
    """Definitions that differ in name, type, unit and volume only: one reading with an amount for each."""

    def __init__(self, meters: Sequence[Meter], owners: dict[str, Path], allowed: Allowed) -> None:
        paths = meters[0].paths
        self._measures = [_measure(meter, allowed) for meter in meters]
        self._resource_id = paths['resource_id'].first
        self._project_id = _either(paths.get('project_id'), owners['project_id'])
        self._user_id = _either(paths.get('user_id'), owners['user_id'])
        self._timestamp = paths['timestamp'].first if 'timestamp' in paths else None
        self._metadata = _Metadata(meters[0])

    def __call__(self, message: Message, timestamp: str) -> tuple[Reading, ...]:
        amounts = tuple([amount for measure in self._measures if (amount := measure(message)) is not None])
        if not amounts:
            return ()
        return (Reading(
            _resource_id(self._resource_id(message)),
            _owner(self._project_id(message), 'project_id'),
            _owner(self._user_id(message), 'user_id'),
            _time(self._timestamp(message), timestamp) if self._timestamp else timestamp,
            self._metadata(message),
            amounts),)


class _Lookup:
    """A definition of which each message gives several samples: a path finds a value for each of them."""

    def __init__(self, meter: Meter, owners: dict[str, Path], allowed: Allowed) -> None:
        self._meter = meter
        self._owners = owners
        self._allowed = allowed
        self._metadata = _Metadata(meter)

    def __call__(self, message: Message, timestamp: str) -> list[Reading]:
        found: dict[tuple[str, str | None, str | None, str], list[Amount]] = {}
        columns = [self._column(attribute, message) for attribute in ATTRIBUTES]
        count = len(columns[ATTRIBUTES.index('name')])
        for attribute, column in zip(ATTRIBUTES, columns, strict=True):
            if len(column) != count and (len(column) != 1 or attribute in self._meter.lookup) and count:
                raise Refused('translate.failed', f'lookup: {len(column)} {attribute} for {count} names')
        rows = zip(*(column if len(column) == count else itertools.repeat(column[0], count) for column in columns),
                   strict=True) if count else ()
        for row in rows:
            values = dict(zip(ATTRIBUTES, row, strict=True))
            name = _name(values['name'])
            if values['volume'] is None or not self._allowed(name):
                continue
            amount = _amount(name, _type(values['type']), _unit(values['unit']), values['volume'])
            key = (_resource_id(values['resource_id']), _owner(values['project_id'], 'project_id'),
                   _owner(values['user_id'], 'user_id'), _time(values['timestamp'], timestamp))
            found.setdefault(key, []).append(amount)
        metadata = self._metadata(message) if found else {}
        return [Reading(*key, metadata, tuple(amounts)) for key, amounts in found.items()]

    def _column(self, attribute: str, message: Message) -> list[Any]:
        """Find the values of one attribute, or what stands for them where there are none."""
        path = self._meter.paths.get(attribute)
        values = path.every(message) if path else []
        if values or (path and (attribute in self._meter.lookup or attribute == 'name')):
            return values
        if attribute in self._owners:
            return [self._owners[attribute].first(message)]
        return [self._meter.cfg[attribute] if attribute in ('type', 'unit') else None]


class _Metadata:
    """Makes a sample's metadata; where a definition names none, or nothing is found, they are the payload."""

    def __init__(self, meter: Meter) -> None:
        self._getters = [(name, path.first) for name, path in meter.metadata.items()]
        self._user_metadata = meter.user_metadata

    def __call__(self, message: Message) -> dict[str, Any]:
        metadata = {name: value for name, get in self._getters if (value := get(message))}
        if self._user_metadata:
            chosen = self._user_metadata(message, metadata)
            if chosen:
                metadata['user_metadata'] = chosen
        return metadata or {**message['payload'], 'event_type': message['event_type'], 'host': message['publisher_id']}


def _groups(meters: Iterable[Meter]) -> Iterator[list[Meter]]:
    """Put together the definitions that share all but the amount; each one with a lookup stays alone."""
    groups: dict[object, list[Meter]] = {}
    for meter in meters:
        key = id(meter) if meter.lookup else repr([meter.cfg.get(name) for name in _SHARED])
        groups.setdefault(key, []).append(meter)
    yield from groups.values()


def _constant(meter: Meter, attribute: str) -> str | None:
    """Give a name or unit that is the same in every message; None if the message decides."""
    return meter.cfg[attribute] if meter.paths[attribute].constant else None


def _either(path: Path | None, fallback: Path) -> Getter:
    if path is None:
        return fallback.first
    first, second = path.first, fallback.first

    def get(message: Message) -> Any:
        value = first(message)
        return value if value is not None else second(message)
    return get


def _measure(meter: Meter, allowed: Allowed) -> Measure:
    """Prepare one definition's amount."""
    volume, kind = meter.paths['volume'].first, meter.cfg['type']
    name, unit = _constant(meter, 'name'), _constant(meter, 'unit')

    if name is not None and unit is not None:
        def measure(message: Message) -> Amount | None:
            value = volume(message)
            return None if value is None else _amount(name, kind, unit, value)
        return measure

    find_name, find_unit = meter.paths['name'].first, meter.paths['unit'].first

    def measure_named(message: Message) -> Amount | None:
        value = volume(message)
        if value is None:
            return None
        found = name if name is not None else _name(find_name(message))
        if not allowed(found):
            return None
        return _amount(found, kind, unit if unit is not None else _unit(find_unit(message)), value)
    return measure_named


def _amount(name: str, kind: str, unit: str, volume: Any) -> Amount:
    if type(volume) is not int and type(volume) is not float:
        raise Refused('translate.bad_volume', f'{name}: {shown(volume)} is not a number')
    if not is_finite(volume):
        raise Refused('translate.not_finite', f'{name}: {shown(volume)}')
    if volume < 0 and kind == 'delta':
        raise Refused('translate.negative_delta', f'{name}: {shown(volume)}')
    return Amount(name, kind, unit, volume)


def _name(value: Any) -> str:
    if is_id(value):
        return str(value)
    raise Refused('translate.bad_name', f'name: {shown(value)}')


def _unit(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Refused('translate.bad_name', f'unit: {shown(value)}')


def _type(value: Any) -> str:
    if isinstance(value, str) and value in TYPES:
        return value
    raise Refused('translate.bad_type', f'type: {shown(value)}')


def _resource_id(value: Any) -> str:
    found = _owner(value, 'resource_id')
    if found is None:
        raise Refused('translate.no_resource_id')
    return found


def _owner(value: Any, attribute: str) -> str | None:
    if value is None or value == '':
        return None
    if is_id(value):
        return str(value)
    raise Refused('translate.bad_id', f'{attribute}: {shown(value)}')


def _time(value: Any, default: str) -> str:
    if not value:
        return default
    try:
        return times.parse(value).isoformat()
    except ValueError:
        raise Refused('translate.bad_timestamp', f'timestamp: {shown(value)}') from None
