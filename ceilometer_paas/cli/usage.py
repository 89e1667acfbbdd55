# SPDX-License-Identifier: Apache-2.0
"""``usage list``: for how long resources were used."""

import argparse
from datetime import datetime
from decimal import Decimal
from typing import Any

from ceilometer_paas import serve
from ceilometer_paas.cli.common import LongLister, Size, Stream, add_scope, moment, open_lives, ordered, shown_time
from ceilometer_paas.ledger.usage import DEFAULT_GROUPS, GROUPS, Scope, Usage


class UsageList(LongLister):
    """Sum the seconds that resources spent within a period, by project, type, state and size, or as you like.

    Seconds are exact to the microsecond. What lasts counts until the end of the period.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the period, the filters and the columns."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('--begin', type=moment, required=True, metavar='TIME',
                            help='beginning of the period (ISO 8601; UTC if it has no zone)')
        parser.add_argument('--end', type=moment, required=True, metavar='TIME',
                            help='end of the period; one in the future means now')
        add_scope(parser)
        parser.add_argument('--group-by', type=_columns, default=DEFAULT_GROUPS, metavar='COLUMN,...',
                            help=f'what to sum up by: some of {", ".join(GROUPS)} '
                                 f'(default: {",".join(DEFAULT_GROUPS)})')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Stream:
        """Give a row for each group that was used at all.

        :raises ValueError: the period ends before it begins, or has not begun
        """
        begin, end, now = parsed_args.begin, parsed_args.end, serve.utcnow()
        ordered(begin, end)
        if begin >= now:
            raise ValueError(f'--begin {shown_time(begin)} is in the future')
        if end > now:
            self._note(f'--end {shown_time(end)} is in the future: what is listed is the usage until', now)
            end = now
        with open_lives(self.app.conf, now) as (ledger, beginning):
            if begin < beginning:
                self._note('nothing is known of the time before the ledger\'s beginning,', beginning)
            scope = Scope(beginning, parsed_args.resource_type, parsed_args.resource, parsed_args.project)
            used = ledger.usage(begin, end, scope, parsed_args.group_by)
        return (*parsed_args.group_by, 'seconds'), map(cells, used)

    def _note(self, text: str, time: datetime) -> None:
        print(f'note: {text} {shown_time(time)}', file=self.app.stderr)


def cells(used: Usage) -> tuple[Any, ...]:
    """Write a group and its seconds as cells of a listing."""
    return *(Size(value) if name == 'size' else value for name, value in used.group.items()), seconds(used.micros)


def seconds(micros: int) -> Decimal:
    """Give a time in seconds, with as many decimals as it needs.

    :param micros: microseconds, not negative
    """
    whole, rest = divmod(micros, 1_000_000)
    return Decimal(f'{whole}.{rest:06}'.rstrip('0').rstrip('.') if rest else whole)


def _columns(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(',')))
    if unknown := [name for name in names if name not in GROUPS]:
        raise argparse.ArgumentTypeError(f'there is no column {", ".join(map(repr, unknown))}; '
                                         f'there are {", ".join(GROUPS)}')
    return names
