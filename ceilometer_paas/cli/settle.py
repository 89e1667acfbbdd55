# SPDX-License-Identifier: Apache-2.0
"""``settle``: what is over is settled, and what is otherwise than it was stated is restated."""

import argparse
from datetime import timedelta
from typing import Any

from cliff import show

from ceilometer_paas import serve, times
from ceilometer_paas.cli.common import moment, open_ledger, passed, shown_time
from ceilometer_paas.config.load import load
from ceilometer_paas.ledger.periods import Calendar
from ceilometer_paas.ledger.settling import Settled

FIELDS = ('begin', 'until', 'period', 'periods', 'restated')


class Settle(show.ShowOne):  # type: ignore[misc]
    """Settle the periods that are over, and restate what was learnt of earlier ones since.

    What was collected is taken in first. The agent does the same by itself; it publishes what is settled here, too,
    unless --publish does.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('--until', type=moment, metavar='TIME',
                            help='settle the periods that ended by this time, whatever [paas] grace (ISO 8601; UTC if '
                                 'it has no zone; default: those that ended as long ago as grace)')
        parser.add_argument('--publish', action='store_true',
                            help='publish, as the pipeline says, all that waits and what is settled')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Settle, and give what was settled.

        :raises ValueError: the time is in the future
        """
        now = serve.utcnow()
        passed('--until', parsed_args.until or now, now)
        config = load(self.app.conf)
        until = parsed_args.until or now - timedelta(seconds=config.settings.grace)
        delivering = serve.Delivering(config) if parsed_args.publish else None
        with open_ledger(config.settings) as ledger:
            ledger.follow(target.name for target in config.targets)
            settler = serve.settler(config, ledger)
            restated = settler.catch_up()
            settled = settler.until(until)
            all_until = ledger.settled()
            if settled is not None:
                self._tell_length(settled)
            elif config.settings.begin or ledger.began():
                self._note(f'nothing was due: every period that ended by {shown_time(until)} is settled')
            else:
                self._note('nothing was due: the ledger has not begun')
        if delivering is not None:
            delivering.finish()
        return FIELDS, (*_values(settled, shown_time(all_until)), restated)

    def _tell_length(self, settled: Settled) -> None:
        if settled.last is not None and settled.last.seconds != settled.new.seconds:
            self._note(f'from {shown_time(times.from_micros(settled.begin))} on periods have {settled.new.seconds} s, '
                       f'and no longer {settled.last.seconds} s')

    def _note(self, text: str) -> None:
        print(f'note: {text}', file=self.app.stderr)


def _values(settled: Settled | None, until: str | None) -> tuple[Any, ...]:
    if settled is None:
        return None, until, None, 0
    periods = Calendar([settled.new]).periods(settled.begin, settled.new.until)
    return shown_time(times.from_micros(settled.begin)), until, settled.new.seconds, sum(1 for _ in periods)
