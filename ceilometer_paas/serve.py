# SPDX-License-Identifier: Apache-2.0
"""A configuration -> the parts of one process: collecting, delivering, or both; what the agent and the demo share."""

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from datetime import UTC, datetime, timedelta

import tenacity

from ceilometer_paas.backoff import until
from ceilometer_paas.collect import Collector
from ceilometer_paas.config.load import Configuration
from ceilometer_paas.config.sources import Endpoint, Queue
from ceilometer_paas.convert import Converter
from ceilometer_paas.decode import Decoder, decode_sample
from ceilometer_paas.deliver import IDLE, Content, Deliverer
from ceilometer_paas.errors import Unavailable
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.listen import Background, DeadLetters, Handler, Listener
from ceilometer_paas.observe import Observer
from ceilometer_paas.publish import events, samples
from ceilometer_paas.publish.load import load_publishers
from ceilometer_paas.reckon import Reckoner
from ceilometer_paas.settle import Settler
from ceilometer_paas.translate import Translator

LOG = logging.getLogger(__name__)

COUNTS_EVERY = 60.0
"""Seconds between two log lines with the counts of outcomes."""

PRUNE_EVERY = 3600.0
"""Seconds between two rounds of forgetting old messages."""

CONTENTS: dict[str, Content] = {'samples': samples, 'events': events}
"""What a target gets -> how it is taken out of parcels."""

SAMPLES = Queue('paas://', Endpoint('ceilometer', None), exchange='samples', topic='')
"""What stands for a queue where samples come from Ceilometer's own pipeline."""


def utcnow() -> datetime:
    """Tell the time; every room below is given it."""
    return datetime.now(UTC)


def way_in(config: Configuration, ledger: Ledger, targets: Sequence[str] | None = None) -> Callable[[Queue], Collector]:
    """Prepare what builds the way in of a queue.

    :param targets: publishers that get what is recorded, and none gets events; by default all of the pipelines'
    """
    settings = config.settings
    names = [target.name for target in config.targets] if targets is None else targets
    event_names = [target.name for target in config.event_targets] if targets is None else ()
    convert = Converter(config.conf, config.events) if event_names else None
    translate = Translator(config.meters, config.sources.queues_of, settings.max_metrics)
    observe = observer(config)

    def build(queue: Queue) -> Collector:
        decode = Decoder(queue.format, settings.max_message_size, settings.max_metrics)
        return Collector(queue, decode, translate, observe, ledger=ledger, targets=names, convert=convert,
                         event_targets=event_names)
    return build


def reckoner(config: Configuration) -> Reckoner:
    """Prepare what makes statements."""
    return Reckoner(config.lifecycles, config.sources.queues_of)


def settler(config: Configuration, ledger: Ledger) -> Settler:
    """Prepare what folds, restates and settles."""
    return Settler(ledger, reckoner(config).as_before, config.settings)


def observer(config: Configuration) -> Observer:
    """Prepare what reads facts out of notifications."""
    formats = {queue.name: queue.format for queue in config.sources.queues.values()}
    return Observer(config.lifecycles, config.sources.queues_of, formats, config.settings.max_future)


class Collecting:
    """Every listener of a process, and the ledger that they fill.

    :param clock: tells the time
    :param listen: whether there are listeners; without them, messages come by handlers alone
    :param stop: once it is set, a ledger that cannot be reached is no longer waited for; :meth:`stop` sets it
    :ivar opened: set when the ledger was opened; whoever calls a handler earlier may fail
    """

    def __init__(self, config: Configuration, clock: Callable[[], datetime] = utcnow, *, listen: bool = True,
                 stop: threading.Event | None = None) -> None:
        settings = config.settings
        self.opened = threading.Event()
        self.listeners: list[Listener] = []
        self.dead_letters: list[DeadLetters] = []
        self._ledger = Ledger(settings.ledger_connection)
        self._stop = stop or threading.Event()
        self._clock = clock
        self._handlers: list[Handler] = []
        self._logged: Counter[str] = Counter()
        self._max_backoff = settings.max_backoff
        self._way_in = way_in(config, self._ledger)
        self._targets = [target.name for target in config.targets]
        if listen:
            self._listen(config)
        self._parts: list[Background] = [*self.listeners, *self.dead_letters,
                                         Background('counts', every(COUNTS_EVERY, self._log_counts))]

    def _listen(self, config: Configuration) -> None:
        settings = config.settings
        handlers = [self.handler(queue) for queue in config.sources.queues.values()]
        self.listeners = [Listener(config.conf, handle, batch_size=settings.batch_size,
                                   batch_timeout=settings.batch_timeout, max_backoff=settings.max_backoff)
                          for handle in handlers]
        for endpoint in config.sources.endpoints.values():
            if endpoint.dead_letter is None:
                continue
            stray = self.handler(dead_letter_queue(endpoint))
            at_broker = {name: handle for handle in handlers if handle.collect.queue.endpoint == endpoint
                         for name in handle.collect.queue.amqp_names}
            self.dead_letters.append(DeadLetters(config.conf, at_broker, stray, settings.max_backoff))

    def start(self) -> None:
        """Open the ledger, waiting for it if need be, and begin to listen.

        :raises ConfigError: the ledger's connection cannot be right
        """
        if not open_ledger(self._ledger, self._clock, self._stop, self._max_backoff):
            return
        self.opened.set()
        for part in self._parts:
            part.start()

    def handler(self, queue: Queue) -> Handler:
        """Build what has messages collected as those of a queue; they are counted with the others."""
        return self._handler(self._way_in(queue))

    def sample_handler(self) -> Handler:
        """Build what has samples collected that Ceilometer's own pipeline publishes (:func:`.decode_sample`)."""
        return self._handler(Collector(SAMPLES, decode_sample, lambda notification, _: notification.readings,
                                       lambda *_: (), ledger=self._ledger, targets=self._targets))

    def _handler(self, collect: Collector) -> Handler:
        self._handlers.append(Handler(collect, self._clock, self._stop, self._max_backoff))
        return self._handlers[-1]

    def stop(self) -> None:
        """Finish and acknowledge what is in flight, and disconnect."""
        self._stop.set()
        stop_all(self._parts)
        self._log_counts()
        self._ledger.close()

    def counts(self) -> Counter[str]:
        """Messages by outcome since the start."""
        # Copies, because others go on counting meanwhile.
        return sum((handle.collect.counts.copy() for handle in self._handlers), Counter())

    def _log_counts(self) -> None:
        counts = self.counts()
        new = counts - self._logged
        if new:
            LOG.info('Collected since the last count: %s', ', '.join(f'{number} {outcome}'
                                                                     for outcome, number in sorted(new.items())))
        self._logged = counts


class Delivering:
    """Every publisher of a process, a thread each, the ledger that they empty, and what folds and settles its lives.

    :param clock: tells the time
    :param stop: as :class:`Collecting` takes it
    :raises ConfigError: a publisher cannot be loaded
    """

    def __init__(self, config: Configuration, clock: Callable[[], datetime] = utcnow, *,
                 stop: threading.Event | None = None) -> None:
        settings = config.settings
        targets = (*config.targets, *config.event_targets)
        publishers = load_publishers(targets, config.conf)
        self._ledger = Ledger(settings.ledger_connection)
        self._stop = stop or threading.Event()
        self._clock = clock
        self._max_backoff = settings.max_backoff
        self._retention = timedelta(days=settings.seen_retention)
        self._told = [target.name for target in config.targets]
        self._known = {target.name for target in targets}
        reckon = reckoner(config)
        self.settler = Settler(self._ledger, reckon.as_before, settings)
        self.deliverers = [
            Deliverer(self._ledger, publisher, reckon if target.content == 'samples' else None,
                      holder=settings.identity, clock=clock, max_backoff=settings.max_backoff,
                      content=CONTENTS[target.content])
            for target, publisher in zip(targets, publishers, strict=True)]
        self._parts = [*(Background(f'deliver-{deliverer.name}', deliverer.run) for deliverer in self.deliverers),
                       Background('settle', self._settle),
                       Background('prune', every(PRUNE_EVERY, self._prune))]

    def start(self) -> None:
        """Open the ledger, waiting for it if need be, and begin to deliver.

        :raises ConfigError: the ledger's connection cannot be right
        """
        if not open_ledger(self._ledger, self._clock, self._stop, self._max_backoff, targets=self._told):
            return
        with contextlib.suppress(Unavailable):
            for target, parcels in sorted(self._ledger.backlog().items()):
                if target not in self._known:
                    LOG.error('%d parcels wait for the publisher "%s", which the pipeline no longer names',
                              parcels, target)
            for target, until in self._ledger.behind().items():
                if target not in self._known:
                    LOG.warning('The publisher "%s", which the pipeline no longer names, was told of lives until %s; '
                                'the rest waits for it', target, until.isoformat())
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """Finish what is being published, and leave the rest in the ledger."""
        self._stop.set()
        stop_all(self._parts)
        self._ledger.close()

    def drain(self) -> None:
        """Deliver, in this thread, all that waits or is due.

        :raises Unavailable: a publisher or the ledger cannot be reached
        """
        for deliverer in self.deliverers:
            deliverer.drain()

    def finish(self) -> None:
        """Deliver, in this thread, all that waits or is due, and stop.

        :raises Unavailable: as :meth:`drain`
        """
        try:
            self.drain()
        finally:
            self.stop()

    def _settle(self, stop: threading.Event) -> None:
        """Fold what is journalled and settle what is over, until asked to stop."""
        attempts = until(stop, self._max_backoff, lambda state: LOG.warning(
            'Nothing is lost, but nothing is folded and settled: %s', state.outcome and state.outcome.exception()))
        with contextlib.suppress(tenacity.RetryError):
            while not stop.is_set():
                if not attempts(lambda: self.settler.step(self._clock())):
                    stop.wait(IDLE)

    def _prune(self) -> None:
        try:
            forgotten = self._ledger.prune(self._clock() - self._retention)
        except Unavailable as error:
            LOG.warning('Old messages are forgotten later: %s', error)
            return
        if forgotten:
            LOG.info('Forgot %d messages that were seen more than %d days ago', forgotten, self._retention.days)


def every(seconds: float, call: Callable[[], None]) -> Callable[[threading.Event], None]:
    """Build what calls something at intervals, first after one, until an event is set.

    :param seconds: between two calls
    """
    def run(stop: threading.Event) -> None:
        while not stop.wait(seconds):
            call()
    return run


def stop_all(parts: Sequence[Background]) -> None:
    """Stop parts at the same time: each may have messages to finish."""
    with futures.ThreadPoolExecutor(len(parts)) as pool:
        for stopped in [pool.submit(part.stop) for part in parts]:
            stopped.result()


def open_once(config: Configuration) -> None:
    """Open the ledger before anything else is done; one that cannot be reached yet is opened by whoever needs it.

    :raises ConfigError: it never can be
    """
    with contextlib.closing(Ledger(config.settings.ledger_connection)) as ledger, contextlib.suppress(Unavailable):
        ledger.upgrade()


def open_ledger(ledger: Ledger, clock: Callable[[], datetime], stop: threading.Event, max_backoff: float, *,
                targets: Iterable[str] = ()) -> bool:
    """Bring the ledger's schema up to date as soon as it can be reached; False if `stop` came first.

    A ledger that has no beginning begins now.

    :param targets: publishers that are told of what is settled from now on, if they are new

    :raises ConfigError: the ledger's connection cannot be right
    """
    def say(state: tenacity.RetryCallState) -> None:
        assert state.outcome is not None
        LOG.warning('The ledger cannot be opened yet: %s (try %d)', state.outcome.exception(), state.attempt_number)

    def open_it() -> None:
        ledger.upgrade()
        ledger.begin(clock())
        ledger.follow(targets)

    try:
        until(stop, max_backoff, say)(open_it)
    except tenacity.RetryError:
        return False
    return True


def dead_letter_queue(endpoint: Endpoint) -> Queue:
    """Describe, as a queue of the source map, where an endpoint's dead letters of unknown origin come from."""
    name = endpoint.dead_letter or ''
    return Queue(name=name, endpoint=endpoint, exchange=name, topic=name, priorities=(), format='oslo', own_topic=True)
