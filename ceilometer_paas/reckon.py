# SPDX-License-Identifier: Apache-2.0
"""Segments of lives, and counts of resources -> what is stated of their meters, by the lifecycle definitions.

Of a segment in which something lasts, each uptime meter says how many seconds it counts: all of them, or 0 if it does
not count the state. Where a state turned, the status meter says the new state's code. A quantity meter says how many
resources a project had at the end of a period. A meter that is mapped to no queue says nothing.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ceilometer_paas import times
from ceilometer_paas.config.lifecycles import RESOURCE_TYPE, Counted, Lifecycle
from ceilometer_paas.model import LASTING, TURNING, Account, Count, Segment, Statement

NO_CODE = 0
"""What a status meter says of a state that has no code."""

OF_PROJECT = 'paas-'
"""How the id of the resource begins that stands for a project, in what is stated of how many it has."""

_MEMO = 4096
_PERIODS = 64
_SECOND = 1_000_000


class _Plan(NamedTuple):
    """What is stated of resources of one type.

    :ivar uptimes: meters, and which states each counts
    :ivar status: a meter; empty if there is none
    :ivar codes: state -> what `status` says
    :ivar quantity: a meter; empty if there is none
    """

    as_before: frozenset[str] = frozenset()
    uptimes: tuple[tuple[str, Counted], ...] = ()
    status: str = ''
    codes: Mapping[str, int] = {}
    quantity: str = ''


class Reckoner:
    """States what was used; what can be known of a type beforehand is worked out once.

    A type that definitions name goes by these; another by those that read the type from the message. Nothing is stated
    of a type that has no definition, or has none any more.

    :param queues_of: metric type -> names of the queues that may speak of it
    """

    def __init__(self, lifecycles: Sequence[Lifecycle], queues_of: Callable[[str], frozenset[str]]) -> None:
        self._lifecycles = {one.type_name: one for one in lifecycles}  # all of a type say the same of meters
        self._queues_of = queues_of
        self._plan = functools.lru_cache(_MEMO)(self._make_plan)

    def as_before(self, resource_type: str) -> frozenset[str]:
        """Name the states in which a resource of a type counts as in the state before."""
        return self._plan(resource_type).as_before

    def __call__(self, accounts: Iterable[Account], counts: Iterable[Count]) -> Iterator[Statement]:
        """State what was used, in the order of the accounts, then what there was, in the order of the counts.

        Statements of one segment share their metadata, and those of one period its times: nobody may change them.
        """
        for account in accounts:
            plan = self._plan(account.resource_type)
            for segment in account.segments:
                yield from _state(plan, account, segment)
        for count in counts:
            quantity = self._plan(count.resource_type).quantity
            if quantity:
                yield Statement(quantity, 'gauge', '', count.number, f'{OF_PROJECT}{count.project_id}',
                                count.project_id, None, count.period[1], _describe_count(count))

    def _make_plan(self, resource_type: str) -> _Plan:
        lifecycle = self._lifecycles.get(resource_type) or self._lifecycles.get('')
        if lifecycle is None:
            return _Plan()

        def named(name: str) -> str:
            """Name a meter as it is called of this type; empty if it is not mapped."""
            meter = name.replace(RESOURCE_TYPE, resource_type)
            return meter if self._queues_of(meter) else ''

        uptimes = tuple((meter, counted) for name, counted in lifecycle.meters.items() if (meter := named(name)))
        meter, codes = (lifecycle.status.meter, lifecycle.status.codes) if lifecycle.status else ('', {})
        return _Plan(lifecycle.as_before, uptimes, named(meter), codes, named(lifecycle.quantity))


def _state(plan: _Plan, account: Account, segment: Segment) -> list[Statement]:
    lasting, turning = segment.marks & LASTING and plan.uptimes, segment.marks & TURNING and plan.status
    if not (lasting or turning):
        return []
    begin, resource_id, project_id, user_id = segment.begin, account.resource_id, segment.project_id, segment.user_id
    metadata, stated = _describe(account, segment), []
    if lasting:
        seconds = _seconds(segment.end - begin)
        stated = [Statement(meter, 'delta', 's', seconds if counted.counts(segment.counts_as) else 0, resource_id,
                            project_id, user_id, begin, metadata) for meter, counted in lasting]
    if turning:
        stated.append(Statement(turning, 'gauge', '', plan.codes.get(segment.state, NO_CODE), resource_id, project_id,
                                user_id, begin, metadata))
    return stated


def _describe(account: Account, segment: Segment) -> Mapping[str, Any]:
    metadata = {'resource_type': account.resource_type, 'state': segment.state, 'size': segment.size,
                'period': _period(segment.period), 'revision': segment.revision}
    if account.name is not None:
        metadata['display_name'] = account.name
    if segment.host is not None:
        metadata['host'] = segment.host
    if segment.availability_zone is not None:
        metadata['availability_zone'] = segment.availability_zone
    return metadata


def _describe_count(count: Count) -> Mapping[str, Any]:
    return {'resource_type': count.resource_type, 'states': count.states, 'flavors': count.flavors,
            'highest': count.highest, 'lowest': count.lowest, 'period': _period(count.period),
            'revision': count.revision}


@functools.lru_cache(_PERIODS)
def _period(period: tuple[int, int]) -> Mapping[str, str]:
    begin, end = (times.from_micros(micros).isoformat() for micros in period)
    return {'begin': begin, 'end': end}


def _seconds(micros: int) -> int | float:
    """Give microseconds as seconds; up to thirty years, a float prints as exactly so many."""
    seconds, rest = divmod(micros, _SECOND)
    return micros / _SECOND if rest else seconds
