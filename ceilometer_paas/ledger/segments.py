# SPDX-License-Identifier: Apache-2.0
"""Intervals of one resource, and the settled periods -> segments, and which of them are no longer as they were. Pure.

A segment is stated under the time of its beginning. What is stated of it is whose it was, in which state and of which
size, and how long: where nothing of that differs, nothing is stated again. A host is told as it was known then.
"""

import functools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ceilometer_paas.ledger.periods import Calendar
from ceilometer_paas.model import DELETED, LASTING, TURNING, Segment

Row = tuple[int, int, str, str | None, str | None, str | None, str, str | None, str | None]
"""An interval's columns, in their order: from when to when, state, project, user, flavor, size as JSON, host, zone."""

_SIZES = 4096


class Piece(NamedTuple):
    """An interval as far as it can be stated; or, without length, the end of a life.

    :ivar size: as JSON
    :ivar turning: whether it begins with another state than was before
    """

    begin: int
    end: int
    state: str
    counts_as: str
    project_id: str | None
    user_id: str | None
    size: str
    host: str | None
    availability_zone: str | None
    turning: bool

    def content(self) -> tuple[Any, ...]:
        """Give what is stated of it, but for its times."""
        return self.state, self.counts_as, self.project_id, self.size


class Changed(NamedTuple):
    """What is to be stated anew.

    :ivar marks: a segment's beginning -> what is to be stated of it, besides what already was
    :ivar projects: projects, each with the beginning of a period in which it had other resources than was stated
    """

    marks: Mapping[int, int]
    projects: Collection[tuple[str, int]]


def pieces(rows: Sequence[Row], as_before: Collection[str], begin: int, until: int) -> list[Piece]:
    """Cut the intervals of a resource to a time.

    :param rows: in order; none that lasts into the time is missing, nor the one before the first of those
    :param as_before: states that count as the one before them, if there is one
    """
    found: list[Piece] = []
    before = counts_as = None
    for begins_at, ends_at, state, project_id, user_id, _, size, host, zone in rows:
        counts_as = counts_as if counts_as is not None and state in as_before else state
        turning, before = state != before or begins_at <= begin, state
        if ends_at > begin and begins_at < until:
            found.append(Piece(max(begins_at, begin), min(ends_at, until), state, counts_as, project_id, user_id, size,
                               host, zone, turning))
    if found and rows[-1][1] < until:
        last = found[-1]
        found.append(last._replace(begin=last.end, state=DELETED, counts_as=DELETED, turning=True))
    return found


def within(found: Sequence[Piece], period: tuple[int, int]) -> Iterator[Segment]:
    """Cut pieces into segments, and give those of one period."""
    begin, end = period
    for piece in found:
        if piece.begin < end and (piece.end > begin or piece.end == piece.begin >= begin):
            yield _segment(piece, max(piece.begin, begin), min(piece.end, end), period)


def cut(found: Sequence[Piece], calendar: Calendar, begin: int, end: int) -> Iterator[Segment]:
    """Cut pieces into segments, and give those that begin within a time, which is one of whole periods."""
    for piece in found:
        for period in calendar.periods(max(piece.begin, begin), min(max(piece.end, piece.begin + 1), end)):
            yield from within((piece,), period)


def gone(found: Sequence[Piece], at: int, marks: int, period: tuple[int, int]) -> Segment:
    """Say of a time at which no segment begins, and did when it was stated, what holds then."""
    holding = [piece for piece in found if piece.begin <= at < piece.end]
    if holding:
        return _segment(holding[0], at, at, period)._replace(marks=marks)
    nearest = min(found, key=lambda piece: abs(piece.begin - at), default=None)
    if nearest is None:
        return Segment(at, at, DELETED, DELETED, None, None, {}, None, None, marks, period)
    return _segment(nearest, at, at, period)._replace(state=DELETED, counts_as=DELETED, marks=marks)


def changed(old: Sequence[Piece], new: Sequence[Piece], calendar: Calendar, restated: Collection[int] = ()) -> Changed:
    """Compare what was stated with what holds now.

    :param restated: when something was restated; where that is gone, it was said what held then
    """
    marks: dict[int, int] = {}
    projects: set[tuple[str, int]] = set()
    differing = _differing(old, new)
    if differing is not None:
        begin = calendar.period(differing[0])[0]
        end = calendar.period(min(differing[1], calendar.until - 1))[1]
        was, now = ({segment.begin: segment for segment in cut(found, calendar, begin, end)} for found in (old, new))
        for at in {**was, **now}:
            both = [segment for segment in (was.get(at), now.get(at)) if segment is not None]
            if len(both) == 1 or _stated(both[0]) != _stated(both[1]):
                marks[at] = both[0].marks | both[-1].marks
                projects.update((segment.project_id, segment.period[0]) for segment in both
                                if segment.project_id is not None and segment.marks & LASTING)
        for at in restated:
            if begin <= at < end and at not in was and at not in now:
                period = calendar.period(at)
                if _stated(gone(old, at, 0, period)) != _stated(gone(new, at, 0, period)):
                    marks[at] = 0
    return Changed(marks, projects)


def _differing(old: Sequence[Piece], new: Sequence[Piece]) -> tuple[int, int] | None:
    """Find the time, its end included, outside of which two series of pieces say the same."""
    first = _first_difference(old, new)
    return first and (first[0], max(first[0], _last_difference(old[first[1]:], new[first[1]:])))


def _first_difference(old: Sequence[Piece], new: Sequence[Piece]) -> tuple[int, int] | None:
    """Find the first time at which pieces differ, and how many were the same until then."""
    same = 0
    for one, other in zip(old, new, strict=False):
        if not _equal(one, other):
            if one.begin == other.begin and one.content() == other.content() and one.turning == other.turning:
                return min(one.end, other.end), same
            return min(one.begin, other.begin), same
        same += 1
    rest = old[same:] or new[same:]
    return (rest[0].begin, same) if rest else None


def _last_difference(old: Sequence[Piece], new: Sequence[Piece]) -> int:
    """Find the last time at which pieces differ."""
    for one, other in zip(reversed(old), reversed(new), strict=False):
        if not _equal(one, other):
            if one.end == other.end and one.content() == other.content():
                return max(one.begin, other.begin)
            return max(one.end, other.end)
    shared = min(len(old), len(new))
    rest = old[:len(old) - shared] or new[:len(new) - shared]
    return rest[-1].end


def _equal(one: Piece, other: Piece) -> bool:
    return one[:2] == other[:2] and one.content() == other.content() and one.turning == other.turning


def _stated(segment: Segment) -> tuple[Any, ...]:
    # Also where nothing turns any more: what was said of it is to be known, should another state hold there later.
    return segment.end, segment.state, segment.counts_as, segment.project_id, segment.size, segment.marks


def _segment(piece: Piece, begin: int, end: int, period: tuple[int, int]) -> Segment:
    marks = (LASTING if piece.begin < piece.end else 0) | (TURNING if piece.turning and begin == piece.begin else 0)
    return Segment(begin, end, piece.state, piece.counts_as, piece.project_id, piece.user_id, _size(piece.size),
                   piece.host, piece.availability_zone, marks, period)


@functools.lru_cache(_SIZES)
def _size(text: str) -> Any:
    """Read a size; the same object for the same text, which nobody may change."""
    return json.loads(text)
