# SPDX-License-Identifier: Apache-2.0
"""``replay``: notifications in files, taken through the way in."""

import argparse
from collections.abc import Iterator, Sequence

from cliff import lister
from rich import console, progress

from ceilometer_paas import replay, serve
from ceilometer_paas.cli.common import Columns, open_ledger, reading, shown_time
from ceilometer_paas.config.load import load


class Replay(lister.Lister):  # type: ignore[misc]
    """Take notifications in files of JSON lines (also .gz) through the way in, and count what became of them.

    A line is a notification, or a capture of a bus: {"exchange": ..., "routing_key": ..., "body": ...}. The ledger is
    filled; nothing is published without --publish, not by an agent later either: what was seen once is a duplicate.
    """

    _status = 0

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('file', nargs='+', help='a file of JSON lines')
        add_origin(parser)
        parser.add_argument('--publish', action='store_true', help='publish what is recorded, as the pipeline says')
        parser.add_argument('--strict', action='store_true', help='exit with 1 if anything was quarantined')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Replay, and give the number of messages of each outcome.

        :raises OSError: a file cannot be read; if that is so from the start, nothing of the others is taken either
        """
        for path in parsed_args.file:
            with reading(path) as stream:
                stream.read(1)
        config = load(self.app.conf)
        delivering = serve.Delivering(config) if parsed_args.publish else None
        route = replay.Router(config, endpoint=parsed_args.endpoint, exchange=parsed_args.exchange)
        with open_ledger(config.settings) as ledger:
            take = replay.Replay(route, serve.way_in(config, ledger, None if delivering else ()), clock=serve.utcnow,
                                 batch_size=config.settings.batch_size)
            take(self._items(parsed_args.file))
            began = config.settings.begin or ledger.begin(take.earliest or serve.utcnow())
        if take.earliest is not None and take.earliest < began:
            print(f'note: lives are not stated before the ledger\'s beginning, {shown_time(began)}, and the earliest '
                  f'message is of {shown_time(take.earliest)}; [paas] begin moves it', file=self.app.stderr)
        if delivering is not None:
            try:
                delivering.drain()
            finally:
                delivering.stop()
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


def add_origin(parser: argparse.ArgumentParser) -> None:
    """Add the options that tell where notifications came from."""
    parser.add_argument('--endpoint', metavar='NAME', help='the endpoint of the source map that they came from')
    parser.add_argument('--exchange', metavar='NAME', help='the exchange that bare notifications came from '
                                                           '(default: that of the queue which may speak of them)')
