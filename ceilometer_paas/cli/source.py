# SPDX-License-Identifier: Apache-2.0
"""``source list``: the queues of the source map, and what each may speak of."""

import argparse

from cliff import lister

from ceilometer_paas.cli.common import Columns, Words
from ceilometer_paas.config.load import load


class SourceList(lister.Lister):  # type: ignore[misc]
    """List the queues that are listened on, and the metric types that are mapped to them."""

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Give a row for each queue, in the order of the source map."""
        sources = load(self.app.conf).sources
        mapped = {name: [pattern for pattern, names in sources.metric_types.items() if name in names]
                  for name in sources.queues}
        return (('queue', 'endpoint', 'exchange', 'topic', 'priorities', 'format', 'own_topic', 'metric_types'), [
            (queue.name, queue.endpoint.name, queue.exchange, queue.topic, Words(list(queue.priorities)), queue.format,
             queue.own_topic, Words(mapped[queue.name]))
            for queue in sources.queues.values()])
