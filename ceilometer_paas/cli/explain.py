# SPDX-License-Identifier: Apache-2.0
"""``explain``: what would become of each notification in a file, and why."""

import argparse
import functools
from collections.abc import Iterable
from typing import Any

from cliff import lister

from ceilometer_paas.cli.common import Columns, Lines, reading
from ceilometer_paas.cli.replay import add_origin
from ceilometer_paas.collect import NO_DEFINITION, printable
from ceilometer_paas.config.load import Configuration, load
from ceilometer_paas.config.sources import Queue
from ceilometer_paas.decode import Decoder
from ceilometer_paas.errors import Refused
from ceilometer_paas.model import RECORDED, Outcome, Reading
from ceilometer_paas.replay import Item, Router, read
from ceilometer_paas.translate import Translator

COLUMNS = ('line', 'message_id', 'event_type', 'queue', 'outcome', 'code', 'reason', 'definitions', 'samples')


class Explain(lister.Lister):  # type: ignore[misc]
    """Explain each notification in a file: its queue, its outcome, the definitions that match it, its samples.

    The file is as for replay. The ledger is not looked at, so that nothing is a duplicate.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the file."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('file', help='a file of JSON lines')
        add_origin(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Give a row for each line."""
        config = load(self.app.conf)
        route = Router(config.sources, config.meters, endpoint=parsed_args.endpoint, exchange=parsed_args.exchange)
        explain = Explainer(config)
        with reading(parsed_args.file) as stream:
            return COLUMNS, [explain(item, route(item)) for item in read(stream, parsed_args.file.endswith('.gz'))]


class Explainer:
    """Decodes and translates as collecting does, and tells what it sees."""

    def __init__(self, config: Configuration) -> None:
        settings = config.settings
        self._translate = Translator(config.meters, config.sources.queues_of, settings.max_metrics)
        self._decoder = functools.cache(
            lambda message_format: Decoder(message_format, settings.max_message_size, settings.max_metrics))

    def __call__(self, item: Item, queue: Queue) -> tuple[Any, ...]:
        """Explain one line."""
        message = item.envelope.message if isinstance(item.envelope.message, dict) else {}
        event_type = message.get('event_type')
        matching = self._translate.matching(event_type) if isinstance(event_type, str) else ()
        readings: tuple[Reading, ...] = ()
        try:
            if item.refused is not None:
                raise item.refused
            readings = self._translate(self._decoder(queue.format)(item.envelope), queue.name)
            outcome = RECORDED if readings else NO_DEFINITION
        except Refused as refused:
            outcome = Outcome('quarantined', refused.code, refused.reason)
        return (item.line, _shown(message.get('message_id')), _shown(event_type), queue.name, outcome.kind,
                outcome.code, printable(outcome.reason),
                Lines([f'{meter.name} ({meter.file}:{meter.line})' for meter in matching]), Lines(_samples(readings)))


def _shown(value: object) -> str | None:
    return None if value is None else printable(str(value))


def _samples(readings: Iterable[Reading]) -> list[dict[str, Any]]:
    return [{'name': amount.name, 'volume': amount.volume, 'unit': amount.unit, 'resource_id': reading.resource_id,
             'project_id': reading.project_id} for reading in readings for amount in reading.amounts]
