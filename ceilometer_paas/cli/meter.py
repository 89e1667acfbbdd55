# SPDX-License-Identifier: Apache-2.0
"""``meter list``: the meter definitions in force."""

import argparse

from cliff import lister

from ceilometer_paas.cli.common import Columns, Lines, Words
from ceilometer_paas.config.load import load


class MeterList(lister.Lister):  # type: ignore[misc]
    """List the meter definitions, and the queues that may speak of each; one without a queue is inactive."""

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Give a row for each definition, in the order in which they are applied."""
        config = load(self.app.conf)
        return (('name', 'type', 'unit', 'event_types', 'queues', 'file', 'line'), [
            (meter.name, str(meter.cfg['type']), str(meter.cfg['unit']),
             Lines([pattern.pattern for pattern in meter.event_types]),
             Words(sorted(config.sources.queues_of(meter.name))), meter.file, meter.line)
            for meter in config.meters])
