# SPDX-License-Identifier: Apache-2.0
"""Samples, or events -> notifications of Ceilometer's ``notifier://`` form, each confirmed by the broker.

Ceilometer's publisher sends by oslo.messaging's Notifier, which logs a failure and returns; and when it does notice
one, it keeps them in memory, or drops them.
"""

import urllib.parse
from typing import Any

from ceilometer.publisher import messaging

from ceilometer_paas.publish.bus import Bus


class _Confirmed(messaging.NotifierPublisher):  # type: ignore[misc]
    """Ceilometer's, with its options, but a failure is raised.

    ``policy``, ``max_retry`` and ``max_queue_length`` have no effect: the ledger keeps what could not be sent.
    """

    def __init__(self, conf: Any, parsed_url: urllib.parse.SplitResult) -> None:
        super().__init__(conf, parsed_url)
        self._topics = self.notifier._topics
        # Ceilometer keeps transports by their URLs: that of no URL may be of an earlier configuration.
        url = self.notifier.transport._driver._url if parsed_url.netloc else None
        self._bus = Bus(conf, url, self.notifier.publisher_id)

    def _send(self, event_type: str, data: Any) -> None:
        for topic in self._topics:
            self._bus(topic, event_type, data)


class NotifierPublisher(_Confirmed, messaging.SampleNotifierPublisher):  # type: ignore[misc]
    """``notifier://`` for samples."""


class EventNotifierPublisher(_Confirmed, messaging.EventNotifierPublisher):  # type: ignore[misc]
    """``notifier://`` for events."""
