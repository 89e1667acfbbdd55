# SPDX-License-Identifier: Apache-2.0
"""``statement list``: what is stated of resources and projects, and which publishers were told so."""

import argparse
import copy
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from ceilometer_paas import serve, times
from ceilometer_paas.cli.common import (
    LongLister,
    Size,
    Stream,
    Words,
    add_scope,
    kept_open,
    moment,
    open_lives,
    ordered,
    shown_time,
)
from ceilometer_paas.config.load import Configuration, load
from ceilometer_paas.ledger.listing import Stated
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.ledger.usage import Scope
from ceilometer_paas.model import Account, Count, Statement, statement_id
from ceilometer_paas.reckon import OF_PROJECT, Reckoner

COLUMNS = ('id', 'meter', 'resource', 'project', 'state', 'begin', 'volume', 'revision', 'delivered_to')
MORE = ('type', 'unit', 'user', 'metadata')


class StatementList(LongLister):
    """List what is stated of what is settled: the samples that are made of it, as they are now.

    Begin is a sample's timestamp: the beginning of a segment, when a state turned, or, of a quantity, the end of the
    period. It was delivered to the publishers that were given it, in this revision.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('--meter', metavar='NAME', help='only statements of this meter')
        add_scope(parser)
        parser.add_argument('--begin', type=moment, metavar='TIME',
                            help='only what is stated of times from this one on (ISO 8601; UTC if it has no zone)')
        parser.add_argument('--end', type=moment, metavar='TIME', help='only what is stated of times before this one')
        parser.add_argument('--long', action='store_true', help=f'list {", ".join(MORE)} besides')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Stream:
        """Give a row for each statement: those of resources, then those of projects.

        :raises ValueError: the period ends before it begins
        """
        ordered(parsed_args.begin, parsed_args.end)
        config = load(self.app.conf)
        reckon = serve.reckoner(config)
        with ExitStack() as stack:
            ledger, beginning = stack.enter_context(open_lives(self.app.conf, serve.utcnow()))
            serve.settler(config, ledger).catch_up()
            scope = Scope(beginning, parsed_args.resource_type, parsed_args.resource, parsed_args.project)
            found = _listed(ledger, scope, reckon, (parsed_args.begin, parsed_args.end))
            rows = (_cells(statement, told, config) + (_more(statement) if parsed_args.long else ())
                    for statement, told in found if parsed_args.meter in (None, statement.meter))
            return COLUMNS + (MORE if parsed_args.long else ()), kept_open(stack.pop_all(), rows)


def _listed(ledger: Ledger, scope: Scope, reckon: Reckoner,
            period: tuple[datetime | None, datetime | None]) -> Iterator[tuple[Statement, list[str]]]:
    """Give what is stated, each with the publishers that were told so."""
    for stated, told in _in_scope(ledger, scope, reckon, period):
        accounts, counts = ([stated], []) if isinstance(stated, Account) else ([], [stated])
        for statement in reckon(accounts, counts):
            yield statement, told


def _in_scope(ledger: Ledger, scope: Scope, reckon: Reckoner,
              period: tuple[datetime | None, datetime | None]) -> Iterator[Stated]:
    """Give what is stated of a scope; where that is one resource, it may be what stands for a project."""
    yield from ledger.listed(scope, *period, reckon.as_before)
    project = scope.resource_id.removeprefix(OF_PROJECT) if scope.resource_id else None
    if project != scope.resource_id and scope.project_id in (None, project):
        whole = scope._replace(resource_id=None, project_id=project)
        yield from (one for one in ledger.listed(whole, *period, reckon.as_before) if isinstance(one[0], Count))


def _cells(statement: Statement, told: Iterable[str], config: Configuration) -> tuple[Any, ...]:
    others = {target.name for target in config.targets if not target.supports(statement.meter)}
    return (statement_id(statement.meter, statement.resource_id, statement.timestamp), statement.meter,
            statement.resource_id, statement.project_id, statement.metadata.get('state', ''),
            shown_time(times.from_micros(statement.timestamp)), statement.volume, statement.metadata['revision'],
            Words([name for name in told if name not in others]))


def _more(statement: Statement) -> tuple[Any, ...]:
    metadata = copy.deepcopy(statement.metadata)  # YAML would write what rows share as references
    return statement.type, statement.unit, statement.user_id, Size(metadata)
