# SPDX-License-Identifier: Apache-2.0
"""Directories of lifecycle definitions -> :class:`Lifecycle` objects, or every mistake in them.

A definition says of resources of one type where a message names them, their owner, size and state, which events tell
what of their lives, and which meters are stated of them. Its paths are those of meter definitions.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ceilometer_paas.config import definitions, reader
from ceilometer_paas.config.events import Conditions, Event, Events, Find, Finds, is_word
from ceilometer_paas.config.sources import FORMATS
from ceilometer_paas.model import DELETED

RESOURCE_TYPE = '{resource_type}'
"""Stands in a meter's name for the type of the resource."""

_REQUIRED = ('resource_type', 'resource_id', 'events')
_IDS = ('resource_id', 'project_id', 'user_id')
_PLACE = ('host', 'availability_zone')
_ATTRIBUTES = ('name', 'image', 'license', 'metadata', 'tags')
_MARKS = ('created', 'launched', 'ended')
_METERS = ('meters', 'as_before', 'status', 'quantity')
_OPTIONAL = ('format', *_IDS[1:], *_PLACE, *_ATTRIBUTES, 'parent', 'size', *_MARKS, 'states', *_METERS)
_CODES = range(1, 1 << 31)


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
class Counted:
    """The states whose seconds a meter counts.

    :ivar all_but: it counts every other state, known or not
    """

    states: frozenset[str]
    all_but: bool = False

    def counts(self, state: str) -> bool:
        """Tell whether it counts a state."""
        return (state in self.states) is not self.all_but


@dataclass(frozen=True, slots=True, eq=False)
class Status:
    """The meter that says in which state a resource is.

    :ivar codes: state -> the number that stands for it, at least 1
    """

    meter: str
    codes: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Lifecycle:
    """One valid definition.

    Its states and what is said of meters are those of all definitions of the type; of those that read the type from the
    message, the states are their own. A meter's name may have :data:`RESOURCE_TYPE` in it.

    :ivar type_name: of the resources; empty if each message names it
    :ivar format: of the queues that it reads
    :ivar ids: ``resource_id``, and ``project_id`` and ``user_id`` where they are defined
    :ivar states: those that are known
    :ivar meters: the meters of how long it was in some states -> those states
    :ivar as_before: the states that count as the one before them
    :ivar quantity: the meter of how many there are; empty if there is none
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
    meters: Mapping[str, Counted]
    as_before: frozenset[str]
    status: Status | None
    quantity: str
    events: tuple[Event, ...]
    file: str
    line: int

    def matches(self, event_type: str) -> bool:
        """Tell whether the definition speaks of a type of event."""
        return any(event.matches(event_type) for event in self.events)

    def meter_names(self, resource_type: str) -> list[str]:
        """Name all meters of a type of resource."""
        names = [*self.meters, self.status.meter if self.status else '', self.quantity]
        return [name.replace(RESOURCE_TYPE, resource_type) for name in names if name]


def load_lifecycles(dirs: Sequence[str], problems: reader.Problems) -> tuple[Lifecycle, ...]:
    """Read every ``*.yaml`` of some directories, in the order of the directories, file names and definitions.

    :param dirs: a resource type that is defined in an earlier one replaces all its definitions in later ones
    """
    loader = _Loader(problems)
    lifecycles = loader.load(dirs)
    loader.check_states()
    loader.check_parents(lifecycles)
    loader.check_meters(lifecycles)
    return tuple(_unite(lifecycles))


def _unite(lifecycles: Sequence[Lifecycle]) -> Iterator[Lifecycle]:
    """Give to all definitions of a type what any of them says of states and meters."""
    for one in lifecycles:
        akin = [other for other in lifecycles if other.type_name == one.type_name]
        meters: dict[str, Counted] = {}
        for name, counted in (item for other in akin for item in other.meters.items()):
            states = counted.states.union(meters[name].states if name in meters else ())
            meters[name] = Counted(states, counted.all_but)
        yield dataclasses.replace(
            one, states=frozenset().union(*(other.states for other in (akin if one.type_name else [one]))),
            meters=meters, as_before=frozenset().union(*(other.as_before for other in akin)),
            status=next((other.status for other in akin if other.status), None),
            quantity=next((other.quantity for other in akin if other.quantity), ''))


class _Said(NamedTuple):
    """What a definition says of one meter.

    :ivar kind: ``meters``, ``status`` or ``quantity``
    :ivar what: what all definitions of the type must say alike
    :ivar cfg: where it stands, under the key
    """

    kind: str
    meter: str
    what: Any
    cfg: reader.Map
    key: str

    @property
    def place(self) -> str:
        return f'{self.cfg.file}:{self.cfg.lines.get(self.key, self.cfg.line)}'


class _Loader:
    """Builds lifecycles, and notes what is wrong.

    :ivar _known: resource type -> the states that its definitions list
    :ivar _named: every state that a definition names: its type, and where
    :ivar _parents: type of a parent -> where definitions name it
    :ivar _said: lifecycle -> what its definition says of meters
    """

    def __init__(self, problems: reader.Problems) -> None:
        self._problems = problems
        self._read = definitions.Definitions(problems, key='lifecycle', name='resource_type',
                                             kind='lifecycle definition', failure='observe.failed')
        self._finds = Finds(self._read)
        self._events = Events(problems, self._read, self._finds, self._name)
        self._type = ''
        self._reads_type = False
        self._known: dict[str, set[str]] = {}
        self._named: list[tuple[str, reader.Map, str, str]] = []
        self._parents: dict[str, list[reader.Map]] = {}
        self._said: dict[Lifecycle, list[_Said]] = {}

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

    def check_meters(self, lifecycles: Iterable[Lifecycle]) -> None:
        """Look for definitions of a type that contradict each other, and for meters that are given twice."""
        agreed: dict[tuple[str, str, str], _Said] = {}
        given: dict[str, tuple[str, _Said]] = {}
        for resource_type, said in ((one.type_name, said) for one in lifecycles for said in self._said[one]):
            before = agreed.setdefault((resource_type, said.kind, said.key), said)
            if before.what != said.what:
                self._read.wrong(said.cfg, said.key, f'{said.key} contradicts {before.place}; leave it to one of them')
            name = said.meter.replace(RESOURCE_TYPE, resource_type or RESOURCE_TYPE)
            of, other = given.setdefault(name, (resource_type, said))
            if (of, other.kind, other.meter) != (resource_type, said.kind, said.meter):
                self._read.wrong(said.cfg, said.key, f'{name} is given by {other.place} already; choose another name: '
                                                     'a meter says one thing, of one type')

    def _lifecycle(self, cfg: reader.Map) -> Lifecycle | None:
        before = len(self._problems)
        reader.check_keys(cfg, self._problems, required=_REQUIRED, optional=_OPTIONAL, what='a lifecycle definition')
        resource_type, self._type = self._finds.word_or_path(cfg, 'resource_type')
        self._reads_type = resource_type is not None and not self._type
        if cfg.get('format', FORMATS[0]) not in FORMATS:
            self._read.wrong(cfg, 'format', f'format is {reader.shown(cfg["format"])}; it is {" or ".join(FORMATS)}')
        states = frozenset(self._words(cfg, 'states'))
        self._known.setdefault(self._type, set()).update(states)
        size = self._map(cfg, 'size', 'names to paths')
        created, launched, ended = (self._mark(cfg, name) for name in _MARKS)
        lifecycle = functools.partial(
            Lifecycle, type_name=self._type, format=cfg.get('format', FORMATS[0]),
            ids=self._finds.some(cfg, _IDS), size=self._finds.some(size, size), place=self._finds.some(cfg, _PLACE),
            attributes=self._finds.some(cfg, _ATTRIBUTES), parent=self._parent(cfg), created=created,
            launched=launched, ended=ended, states=states, meters=dict(self._meters(cfg)),
            as_before=frozenset(self._states(cfg, 'as_before')), status=self._status(cfg),
            quantity=self._meter(cfg, 'quantity'), events=tuple(self._events(cfg)), file=cfg.file, line=cfg.line)
        if len(self._problems) > before or resource_type is None:
            return None
        built = lifecycle(resource_type)
        self._said[built] = list(_sayings(built, cfg))
        return built

    def _map(self, cfg: reader.Map, key: str, what: str) -> reader.Map:
        """Read a mapping by names, if it is there; empty if it is wrong."""
        value = cfg.get(key)
        if isinstance(value, reader.Map) and value and all(map(reader.is_name, value)):
            return value
        if key in cfg:
            self._read.wrong(cfg, key, f'{key} is a mapping of {what}; a name is {reader.NAME}')
        return reader.Map()

    def _words(self, cfg: reader.Map, key: str) -> Iterator[str]:
        """Read a state or a list of states."""
        for word in self._read.words(cfg, key):
            if not reader.is_name(word):
                self._read.wrong(cfg, key, f'{reader.shown(word)} is no state; a state is {reader.NAME}')
            yield word

    def _states(self, cfg: reader.Map, key: str) -> Iterator[str]:
        """Read states that must be among those of the type."""
        for word in self._words(cfg, key):
            self._name(cfg, key, word)
            yield word

    def _name(self, cfg: reader.Map, key: str, state: str) -> None:
        self._named.append((self._type, cfg, key, state))

    def _mapping(self, cfg: reader.Map, key: str, keys: Sequence[str]) -> reader.Map | None:
        """Read a mapping that has certain keys, if it is there."""
        value = cfg.get(key)
        if isinstance(value, reader.Map):
            return value
        if key in cfg:
            self._read.wrong(cfg, key, f'{key} is a mapping with {" and ".join(keys)}')
        return None

    def _mark(self, cfg: reader.Map, name: str) -> Mark | None:
        keys = ('time',) if name == 'ended' else ('time', 'state')
        value = self._mapping(cfg, name, keys)
        if value is None:
            return None
        reader.check_keys(value, self._problems, required=keys, what=name,
                          optional=('unless',) if name == 'launched' else ())
        state = DELETED
        if 'state' in value:
            if reader.is_name(value['state']):
                state, = self._states(value, 'state')
            else:
                self._read.wrong(value, 'state', f'state is {reader.shown(value["state"])}; it is {reader.NAME}')
        unless = tuple(self._finds.conditions(value, 'unless'))
        for word in (word for _, words in unless for word in words):
            self._name(value, 'unless', word)
        time = self._finds.one(value, 'time')
        return Mark(time, state, unless) if time else None

    def _parent(self, cfg: reader.Map) -> Parent | None:
        value = self._mapping(cfg, 'parent', ('resource_type', 'resource_id'))
        if value is None:
            return None
        reader.check_keys(value, self._problems, required=('resource_type', 'resource_id'), what='parent')
        resource_type, resource_id = value.get('resource_type'), self._finds.one(value, 'resource_id')
        if 'resource_type' in value and not (reader.is_name(resource_type) and is_word(resource_type)
                                             and '/' not in resource_type):
            self._read.wrong(value, 'resource_type', f'resource_type is {reader.shown(resource_type)}; that of a '
                                                     'parent is a word without a slash')
        elif resource_type and resource_id:
            self._parents.setdefault(resource_type, []).append(value)
            return Parent(resource_type, resource_id)
        return None

    def _meters(self, cfg: reader.Map) -> Iterator[tuple[str, Counted]]:
        meters = self._map(cfg, 'meters', 'meter names to states')
        for name, value in meters.items():
            self._check_name(meters, name, name)
            if isinstance(value, reader.Map):
                reader.check_keys(value, self._problems, required=('all_but',), what='what a meter counts')
                yield name, Counted(frozenset(self._states(value, 'all_but')), all_but=True)
            else:
                yield name, Counted(frozenset(self._states(meters, name)))

    def _status(self, cfg: reader.Map) -> Status | None:
        value = self._mapping(cfg, 'status', ('meter', 'codes'))
        if value is None:
            return None
        reader.check_keys(value, self._problems, required=('meter', 'codes'), what='status')
        codes = self._map(value, 'codes', 'states to whole numbers')
        taken: dict[int, str] = {}
        for state, code in codes.items():
            self._name(codes, state, state)
            if type(code) is not int or code not in _CODES:
                self._read.wrong(codes, state, f'the code of {state} is {reader.shown(code)}; it is a whole number '
                                               f'from 1 to {_CODES[-1]}, because 0 stands for a state without a code')
            elif taken.setdefault(code, state) != state:
                self._read.wrong(codes, state, f'{code} is the code of {taken[code]} already; choose another')
        return Status(self._meter(value, 'meter'), codes)

    def _meter(self, cfg: reader.Map, key: str) -> str:
        """Read a meter's name; empty if it is wrong or not there."""
        name = cfg.get(key, '')
        if reader.is_name(name):
            self._check_name(cfg, key, name)
            return name
        if key in cfg:
            self._read.wrong(cfg, key, f'{key} is {reader.shown(name)}; the name of a meter is {reader.NAME}')
        return ''

    def _check_name(self, cfg: reader.Map, key: str, name: str) -> None:
        if self._reads_type and RESOURCE_TYPE not in name:
            self._read.wrong(cfg, key, f'{reader.shown(name)} would be a meter of resources of several types; write '
                                       f'{RESOURCE_TYPE} where their type is to stand')


def _sayings(one: Lifecycle, cfg: reader.Map) -> Iterator[_Said]:
    for name, counted in one.meters.items():
        yield _Said('meters', name, counted.all_but, cfg['meters'], name)
    if one.status:
        yield _Said('status', one.status.meter, (one.status.meter, one.status.codes), cfg, 'status')
    if one.quantity:
        yield _Said('quantity', one.quantity, one.quantity, cfg, 'quantity')
