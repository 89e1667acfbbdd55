# SPDX-License-Identifier: Apache-2.0
"""The source map (``sources.yaml``) -> which queues we keep on which endpoints, and what each may speak of.

The map is a trust boundary: a reading of a metric type that is mapped to other queues than the one it came from is
refused.
"""

import fnmatch
import functools
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ceilometer_paas.config import broker
from ceilometer_paas.config.reader import NAME, Map, Problems, Seq, check_keys, did_you_mean, is_name, read_map, shown

FORMATS = ('oslo', 'paas-event')
"""A service's own notification, which meter definitions read, or the PaaS Event Format, which needs none."""

_REMEMBERED = 4096  # metric types: a custom service may send new ones without end


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A message broker.

    :ivar url: an oslo.messaging transport URL, with its secrets; None for the deployment's own
    :ivar dead_letter: the exchange from which messages that oslo.messaging rejects come back to us
    """

    name: str
    url: str | None = field(repr=False)
    dead_letter: str | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """What one listener consumes.

    :ivar name: also the AMQP queue that collects our copies, unless `own_topic`
    :ivar priorities: some of :data:`~ceilometer_paas.config.broker.PRIORITIES`
    :ivar format: one of :data:`FORMATS`
    :ivar own_topic: consume the topic's own AMQP queues instead of copies
    """

    name: str
    endpoint: Endpoint
    exchange: str
    topic: str
    priorities: tuple[str, ...] = ('info', 'error')
    format: str = 'oslo'
    own_topic: bool = False

    @property
    def source(self) -> str:
        """Within what a message id is unique: a service may send one message to several topics."""
        return f'{self.endpoint.name}/{self.exchange}'

    @property
    def pool(self) -> str | None:
        """The oslo.messaging pool that gets copies."""
        return None if self.own_topic else self.name

    @property
    def amqp_names(self) -> tuple[str, ...]:
        """The AMQP queues behind it, as oslo.messaging's rabbit driver names them."""
        return tuple(f'{self.topic}.{priority}' for priority in self.priorities) if self.own_topic else (self.name,)


@dataclass(frozen=True)
class Sources:
    """The source map.

    :ivar endpoints: by name
    :ivar queues: by name
    :ivar metric_types: pattern (wildcards ``*`` and ``?``) -> the queues that may speak of what it matches
    :ivar queues_of: metric type -> names of the queues that may speak of it; none if it is mapped nowhere. The most
        specific pattern decides alone: the exact name, else the most characters that are no wildcards, else the first.
    """

    endpoints: Mapping[str, Endpoint]
    queues: Mapping[str, Queue]
    metric_types: Mapping[str, tuple[str, ...]]
    queues_of: Callable[[str], frozenset[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        exact: dict[str, frozenset[str]] = {}
        wild: list[tuple[Callable[[str], object], frozenset[str]]] = []
        for pattern in sorted(self.metric_types, key=_literals, reverse=True):
            queues = frozenset(self.metric_types[pattern])
            if _literals(pattern) == len(pattern):
                exact[pattern] = queues
            else:
                wild.append((re.compile(fnmatch.translate(pattern)).match, queues))

        @functools.lru_cache(_REMEMBERED)
        def queues_of(metric_type: str) -> frozenset[str]:
            if metric_type in exact:
                return exact[metric_type]
            return next((queues for matches, queues in wild if matches(metric_type)), frozenset())

        object.__setattr__(self, 'queues_of', queues_of)


def _literals(pattern: str) -> int:
    return len(pattern) - pattern.count('*') - pattern.count('?')


def load_sources(path: str, conf: Any, problems: Problems) -> Sources | None:
    """Read the source map; None if anything in it is a problem.

    :param conf: Ceilometer's configuration: the deployment's own broker, and what its agent consumes there
    """
    before = len(problems)
    root = read_map(path, problems, required=('endpoints', 'queues', 'metric_types'), what='the source map')
    if root is None:
        return None
    sources = _MapReader(root, conf, problems).sources()
    return sources if len(problems) == before else None


def shared_with_agent(sources: Sources, conf: Any) -> list[Queue]:
    """Find the queues that get copies of what Ceilometer's notification agent consumes."""
    consumed, brokers = broker.agents_queues(conf), list(broker.agents_brokers(conf))
    return [queue for queue in sources.queues.values()
            if not queue.own_topic and f'{queue.topic}.{queue.priorities[0]}' in consumed
            and any(broker.parse(conf, queue.endpoint.url).is_same(other) for other in brokers)]


class _MapReader:
    """As much of a map as can be understood, and every mistake on the way."""

    def __init__(self, root: Map, conf: Any, problems: Problems) -> None:
        self._file = root.file
        self._conf = conf
        self._problems = problems
        self._endpoints = self._section(root, 'endpoints')
        self._queues = self._section(root, 'queues')
        self._metric_types = self._section(root, 'metric_types')
        self._brokers: dict[str, broker.Broker] = {}

    def sources(self) -> Sources:
        endpoints = {name: self._endpoint(name, value) for name, value in self._entries(self._endpoints, 'an endpoint')}
        understood = [self._queue(name, value, endpoints) for name, value in self._entries(self._queues, 'a queue')]
        queues = {queue.name: queue for queue in understood if queue is not None}
        metric_types = {pattern: self._queues_named_by(pattern) for pattern in self._metric_types if is_name(pattern)}
        named = set(itertools.chain.from_iterable(metric_types.values()))
        for name in self._queues:
            if name not in named:
                self._add(self._queues.lines[name], f'no metric type is mapped to the queue {shown(name)}; '
                                                    'map those that it carries, or remove it')
        self._check_consumers(queues, endpoints)
        self._check_copies(queues)
        return Sources(endpoints, queues, metric_types)

    def _add(self, line: int, text: str) -> None:
        self._problems.add(self._file, line, text)

    def _section(self, root: Map, key: str) -> Map:
        """Take a section of named things; an empty one if it is none, so that the others are looked at all the same."""
        section = root.get(key)
        if not isinstance(section, Map) or not section:
            if key in root:
                self._add(root.lines[key], f'{key} is a mapping with at least one entry')
            return Map(root.file, root.line)
        for name in section:
            if not is_name(name):
                self._add(section.lines[name], f'{shown(name)} cannot be a name in {key}; a name is {NAME}')
        return section

    def _entries(self, section: Map, what: str) -> Iterator[tuple[str, Map]]:
        for name, value in section.items():
            if not is_name(name):
                continue
            if isinstance(value, Map):
                yield name, value
            else:
                self._add(section.lines[name], f'{shown(name)} is not described; {what} is a mapping of its keys')

    def _text(self, value: Map, key: str) -> str:
        """Take a key's text; empty if there is none."""
        if key in value and not is_name(value[key]):
            self._add(value.lines[key], f'{key} is {shown(value[key])}; it is {NAME}')
        return value[key] if is_name(value.get(key)) else ''

    def _missing(self, line: int, what: str, name: str, known: Mapping[str, object]) -> None:
        meant = did_you_mean(name, map(str, known)) or f'there are {", ".join(map(str, known)) or "none"}'
        self._add(line, f'there is no {what} {shown(name)}; {meant}')

    def _endpoint(self, name: str, value: Map) -> Endpoint:
        if '/' in name:
            self._add(self._endpoints.lines[name], f'{shown(name)} has a slash; a source is <endpoint>/<exchange>')
        check_keys(value, self._problems, optional=('url', 'url_file', 'dead_letter_exchange'), what='an endpoint')
        url, dead_letter = self._url(name, value), self._text(value, 'dead_letter_exchange') or None
        if dead_letter and name in self._brokers and not self._brokers[name].is_rabbit:
            self._add(value.lines['dead_letter_exchange'], 'only RabbitMQ has dead letters; remove it')
        return Endpoint(name, url, dead_letter)

    def _url(self, name: str, value: Map) -> str | None:
        """Take an endpoint's URL, and note which broker it names."""
        if ('url' in value) == ('url_file' in value):
            self._add(value.line, f'the endpoint {shown(name)} needs either url or url_file; '
                                  'url: "" is the transport_url of ceilometer.conf')
            return None
        url = value['url'] if 'url' in value else self._url_from_file(value)
        line = value.lines['url' if 'url' in value else 'url_file']
        if not isinstance(url, str):
            if 'url' in value:
                self._add(line, 'url is a transport URL in quotes; "" is the transport_url of ceilometer.conf')
            return None
        try:
            self._brokers[name] = broker.parse(self._conf, url or None)
        except ValueError as error:
            self._add(line, f'the {"URL" if url else "transport_url of ceilometer.conf"} {error}')
        return url or None

    def _url_from_file(self, value: Map) -> str | None:
        """Read a URL from a file of its own, whose path is relative to this file's; None if it cannot be."""
        name, line = self._text(value, 'url_file'), value.lines['url_file']
        if not name:
            return None
        path = os.path.join(os.path.dirname(self._file), name)
        try:
            with open(path, encoding='utf-8') as stream:
                url = stream.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else 'it is not UTF-8'
            self._add(line, f'{path} cannot be read: {why}; it holds the transport URL of the endpoint')
            return None
        if len(url.split()) != 1:
            self._add(line, f'{path} {"has several words" if url else "is empty"}; it holds one transport URL')
            return None
        return url

    def _queue(self, name: str, value: Map, endpoints: Mapping[str, Endpoint]) -> Queue | None:
        check_keys(value, self._problems, required=('endpoint', 'exchange', 'topic'),
                   optional=('priorities', 'format', 'own_topic'), what='a queue')
        endpoint = self._text(value, 'endpoint')
        if endpoint and endpoint not in self._endpoints:
            self._missing(value.lines['endpoint'], 'endpoint', endpoint, self._endpoints)
        exchange, topic, priorities = self._text(value, 'exchange'), self._text(value, 'topic'), self._priorities(value)
        shape, own_topic = value.get('format', 'oslo'), value.get('own_topic', False)
        if shape not in FORMATS:
            self._add(value.lines['format'], f'format is {shown(shape)}; it is {" or ".join(FORMATS)}')
        if not isinstance(own_topic, bool):
            self._add(value.lines['own_topic'], f'own_topic is {shown(own_topic)}; it is true or false')
        if endpoint not in endpoints or not (exchange and topic and priorities):
            return None
        return Queue(name, endpoints[endpoint], exchange, topic,
                     priorities=priorities, format=shape, own_topic=own_topic is True)

    def _priorities(self, value: Map) -> tuple[str, ...]:
        priorities = value.get('priorities', ['info', 'error'])
        if isinstance(priorities, list) and priorities and all(one in broker.PRIORITIES for one in priorities):
            return tuple(dict.fromkeys(priorities))
        self._add(value.lines['priorities'],
                  f'priorities is {shown(priorities)}; it is a list of some of {", ".join(broker.PRIORITIES)}')
        return ()

    def _queues_named_by(self, pattern: str) -> tuple[str, ...]:
        """Take a metric type's queues: a name, or a list of names."""
        line = self._metric_types.lines[pattern]
        if not set('[]').isdisjoint(pattern):
            self._add(line, f'the pattern {shown(pattern)} has brackets; the wildcards are * and ?')
        value = self._metric_types[pattern]
        names = [str(name) for name in (value if isinstance(value, Seq) else [value]) if name]
        if not names:
            self._add(line, f'no queue may speak of the metric type {shown(pattern)}; name one, or a list of several')
        for name in names:
            if name not in self._queues:
                self._missing(line, 'queue', name, self._queues)
        return tuple(dict.fromkeys(names))

    def _is_one_broker(self, one: str, other: str) -> bool:
        """Tell whether two endpoints are one broker; one whose URL is wrong is none."""
        if one == other:
            return True
        return one in self._brokers and other in self._brokers and self._brokers[one].is_same(self._brokers[other])

    def _check_consumers(self, queues: Mapping[str, Queue], endpoints: Mapping[str, Endpoint]) -> None:
        """Refuse that two consume one AMQP queue: each of its messages would reach only one of them."""
        agents, agents_brokers = broker.agents_queues(self._conf), list(broker.agents_brokers(self._conf))
        for queue in queues.values():
            ours = self._brokers.get(queue.endpoint.name)
            if ours is not None and any(ours.is_same(other) for other in agents_brokers):
                for taken in sorted(agents.intersection(queue.amqp_names)):
                    self._add(self._queues.lines[queue.name],
                              f'the queue {shown(queue.name)} would take messages from Ceilometer\'s agent, which '
                              f'consumes {taken} too; for copies, leave out own_topic and choose another name, or have '
                              'the service send to a topic of ours besides')
        claims = [(queue.endpoint.name, amqp_name, f'the queue {shown(queue.name)}', self._queues.lines[queue.name])
                  for queue in queues.values() for amqp_name in queue.amqp_names]
        claims += [(endpoint.name, endpoint.dead_letter, f'the dead letters of {shown(endpoint.name)}',
                    self._endpoints.lines[endpoint.name])
                   for endpoint in endpoints.values() if endpoint.dead_letter]
        for (here, amqp_name, first, _), (there, other_name, second, line) in itertools.combinations(claims, 2):
            if amqp_name == other_name and self._is_one_broker(here, there):
                self._add(line, f'{first} and {second} would both consume the AMQP queue {amqp_name}; '
                                'name them differently')

    def _check_copies(self, queues: Mapping[str, Queue]) -> None:
        """Refuse that two queues get the same messages: each would refuse what is mapped to the other."""
        for one, other in itertools.combinations(queues.values(), 2):
            shared = [priority for priority in one.priorities if priority in other.priorities]
            if ((one.exchange, one.topic) == (other.exchange, other.topic) and shared
                    and self._is_one_broker(one.endpoint.name, other.endpoint.name)
                    and set(one.amqp_names).isdisjoint(other.amqp_names)):
                self._add(self._queues.lines[other.name],
                          f'{shown(other.name)} gets the messages of {shown(one.name)} (exchange {one.exchange}, topic '
                          f'{one.topic}, {", ".join(shared)}) once more; keep one of them and map the metric types of '
                          'both to it')
