# SPDX-License-Identifier: Apache-2.0
"""What a lifecycle definition says in paths: the values that they find in messages, and its events.

Comes in as YAML, goes out as functions that find values and as :class:`Event` objects, or every mistake in it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ceilometer_paas.config import definitions, reader
from ceilometer_paas.config.paths import Message

Find = Callable[[Message], Any]
"""Finds a value in a message; None if it is not there."""
Conditions = tuple[tuple[Find, frozenset[str]], ...]
"""Paths, and the values of each, as text, that fulfil it."""

EVERY = 3900
"""Seconds for which an observation holds unless its event says otherwise: audits come each hour, and some late."""

_KINDS = {'state': 'transition', 'observed': 'observation', 'sets': 'change', 'ignored': 'ignored'}
_DETAILS = ('time', 'changed', 'every')
_CHANGES = ('project_id', 'size')


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


class Finds:
    """Reads paths in lifecycle definitions, and notes what is wrong."""

    def __init__(self, read: definitions.Definitions) -> None:
        self._read = read

    def one(self, cfg: reader.Map, key: str) -> Find | None:
        """Read a path, if it is there."""
        path = self._read.path(cfg, key, cfg[key]) if key in cfg else None
        return path.first if path else None

    def some(self, cfg: reader.Map, keys: Iterable[str]) -> dict[str, Find]:
        """Read those paths that are there."""
        return {key: find for key in keys if (find := self.one(cfg, key))}

    def word_or_path(self, cfg: reader.Map, key: str) -> tuple[Find | None, str]:
        """Read a word, a path, or a list of alternatives, the last of which may be a word.

        :returns: what finds it, and the word if it is nothing but that
        """
        if key not in cfg:
            return None, ''
        value = cfg[key]
        choices = list(value) if isinstance(value, reader.Seq) else [value]
        word = choices.pop() if choices and is_word(choices[-1]) else None
        if any(map(is_word, choices)):
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

    def conditions(self, cfg: reader.Map, key: str) -> Iterator[tuple[Find, frozenset[str]]]:
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


class Events:
    """Reads the events of lifecycle definitions, and notes what is wrong.

    :param name: called with each state that is written as a word, where it stands and under which key
    """

    def __init__(self, problems: reader.Problems, read: definitions.Definitions, finds: Finds,
                 name: Callable[[reader.Map, str, str], None]) -> None:
        self._problems = problems
        self._read = read
        self._finds = finds
        self._name = name

    def __call__(self, cfg: reader.Map) -> Iterator[Event]:
        """Read those of a definition."""
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
                state, word = self._finds.word_or_path(cfg, key)
                if word:
                    self._name(cfg, key, word)
        return Event(tuple(self._read.patterns(cfg)), kind, state, time=self._finds.one(cfg, 'time'),
                     changed=self._changed(cfg), when=tuple(self._finds.conditions(cfg, 'when')),
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


def is_word(value: object) -> bool:
    """Tell whether a value is text, and no path."""
    return isinstance(value, str) and not value.startswith('$')
