# SPDX-License-Identifier: Apache-2.0
"""Files of notifications, and quarantined messages -> the way in, once more.

A file has a JSON object on each line: a bare notification, or a capture of a bus (``exchange``, ``routing_key``,
``body``). A bare one does not say where it came from; its queue is the one that may speak of what it says.
"""

import contextlib
import functools
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import IO, Any, NamedTuple

from ceilometer_paas import times
from ceilometer_paas.collect import Collector, load_envelope
from ceilometer_paas.config.load import Configuration
from ceilometer_paas.config.sources import FORMATS, Queue
from ceilometer_paas.decode import open_envelope
from ceilometer_paas.errors import Refused
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.listen import Handler
from ceilometer_paas.model import RECORDED, Envelope, Outcome

Clock = Callable[[], datetime]

_REMEMBERED = 4096  # event types


class Item(NamedTuple):
    """One line of a file.

    :ivar line: its number, from 1
    :ivar exchange: where a capture was taken; None for a bare notification
    :ivar routing_key: ``<topic>.<priority>`` of a capture
    :ivar refused: why the line cannot be read
    """

    line: int
    envelope: Envelope
    exchange: str | None = None
    routing_key: str | None = None
    refused: Refused | None = None


def read(stream: IO[bytes], compressed: bool) -> Iterator[Item]:
    """Read JSON lines; blank ones are skipped.

    :param compressed: by gzip
    :raises OSError: the file cannot be read
    """
    lines: Iterable[bytes] = gzip.GzipFile(fileobj=stream) if compressed else stream
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _item(number, line.strip())


def _item(number: int, line: bytes) -> Item:
    exchange = routing_key = None
    body: bytes | str = line
    try:
        document = json.loads(line)
        if isinstance(document, dict) and 'body' in document and 'event_type' not in document:
            exchange, routing_key = _text(document.get('exchange')), _text(document.get('routing_key'))
            body = document['body'] if isinstance(document['body'], str) else json.dumps(document['body'])
        return Item(number, open_envelope(body), exchange, routing_key)
    except (ValueError, RecursionError) as error:
        refused = Refused('decode.undecodable', str(error))
    except Refused as error:
        refused = error
    text = body if isinstance(body, str) else body.decode('utf-8', 'backslashreplace')
    return Item(number, Envelope({}, text, len(body)), exchange, routing_key, refused)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


class Router:
    """Finds the queue that a line of a file belongs to.

    :param endpoint: only this endpoint's queues are looked at
    :param exchange: that of bare notifications, if it is known
    :raises LookupError: there is no queue on that endpoint, or none there with that exchange
    """

    def __init__(self, config: Configuration, *, endpoint: str | None = None, exchange: str | None = None) -> None:
        sources = config.sources
        self._queues = [queue for queue in sources.queues.values() if endpoint in (None, queue.endpoint.name)]
        if not self._queues:
            raise LookupError(f'there is no queue on an endpoint {endpoint!r}; there are the endpoints '
                              f'{", ".join(sources.endpoints)}')
        exchanges = dict.fromkeys(queue.exchange for queue in self._queues)
        if exchange not in (None, *exchanges):
            raise LookupError(f'there is no queue with the exchange {exchange!r}; there are the exchanges '
                              f'{", ".join(exchanges)}')
        self._queues_of = sources.queues_of
        self._meters, self._lifecycles = config.meters, config.lifecycles
        self._names = functools.lru_cache(_REMEMBERED)(self._find_names)
        self._exchange = exchange

    def __call__(self, item: Item) -> Queue:
        """Choose: by the exchange, else by what the message speaks of, else any.

        A message that belongs to no queue is ignored or refused by each of them alike.
        """
        exchange = item.exchange or self._exchange
        candidates = [queue for queue in self._queues if queue.exchange == exchange] or self._queues
        if len(candidates) == 1:
            return candidates[0]
        message_format, names = self._speaks_of(item.envelope.message)
        topic = (item.routing_key or '').rpartition('.')[0]
        return max(candidates, key=lambda queue: (
            queue.format == message_format and sum(queue.name in self._queues_of(name) for name in names),
            queue.topic == topic, queue.format == message_format))

    def _speaks_of(self, message: Any) -> tuple[str, list[str]]:
        """Give a message's format and the metric types that it may speak of."""
        if not isinstance(message, dict):
            return FORMATS[0], []
        payload, event_type = message.get('payload'), message.get('event_type')
        if not isinstance(payload, dict) or not isinstance(event_type, str):
            return FORMATS[0], []
        if 'service_type' not in payload or 'instance_id' not in payload:
            return FORMATS[0], self._names(FORMATS[0], event_type)
        metrics = payload.get('metrics')
        names = [metric.get('metric_name') for metric in (metrics if isinstance(metrics, list) else ())
                 if isinstance(metric, dict)]
        return FORMATS[1], [name for name in names if isinstance(name, str)] + self._names(
            FORMATS[1], event_type, str(payload['service_type']))

    def _find_names(self, message_format: str, event_type: str, service_type: str = '') -> list[str]:
        """Name the meters of all definitions that speak of a type of event."""
        meters = self._meters if message_format == FORMATS[0] else ()
        return [meter.name for meter in meters if meter.matches(event_type)] + [
            name for lifecycle in self._lifecycles if lifecycle.format == message_format
            and lifecycle.matches(event_type) for name in lifecycle.meter_names(service_type)]


class Replay:
    """Takes lines of files through the way in, in batches as the listener's.

    :param route: chooses a line's queue
    :param build: makes the way in of a queue
    :ivar earliest: the time of the message that was sent first, of those that were not quarantined
    :ivar latest: of the one that was sent last
    """

    def __init__(self, route: Callable[[Item], Queue], build: Callable[[Queue], Collector], *, clock: Clock,
                 batch_size: int) -> None:
        self._route = route
        self._build = build
        self._clock = clock
        self._batch_size = batch_size
        self.earliest: datetime | None = None
        self.latest: datetime | None = None
        self._ways: dict[str, Handler] = {}
        self._batches: dict[str, list[Envelope]] = defaultdict(list)

    def __call__(self, items: Iterable[Item]) -> None:
        """Take lines.

        :raises Unavailable: the ledger cannot be reached; what was recorded before stays, and is a duplicate next time
        """
        for item in items:
            queue = self._route(item)
            if queue.name not in self._ways:
                self._ways[queue.name] = Handler(self._build(queue), self._clock)
            if item.refused is not None:
                self._ways[queue.name].refuse(item.envelope, item.refused)
                continue
            batch = self._batches[queue.name]
            batch.append(item.envelope)
            if len(batch) >= self._batch_size:
                self._flush(queue.name)
        for name in list(self._batches):
            self._flush(name)

    def counts(self) -> Counter[str]:
        """Messages by outcome."""
        return sum((way.collect.counts for way in self._ways.values()), Counter())

    def _look_at_time(self, message: Any) -> None:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            sent = times.parse_utc(message['timestamp'])
            self.earliest, self.latest = min(self.earliest or sent, sent), max(self.latest or sent, sent)

    def _flush(self, name: str) -> None:
        batch = self._batches.pop(name)
        for envelope, outcome in zip(batch, self._ways[name](batch), strict=True):
            if outcome.kind != 'quarantined':
                self._look_at_time(envelope.message)


def release(ledger: Ledger, ids: Iterable[int], config: Configuration, build: Callable[[Queue], Collector], *,
            clock: Clock) -> Iterator[tuple[int, Outcome]]:
    """Try quarantine rows again; those that are recorded leave the quarantine.

    A message is decoded anew; a sample or an event goes back into the outbox for the publisher that refused it; a
    statement is stated anew, as it is now, to every publisher; facts are folded again.

    :returns: id and outcome of each row that there is
    :raises Unavailable: the ledger cannot be reached
    """
    queues, publishers = config.sources.queues, {target.name for target in (*config.targets, *config.event_targets)}
    ways = functools.cache(lambda name: Handler(build(queues[name]), clock))
    for row in ledger.quarantine_load(ids):
        if row.truncated:
            yield row.id, Outcome('quarantined', row.code, 'it is not kept whole, and cannot be tried again')
        elif row.is_sample and row.origin not in publishers:
            yield row.id, Outcome('quarantined', row.code, f'the pipeline has no publisher {row.origin} any more')
        elif row.is_sample:
            if ledger.quarantine_release_samples([row.id]):
                yield row.id, RECORDED
        elif row.is_facts:
            if ledger.quarantine_release_facts([row.id], clock()):
                yield row.id, RECORDED
        elif row.origin not in queues:
            yield row.id, Outcome('quarantined', row.code, f'the source map has no queue {row.origin} any more')
        else:
            yield row.id, ways(row.origin)([load_envelope(row.body)[1]], [row.id])[0]
