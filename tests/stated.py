# SPDX-License-Identifier: Apache-2.0
"""What is to be stated of intervals, worked out naively: moment by moment, with nothing of what the ledger uses for it.

The definition is :data:`STATED`'s: of each type there are the meters `<type>.uptime`, `<type>.off`, `<type>.status` and
`<type>s`.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ceilometer_paas import times
from ceilometer_paas.config.lifecycles import load_lifecycles
from ceilometer_paas.config.reader import Problems
from ceilometer_paas.ledger.usage import Interval
from ceilometer_paas.model import DELETED
from ceilometer_paas.reckon import Reckoner

Key = tuple[str, str, str]
Periods = Sequence[tuple[int, int]]
Lives = dict[tuple[str, str], list[Interval]]

CODES = {'active': 1, 'building': 2, 'stopped': 3, 'resized': 4, DELETED: 9}
COUNTED: dict[str, Callable[[str], bool]] = {'uptime': lambda state: state in ('active', 'rescued'),
                                             'off': lambda state: state not in ('active', 'building', 'deleted')}
DEFINITION = """
lifecycle:
  - resource_type: $.payload.type
    resource_id: $.payload.id
    meters:
      '{resource_type}.uptime': [active, rescued]
      '{resource_type}.off': {all_but: [active, building, deleted]}
    as_before: [resized]
    status: {meter: '{resource_type}.status', codes: {active: 1, building: 2, stopped: 3, resized: 4, deleted: 9}}
    quantity: '{resource_type}s'
    events: [{event_type: .*, observed: $.payload.state}]
"""

_EVER = 1 << 62


class Said(NamedTuple):
    """What a sample says.

    :ivar about: its metadata, but for what may be otherwise without a restatement
    """

    meter: str
    resource_id: str
    timestamp: str
    volume: float
    project_id: str | None
    about: Mapping[str, Any]

    @property
    def key(self) -> Key:
        return self[:3]


def expected(intervals: Sequence[Interval], periods: Periods) -> dict[Key, Said]:
    """Say everything that is to be stated."""
    found = [one for life in _lives(intervals).values() for one in _life(life, periods)]
    for period in periods:
        for kind, project in sorted({(one.resource_type, one.project_id) for one in intervals if one.project_id}):
            some = _of(intervals, kind, project)
            if any(_begin(one) < period[1] and _end(one) > period[0] for one in some):
                found.append(_count(some, kind, project, period))
    assert len({one.key for one in found}) == len(found)
    return {one.key: one for one in found}


def surplus(said: Said, intervals: Sequence[Interval], periods: Periods) -> Said:
    """Say what is to be said of something that was stated and is not to be."""
    at = _micros(said.timestamp)
    if said.resource_id.startswith('paas-'):
        period = next(one for one in periods if one[1] == at)
        return _count((), said.meter[:-1], said.resource_id.removeprefix('paas-'), period)
    kind, meter = said.meter.rsplit('.', 1)
    held = [one for one in intervals if (one.resource_type, one.resource_id) == (kind, said.resource_id)
            and _begin(one) <= at < _end(one)]
    state, project, size = ((held[0].state, held[0].project_id, held[0].size) if held
                            else (DELETED, said.project_id, said.about['size']))
    return said._replace(volume=CODES.get(state, 0) if meter == 'status' else 0, project_id=project,
                         about={'state': state, 'size': size, 'period': _iso(_period(at, periods))})


def _life(life: Sequence[Interval], periods: Periods) -> list[Said]:
    found = []
    begin, until = (periods[0][0], periods[-1][1]) if periods else (0, 0)
    before = counts_as = None
    for one in life:
        kind = one.resource_type
        if one.state != 'resized' or counts_as is None:
            counts_as = one.state
        since = max(_begin(one), begin)
        if (one.state != before or _begin(one) <= begin) and begin <= since < min(until, _end(one)):
            found.append(_said(f'{kind}.status', one, since, CODES.get(one.state, 0), one.state, periods))
        before = one.state
        for period in periods:
            first, last = max(since, period[0]), min(_end(one), period[1])
            if first < last:
                for meter, counted in COUNTED.items():
                    volume = (last - first) / 1_000_000 if counted(counts_as) else 0
                    found.append(_said(f'{kind}.{meter}', one, first, volume, one.state, periods))
    if life and begin < _end(life[-1]) < until:
        one = life[-1]
        found.append(_said(f'{one.resource_type}.status', one, _end(one), CODES[DELETED], DELETED, periods))
    return found


def _said(meter: str, one: Interval, at: int, volume: float, state: str, periods: Periods) -> Said:
    return Said(meter, one.resource_id, times.from_micros(at).isoformat(), volume, one.project_id, {
        'state': state, 'size': one.size, 'period': _iso(_period(at, periods))})


def _count(some: Sequence[Interval], kind: str, project: str, period: tuple[int, int]) -> Said:
    begin, end = period
    moments = {begin, *(at for one in some for at in (_begin(one), _end(one)) if begin <= at < end)}
    levels = [sum(_begin(one) <= at < _end(one) for one in some) for at in moments]
    last = [one for one in some if _begin(one) < end <= _end(one)]
    return Said(f'{kind}s', f'paas-{project}', times.from_micros(end).isoformat(), len(last), project, {
        'states': Counter(one.state for one in last),
        'flavors': Counter(one.size['flavor'] for one in last if 'flavor' in one.size),
        'highest': max(levels), 'lowest': min(levels), 'period': _iso(period)})


def _of(intervals: Sequence[Interval], kind: str, project: str) -> list[Interval]:
    return [one for one in intervals if (one.resource_type, one.project_id) == (kind, project)]


def _lives(intervals: Sequence[Interval]) -> Lives:
    found: Lives = {}
    for one in intervals:
        found.setdefault((one.resource_type, one.resource_id), []).append(one)
    return found


def _period(at: int, periods: Periods) -> tuple[int, int]:
    return next(one for one in periods if one[0] <= at < one[1])


def _iso(period: tuple[int, int]) -> dict[str, str]:
    return {name: times.from_micros(at).isoformat() for name, at in zip(('begin', 'end'), period, strict=True)}


def _begin(one: Interval) -> int:
    return times.to_micros(one.begin)


def _end(one: Interval) -> int:
    return _EVER if one.end is None else times.to_micros(one.end)


def _micros(timestamp: str) -> int:
    return times.to_micros(times.parse_utc(timestamp))


def _reckoner() -> Reckoner:
    problems = Problems()
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, 'any.yaml').write_text(DEFINITION)
        found = load_lifecycles([directory], problems)
    assert not len(problems), list(problems)
    return Reckoner(found, lambda meter: frozenset({'a-queue'}))


STATED = _reckoner()
"""States what there is of any type."""
