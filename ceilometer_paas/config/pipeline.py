# SPDX-License-Identifier: Apache-2.0
"""Pipelines in Ceilometer's format, in -> what is published where, out.

``paas_pipeline.yaml``, in the format of ``pipeline.yaml``, says it of samples; Ceilometer's own
``event_pipeline.yaml`` says it of events.
"""

import functools
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib import parse as urls

from ceilometer.pipeline.base import PipelineException, PipelineSource
from ceilometer.pipeline.event import EventSource
from ceilometer.pipeline.sample import SampleSource

from ceilometer_paas.config.reader import NAME, Map, Problems, Seq, check_keys, did_you_mean, is_name, read_map, shown

_SCHEME = re.compile(r'[a-z][a-z0-9+.-]*')
MAX_NAME = 512
"""Characters of a target's name that the ledger holds."""

_REMEMBERED = 4096  # meters: a custom service may send new ones without end


@dataclass(frozen=True)
class Target:
    """A publisher of a sink, and which meters, or types of events, go to it.

    :ivar name: ``<sink>: <scheme>://<host><path>``, by which the ledger knows it; of one that gets events, ``event``
        and a blank come before it. Of several in a sink that differ only in their queries, the second ends in ``#2``,
        and so on: their order is their identity.
    :ivar url: the publisher's URL, with its secrets
    :ivar patterns: the `meters` or `events` of each source that feeds the sink
    :ivar content: ``samples`` or ``events``
    :ivar supports: meter, or type of event -> whether any source lets it pass, as Ceilometer decides it; what several
        let pass is published once all the same
    """

    name: str
    sink: str
    url: str = field(repr=False)
    patterns: tuple[tuple[str, ...], ...]
    file: str
    line: int
    content: str = 'samples'
    supports: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        @functools.lru_cache(_REMEMBERED)
        def supports(name: str) -> bool:
            return any(PipelineSource.is_supported(patterns, name) for patterns in self.patterns)

        object.__setattr__(self, 'supports', supports)


class _Kind(NamedTuple):
    """A kind of pipeline.

    :ivar content: what flows in it
    :ivar key: the key of a source that says what it lets pass
    :ivar prefix: of the names of targets
    """

    content: str
    key: str
    source: Callable[[Mapping[str, Any]], object]
    prefix: str = ''


_SAMPLES = _Kind('samples', 'meters', SampleSource)
_EVENTS = _Kind('events', 'events', EventSource, 'event ')


def load_pipeline(path: str, problems: Problems) -> tuple[Target, ...]:
    """Read the pipeline of samples; what it gives is incomplete if anything in it is a problem."""
    return _load(path, problems, _SAMPLES)


def load_event_pipeline(path: str, problems: Problems) -> tuple[Target, ...]:
    """Read the pipeline of events, as :func:`load_pipeline` does that of samples."""
    return _load(path, problems, _EVENTS)


def _load(path: str, problems: Problems, kind: _Kind) -> tuple[Target, ...]:
    root = read_map(path, problems, required=('sources', 'sinks'), what='the pipeline')
    if root is None:
        return ()
    return _PipelineReader(root, problems, kind).targets()


class _Entry(NamedTuple):
    """A source or a sink: its name, empty if it has none, and the words that are listed in its keys."""

    name: str
    map: Map
    words: Mapping[str, Seq]


class _PipelineReader:
    """As much of a pipeline as can be understood, and every mistake on the way."""

    def __init__(self, root: Map, problems: Problems, kind: _Kind) -> None:
        self._file = root.file
        self._problems = problems
        self._kind = kind
        self._sinks = {sink.name: sink for sink in self._entries(root, 'sinks', 'publishers') if sink.name}
        self._sources = list(self._entries(root, 'sources', kind.key, 'sinks'))

    def targets(self) -> tuple[Target, ...]:
        feeds = self._feeds()
        for name, sink in self._sinks.items():
            if name not in feeds:
                self._add(sink.map.lines['name'],
                          f'no source feeds the sink {shown(name)}; name it in one, or remove it')
        return tuple(itertools.chain.from_iterable(
            self._targets_of(sink, tuple(feeds.get(name, ()))) for name, sink in self._sinks.items()))

    def _add(self, line: int, text: str) -> None:
        self._problems.add(self._file, line, text)

    def _entries(self, root: Map, section: str, *keys: str) -> Iterator[_Entry]:
        entries = root.get(section)
        if not isinstance(entries, Seq) or not entries:
            if section in root:
                self._add(root.lines[section], f'{section} is a list of at least one mapping')
            return
        names: dict[str, int] = {}
        for entry, line in zip(entries, entries.lines, strict=True):
            if not isinstance(entry, Map):
                self._add(line, f'an entry of {section} is a mapping with the keys name, {", ".join(keys)}')
                continue
            check_keys(entry, self._problems, required=('name', *keys), what=f'an entry of {section}')
            yield _Entry(self._name(entry, names), entry, {key: self._words(entry, key) for key in keys})

    def _name(self, entry: Map, names: dict[str, int]) -> str:
        """Take an entry's name; empty if it has none of its own."""
        name, line = entry.get('name'), entry.lines.get('name', entry.line)
        if not is_name(name):
            if 'name' in entry:
                self._add(line, f'name is {shown(name)}; it is {NAME}')
            return ''
        if name in names:
            self._add(line, f'the name {shown(name)} stands already on line {names[name]}; choose another')
            return ''
        names[name] = line
        return name

    def _words(self, entry: Map, key: str) -> Seq:
        words = entry.get(key)
        if isinstance(words, Seq) and words and all(map(_is_word, words)):
            return words
        if key in entry:
            self._add(entry.lines[key], f'{key} is a list of at least one word, each in quotes')
        return Seq()

    def _feeds(self) -> Mapping[str, list[tuple[str, ...]]]:
        """Gather what each sink is fed with."""
        feeds, key = defaultdict(list), self._kind.key
        for _, source, words in self._sources:
            if words[key]:
                try:
                    self._kind.source({'name': '', **words})
                except PipelineException as error:
                    self._add(source.lines[key],
                              f'{error.msg}; list the {key} to publish, or "*", or those to leave out ("!name")')
            for sink, line in zip(words['sinks'], words['sinks'].lines, strict=True):
                if sink not in self._sinks:
                    meant = did_you_mean(sink, self._sinks) or f'there are {", ".join(self._sinks) or "none"}'
                    self._add(line, f'there is no sink {shown(sink)}; {meant}')
                feeds[sink].append(tuple(words[key]))
        return feeds

    def _targets_of(self, sink: _Entry, patterns: tuple[tuple[str, ...], ...]) -> Iterator[Target]:
        publishers = sink.words['publishers']
        places: Counter[str] = Counter()
        first: dict[str, int] = {}
        for publisher, line in zip(publishers, publishers.lines, strict=True):
            url = f'{publisher}://' if _SCHEME.fullmatch(publisher) else publisher  # as Ceilometer completes it
            try:
                place = _place(url)
            except ValueError:
                self._add(line, 'this is no publisher; it is scheme://user:password@host:port/path?query, '
                                'with / ? # @ in a password as %2F %3F %23 %40')
                continue
            if url in first:
                self._add(line, f'{place} stands already on line {first[url]}; everything would be published twice: '
                                'remove one')
            first.setdefault(url, line)
            places[place] += 1
            number = f' #{places[place]}' if places[place] > 1 else ''
            name = f'{self._kind.prefix}{sink.name}: {place}{number}'
            if len(name) > MAX_NAME:
                self._add(line, f'the names of the sink, host and path have {len(name)} characters; {MAX_NAME} fit')
            yield Target(name, sink.name, url, patterns, file=self._file, line=line, content=self._kind.content)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value != '' and value.isprintable()


def _place(url: str) -> str:
    """Take from a URL what may be shown: no user, no password, no query.

    :raises ValueError: it is no URL, or one whose password is not to be told from the rest
    """
    parts = urls.urlsplit(url)
    # A password with a / or # in it ends the authority early. Asking for the port checks it.
    if '://' not in url or not parts.scheme or '@' in parts.path + parts.fragment or parts.port == 0:
        raise ValueError
    return f'{parts.scheme}://{parts.netloc.rpartition("@")[2]}{parts.path}'
