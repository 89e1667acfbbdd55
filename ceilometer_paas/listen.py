# SPDX-License-Identifier: Apache-2.0
"""oslo.messaging on one side, :mod:`ceilometer_paas.collect` on the other; the only place that decides on an ack.

A batch is acknowledged after the ledger's commit, and held, unacknowledged, with backoff, while the ledger cannot be
reached. Nothing is requeued but at shutdown, because a requeued message comes back at once. What oslo.messaging itself
rejects comes back through the broker's dead-letter exchange.
"""

import collections
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import kombu
import oslo_messaging
import tenacity
from oslo_messaging.notify import listener as notify_listener

from ceilometer_paas import transport as transports
from ceilometer_paas.backoff import until
from ceilometer_paas.collect import Collector
from ceilometer_paas.config.sources import Endpoint, Queue
from ceilometer_paas.decode import open_envelope
from ceilometer_paas.errors import Refused, Unavailable
from ceilometer_paas.model import RETRIED, Envelope, Outcome

LOG = logging.getLogger(__name__)

Clock = Callable[[], datetime]
_T = TypeVar('_T')

PREFETCH = 2
"""Batches that the broker hands over before the first is acknowledged: one arrives while one is recorded."""

PAUSE = 60.0
"""Seconds after which a thread that failed unexpectedly goes on."""


class Background:
    """Something that runs in a thread of its own until it is told to stop.

    Should it fail unexpectedly, that is logged, and it runs again after a pause: a thread that is gone would be noticed
    by nobody.

    :param run: ends soon after the event that it is given is set
    """

    def __init__(self, name: str, run: Callable[[threading.Event], object]) -> None:
        self._run = run
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_running, name=name, daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Tell it to stop, and wait until it has."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _keep_running(self) -> None:
        while not self._stop.is_set():
            try:
                self._run(self._stop)
                return
            except Exception:  # noqa: BLE001 - whatever it is, the other threads need not suffer from it
                LOG.exception('%s failed; nothing is lost, and it goes on in %.0f s', self._thread.name, PAUSE)
                self._stop.wait(PAUSE)


class Handler:
    """Has one queue's batches collected, whatever happens.

    A message at which this package fails is found by collecting the batch message by message, and quarantined as
    ``internal.failed``: the others of its batch are metered.

    :param stop: set when the process is to end; until then, a ledger that cannot be reached is waited for. Without it,
        :exc:`Unavailable` is raised at once.
    """

    def __init__(self, collect: Collector, clock: Clock, stop: threading.Event | None = None,
                 max_backoff: float = 0) -> None:
        self.collect = collect
        self._clock = clock
        self._persistently = until(stop, max_backoff, self._say) if stop else _once

    def __call__(self, envelopes: Sequence[Envelope], released: Sequence[int] = ()) -> list[Outcome]:
        """Collect a batch; those that are given up, unrecorded, because the process stops, have the outcome RETRIED.

        :param released: the quarantine row of a single message, which ends if the message is recorded
        """
        try:
            return self._persistently(lambda: self.collect(envelopes, self._clock(), released))
        except tenacity.RetryError:
            return self.collect.retried(len(envelopes))
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails here would be redelivered for ever
            if len(envelopes) > 1:
                LOG.warning('Queue %s: a batch of %d failed (%s); collecting it message by message',
                            self.collect.queue.name, len(envelopes), type(error).__name__)
                return [outcome for envelope in envelopes for outcome in self([envelope])]
            LOG.exception('Queue %s: failed on a message, which is quarantined', self.collect.queue.name)
            return [self.refuse(envelopes[0], Refused('internal.failed', repr(error)))]

    def refuse(self, envelope: Envelope, refused: Refused) -> Outcome:
        """Quarantine a message without looking into it; RETRIED as :meth:`__call__`."""
        try:
            return self._persistently(lambda: self.collect.refuse(envelope, refused, self._clock()))
        except tenacity.RetryError:
            return self.collect.retried(1)[0]

    def _say(self, state: tenacity.RetryCallState) -> None:
        assert state.outcome is not None
        LOG.warning('Queue %s: its messages are held, unacknowledged: %s (try %d)',
                    self.collect.queue.name, state.outcome.exception(), state.attempt_number)


def _once(call: Callable[[], _T]) -> _T:
    return call()


class Dispatcher(oslo_messaging.dispatcher.DispatcherBase):  # type: ignore[misc]
    """What oslo.messaging hands batches to, in place of its own dispatcher.

    The stock one acknowledges a message without `priority` unseen and requeues one with ``priority: null`` for ever;
    this one looks at no priority.
    """

    def __init__(self, handle: Handler, priorities: Sequence[str]) -> None:
        self.supported_priorities = tuple(priorities)
        self._handle = handle

    def dispatch(self, incoming: Sequence[Any]) -> set[Any]:
        """Take a batch; give those of it that are to be requeued."""
        envelopes = [Envelope(message.ctxt, message.message, _size(message.message)) for message in incoming]
        outcomes = self._handle(envelopes)
        return {message for message, outcome in zip(incoming, outcomes, strict=True) if outcome == RETRIED}


class _Server(notify_listener.BatchNotificationServer):  # type: ignore[misc]
    """oslo.messaging's server, which here hands over every message.

    Its own neither hands over nor acknowledges a message with the AMQP id of one of the last sixteen: with as many of
    these as the broker hands over in advance, no other message would come any more. Duplicates are the ledger's task.
    """

    def _create_listener(self) -> Any:
        listener = super()._create_listener()
        remembered = getattr(listener._poll_style_listener, 'msg_id_cache', None)
        if remembered is not None:
            remembered.prev_msgids = collections.deque(maxlen=0)
        return listener


class Listener(Background):
    """Listens on one queue, in threads of its own.

    An endpoint that cannot be reached is named, and tried until it can; meanwhile it delays nobody else.

    :ivar listening: set when messages can arrive
    """

    def __init__(self, conf: Any, handle: Handler, *, batch_size: int, batch_timeout: float,
                 max_backoff: float) -> None:
        self.handle = handle
        self.queue: Queue = handle.collect.queue
        self.listening = threading.Event()
        self._conf = conf
        self._batch = batch_size, batch_timeout
        self._max_backoff = max_backoff
        self._server: Any = None
        super().__init__(f'listen-{self.queue.name}', self._begin)

    def stop(self) -> None:
        """Stop taking messages, finish and acknowledge those in flight, and disconnect."""
        super().stop()
        if self._server is not None:
            self._server.stop()
            self._server.wait()
            self._server = None

    def _begin(self, stop: threading.Event) -> None:
        transport = transports.open_transport(self._conf, self.queue.endpoint.url, prefetch=PREFETCH * self._batch[0])
        with contextlib.suppress(tenacity.RetryError):
            until(stop, self._max_backoff, self._say)(self._connect, transport)

    def _connect(self, transport: Any) -> None:
        transports.probe(transport)
        queue = self.queue
        batch_size, batch_timeout = self._batch
        server = _Server(
            transport, [oslo_messaging.Target(exchange=queue.exchange, topic=queue.topic)],
            Dispatcher(self.handle, queue.priorities), executor='threading', allow_requeue=True, pool=queue.pool,
            batch_size=batch_size, batch_timeout=batch_timeout)
        with transports.failures():  # a queue that is there already, and is another kind of queue
            server.start(override_pool_size=1)
        self._server = server
        self.listening.set()
        LOG.info('Listening on queue %s of endpoint %s', queue.name, queue.endpoint.name)

    def _say(self, state: tenacity.RetryCallState) -> None:
        assert state.outcome is not None
        LOG.warning('Queue %s: endpoint %s cannot be reached: %s (try %d)', self.queue.name, self.queue.endpoint.name,
                    state.outcome.exception(), state.attempt_number)


class DeadLetters(Background):
    """Takes what the broker dead-letters from our queues: the messages that oslo.messaging rejects unread.

    The broker's policy names the exchange; this declares it, with a durable queue of the same name. A message that can
    be read after all (one that outlived a limit of the queue) is collected as if it came from its own queue, any other
    is quarantined.

    :param handlers: of the endpoint's queues, by the name that a queue has at the broker
    :param stray: gets what comes from any other queue
    :ivar listening: set when messages can arrive
    """

    def __init__(self, conf: Any, handlers: Mapping[str, Handler], stray: Handler, max_backoff: float) -> None:
        endpoint: Endpoint = stray.collect.queue.endpoint
        assert endpoint.dead_letter is not None
        self.endpoint = endpoint
        self.listening = threading.Event()
        self._stray = stray
        self._conf = conf
        self._handlers = handlers
        self._max_backoff = max_backoff
        self._queue = kombu.Queue(endpoint.dead_letter, kombu.Exchange(endpoint.dead_letter, 'fanout'))
        super().__init__(f'dead-letters-{endpoint.name}', self._listen)

    def _listen(self, stop: threading.Event) -> None:
        with contextlib.suppress(tenacity.RetryError):
            until(stop, self._max_backoff, self._say)(self._consume, stop)

    def _consume(self, stop: threading.Event) -> None:
        transport = transports.open_transport(self._conf, self.endpoint.url)
        try:
            with transports.broker_connection(transport) as connection, \
                    kombu.Consumer(connection.channel(), [self._queue], on_message=self._take, prefetch_count=20,
                                   on_decode_error=lambda message, error: self._take(message), accept=None):
                self.listening.set()
                while not stop.is_set():
                    transports.drain(connection, seconds=0.5)
        finally:
            self.listening.clear()
            transport.cleanup()

    def _take(self, message: Any) -> None:
        if self._handle(_origin(message.headers), message.body) == RETRIED:
            message.requeue()
        else:
            message.ack()

    def _handle(self, origin: str, body: bytes | str) -> Outcome:
        try:
            envelope = open_envelope(body)
        except Refused as refused:
            text = body if isinstance(body, str) else body.decode('utf-8', 'backslashreplace')
            return self._handlers.get(origin, self._stray).refuse(Envelope({}, text, len(body)), refused)
        if origin in self._handlers:
            return self._handlers[origin]([envelope])[0]
        return self._stray.refuse(envelope, Refused('source.not_mapped', f'dead-lettered from the queue {origin!r}'))

    def _say(self, state: tenacity.RetryCallState) -> None:
        assert state.outcome is not None
        LOG.warning('Endpoint %s: dead letters wait: %s (try %d)', self.endpoint.name, state.outcome.exception(),
                    state.attempt_number)


def _origin(headers: Mapping[str, Any]) -> str:
    """Name the queue that a message died in; empty if whoever sent it wrote the headers."""
    match headers.get('x-death'):
        case [{'queue': str(name)}, *_]:
            return name
    return ''


def _size(message: Any) -> int:
    raw = getattr(message, '_raw_message', None)
    return len(raw.body) if raw is not None else 0
