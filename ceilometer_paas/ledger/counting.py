# SPDX-License-Identifier: Apache-2.0
"""Intervals of projects -> how many resources of each type they had in a period."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from ceilometer_paas.ledger.schema import resource, state_interval
from ceilometer_paas.model import Count

_begin, _end = state_interval.c.begins_at, state_interval.c.ends_at
# Looked up for each interval: PostgreSQL would join all resources that there are.
_TYPE = (sa.select(resource.c.resource_type).where(resource.c.id == state_interval.c.resource_no)
         .scalar_subquery().label('resource_type'))

_Step = tuple[int, int, str, str | None]
"""From when on how many more, or fewer, were in a state, and of a flavor."""


def count(connection: sa.Connection, projects: Sequence[str], periods: Sequence[tuple[int, int]]) -> Iterator[Count]:
    """Count, for some projects, what they had in periods; types of which they had nothing in one are left out.

    Those that say the same of all the time are counted by the database, so that little is loaded.

    :param periods: in order
    """
    begin, end = periods[0][0], periods[-1][1]
    since = sa.case((_begin > begin, _begin), else_=begin).label('since_at')
    until = sa.case((_end < end, _end), else_=end).label('until_at')
    same = state_interval.c.project_id, _TYPE, state_interval.c.state, state_interval.c.flavor, since, until
    found: defaultdict[tuple[str, str], list[_Step]] = defaultdict(list)
    for project, kind, state, flavor, since_at, until_at, number in connection.execute(
            sa.select(*same, sa.func.count()).where(state_interval.c.project_id.in_(projects), _end > begin,
                                                    _begin < end).group_by(*same)):
        found[project, kind] += (since_at, number, state, flavor), (until_at, -number, state, flavor)
    for (project, kind), steps in sorted(found.items()):
        yield from _follow(Count(kind, project, 0, {}, {}, 0, 0, periods[0]), sorted(steps, key=lambda step: step[0]),
                           periods)


def _follow(nothing: Count, steps: Sequence[_Step], periods: Sequence[tuple[int, int]]) -> Iterator[Count]:
    """Count the resources of one type that one project had, from period to period."""
    states, flavors = Counter[str](), Counter[str | None]()
    number = place = 0

    def go(until: int) -> None:
        """Take the steps until a time; that included."""
        nonlocal number, place
        while place < len(steps) and steps[place][0] <= until:
            _, more, state, flavor = steps[place]
            number, place = number + more, place + 1
            states[state] += more
            flavors[flavor] += more

    for begin, end in periods:
        go(begin)
        levels = [number]
        while place < len(steps) and steps[place][0] < end:
            go(steps[place][0])
            levels.append(number)
        if any(levels):
            yield nothing._replace(
                number=number, states=_named(states), flavors=_named(flavors), highest=max(levels), lowest=min(levels),
                period=(begin, end))


def _named(numbers: Counter[str] | Counter[str | None]) -> dict[str, int]:
    """Leave out what is not there, and what has no name."""
    return {name: number for name, number in sorted(numbers.items(), key=str) if number and name is not None}
