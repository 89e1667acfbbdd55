# SPDX-License-Identifier: Apache-2.0
"""``[paas] sample_endpoint``: what the agent's own bus brings -> our ledger, beside the agent's ``meter`` pipeline.

The agent hands over messages without saying from which exchange they came. A message is taken as one of the queue that
would get a copy of it and may speak of what it says, so that the same message by another door is a duplicate.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ceilometer_paas.config import options
from ceilometer_paas.config.sources import shared_with_agent
from ceilometer_paas.listen import Handler
from ceilometer_paas.model import Envelope
from ceilometer_paas.plugin import worker
from ceilometer_paas.serve import utcnow


class SampleEndpoint:
    """An endpoint with a method for each priority that our queues take; with none unless it is asked for.

    :param conf: Ceilometer's
    :param publisher: not used: what is recorded leaves by our own pipeline
    :raises SystemExit: the configuration cannot be used
    """

    def __init__(self, conf: Any, publisher: Any) -> None:
        if not options.has_sample_endpoint(conf):
            return
        self._worker = worker.join(conf)
        queues = shared_with_agent(self._worker.configuration.sources, conf)
        self._handlers = [self._worker.collecting.handler(queue) for queue in queues]
        for priority in {priority for queue in queues for priority in queue.priorities}:
            setattr(self, priority, functools.partial(self._take, priority))

    def _take(self, priority: str, notifications: Sequence[Mapping[str, Any]]) -> None:
        """Collect notifications, as oslo.messaging's dispatcher hands them over.

        :raises Stopping: the worker stops before they could be recorded
        """
        for notification in notifications:
            envelope = _envelope(notification, priority)
            self._worker.collect(self._choose(envelope, priority), [envelope])

    def _choose(self, envelope: Envelope, priority: str) -> Handler:
        """Choose the queue that a message is of: the first one that may speak of it, else the first of its priority."""
        possible = [handle for handle in self._handlers if priority in handle.collect.queue.priorities]
        now = utcnow()
        try:
            return next((handle for handle in possible if handle.collect.claims(envelope, now)), possible[0])
        except Exception:  # noqa: BLE001 - whatever this package fails at, the handler quarantines; Ceilometer would loop
            return possible[0]


def _envelope(notification: Mapping[str, Any], priority: str) -> Envelope:
    message = {**notification['metadata'], 'priority': priority,
               **{name: notification[name] for name in ('event_type', 'payload', 'publisher_id')}}
    return Envelope(notification['ctxt'], message, _size(message))


def _size(message: Mapping[str, Any]) -> int:
    """Measure a message; what cannot be written is nested too deeply, which is for whoever decodes it to refuse."""
    try:
        return len(json.dumps(message))
    except RecursionError:
        return 0
