# SPDX-License-Identifier: Apache-2.0
"""``simulate``: a small cloud's day, published to a broker."""

import argparse
import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from cliff import lister

from ceilometer_paas import decode, serve, simulate, times, transport
from ceilometer_paas.cli.common import Columns, at_least, reading
from ceilometer_paas.config import broker
from ceilometer_paas.errors import Unavailable


class Simulate(lister.Lister):  # type: ignore[misc]
    """Publish to a broker what a small cloud's services would send in a day.

    The same --seed and --begin give the same messages, ids included: sent again, they are duplicates. Who listens on
    that broker takes them for real.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        where = parser.add_mutually_exclusive_group()
        where.add_argument('--transport-url', metavar='URL', help='the broker (default: that of ceilometer.conf)')
        where.add_argument('--url-file', metavar='PATH',
                           help='a file that holds the URL, so that its password is in no list of processes')
        add_day(parser)
        parser.add_argument('--begin', type=_day, metavar='DATE', help='the day, in UTC (default: yesterday)')
        parser.add_argument('--rate', type=at_least(float, 0), default=0.0, metavar='N',
                            help='messages per second (default: 0, as fast as the broker takes them)')
        parser.add_argument('--envelope', choices=('v1', 'v2'), default='v2',
                            help='oslo.messaging\'s message format (default: v2, as messagingv2 sends)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Publish, and give the number of messages by exchange.

        :raises ValueError: the URL is none
        :raises Unavailable: the broker cannot be reached, or stops taking messages
        """
        url = parsed_args.transport_url
        if parsed_args.url_file:
            with reading(parsed_args.url_file) as stream:
                url = stream.read().decode(errors='replace').strip()
        try:
            if url == '':
                raise ValueError('is empty')
            broker.parse(self.app.conf, url)
        except ValueError as error:
            raise ValueError(f'the URL {error}') from None
        opened = transport.open_transport(self.app.conf, url)
        sent: Counter[str] = Counter()
        try:
            _probe(opened)
            begin = parsed_args.begin or _midnight(serve.utcnow() - timedelta(days=1))
            start = time.monotonic()
            for number, message in enumerate(simulate.cloud_day(parsed_args.seed, begin, servers=parsed_args.vms)):
                if parsed_args.rate:
                    time.sleep(max(0.0, start + number / parsed_args.rate - time.monotonic()))
                send(opened, message, version=float(parsed_args.envelope[1:]))
                sent[message.exchange] += 1
        finally:
            opened.cleanup()
        return ('exchange', 'messages'), sorted(sent.items())


def add_day(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a day."""
    parser.add_argument('--seed', type=int, default=1, help='chooses all ids and volumes (default: 1)')
    parser.add_argument('--vms', type=at_least(int, 0), default=simulate.SERVERS, metavar='N',
                        help='how many servers there are (default: %(default)s)')


def send(opened: Any, message: simulate.Message, *, version: float = 2.0) -> None:
    """Send one simulated message."""
    transport.send(opened, message.exchange, f'{message.topic}.{message.priority}',
                   decode.split_context(message.body, 0), version=version)


def _probe(opened: Any) -> None:
    try:
        transport.probe(opened)
    except Unavailable as error:
        raise Unavailable(f'the broker cannot be reached: {error}') from None


def _day(text: str) -> datetime:
    try:
        return times.parse_utc(f'{text}T00:00')
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not a date, such as 2026-03-10') from None


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)
