# SPDX-License-Identifier: Apache-2.0
"""``replay``: notifications in files, taken through the way in."""

import argparse
from collections.abc import Iterator, Sequence
from datetime import datetime

from cliff import lister
from rich import console, progress

from ceilometer_paas import replay, serve, times
from ceilometer_paas.cli.common import Columns, moment, open_ledger, passed, reading, shown_time
from ceilometer_paas.config.load import load
from ceilometer_paas.ledger.settling import Settled
from ceilometer_paas.ledger.store import Ledger


class Replay(lister.Lister):  # type: ignore[misc]
    """Take notifications in files of JSON lines (also .gz) through the way in, and count what became of them.

    A line is a notification, or a capture of a bus: {"exchange": ..., "routing_key": ..., "body": ...}. The ledger is
    filled, and what it knows of lives is settled up to the time of the latest message. Nothing is published without
    --publish, and samples not by an agent later either: what was seen once is a duplicate. What the messages change of
    what was stated to publishers before, the agent states to them anew.
    """

    _status = 0

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('file', nargs='+', help='a file of JSON lines')
        add_origin(parser)
        parser.add_argument('--begin', type=moment, metavar='TIME',
                            help='when a ledger begins that did not exist before (ISO 8601; UTC if it has no zone; '
                                 'default: at the time of the earliest message)')
        parser.add_argument('--no-settle', action='store_true',
                            help='settle nothing: an agent, or the command settle, will')
        parser.add_argument('--publish', action='store_true',
                            help='publish what is recorded and what is settled, as the pipeline says')
        parser.add_argument('--strict', action='store_true', help='exit with 1 if anything was quarantined')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Replay, and give the number of messages of each outcome.

        :raises OSError: a file cannot be read; if that is so from the start, nothing of the others is taken either
        :raises ValueError: the ledger cannot begin when it is told to; nothing is taken
        """
        now = serve.utcnow()
        passed('--begin', parsed_args.begin or now, now)
        for path in parsed_args.file:
            with reading(path) as stream:
                stream.read(1)
        config = load(self.app.conf)
        delivering = serve.Delivering(config) if parsed_args.publish else None
        route = replay.Router(config, endpoint=parsed_args.endpoint, exchange=parsed_args.exchange)
        with open_ledger(config.settings) as ledger:
            if parsed_args.begin is not None:
                _begin(ledger, parsed_args.begin, config.settings.begin)
            take = replay.Replay(route, serve.way_in(config, ledger, None if delivering else ()), clock=serve.utcnow,
                                 batch_size=config.settings.batch_size)
            take(self._items(parsed_args.file))
            self._note_earlier(take.earliest, config.settings.begin or ledger.begin(take.earliest or now))
            if delivering is not None:
                ledger.follow(target.name for target in config.targets)
            if take.latest is not None and not parsed_args.no_settle:
                self._note_settled(serve.settler(config, ledger).until(min(take.latest, now)))
        if delivering is not None:
            delivering.finish()
        counts = take.counts()
        if parsed_args.strict and any(outcome.startswith('quarantined') for outcome in counts):
            self._status = 1
        return ('outcome', 'code', 'messages'), [
            (kind, code.rstrip(')'), number) for (kind, _, code), number in
            sorted((outcome.partition('('), number) for outcome, number in counts.items())]

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run, and give the exit status that --strict asks for."""
        status: int = super().run(parsed_args)
        return status or self._status

    def _items(self, paths: Sequence[str]) -> Iterator[replay.Item]:
        bar = progress.Progress(console=console.Console(file=self.app.stderr), transient=True,
                                disable=not self.app.stderr.isatty())
        with bar:
            for path in paths:
                with reading(path, bar.open(path, 'rb', description=path)) as stream:
                    yield from replay.read(stream, path.endswith('.gz'))

    def _note_settled(self, settled: Settled | None) -> None:
        if settled is not None:
            begin, until = (shown_time(times.from_micros(time)) for time in (settled.begin, settled.new.until))
            print(f'note: settled from {begin} until {until}', file=self.app.stderr)

    def _note_earlier(self, earliest: datetime | None, began: datetime) -> None:
        if earliest is not None and earliest < began:
            print(f'note: lives are not stated before the ledger\'s beginning, {shown_time(began)}, and the earliest '
                  f'message is of {shown_time(earliest)}; [paas] begin moves it', file=self.app.stderr)


def _begin(ledger: Ledger, begin: datetime, configured: datetime | None) -> None:
    """Let the ledger begin, unless it has.

    :raises ValueError: it has, or is told to, at another time
    """
    if configured not in (None, begin):
        raise ValueError(f'--begin is {shown_time(begin)}, but [paas] begin is {shown_time(configured)}, and that is '
                         'what counts')
    began = ledger.begin(begin)
    if began != begin and configured is None:
        raise ValueError(f'--begin is {shown_time(begin)}, but the ledger began at {shown_time(began)} already; '
                         '[paas] begin moves it')


def add_origin(parser: argparse.ArgumentParser) -> None:
    """Add the options that tell where notifications came from."""
    parser.add_argument('--endpoint', metavar='NAME', help='the endpoint of the source map that they came from')
    parser.add_argument('--exchange', metavar='NAME', help='the exchange that bare notifications came from '
                                                           '(default: that of the queue which may speak of them)')
