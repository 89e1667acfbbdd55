# SPDX-License-Identifier: Apache-2.0
"""A life that is part of another, and when that one ended -> the life, which ends then at the latest. Pure.

A fact names the parent of its resource by the attribute ``parent``, as ``<type>/<id>``; the newest counts. What a child
is follows from its own facts and from those of its parent. A parent is not part of yet another life.
"""

from collections.abc import Mapping
from typing import Any

from ceilometer_paas.ledger.evidence import Evidence
from ceilometer_paas.ledger.intervals import Life, Testimony, testimonies
from ceilometer_paas.model import DELETED


def parent_of(attributes: Mapping[str, Any]) -> tuple[str, str] | None:
    """Give type and id of what a life is part of, if it is; no type of parents has a slash in it.

    :param attributes: of a life or a fact
    """
    name: str | None = attributes.get('parent')
    if name is None:
        return None
    resource_type, _, resource_id = name.partition('/')
    return resource_type, resource_id


def ending(known: Evidence) -> Testimony | None:
    """Give what ended a life, by what was told of itself."""
    told = [testimony for testimony in testimonies(known) if testimony.state == DELETED]
    return min((testimony for testimony in told if testimony.kind == 'ended'), default=min(told, default=None))


def own_end(known: Evidence, life: Life) -> int | None:
    """Tell when a life ended, by what was told of itself.

    :param life: as it was folded
    """
    if life.spans:
        return life.spans[-1].end
    told = ending(known)
    return told.time if told else None


def within(life: Life, end: int | None) -> Life:
    """End a life when its parent ended, if it did not end before.

    :param end: None while the parent lives, or if there is none
    """
    if end is None:
        return life
    return life._replace(spans=tuple(span._replace(end=end if span.end is None else min(span.end, end))
                                     for span in life.spans if span.begin < end))
