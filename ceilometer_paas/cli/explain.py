# SPDX-License-Identifier: Apache-2.0
"""``explain``: what would become of each notification in a file, and why."""

import argparse
import functools
from collections.abc import Iterable
from typing import Any

from cliff import lister

from ceilometer_paas import serve, times
from ceilometer_paas.cli.common import Columns, Lines, reading
from ceilometer_paas.cli.replay import add_origin
from ceilometer_paas.collect import NO_DEFINITION
from ceilometer_paas.config.load import Configuration, load
from ceilometer_paas.config.sources import Queue
from ceilometer_paas.decode import Decoder
from ceilometer_paas.errors import Refused, printable
from ceilometer_paas.model import RECORDED, Fact, Outcome, Reading
from ceilometer_paas.replay import Item, Router, read
from ceilometer_paas.translate import Translator

COLUMNS = ('line', 'message_id', 'event_type', 'queue', 'outcome', 'code', 'reason', 'definitions', 'samples',
           'facts')


class Explain(lister.Lister):  # type: ignore[misc]
    """Explain each notification in a file: its queue, its outcome, the definitions that match it, samples and facts.

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
        route = Router(config, endpoint=parsed_args.endpoint, exchange=parsed_args.exchange)
        explain = Explainer(config)
        with reading(parsed_args.file) as stream:
            return COLUMNS, [explain(item, route(item)) for item in read(stream, parsed_args.file.endswith('.gz'))]


class Explainer:
    """Decodes, translates and observes as collecting does, and tells what it sees."""

    def __init__(self, config: Configuration) -> None:
        settings = config.settings
        self._lifecycles = config.lifecycles
        self._observe = serve.observer(config)
        self._translate = Translator(config.meters, config.sources.queues_of, settings.max_metrics)
        self._decoder = functools.cache(
            lambda message_format: Decoder(message_format, settings.max_message_size, settings.max_metrics))

    def __call__(self, item: Item, queue: Queue) -> tuple[Any, ...]:
        """Explain one line."""
        message = item.envelope.message if isinstance(item.envelope.message, dict) else {}
        event_type = message.get('event_type')
        matching = self._matching(event_type, queue.format) if isinstance(event_type, str) else []
        readings: tuple[Reading, ...] = ()
        facts: tuple[Fact, ...] = ()
        try:
            if item.refused is not None:
                raise item.refused
            notification = self._decoder(queue.format)(item.envelope)
            readings = self._translate(notification, queue.name)
            facts = self._observe(notification, queue.name, times.to_micros(serve.utcnow()))
            outcome = RECORDED if readings or facts else NO_DEFINITION
        except Refused as refused:
            outcome = Outcome('quarantined', refused.code, refused.reason)
        return (item.line, _shown(message.get('message_id')), _shown(event_type), queue.name, outcome.kind,
                outcome.code, printable(outcome.reason),
                Lines(matching), Lines(_samples(readings)), Lines(_facts(facts)))

    def _matching(self, event_type: str, message_format: str) -> list[str]:
        """Name the definitions that speak of a type of event."""
        lifecycles = [one for one in self._lifecycles if one.format == message_format and one.matches(event_type)]
        return [f'{meter.name} ({meter.file}:{meter.line})' for meter in self._translate.matching(event_type)] + [
            f'{one.type_name or "lifecycle"} ({one.file}:{one.line})' for one in lifecycles]


def _shown(value: object) -> str | None:
    return None if value is None else printable(str(value))


def _samples(readings: Iterable[Reading]) -> list[dict[str, Any]]:
    return [{'name': amount.name, 'volume': amount.volume, 'unit': amount.unit, 'resource_id': reading.resource_id,
             'project_id': reading.project_id} for reading in readings for amount in reading.amounts]


def _facts(facts: Iterable[Fact]) -> list[dict[str, Any]]:
    return [{'kind': fact.kind, 'resource_type': fact.resource_type, 'resource_id': fact.resource_id,
             'state': fact.state, 'time': times.from_micros(fact.time).isoformat()} for fact in facts]
