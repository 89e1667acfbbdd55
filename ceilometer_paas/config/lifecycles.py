# SPDX-License-Identifier: Apache-2.0
"""Directories of lifecycle definitions -> :class:`Lifecycle` objects, or every mistake in them.

A definition says of resources of one type where a message names them, their owner, size and state, and which events
tell what of their lives. Its paths are those of meter definitions.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ceilometer_paas.config import definitions, reader
from ceilometer_paas.config.paths import Message
from ceilometer_paas.config.sources import FORMATS
from ceilometer_paas.model import DELETED

Find = Callable[[Message], Any]
"""Finds a value in a message; None if it is not there."""
Conditions = tuple[tuple[Find, frozenset[str]], ...]
"""Paths, and the values of each, as text, that fulfil it."""

RESOURCE_TYPE = '{resource_type}'
"""Stands in a meter's name for the type of the resource."""

EVERY = 3900
"""Seconds for which an observation holds unless its event says otherwise: audits come each hour, and some late."""

_REQUIRED = ('resource_type', 'resource_id', 'events')
_IDS = ('resource_id', 'project_id', 'user_id')
_PLACE = ('host', 'availability_zone')
_ATTRIBUTES = ('name', 'image', 'license', 'metadata', 'tags')
_MARKS = ('created', 'launched', 'ended')
_OPTIONAL = ('format', *_IDS[1:], *_PLACE, *_ATTRIBUTES, 'parent', 'size', *_MARKS, 'states', 'meters')
_KINDS = {'state': 'transition', 'observed': 'observation', 'sets': 'change', 'ignored': 'ignored'}
_DETAILS = ('time', 'changed', 'every')
_CHANGES = ('project_id', 'size')


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A time in a life that messages tell over and over.

    :ivar state: what the resource is since then
    :ivar unless: it is what one of these finds, if that is among the values
    """

    time: Find
    state: str
    unless: Conditions = ()


@dataclass(frozen=True, slots=True, eq=False)
class Parent:
    """What a resource is part of, if an id is found; it ends, at the latest, when that ended."""

    resource_type: str
    resource_id: Find


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """What messages of some event types tell.

    :ivar kind: as :class:`~ceilometer_paas.model.Fact`'s, or ``ignored``
    :ivar state: of a transition or an observation
    :ivar time: from when it holds; None is when the message was sent
    :ivar changed: it tells nothing but what a witness does unless the two differ
    :ivar when: it is spoken of these messages only
    :ivar sets: what a change changes: ``project_id`` (with the user) and ``size``
    :ivar every: as :class:`~ceilometer_paas.model.Fact`'s
    """

    event_types: tuple[re.Pattern[str], ...]
    kind: str
    state: Find | None
    time: Find | None
    changed: tuple[Find, Find] | None
    when: Conditions
    sets: frozenset[str]
    every: int
    line: int

    def matches(self, event_type: str) -> bool:
        """Tell whether it is spoken of a type of event."""
        return any(pattern.fullmatch(event_type) for pattern in self.event_types)


@dataclass(frozen=True, slots=True, eq=False)
class Lifecycle:
    """One valid definition.

    :ivar type_name: of the resources; empty if each message names it
    :ivar format: of the queues that it reads
    :ivar ids: ``resource_id``, and ``project_id`` and ``user_id`` where they are defined
    :ivar states: those that are known, of all definitions of the type
    :ivar meters: of all definitions of the type: the meters that its states give -> the states that count; a name
        may have :data:`RESOURCE_TYPE` in it
    :ivar events: the first that matches decides
    """

    resource_type: Find
    type_name: str
    format: str
    ids: Mapping[str, Find]
    size: Mapping[str, Find]
    place: Mapping[str, Find]
    attributes: Mapping[str, Find]
    parent: Parent | None
    created: Mark | None
    launched: Mark | None
    ended: Mark | None
    states: frozenset[str]
    meters: Mapping[str, frozenset[str]]
    events: tuple[Event, ...]
    file: str
    line: int

    def matches(self, event_type: str) -> bool:
        """Tell whether the definition speaks of a type of event."""
        return any(event.matches(event_type) for event in self.events)

    def meter_names(self, resource_type: str) -> list[str]:
        """Name the meters of a type of resource."""
        return [name.replace(RESOURCE_TYPE, resource_type) for name in self.meters]


def load_lifecycles(dirs: Sequence[str], problems: reader.Problems) -> tuple[Lifecycle, ...]:
    """Read every ``*.yaml`` of some directories, in the order of the directories, file names and definitions.

    :param dirs: a resource type that is defined in an earlier one replaces all its definitions in later ones
    """
    loader = _Loader(problems)
    lifecycles = loader.load(dirs)
    loader.check_states()
    loader.check_parents(lifecycles)
    return tuple(_unite(lifecycles))


def _unite(lifecycles: Sequence[Lifecycle]) -> Iterator[Lifecycle]:
    """Give to all definitions of a type the states and meters that any of them names."""
    for one in lifecycles:
        akin = [other for other in lifecycles if other.type_name == one.type_name] if one.type_name else [one]
        meters: dict[str, frozenset[str]] = {}
        for other in akin:
            for name, states in other.meters.items():
                meters[name] = states | meters.get(name, frozenset())
        yield dataclasses.replace(one, states=frozenset().union(*(other.states for other in akin)), meters=meters)


class _Loader:
    """Builds lifecycles, and notes what is wrong.

    :ivar _known: resource type -> the states that its definitions list
    :ivar _named: every state that a definition names: its type, and where
    :ivar _parents: type of a parent -> where definitions name it
    """

    def __init__(self, problems: reader.Problems) -> None:
        self._problems = problems
        self._read = definitions.Definitions(problems, key='lifecycle', name='resource_type',
                                             kind='lifecycle definition', failure='observe.failed')
        self._type = ''
        self._known: dict[str, set[str]] = {}
        self._named: list[tuple[str, reader.Map, str, str]] = []
        self._parents: dict[str, list[reader.Map]] = {}

    def load(self, dirs: Sequence[str]) -> tuple[Lifecycle, ...]:
        return self._read.load(dirs, self._lifecycle)

    def check_states(self) -> None:
        """Look for states that are none of those that are listed for their type, if any are."""
        for resource_type, cfg, key, state in self._named:
            known = self._known.get(resource_type)
            if resource_type and known and state not in known | {DELETED}:
                meant = reader.did_you_mean(state, known) or 'add it there'
                self._read.wrong(cfg, key, f'{reader.shown(state)} is none of the states of {resource_type}; {meant}')

    def check_parents(self, lifecycles: Iterable[Lifecycle]) -> None:
        """Look for parents that have parents, whose ends the ledger does not pass on."""
        for resource_type in {one.type_name for one in lifecycles if one.parent}:
            for cfg in self._parents.get(resource_type, ()):
                self._read.wrong(cfg, 'resource_type', f'{resource_type} is itself part of another resource; name '
                                                       'that one')

    def _lifecycle(self, cfg: reader.Map) -> Lifecycle | None:
        before = len(self._problems)
        reader.check_keys(cfg, self._problems, required=_REQUIRED, optional=_OPTIONAL, what='a lifecycle definition')
        resource_type, self._type = self._word_or_path(cfg, 'resource_type')
        if cfg.get('format', FORMATS[0]) not in FORMATS:
            self._read.wrong(cfg, 'format', f'format is {reader.shown(cfg["format"])}; it is {" or ".join(FORMATS)}')
        states = frozenset(self._states(cfg, 'states'))
        self._known.setdefault(self._type, set()).update(states)
        size = self._map(cfg, 'size', 'names to paths')
        meters = self._map(cfg, 'meters', 'meter names to states')
        created, launched, ended = (self._mark(cfg, name) for name in _MARKS)
        lifecycle = functools.partial(
            Lifecycle, type_name=self._type, format=cfg.get('format', FORMATS[0]),
            ids=self._finds(cfg, _IDS), size=self._finds(size, size), place=self._finds(cfg, _PLACE),
            attributes=self._finds(cfg, _ATTRIBUTES), parent=self._parent(cfg), created=created, launched=launched,
            ended=ended, states=states,
            meters={name: frozenset(self._states(meters, name)) for name in meters},
            events=tuple(self._events(cfg)), file=cfg.file, line=cfg.line)
        return None if len(self._problems) > before or resource_type is None else lifecycle(resource_type)

    def _find(self, cfg: reader.Map, key: str) -> Find | None:
        """Read a path, if it is there."""
        path = self._read.path(cfg, key, cfg[key]) if key in cfg else None
        return path.first if path else None

    def _finds(self, cfg: reader.Map, keys: Iterable[str]) -> dict[str, Find]:
        return {key: find for key in keys if (find := self._find(cfg, key))}

    def _map(self, cfg: reader.Map, key: str, what: str) -> reader.Map:
        """Read a mapping by names, if it is there; empty if it is wrong."""
        value = cfg.get(key)
        if isinstance(value, reader.Map) and value and all(map(reader.is_name, value)):
            return value
        if key in cfg:
            self._read.wrong(cfg, key, f'{key} is a mapping of {what}; a name is {reader.NAME}')
        return reader.Map()

    def _states(self, cfg: reader.Map, key: str) -> Iterator[str]:
        for word in self._read.words(cfg, key):
            if not reader.is_name(word):
                self._read.wrong(cfg, key, f'{reader.shown(word)} is no state; a state is {reader.NAME}')
            elif key != 'states':
                self._named.append((self._type, cfg, key, word))
            yield word

    def _word_or_path(self, cfg: reader.Map, key: str) -> tuple[Find | None, str]:
        """Read a word, a path, or a list of alternatives, the last of which may be a word.

        :returns: what finds it, and the word if it is nothing but that
        """
        if key not in cfg:
            return None, ''
        value = cfg[key]
        choices = list(value) if isinstance(value, reader.Seq) else [value]
        word = choices.pop() if choices and _is_word(choices[-1]) else None
        if any(map(_is_word, choices)):
            self._read.wrong(cfg, key, 'only the last of the alternatives can be a word; a path begins with $')
            return None, ''
        if word is not None and (not reader.is_name(word) or word.startswith('payload.')):
            self._read.wrong(cfg, key, f'{reader.shown(word)} is no word for it; that is {reader.NAME}; '
                                       'a path begins as in $.payload.id')
            return None, ''
        if word is not None and not choices:
            return lambda message: word, word
        path = self._read.path(cfg, key, value if word is None else choices)
        if path is None or word is None:
            return path.first if path else None, ''
        find = path.first
        return lambda message: word if (value := find(message)) is None else value, ''

    def _mark(self, cfg: reader.Map, name: str) -> Mark | None:
        keys = ('time',) if name == 'ended' else ('time', 'state')
        value = cfg.get(name)
        if not isinstance(value, reader.Map):
            if name in cfg:
                self._read.wrong(cfg, name, f'{name} is a mapping with {" and ".join(keys)}')
            return None
        reader.check_keys(value, self._problems, required=keys, what=name,
                          optional=('unless',) if name == 'launched' else ())
        state = DELETED
        if 'state' in value:
            if reader.is_name(value['state']):
                state, = self._states(value, 'state')
            else:
                self._read.wrong(value, 'state', f'state is {reader.shown(value["state"])}; it is {reader.NAME}')
        unless = tuple(self._conditions(value, 'unless'))
        self._named += ((self._type, value, 'unless', word) for _, words in unless for word in words)
        time = self._find(value, 'time')
        return Mark(time, state, unless) if time else None

    def _parent(self, cfg: reader.Map) -> Parent | None:
        value = cfg.get('parent')
        if not isinstance(value, reader.Map):
            if 'parent' in cfg:
                self._read.wrong(cfg, 'parent', 'parent is a mapping with resource_type and resource_id')
            return None
        reader.check_keys(value, self._problems, required=('resource_type', 'resource_id'), what='parent')
        resource_type, resource_id = value.get('resource_type'), self._find(value, 'resource_id')
        if 'resource_type' in value and not (reader.is_name(resource_type) and _is_word(resource_type)
                                             and '/' not in resource_type):
            self._read.wrong(value, 'resource_type', f'resource_type is {reader.shown(resource_type)}; that of a '
                                                     'parent is a word without a slash')
        elif resource_type and resource_id:
            self._parents.setdefault(resource_type, []).append(value)
            return Parent(resource_type, resource_id)
        return None

    def _conditions(self, cfg: reader.Map, key: str) -> Iterator[tuple[Find, frozenset[str]]]:
        """Read a mapping of paths to a value or a list of values, if it is there."""
        conditions = cfg.get(key, reader.Map())
        if key in cfg and not (isinstance(conditions, reader.Map) and conditions):
            self._read.wrong(cfg, key, f'{key} is a mapping of paths to values')
            return
        for text, value in conditions.items():
            values = value if isinstance(value, reader.Seq) else [value]
            if not values or not all(one is None or isinstance(one, (str, int, float)) for one in values):
                self._read.wrong(conditions, text, f'{reader.shown(value)} is no value or list of values; '
                                                   'quote it if it is text')
            path = self._read.path(conditions, text, text)
            if path is not None:
                yield path.first, frozenset(map(str, values))

    def _events(self, cfg: reader.Map) -> Iterator[Event]:
        events = cfg.get('events')
        if not isinstance(events, reader.Seq) or not events:
            if 'events' in cfg:
                self._read.wrong(cfg, 'events', 'events is a list of events, at least one')
            return
        for value, line in zip(events, events.lines, strict=True):
            if isinstance(value, reader.Map):
                yield self._event(value, cfg)
            else:
                self._problems.add(cfg.file, line, f'an event is a mapping, not {reader.shown(value)}')

    def _event(self, cfg: reader.Map, lifecycle: reader.Map) -> Event:
        reader.check_keys(cfg, self._problems, required=('event_type',), optional=(*_KINDS, *_DETAILS, 'when'),
                          what='an event')
        if 'event_type' in cfg and not cfg['event_type']:
            self._read.wrong(cfg, 'event_type', f'event_type is {reader.shown(cfg["event_type"])}; it is a regular '
                                                'expression, or a list of them')
        told = [key for key in _KINDS if key in cfg]
        for key in told[1:]:
            self._read.wrong(cfg, key, f'an event has {told[0]} or {key}, not both; make two events of it')
        kind = _KINDS[told[0]] if told else 'witness'
        if kind in ('ignored', 'witness'):
            for key in filter(cfg.__contains__, _DETAILS):
                self._read.wrong(cfg, key, f'{key} has no effect in an event that tells no state and sets nothing; '
                                           'remove it')
        if cfg.get('ignored', True) is not True:
            self._read.wrong(cfg, 'ignored', f'ignored is {reader.shown(cfg["ignored"])}; it is true, or left out')
        state = None
        for key in ('state', 'observed'):
            if key in cfg:
                state, word = self._word_or_path(cfg, key)
                self._named += [(self._type, cfg, key, word)] if word else []
        return Event(tuple(self._read.patterns(cfg)), kind, state, time=self._find(cfg, 'time'),
                     changed=self._changed(cfg), when=tuple(self._conditions(cfg, 'when')),
                     sets=self._sets(cfg, lifecycle), every=self._every(cfg), line=cfg.line)

    def _changed(self, cfg: reader.Map) -> tuple[Find, Find] | None:
        texts = cfg.get('changed', ())
        if isinstance(texts, reader.Seq) and len(texts) == 2:
            one, other = (self._read.path(cfg, 'changed', text) for text in texts)
            return (one.first, other.first) if one and other else None
        if 'changed' in cfg:
            self._read.wrong(cfg, 'changed', 'changed is a list of two paths')
        return None

    def _sets(self, cfg: reader.Map, lifecycle: reader.Map) -> frozenset[str]:
        words = frozenset(self._read.words(cfg, 'sets'))
        if 'sets' in cfg and not (words and words.issubset(_CHANGES)):
            self._read.wrong(cfg, 'sets', f'sets is {reader.shown(cfg["sets"])}; it is a list of some of '
                                          f'{", ".join(_CHANGES)}')
        for word in sorted(words.intersection(_CHANGES).difference(lifecycle)):
            self._read.wrong(cfg, 'sets', f'the lifecycle definition does not say where {word} stands')
        return words

    def _every(self, cfg: reader.Map) -> int:
        every = cfg.get('every', EVERY if 'observed' in cfg and 'time' not in cfg else 0)
        if type(every) is not int or every < 0:
            self._read.wrong(cfg, 'every', f'every is {reader.shown(every)}; it is a whole number of seconds')
            return 0
        if 'every' in cfg and 'time' in cfg:
            self._read.wrong(cfg, 'every', 'every and time exclude each other: what is said again is said of the time '
                                           'of the message; remove one')
        return every


def _is_word(value: object) -> bool:
    return isinstance(value, str) and not value.startswith('$')
