# SPDX-License-Identifier: Apache-2.0
"""Samples -> notifications of Ceilometer's ``notifier://`` form, each confirmed by the broker.

Ceilometer's publisher sends by oslo.messaging's Notifier, which logs a failure and returns; and when it does notice
one, it keeps the samples in memory, or drops them.
"""

import urllib.parse
from typing import Any

from ceilometer.publisher import messaging

from ceilometer_paas.publish.bus import Bus


class NotifierPublisher(messaging.SampleNotifierPublisher):  # type: ignore[misc]
    """``notifier://``, with Ceilometer's options.

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
