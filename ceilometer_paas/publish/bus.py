# SPDX-License-Identifier: Apache-2.0
"""Samples -> the Ceilometer message bus, as the polling agent puts them there, each message confirmed by the broker.

Ceilometer's notification agent takes them up and publishes them by its own pipeline, their ids kept. oslo.messaging's
Notifier logs a failure and returns, so that the transport is used without it.
"""

import json
import urllib.parse
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import oslo_messaging
from ceilometer.publisher import utils
from ceilometer.sample import Sample
from oslo_messaging import exceptions
from oslo_utils import timeutils

from ceilometer_paas.config import broker

MAX_SIZE = 1 << 20
"""Bytes of JSON in one message at most, unless a single sample is larger. RabbitMQ refuses more than 16 MiB."""

_DRIVER = 'messagingv2'
_MANDATORY = oslo_messaging.TransportOptions(at_least_once=True)


class Bus:
    """Sends notifications, and returns when the broker has confirmed that they lie in a queue.

    :param url: a transport URL, text or parsed; None for the deployment's own
    :raises oslo_messaging.MessagingException: the URL cannot be used
    :raises ValueError: Ceilometer is set to send telemetry by another driver than oslo.messaging's
    """

    def __init__(self, conf: Any, url: Any, publisher_id: str) -> None:
        if conf.publisher_notifier.telemetry_driver != _DRIVER:
            raise ValueError(f'[publisher_notifier] telemetry_driver must be {_DRIVER}')
        self._conf, self._url, self._publisher_id = conf, url, publisher_id
        self._transport = self._open()
        self._can_return = url_scheme(self._transport) in ('rabbit', 'kombu')
        self._declared: set[str] = set()

    def __call__(self, topic: str, event_type: str, payload: Any) -> None:
        """Send one notification of priority ``sample``.

        :raises Exception: whatever oslo.messaging and what lies below it raise; nothing was confirmed then
        """
        message = {'message_id': str(uuid.uuid4()), 'publisher_id': self._publisher_id, 'event_type': event_type,
                   'priority': 'SAMPLE', 'payload': payload, 'timestamp': str(timeutils.utcnow())}
        target = oslo_messaging.Target(topic=f'{topic}.sample')
        try:
            if topic not in self._declared or not self._send_to_queue(target, message):
                self._transport._send_notification(target, {}, message, version=2.0, retry=0)  # declares the queue
        except Exception:
            self._reconnect()
            raise
        if self._can_return:
            self._declared.add(topic)

    def _send_to_queue(self, target: Any, message: dict[str, Any]) -> bool:
        """Send, and tell whether there was a queue to take the message."""
        try:
            self._transport._send(target, {}, dict(message), retry=0, transport_options=_MANDATORY)
        except exceptions.MessageUndeliverable:
            # The broker still owes a confirm to this connection, which would be taken for that of its next message;
            # and it remembers to have declared the queue that is gone.
            self._reconnect()
            return False
        return True

    def _reconnect(self) -> None:
        old, self._transport = self._transport, self._open()
        self._declared.clear()
        old.cleanup()

    def _open(self) -> Any:
        return oslo_messaging.get_notification_transport(self._conf, url=self._url)


class BusPublisher:
    """``paasbus://``: the bus of ``[DEFAULT] transport_url``; ``paasbus://user:password@host:port/vhost``: another one.

    ``?topic=`` replaces ``[oslo_messaging_notifications] topics``; whatever else stands in the query is
    oslo.messaging's.
    """

    def __init__(self, conf: Any, parsed_url: urllib.parse.SplitResult) -> None:
        url, topics = broker.read_bus(parsed_url)
        self._send = Bus(conf, url, 'ceilometer.paas')
        self._topics: Sequence[str] = topics or conf.oslo_messaging_notifications.topics
        self._secret = conf.publisher.telemetry_secret
        self._count = conf.polling.batch_size or 1

    def publish_samples(self, samples: list[Sample]) -> None:
        """Send the samples, some in each message."""
        meters = [utils.meter_message_from_counter(sample, self._secret) for sample in samples]
        for some in list(_split(meters, self._count)):
            for topic in self._topics:
                self._send(topic, 'telemetry.polling', {'samples': some})


def url_scheme(transport: Any) -> str:
    """Return the scheme of a transport's URL."""
    scheme: str = transport._driver._url.transport
    return scheme


def _split(meters: Sequence[dict[str, Any]], count: int) -> Iterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    size = 0
    for meter in meters:
        length = len(json.dumps(meter))
        if part and (len(part) == count or size + length > MAX_SIZE):
            yield part
            part, size = [], 0
        part.append(meter)
        size += length
    if part:
        yield part
