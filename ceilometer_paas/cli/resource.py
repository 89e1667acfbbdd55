# SPDX-License-Identifier: Apache-2.0
"""``resource list|show``: what resources are, and the life of one with the facts behind it."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

from cliff import show

from ceilometer_paas import serve, times
from ceilometer_paas.cli.common import LongLister, Size, Stream, kept_open, open_lives, shown_time
from ceilometer_paas.errors import printable
from ceilometer_paas.ledger.intervals import Testimony
from ceilometer_paas.ledger.usage import Interval, Scope, Story
from ceilometer_paas.model import DELETED

COLUMNS = ('id', 'type', 'name', 'project', 'state', 'since', 'known_start')
FIELDS = ('id', 'type', 'name', 'project', 'user', 'state', 'since', 'known_start', 'attributes', 'intervals', 'facts')


class ResourceList(LongLister):
    """List resources as they are now; those that ended have been deleted since then.

    Of a resource whose known_start is false it is not known since when it exists, or in which states it was before its
    first interval: compare it with its service.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('--resource-type', metavar='TYPE', help='only resources of this type')
        parser.add_argument('--project', metavar='ID', help='only what this project owns')
        parser.add_argument('--state', metavar='STATE', help='only resources in this state, such as active or deleted')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Stream:
        """Give a row for each resource, by type and id."""
        with ExitStack() as stack:
            ledger, beginning = stack.enter_context(open_lives(self.app.conf, serve.utcnow()))
            found = ledger.resources(Scope(beginning, parsed_args.resource_type, project_id=parsed_args.project))
            rows = ((one.resource_id, one.resource_type, one.name, one.project_id, one.state, shown_time(one.since),
                     one.known_start) for one in found if parsed_args.state in (None, one.state))
            return COLUMNS, kept_open(stack.pop_all(), rows)


class ResourceShow(show.ShowOne):  # type: ignore[misc]
    """Tell the life of a resource: what it is, each time in which nothing changed, and the facts that say so.

    A fact is told with its kind, time, event type, state and message id. Audits that say the same one after another
    are one line. Creations, launches and ends are told by the first message that knows of them.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add which resource."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('id', help='the id that its service gave it')
        parser.add_argument('--resource-type', metavar='TYPE', help='its type, if several resources have that id')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Give the resource.

        :raises LookupError: there is none, or several
        """
        with open_lives(self.app.conf, serve.utcnow()) as (ledger, beginning):
            stories = ledger.life(Scope(beginning, parsed_args.resource_type, parsed_args.id))
        if not stories:
            kind = f'{printable(parsed_args.resource_type)} ' if parsed_args.resource_type else 'resource '
            raise LookupError(f'the ledger knows no {kind}{printable(parsed_args.id)}')
        if len(stories) > 1:
            types = ' or '.join(story.resource.resource_type for story in stories)
            raise LookupError(f'several resources have the id {printable(parsed_args.id)}; '
                              f'choose one with --resource-type {types}')
        return FIELDS, _values(stories[0])

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Sequence[Any]) -> int:
        """Write a table as text; a program gets the data."""
        if parsed_args.formatter == 'table' and not parsed_args.columns:
            lines = told(dict(zip(column_names, data, strict=True)), serve.utcnow())
            self.app.stdout.writelines(f'{line}\n' for line in lines)
            return 0
        status: int = super().produce_output(parsed_args, column_names, data)
        return status


def _values(story: Story) -> tuple[Any, ...]:
    """Write a story as data, in the order of the fields; a fact that lies in no interval stands apart."""
    of = story.resource
    intervals, placed = [], set[Testimony]()
    for one in story.intervals:
        facts = [testimony for testimony in story.testimonies if _supports(testimony, one)]
        placed.update(facts)
        intervals.append({
            'begin': shown_time(one.begin), 'end': shown_time(one.end),
            'seconds': None if one.end is None else (one.end - one.begin).total_seconds(),
            'state': one.state, 'project': one.project_id, 'user': one.user_id, 'host': one.host,
            'availability_zone': one.availability_zone, 'size': dict(one.size), 'facts': list(map(_fact, facts))})
    return (of.resource_id, of.resource_type, of.name, of.project_id, of.user_id, of.state, shown_time(of.since),
            of.known_start, dict(story.attributes), intervals,
            [_fact(testimony) for testimony in story.testimonies if testimony not in placed])


def _supports(testimony: Testimony, interval: Interval) -> bool:
    """Tell whether something was told of an interval: in it or, if it is what the interval is, also until in it."""
    last = testimony.until if testimony.state == interval.state else testimony.time
    return (last >= times.to_micros(interval.begin)
            and (interval.end is None or testimony.time < times.to_micros(interval.end)))


def _fact(testimony: Testimony) -> dict[str, Any]:
    return testimony._asdict() | {name: shown_time(times.from_micros(getattr(testimony, name)))
                                  for name in ('time', 'until')}


def told(story: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Write a story, as :class:`ResourceShow` gives it, in lines for a person."""
    yield f'{story["type"]} {story["id"]}'
    about = {name: story[name] for name in ('name', 'project', 'user')} | story['attributes']
    about['state'] = f'{story["state"]} since {story["since"]}' if story['state'] else 'not known'
    if not story['known_start']:
        about['start'] = 'not known: it may have been there before, in other states'
    for name, value in about.items():
        if value is not None:
            yield f'  {name:<9} {printable(value if isinstance(value, str) else json.dumps(value))}'
    intervals, rest = story['intervals'], story['facts']
    early = [fact for fact in rest if intervals and fact['time'] < intervals[0]['begin']]
    if early:
        yield from ('', 'before', *map(_line, early))
    for one in intervals:
        lasts = one['end'] is None
        time = now.replace(microsecond=0) - times.parse(one['begin']) if lasts else timedelta(seconds=one['seconds'])
        place = {name: one[name] for name in ('project', 'host', 'availability_zone') if one[name] is not None}
        yield from ('', f'{one["begin"]} {one["state"]} for {time}{" until now" * lasts}',
                    f'  {Size(place | one["size"])}', *map(_line, one['facts']))
    if not intervals or intervals[-1]['end'] is not None:
        only = 'nothing but an end is known' if any(fact['state'] == DELETED for fact in rest) else 'no state is known'
        yield from ('', f'{story["since"]} {story["state"]}' if intervals else only,
                    *(_line(fact) for fact in rest if fact not in early))


def _line(fact: Mapping[str, Any]) -> str:
    once = fact['message_id'] == fact['last_message_id']
    when = fact['time'] if once else f'from {fact["time"]} to {fact["until"]}'
    ids = fact['message_id'] if once else f'{fact["message_id"]} ... {fact["last_message_id"]}'
    state = f' {fact["state"]}' if fact['state'] else ''
    return f'    {fact["kind"]:<11} {when} {fact["event_type"]}{state} {ids}'
