# SPDX-License-Identifier: Apache-2.0
"""Facts of one resource, in any order -> what can matter of their *set*. Pure.

Adding a fact commutes, and adding it again changes nothing. What follows from the evidence is read by
:mod:`ceilometer_paas.ledger.intervals`. All times are microseconds since 1970 in UTC.
"""

import enum
import json
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, NamedTuple

from ceilometer_paas.model import DELETED, Fact

SECOND = 1_000_000
MAX_ATTRIBUTE = 64 * 1024
"""Characters of JSON that an attribute may have; the newest that has no more counts."""

dumps = json.JSONEncoder(separators=(',', ':'), sort_keys=True).encode
"""Writes JSON so that equal values give equal text."""


class Run(NamedTuple):
    """Facts that say the same, none further than ``every`` from the next; of most there is one only.

    :ivar timestamp: when the first was sent
    """

    time: int
    timestamp: int
    message_id: str
    last: int
    last_message_id: str


class Told(NamedTuple):
    """What the earliest message that knows of a creation, a launch or an end says of that moment.

    :ivar state: what the resource is since then
    :ivar shown: in which state the message shows the resource; empty if it changes that
    """

    timestamp: int
    state: str
    shown: str
    project_id: str | None
    user_id: str | None
    size: Mapping[str, Any]
    place: Mapping[str, str | None]
    event_type: str
    message_id: str


class News(enum.IntEnum):
    """What a fact adds: nothing; that what was said last was said once more, later; or anything else."""

    NOTHING = 0
    AGAIN = 1
    MORE = 2


class Evidence:
    """What is known of one resource.

    Observations are many, and say the same: those of which none is further than the audit's period from the next are
    kept as one run, of which the first and the last time are known. That is the one place where something is forgotten.
    """

    def __init__(self) -> None:
        self.runs: dict[str, list[Run]] = {}
        self.created: dict[int, Told] = {}
        self.launched: dict[int, Told] = {}
        self.ended: dict[int, Told] = {}
        self.unlaunched: int | None = None
        self.attributes: dict[str, tuple[int, str]] = {}

    @classmethod
    def load(cls, text: str) -> 'Evidence':
        """Read what :meth:`dump` wrote."""
        evidence = cls()
        runs, created, launched, ended, evidence.unlaunched, attributes = json.loads(text)
        evidence.runs = {content: [Run(*run) for run in found] for content, found in runs.items()}
        for moments, found in ((evidence.created, created), (evidence.launched, launched), (evidence.ended, ended)):
            moments.update((time, Told(*told)) for time, told in found)
        evidence.attributes = {name: (timestamp, value) for name, (timestamp, value) in attributes.items()}
        return evidence

    def dump(self) -> str:
        """Write it; equal evidence gives equal text."""
        return dumps([self.runs, sorted(self.created.items()), sorted(self.launched.items()),
                       sorted(self.ended.items()), self.unlaunched, self.attributes])

    def add(self, message_id: str, fact: Fact) -> News:
        """Take a fact in, in any order and as often as it comes; what that adds."""
        news = News.NOTHING
        for moments, time, state in ((self.created, fact.created, fact.created_state),
                                     (self.launched, fact.launched, fact.launched_state),
                                     (self.ended, fact.ended, DELETED)):
            if time is not None and _witness(moments, time, state, (message_id, fact)):
                news = News.MORE
        if fact.kind != 'witness':
            content = dumps([fact.kind, fact.event_type, fact.state, fact.every, fact.project_id, fact.user_id,
                              fact.size, fact.place, _second(fact.launched)])
            news = max(news, _insert(self.runs.setdefault(content, []), fact.every * SECOND,
                                     Run(fact.time, fact.timestamp, message_id, fact.time, message_id)))
        if (fact.launched is None and fact.launched_state
                and (self.unlaunched is None or fact.timestamp < self.unlaunched)):
            self.unlaunched = fact.timestamp
            news = News.MORE
        for name, value in fact.attributes.items():
            known = self.attributes.get(name)
            if known is None or fact.timestamp >= known[0]:
                told = fact.timestamp, dumps(value)
                if len(told[1]) <= MAX_ATTRIBUTE and (known is None or told > known):
                    self.attributes[name] = told
                    news = max(news, News.AGAIN if known and known[1] == told[1] else News.MORE)
        return news


def _second(time: int | None) -> int | None:
    """Give the second of a launch, which is the same whether its fraction was cut off or not."""
    return None if time is None else time // SECOND


def _insert(runs: list[Run], every: int, new: Run) -> News:
    """Add a fact to those that say the same: the runs are what hangs together by gaps of at most ``every``."""
    place = bisect_left(runs, (new.time, new.timestamp, new.message_id))
    begin, end = place, place
    if begin and runs[begin - 1].last + every >= new.time:
        begin -= 1
    while end < len(runs) and new.last + every >= runs[end].time:
        end += 1
    joined = [*runs[begin:end], new]
    first = min(joined, key=lambda run: (run.time, run.timestamp, run.message_id))
    last = min(joined, key=lambda run: (-run.last, run.last_message_id))
    run = first._replace(last=last.last, last_message_id=last.last_message_id)
    before = runs[begin:end]
    if before == [run]:
        return News.NOTHING
    runs[begin:end] = [run]
    return News.AGAIN if len(before) == 1 and before[0][:3] == run[:3] else News.MORE


def _witness(moments: dict[int, Told], time: int, state: str, source: tuple[str, Fact]) -> bool:
    """Note who tells of a moment, if no earlier message does; whether that is news."""
    message_id, fact = source
    known = moments.get(time)
    if known is not None and known.timestamp < fact.timestamp:
        return False
    told = Told(fact.timestamp, state, fact.shown, fact.project_id, fact.user_id, fact.size, fact.place,
                fact.event_type, message_id)
    if known is not None and (known.timestamp, dumps(known)) <= (fact.timestamp, dumps(told)):
        return False
    moments[time] = told
    return True
