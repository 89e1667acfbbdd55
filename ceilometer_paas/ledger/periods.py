# SPDX-License-Identifier: Apache-2.0
"""Times that were settled, each with its length of periods -> the period of a moment. Pure.

Periods are aligned to 1970 in UTC. A stretch that begins between two such boundaries begins with a shorter one. All
times are microseconds.
"""

import bisect
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ceilometer_paas.ledger.evidence import SECOND


class Stretch(NamedTuple):
    """A time that was settled in periods of one length, in seconds; it ends with one of them."""

    begins_at: int
    seconds: int
    until: int

    def boundary_after(self, time: int) -> int:
        """Give the end of the period in which a time lies."""
        length = self.seconds * SECOND
        return (time // length + 1) * length


class Calendar:
    """Everything that was settled: half-open from `begin` to `until`; it may be nothing.

    :param stretches: in order, each from the end of the one before
    """

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._stretches = stretches
        self._begins = [stretch.begins_at for stretch in stretches]
        self.begin = stretches[0].begins_at if stretches else 0
        self.until = stretches[-1].until if stretches else 0

    def period(self, time: int) -> tuple[int, int]:
        """Give beginning and end of the period in which a settled time lies."""
        stretch = self._stretches[bisect.bisect(self._begins, time) - 1]
        end = stretch.boundary_after(time)
        return max(stretch.begins_at, end - stretch.seconds * SECOND), end

    def periods(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Give every settled period that has a part in a time, in order."""
        time, end = max(begin, self.begin), min(end, self.until)
        while time < end:
            period = self.period(time)
            yield period
            time = period[1]
