# SPDX-License-Identifier: Apache-2.0
"""Evidence of one resource -> since when it was in which state, of which size, whose. Pure.

A life is a function of the *set* of facts that :class:`~ceilometer_paas.ledger.evidence.Evidence` was given. All times
are microseconds since 1970 in UTC.

The rules, which serve every service (Nova is what taught them):

* A transition holds from its time on, an observation from its time on if it contradicts what held, unless a
  transition or a launch came less than :data:`SETTLING` before it: an audit tells what its list said, which is older.
  What was not known before contradicts nothing.
* Every message bears witness: the resource was ``created_state`` since it was created, and ``launched_state`` since
  each time that it was launched, whether or not the message that says so otherwise counts. Nothing was before the
  creation: what a clock that is slow says of an earlier time began with it.
* A message that knows only of an earlier launch than one that had happened, and of which another told, before it was
  sent is stale: its state counts nothing.
* The first end ends: the earliest that any message tells, else the first transition to, or observation of,
  ``deleted``.
* A time in whole seconds is one whose fraction was cut off: it means the latest moment of that second that is not
  after the message. Times at most a second apart are one, and the one with a fraction is right.
* At one moment a transition outweighs a launch, that an observation, that the creation.
* A start is known if a message was sent before the first launch, or tells of it as the event that it is; where nothing
  tells of launches, if the creation is told. Else the resource was, since the first launch that is known, what the
  earliest message after it shows.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ceilometer_paas.ledger.evidence import SECOND, Evidence, Run, Told, dumps
from ceilometer_paas.model import DELETED

SETTLING = 60 * SECOND
"""How long after a transition or a launch an audit that contradicts it is not believed."""

_MOST = 32
"""Of how many different things that are said again and again at one time account is taken; audits say one or two."""

_FOREVER = 1 << 63
_CREATED, _OBSERVED, _LAUNCHED, _TOLD = range(4)
_RANKS = {'observation': _OBSERVED, 'transition': _TOLD, 'change': _TOLD}


class Span(NamedTuple):
    """A time of constant state, size and owner, half-open.

    :ivar end: None while it lasts
    :ivar size: what a price may depend on, as far as it is known
    """

    begin: int
    end: int | None
    state: str
    project_id: str | None
    user_id: str | None
    size: Mapping[str, Any]
    host: str | None
    availability_zone: str | None


class Life(NamedTuple):
    """A resource's life.

    :ivar spans: in order, without gaps; none if nothing is known but an end
    :ivar known_start: whether its beginning is known; if not, it may have been in other states before
    :ivar attributes: the newest of each: ``name``, ``image``, ``license``, ``metadata``, ``tags``, ``parent``
    """

    spans: tuple[Span, ...]
    known_start: bool
    attributes: Mapping[str, Any]


class Testimony(NamedTuple):
    """A fact behind a life, or several that say the same in a row.

    :ivar kind: a fact's, or ``created``, ``launched`` or ``ended``
    :ivar until: time of the last of them
    """

    time: int
    until: int
    kind: str
    event_type: str
    state: str | None
    message_id: str
    last_message_id: str


def fold(evidence: Evidence) -> Life:
    """Read a life out of what is known."""
    return _Fold(evidence).life()


def testimonies(evidence: Evidence) -> list[Testimony]:
    """List what was told, in order: facts, and by the earliest message each creation, launch and end."""
    return sorted(_Fold(evidence).testimonies())


class _Moment(NamedTuple):
    """A time that messages tell, and the earliest message that tells it."""

    at: int
    told: Told
    seconds: frozenset[int]


def _moments(found: Mapping[int, Told]) -> list[_Moment]:
    """Make one moment of times that are one, in order."""
    groups: list[list[int]] = []
    for time in sorted(found):
        if groups and time - groups[-1][0] <= SECOND:
            groups[-1].append(time)
        else:
            groups.append([time])
    moments = []
    for group in groups:
        told = found[group[0]] if len(group) == 1 else min(
            (found[time] for time in group), key=lambda told: (told.timestamp, dumps(told)))
        exact = next((time for time in group if time % SECOND), None)
        at = _latest(group[0], told.timestamp) if exact is None else exact
        moments.append(_Moment(at, told, frozenset(time // SECOND for time in group)))
    return moments


def _latest(time: int, timestamp: int) -> int:
    """Give the latest moment of a whole second that is not after the message."""
    return max(time, min(time + SECOND - 1, timestamp))


class _Point(NamedTuple):
    """Something that holds from a time on; of several at one time the last in order decides.

    :ivar last: when it was said last, and at least once in each ``every`` until then
    :ivar stale_from: what was said from then on does not count
    """

    time: int
    rank: int
    key: str
    state: str | None
    project_id: str | None
    user_id: str | None
    size: Mapping[str, Any]
    place: Mapping[str, str | None]
    last: int
    every: int
    stale_from: int


class _Fold:
    """One reading of a life."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._created, self._launches, self._ended = map(
            _moments, (evidence.created, evidence.launched, evidence.ended))
        self._moments = {second: moment.at for moment in (*self._ended, *self._launches) for second in moment.seconds}
        self._stale_from = self._staleness()

    def life(self) -> Life:
        """Collect what was told, in order, and walk through it."""
        told = list(self._told())
        known_start = self._knows_start(told)
        if not known_start and self._launches:
            self._launches[0] = _as_shown(self._launches[0])
        told = sorted([*told, *(_point(moment, _LAUNCHED) for moment in self._launches)])
        end = self._end(told)
        points = [point for point in told if point.time < end and point.state != DELETED]
        for moment in self._created[:1]:
            begin = min(moment.seconds) * SECOND
            points = [point if point.time >= begin else point._replace(time=begin) for point in points]
            if known_start and moment.at < min([end, *(point.time for point in points[:1])]):
                points.insert(0, _point(moment, _CREATED))
        spans = _filled(_Walk().through(points, end))
        attributes = {name: json.loads(value) for name, (_, value) in self._evidence.attributes.items()}
        return Life(spans, known_start, attributes)

    def testimonies(self) -> Iterator[Testimony]:
        """List what was told, at the times that count."""
        evidence = self._evidence
        for content, runs in evidence.runs.items():
            kind, event_type, state, *_ = json.loads(content)
            for run in runs:
                time = self._exact(run)
                yield Testimony(time, max(time, run.last), kind, event_type, state, run.message_id, run.last_message_id)
        for kind, moments in (('created', self._created), ('launched', self._launches), ('ended', self._ended)):
            for at, told, _ in moments:
                yield Testimony(at, at, kind, told.event_type, told.state, told.message_id, told.message_id)

    def _staleness(self) -> dict[int, int]:
        """Tell for each second of a launch from when on messages that know of no later launch are stale."""
        stale_from: dict[int, int] = {}
        since = _FOREVER
        for moment in reversed(self._launches):
            for second in moment.seconds:
                stale_from.setdefault(second, since)
            since = min(since, max(moment.at, moment.told.timestamp))
        return stale_from

    def _told(self) -> Iterator[_Point]:
        for content, runs in self._evidence.runs.items():
            kind, _, state, every, project_id, user_id, size, place, launch = json.loads(content)
            stale_from = _FOREVER if launch is None else self._stale_from[launch]
            for run in runs:
                if run.timestamp >= stale_from and state != DELETED:
                    continue
                time = self._exact(run)
                yield _Point(time, _RANKS[kind], content + run.message_id, state, project_id, user_id, size, place,
                             run.last if every else time, every * SECOND, stale_from)

    def _exact(self, run: Run) -> int:
        if run.time % SECOND or run.time == run.timestamp:
            return run.time
        return self._moments.get(run.time // SECOND, _latest(run.time, run.timestamp))

    def _end(self, told: Sequence[_Point]) -> int:
        if self._ended:
            return self._ended[0].at
        return min((point.time for point in told if point.state == DELETED), default=_FOREVER)

    def _knows_start(self, told: Sequence[_Point]) -> bool:
        if not self._launches:
            return bool(self._evidence.created)
        first = self._launches[0].at
        unlaunched = self._evidence.unlaunched
        return (unlaunched is not None and unlaunched <= first + SECOND
                or any(point.rank == _TOLD and point.time == first for point in told))


def _as_shown(moment: _Moment) -> _Moment:
    """Let a resource have been, since a launch, what the earliest message that knows of the launch shows."""
    told = moment.told
    state = told.state if told.shown in ('', DELETED) else told.shown
    return moment._replace(told=told._replace(state=state))


def _point(moment: _Moment, rank: int) -> _Point:
    told = moment.told
    return _Point(moment.at, rank, told.message_id, told.state, told.project_id, told.user_id, told.size, told.place,
                  moment.at, 0, _FOREVER)


class _Walk:
    """Goes through what was told, in order, and says what held from when to when."""

    def __init__(self) -> None:
        self._spans: list[_Held] = []
        self._lasting: list[_Point] = []
        self._changed = -_FOREVER
        self._settled = -_FOREVER

    def through(self, points: Sequence[_Point], end: int) -> list['_Held']:
        """Walk; the last span lasts until the end."""
        for point in points:
            self._repeat(point.time)
            if not (point.rank == _OBSERVED and point.time < self._settled and self._contradicts(point)):
                self._apply(point, point.time)
            if point.last > point.time:
                self._lasting = [*self._lasting[1 - _MOST:], point]
        self._repeat(end)
        if self._spans:
            self._spans[-1].end = end
        return self._spans

    def _repeat(self, until: int) -> None:
        """Let what was said again and again be heard again where it was contradicted meanwhile."""
        while self._lasting:
            heard = [(time, point) for point in self._lasting
                     if (time := self._again(point)) < until and self._contradicts(point)]
            if not heard:
                break
            time, point = min(heard)
            self._apply(point, time)
        self._lasting = [point for point in self._lasting if point.last >= until]

    def _again(self, point: _Point) -> int:
        """Give the latest time at which it was surely said again."""
        after = max(self._settled, self._changed) if point.rank == _OBSERVED else self._changed
        time = min(point.last, after + point.every)
        return time if point.last > self._changed and after <= time < point.stale_from else _FOREVER

    def _contradicts(self, point: _Point) -> bool:
        return bool(self._spans) and self._spans[-1].contradicts(point)

    def _apply(self, point: _Point, time: int) -> None:
        if point.rank > _OBSERVED:
            self._settled = time + SETTLING
        self._changed = time
        held = self._spans[-1] if self._spans else None
        if held is None:
            self._spans.append(_Held(point, time))
        else:
            if held.begin < time and (held.state is None or held.contradicts(point)):
                held.end = time
                held = held.copy(time)
                self._spans.append(held)
            held.take(point)


class _Held:
    """A span in the making."""

    def __init__(self, point: _Point, begin: int) -> None:
        self.begin = begin
        self.end = _FOREVER
        self.state: str | None = None
        self.project_id: str | None = None
        self.user_id: str | None = None
        self.size: dict[str, Any] = {}
        self.place: dict[str, str | None] = {}
        self.take(point)

    def copy(self, begin: int) -> '_Held':
        """Begin another one that is so far the same."""
        held = object.__new__(_Held)
        held.__dict__.update(self.__dict__, begin=begin, end=_FOREVER, size=dict(self.size), place=dict(self.place))
        return held

    def contradicts(self, point: _Point) -> bool:
        """Tell whether a state, owner or size that is known is another by what was told."""
        return (_conflict(self.state, point.state) or _conflict(self.project_id, point.project_id)
                or any(_conflict(self.size.get(name), value) for name, value in point.size.items()))

    def take(self, point: _Point) -> None:
        """Take what was told."""
        self.state = self.state if point.state is None else point.state
        self.project_id = self.project_id if point.project_id is None else point.project_id
        self.user_id = self.user_id if point.user_id is None else point.user_id
        self.size.update(point.size)
        self.place.update(point.place)


def _conflict(known: Any, told: Any) -> bool:
    return None not in (known, told) and known != told


def _filled(held: Sequence[_Held]) -> tuple[Span, ...]:
    """Let each span know what only a later one was told of owner and size, and join those that are equal then."""
    spans: list[Span] = []
    project_id = user_id = None
    size: dict[str, Any] = {}
    for one in reversed(held):
        project_id, user_id, size = one.project_id or project_id, one.user_id or user_id, {**size, **one.size}
        if one.state is None or one.begin >= one.end:
            continue
        span = Span(one.begin, None if one.end == _FOREVER else one.end, one.state, project_id, user_id, size,
                    one.place.get('host'), one.place.get('availability_zone'))
        if spans and spans[-1][2:4] == span[2:4] and spans[-1].size == size and spans[-1].begin == span.end:
            spans[-1] = spans[-1]._replace(begin=span.begin)
        else:
            spans.append(span)
    return tuple(reversed(spans))
