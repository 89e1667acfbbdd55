# SPDX-License-Identifier: Apache-2.0
"""Intervals of projects -> how many resources of each type they had in a period."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from ceilometer_paas.ledger.schema import resource, state_interval
from ceilometer_paas.model import Count

_begin, _end = state_interval.c.begins_at, state_interval.c.ends_at
_WHAT = (state_interval.c.project_id, resource.c.resource_type, state_interval.c.state, state_interval.c.flavor)
_FROM = state_interval.join(resource, resource.c.id == state_interval.c.resource_no)


class _Tally:
    """The resources of one type that one project had."""

    def __init__(self) -> None:
        self.throughout = 0
        self.states: Counter[str] = Counter()
        self.flavors: Counter[str] = Counter()
        self.changes: list[tuple[int, int]] = []

    def add(self, number: int, state: str, flavor: str | None) -> None:
        """Count some that were there at the end of the period."""
        self.states[state] += number
        if flavor is not None:
            self.flavors[flavor] += number

    def extremes(self, begin: int, end: int) -> tuple[int, int]:
        """Give the highest and the lowest number at any time of the period."""
        number = self.throughout
        levels: list[int] = []
        changes = sorted((max(time, begin), step) for time, step in self.changes if time < end)
        for time, steps in itertools.groupby(changes, lambda change: change[0]):
            if time > begin and not levels:
                levels.append(number)
            number += sum(step for _, step in steps)
            levels.append(number)
        return max(levels, default=number), min(levels, default=number)


def count(connection: sa.Connection, projects: Sequence[str], period: tuple[int, int]) -> Iterator[Count]:
    """Count, for some projects, what they had in a period; types of which they had nothing are left out.

    Those that lasted throughout are counted by the database, so that little is loaded.
    """
    begin, end = period
    found: defaultdict[tuple[str, str], _Tally] = defaultdict(_Tally)
    owned = state_interval.c.project_id.in_(projects)
    throughout = sa.and_(_begin <= begin, _end >= end)
    for project, kind, state, flavor, number in connection.execute(
            sa.select(*_WHAT, sa.func.count()).select_from(_FROM).where(owned, throughout).group_by(*_WHAT)):
        tally = found[project, kind]
        tally.throughout += number
        tally.add(number, state, flavor)
    partly = sa.select(*_WHAT, _begin, _end).select_from(_FROM).where(owned, _end > begin, _begin < end,
                                                                      sa.not_(throughout))
    for project, kind, state, flavor, begins_at, ends_at in connection.execute(partly):
        tally = found[project, kind]
        tally.changes += (begins_at, 1), (ends_at, -1)
        if ends_at >= end:
            tally.add(1, state, flavor)
    for (project, kind), tally in sorted(found.items()):
        yield Count(kind, project, tally.states.total(), dict(sorted(tally.states.items())),
                    dict(sorted(tally.flavors.items())), *tally.extremes(begin, end), period)
