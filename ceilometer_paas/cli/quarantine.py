# SPDX-License-Identifier: Apache-2.0
"""``quarantine list|show|release|purge``: messages, samples, statements and facts that were set aside."""

import argparse
import json
from typing import Any

from cliff import command, lister, show

from ceilometer_paas import replay, serve
from ceilometer_paas.cli.common import Columns, at_least, moment, open_ledger
from ceilometer_paas.config.load import load
from ceilometer_paas.config.options import settings
from ceilometer_paas.errors import REFUSALS
from ceilometer_paas.ledger.quarantine import Row
from ceilometer_paas.ledger.store import Ledger

COLUMNS = ('id', 'source', 'origin', 'code', 'reason', 'count', 'first_at', 'last_at')


def _cells(row: Row) -> tuple[Any, ...]:
    return (row.id, row.source, row.origin, row.code, row.reason, row.count, row.first_at.isoformat(timespec='seconds'),
            row.last_at.isoformat(timespec='seconds'))


def _add_code(parser: Any) -> None:
    parser.add_argument('--code', choices=sorted(REFUSALS), metavar='CODE', help='only rows with this code')


def _ids(ledger: Ledger, parsed_args: argparse.Namespace) -> list[int]:
    """Name the rows that arguments mean: those that pass every filter.

    :raises LookupError: an id has no row
    """
    rows = ledger.quarantine_list()
    if missing := sorted(set(parsed_args.id).difference(row.id for row in rows)):
        raise LookupError(f'there is no row {", ".join(map(str, missing))} in the quarantine')
    before = getattr(parsed_args, 'before', None)
    return [row.id for row in rows
            if (not parsed_args.id or row.id in parsed_args.id) and parsed_args.code in (None, row.code)
            and (before is None or row.last_at < before)]


class QuarantineList(lister.Lister):  # type: ignore[misc]
    """List what was set aside, the oldest first."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('--source', metavar='ENDPOINT/EXCHANGE', help='only rows from this source')
        _add_code(parser)
        parser.add_argument('--limit', type=at_least(int, 1), default=1000, metavar='N',
                            help='at most N rows (default: 1000)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Give a row for each."""
        with open_ledger(settings(self.app.conf)) as ledger:
            return COLUMNS, [_cells(row) for row in ledger.quarantine_list(
                parsed_args.source, parsed_args.code, limit=parsed_args.limit)]


class QuarantineShow(show.ShowOne):  # type: ignore[misc]
    """Show one row with what was set aside."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the id."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('id', type=int, help='its number in quarantine list')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Give the row."""
        with open_ledger(settings(self.app.conf)) as ledger:
            row = ledger.quarantine_get(parsed_args.id)
        if row is None:
            raise LookupError(f'there is no row {parsed_args.id} in the quarantine')
        return (*COLUMNS, 'truncated', 'body'), (*_cells(row), row.truncated, _pretty(row.body))


class QuarantineRelease(lister.Lister):  # type: ignore[misc]
    """Try rows again: messages are decoded anew, samples and events go back to the publisher that refused them.

    Statements are made anew, with the next revision, for every publisher. What is recorded leaves the quarantine and is
    published by the agent; what is refused again stays.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add what to release."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        which = parser.add_mutually_exclusive_group()
        which.add_argument('id', type=int, nargs='*', default=[], help='numbers in quarantine list')
        which.add_argument('--all', action='store_true', help='all rows')
        _add_code(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Release, and give each row's outcome."""
        if not (parsed_args.id or parsed_args.all or parsed_args.code):
            raise ValueError('say which rows: by their ids, --code or --all')
        config = load(self.app.conf)
        with open_ledger(config.settings) as ledger:
            rows = replay.release(ledger, _ids(ledger, parsed_args), config, serve.way_in(config, ledger),
                                  clock=serve.utcnow)
            return ('id', 'outcome', 'code', 'reason'), [(id_, *outcome) for id_, outcome in rows]


class QuarantinePurge(command.Command):  # type: ignore[misc]
    """Delete rows for good."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add what to delete."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('id', type=int, nargs='*', default=[], help='numbers in quarantine list')
        _add_code(parser)
        parser.add_argument('--before', type=moment, metavar='TIME',
                            help='only rows that came last before this time (ISO 8601; UTC if it has no zone)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Delete, and say how many."""
        if not (parsed_args.id or parsed_args.code or parsed_args.before):
            raise ValueError('say which rows: by their ids, --code or --before')
        with open_ledger(settings(self.app.conf)) as ledger:
            number = ledger.quarantine_delete(_ids(ledger, parsed_args))
        print(f'{number} deleted', file=self.app.stdout)
        return 0


def _pretty(body: str) -> str:
    """Indent a body; one that was cut is no JSON any more, and shown as it is. Both are ASCII: safe for a terminal."""
    try:
        return json.dumps(json.loads(body), indent=2)
    except ValueError:
        return body
