# SPDX-License-Identifier: Apache-2.0
"""The way out, written once, for one target: lease -> what waits, what is due -> publish -> marked off.

What goes out are samples, or events. What was recorded waits in parcels; what is settled is due as statements, which
are made of the ledger as it is then. What the publisher has taken is marked off after it was published. A crash in
between publishes it once more, with the ids that it had before: downstream recognises them. Of several processes, only
the one that holds the target's lease publishes; it keeps the lease alive while it publishes, and gives it back when it
stops.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import tenacity

from ceilometer_paas import times
from ceilometer_paas.backoff import until
from ceilometer_paas.errors import Unavailable, printable
from ceilometer_paas.ledger.statements import Due
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.model import Parcel, Quarantined
from ceilometer_paas.publish import samples
from ceilometer_paas.reckon import Reckoner

LOG = logging.getLogger(__name__)

LEASE = 30.0
"""Seconds for which a lease is taken: how long a target waits after its holder was killed."""

IDLE = 0.2
"""Seconds between two looks into an empty outbox."""

FIRST_REPORT = timedelta(minutes=1)
LAST_REPORT = timedelta(hours=1)
"""Time from the first warning of a failing target to the second; it doubles up to the last."""

Item = Any
"""A Ceilometer sample, or an event."""


class Content(Protocol):
    """What is delivered, as :mod:`~.publish.samples` and :mod:`~.publish.events` describe it."""

    def build(self, parcel: Parcel, /) -> list[Item]: ...

    def name(self, item: Item, /) -> str: ...

    def refused_body(self, item: Item, /) -> str: ...


class Publisher(Protocol):
    """What delivering needs of a publisher.

    Called with items it publishes them all, and returns those that it refuses for ever, each with the reason.
    It raises :exc:`Unavailable` when it cannot publish now; all of them are given to it again then.
    """

    @property
    def name(self) -> str: ...

    def supports(self, name: str, /) -> bool: ...

    def __call__(self, items: list[Item], /) -> Sequence[tuple[Item, str]]: ...


@dataclass(slots=True)
class _Failing:
    """A target that cannot be delivered to.

    :ivar due: when to warn the next time
    :ivar pause: from that warning to the one after it
    """

    since: datetime
    due: datetime
    pause: timedelta = FIRST_REPORT


class Deliverer:
    """The way out to one target.

    :param reckon: makes statements; None where they are not told, because the target gets events
    :param holder: names this process among those that share the ledger
    :param clock: tells the time, aware
    :param max_backoff: seconds that a failing target is left alone at most
    :param parcels: how many are published at once at most
    :param size: characters of their bodies at most; 512 KiB hold about a thousand samples
    :param content: what parcels hold
    """

    def __init__(self, ledger: Ledger, publisher: Publisher, reckon: Reckoner | None, *, holder: str,
                 clock: Callable[[], datetime], max_backoff: float,
                 parcels: int = 100, size: int = 512 * 1024, content: Content = samples) -> None:
        self.name = publisher.name
        self._ledger = ledger
        self._publisher = publisher
        self._reckon = reckon
        self._content = content
        self._holder = holder
        self._clock = clock
        self._limits = parcels, size
        self._max_backoff = max_backoff
        self._leased = False
        self._asked: datetime | None = None
        self._failing: _Failing | None = None
        self._reported: datetime | None = None

    def run(self, stop: threading.Event) -> None:
        """Deliver until asked to stop; what is being published then is finished first."""
        attempts = until(stop, self._max_backoff, self._report_failure)
        with suppress(tenacity.RetryError):
            while not stop.is_set():
                if not attempts(lambda: self.step(self._clock())):
                    stop.wait(IDLE)
        self._give_back()

    def drain(self) -> int:
        """Deliver all that waits or is due, and return how many steps that took; none while another holds the lease.

        :raises Unavailable: the publisher or the ledger cannot be reached
        """
        total = 0
        while delivered := self.step(self._clock()):
            total += delivered
        self._give_back()
        return total

    def step(self, now: datetime) -> int:
        """Deliver the oldest parcels that wait, and the statements that are due next.

        :returns: how many parcels, and 1 for the statements if there was anything due; 0 when nothing is left
        :raises Unavailable: the publisher or the ledger cannot be reached; they still wait
        """
        if not self._hold(now):
            return 0
        parcels = self._ledger.pending(self.name, *self._limits)
        if parcels:
            self._deliver(parcels, now)
        stated = self._reckon is not None and self._state(self._reckon, now)
        self._report_recovery(now)
        return len(parcels) + stated

    def _deliver(self, parcels: Sequence[Parcel], now: datetime) -> None:
        failed: list[tuple[str, Quarantined]] = []
        built = [(parcel.source, item) for parcel in parcels for item in self._build(parcel, failed)
                 if self._publisher.supports(self._content.name(item))]
        refused = self._publish([item for _, item in built])
        sources = {id(item): source for source, item in built} if refused else {}
        set_aside = [(sources[id(item)], self._set_aside(item, reason)) for item, reason in refused]
        self._ledger.delivered(self.name, [parcel.id for parcel in parcels], failed + set_aside, now)

    def _build(self, parcel: Parcel, failed: list[tuple[str, Quarantined]]) -> list[Item]:
        """Build what a parcel holds; a message of which nothing can be built is set aside, and keeps nobody waiting."""
        try:
            return self._content.build(parcel)
        except Exception as error:  # noqa: BLE001 - whatever fails here would fail at each try, and stop all delivery
            messages = json.loads(parcel.body)
            if len(messages) > 1:
                return [item for message in messages
                        for item in self._build(parcel._replace(body=json.dumps([message])), failed)]
            LOG.exception('%s: a recorded message cannot be published, and is quarantined', self.name)
            failed.append((parcel.source, Quarantined(self.name, 'publish.failed', printable(repr(error)),
                                                      json.dumps(messages[0]))))
            return []

    def _state(self, reckon: Reckoner, now: datetime) -> bool:
        """Publish the statements that are due next; False if nothing is."""
        due = self._ledger.due(self.name, reckon.as_before)
        if due is None:
            return False
        stated = reckon(due.accounts, due.counts)
        refused = self._publish(samples.from_statements(one for one in stated if self._publisher.supports(one.meter)))
        self._ledger.told(self.name, due, [self._set_aside(sample, reason) for sample, reason in refused], now)
        self._report_progress(due, now)
        return True

    def _publish(self, built: list[Item]) -> Sequence[tuple[Item, str]]:
        if not built:
            return ()
        with self._lease_kept():
            return self._publisher(built)

    def _set_aside(self, item: Item, reason: str) -> Quarantined:
        return Quarantined(self.name, 'publish.refused', printable(reason), self._content.refused_body(item))

    def _hold(self, now: datetime) -> bool:
        """Have the lease, renewed when a third of it is over; a lease that was denied is asked for as rarely."""
        if self._asked is None or not timedelta(0) <= now - self._asked < timedelta(seconds=LEASE / 3):
            self._leased = self._ledger.lease(self.name, self._holder, now, LEASE)
            self._asked = now
        return self._leased

    @contextmanager
    def _lease_kept(self) -> Iterator[None]:
        """Renew the lease for as long as a publisher takes.

        Should it be lost all the same (the ledger was away for longer), the marks of two holders do not hurt each
        other: they are made parcel by parcel.
        """
        published = threading.Event()

        def renew() -> None:
            while not published.wait(LEASE / 3):
                with suppress(Unavailable):
                    self._ledger.lease(self.name, self._holder, self._clock(), LEASE)

        renewing = threading.Thread(target=renew, name='lease', daemon=True)
        renewing.start()
        try:
            yield
        finally:
            published.set()
            renewing.join()

    def _report_progress(self, due: Due, now: datetime) -> None:
        """Say how far the publisher was told, when a period is done, and at most once a minute."""
        until = due.after.until
        if until is None or until == due.before.until:
            return
        if self._reported is None or now - self._reported >= FIRST_REPORT:
            self._reported = now
            LOG.info('%s was told of everything until %s', self.name, times.from_micros(until).isoformat())

    def _report_failure(self, attempt: tenacity.RetryCallState) -> None:
        """Say that deliveries fail: at once, then at growing intervals."""
        assert attempt.outcome is not None
        now = self._clock()
        failing = self._failing = self._failing or _Failing(since=now, due=now)
        if now >= failing.due:
            failing.due, failing.pause = now + failing.pause, min(failing.pause * 2, LAST_REPORT)
            LOG.warning('%s: nothing is lost, but delivery has failed since %s: %s; %s; the next attempt is in %.1f s',
                        self.name, failing.since.isoformat(timespec='seconds'), attempt.outcome.exception(),
                        self._waiting(), attempt.upcoming_sleep)

    def _report_recovery(self, now: datetime) -> None:
        if self._failing is not None:
            LOG.info('%s: delivery works again, after %s', self.name, now - self._failing.since)
            self._failing = None

    def _waiting(self) -> str:
        try:
            waiting = f'{self._ledger.backlog().get(self.name, 0)} parcels wait'
            until = self._ledger.behind().get(self.name)
            return waiting if until is None else f'{waiting}, and what is stated from {until.isoformat()} on'
        except Unavailable:
            return 'how many parcels wait is unknown'

    def _give_back(self) -> None:
        if self._leased:
            with suppress(Unavailable):  # it ends by itself
                self._ledger.lease(self.name, self._holder, self._clock(), 0)
        self._leased, self._asked = False, None
