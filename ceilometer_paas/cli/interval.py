# SPDX-License-Identifier: Apache-2.0
"""``interval list``: who was in which state, of which size, from when to when."""

import argparse
from contextlib import ExitStack
from typing import Any

from ceilometer_paas import serve
from ceilometer_paas.cli.common import (
    LongLister,
    Size,
    Stream,
    add_scope,
    kept_open,
    moment,
    open_lives,
    ordered,
    shown_time,
)
from ceilometer_paas.ledger.usage import Interval, Scope


class IntervalList(LongLister):
    """List the times in which resources were in one state, of one size and owned by one project.

    They are half-open, to the microsecond, and in order for each resource. One that lasts has no end. Nothing before
    the ledger's beginning is listed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        add_scope(parser)
        parser.add_argument('--begin', type=moment, metavar='TIME',
                            help='only intervals that lasted until after this time (ISO 8601; UTC if it has no zone)')
        parser.add_argument('--end', type=moment, metavar='TIME', help='only intervals that began before this time')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Stream:
        """Give a row for each interval, by type and id of the resource and time.

        :raises ValueError: the period ends before it begins
        """
        ordered(parsed_args.begin, parsed_args.end)
        with ExitStack() as stack:
            ledger, beginning = stack.enter_context(open_lives(self.app.conf, serve.utcnow()))
            scope = Scope(beginning, parsed_args.resource_type, parsed_args.resource, parsed_args.project)
            rows = ledger.intervals(scope, parsed_args.begin, parsed_args.end)
            return Interval._fields, kept_open(stack.pop_all(), map(_cells, rows))


def _cells(interval: Interval) -> tuple[Any, ...]:
    begin, end = shown_time(interval.begin), shown_time(interval.end)
    return tuple((interval._asdict() | {'size': Size(interval.size), 'begin': begin, 'end': end}).values())
