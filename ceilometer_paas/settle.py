# SPDX-License-Identifier: Apache-2.0
"""Time that has passed -> periods that are settled: from then on the publishers are told of them.

A period is settled once it and the grace are over, and everything is folded that was collected until then. What is
learnt of it later is restated. Whoever was away for longer than the grace, or was kept from the ledger, lets it pass
once more: what waits meanwhile in the queues comes first.
"""

import functools
import logging
from datetime import datetime, timedelta

from ceilometer_paas import times
from ceilometer_paas.config.options import Settings
from ceilometer_paas.ledger.settling import AsBefore, Period, Settled
from ceilometer_paas.ledger.store import Ledger

LOG = logging.getLogger(__name__)


class Settler:
    """Restates, folds and settles, one step after the other; several processes take turns.

    :param as_before: resource type -> states that count as the state before them
    """

    def __init__(self, ledger: Ledger, as_before: AsBefore, settings: Settings) -> None:
        self._ledger = ledger
        self._as_before = as_before
        self._begin = settings.begin
        self._period = settings.period
        self._grace = timedelta(seconds=settings.grace)
        self._since: datetime | None = None
        self._last: datetime | None = None

    def step(self, now: datetime) -> int:
        """Do what comes first: restate what is otherwise now, fold what was collected, settle what is over.

        Publishers wait until lives are compared; so these do not wait for all that is still to be folded.

        :returns: of how much; 0 if nothing is left to be done
        :raises Unavailable: the ledger cannot be reached
        """
        if self._since is None or self._last is None or now - self._last > self._grace:
            self._since = now
        done = self._ledger.restate(self._as_before) or self._ledger.fold()
        self._last = now
        return done or (self._settle(now - self._grace) if now - self._since >= self._grace else 0)

    def until(self, until: datetime) -> Settled | None:
        """Fold, restate, and settle the periods that ended by a time, whatever the grace.

        :returns: what was settled, if anything was
        :raises Unavailable: the ledger cannot be reached
        """
        while True:
            self.catch_up()
            settled = self._ledger.settle(self._due(until))
            if settled is not None or not self._ledger.lags():
                return settled

    def catch_up(self) -> int:
        """Fold all that was collected up to now, and restate what is otherwise since.

        :returns: how many lives were otherwise than they had been stated
        :raises Unavailable: the ledger cannot be reached
        """
        self._ledger.catch_up()
        return sum(iter(functools.partial(self._ledger.restate, self._as_before), 0))

    def _settle(self, until: datetime) -> int:
        settled = self._ledger.settle(self._due(until))
        if settled is not None:
            say(settled)
        return settled is not None

    def _due(self, until: datetime) -> Period:
        begin = self._begin or self._ledger.began() or until
        return Period(times.to_micros(begin), self._period, times.to_micros(until))


def say(settled: Settled) -> None:
    """Tell what was settled, and that the length of periods is another one if it is."""
    begin, until = times.from_micros(settled.begin), times.from_micros(settled.new.until)
    if settled.last is not None and settled.last.seconds != settled.new.seconds:
        LOG.info('From %s on periods have %d s, and no longer %d s', begin.isoformat(), settled.new.seconds,
                 settled.last.seconds)
    LOG.info('Settled from %s until %s', begin.isoformat(), until.isoformat())
