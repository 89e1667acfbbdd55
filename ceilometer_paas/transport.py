# SPDX-License-Identifier: Apache-2.0
"""An endpoint's URL -> an oslo.messaging transport, and whether its broker answers."""

import contextlib
from collections.abc import Iterator
from typing import Any

import amqp
import kombu
import kombu.exceptions
import oslo_messaging
from oslo_messaging.notify import notifier

from ceilometer_paas.errors import Unavailable
from ceilometer_paas.model import Envelope

_FAILURES = (oslo_messaging.MessagingException, kombu.exceptions.KombuError, amqp.AMQPError, OSError)


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """Turn what fails between a broker and us into :exc:`Unavailable`."""
    try:
        yield
    except _FAILURES as error:
        raise Unavailable(f'{type(error).__name__}: {error}') from None


def open_transport(conf: Any, url: str | None, prefetch: int | None = None) -> Any:
    """Make a transport of its own; nothing is connected yet.

    :param url: None for the deployment's own (``[oslo_messaging_notifications] transport_url``, else ``[DEFAULT]``)
    :param prefetch: messages that a RabbitMQ broker hands over before the first is acknowledged
    """
    if url is None:
        # Registers the option that it reads; its transport is dropped unconnected.
        notifier.get_notification_transport(conf).cleanup()
        url = conf.oslo_messaging_notifications.transport_url
    parsed = oslo_messaging.TransportURL.parse(conf, url)
    if prefetch is not None and is_rabbit(parsed):
        parsed.query.setdefault('rabbit_qos_prefetch_count', str(prefetch))
    return oslo_messaging.get_notification_transport(conf, url=parsed)


def is_rabbit(url: Any) -> bool:
    """Tell whether a transport URL is one of RabbitMQ."""
    return url.transport in ('rabbit', 'kombu')


def send(transport: Any, exchange: str, topic: str, envelope: Envelope, *, version: float = 2.0) -> None:
    """Send a notification as it is, its message id kept; oslo.messaging's Notifier would give it another.

    :param topic: with the priority, as in ``notifications.info``
    :param version: of oslo.messaging's envelope: 1.0 (none) or 2.0
    :raises Unavailable: the broker did not take it
    """
    target = oslo_messaging.Target(exchange=exchange, topic=topic)
    with failures():
        transport._send_notification(target, dict(envelope.context), dict(envelope.message), version=version, retry=2)


def probe(transport: Any) -> None:
    """Connect and log in once; drivers without connections (``fake://``) always answer.

    :raises Unavailable: no broker answers, or it refuses the login
    """
    if hasattr(transport._driver, '_connection_pool'):
        with broker_connection(transport):
            pass


@contextlib.contextmanager
def broker_connection(transport: Any) -> Iterator[kombu.Connection]:
    """Open a connection of one's own to a transport's RabbitMQ broker, below oslo.messaging.

    It is configured (TLS, login, several hosts) as the transport's own connections are.

    :raises Unavailable: no broker answers, it refuses the login, or the connection breaks in the body of the ``with``
    """
    with failures():
        # One of the pool's connections would stay open for as long as the transport does.
        with contextlib.closing(transport._driver._connection_pool.create(retry=0)) as model:
            clone = model.connection.clone()
        with clone as connection:
            connection.connect()
            yield connection


def depth(connection: kombu.Connection, name: str) -> tuple[int, int] | None:
    """Tell how many messages wait in a RabbitMQ queue, and how many consumers it has; None if there is no such queue.

    Nothing is declared. Messages that a consumer has and has not acknowledged do not wait.

    :raises Unavailable: the broker does not tell
    """
    with failures(), connection.channel() as channel:
        try:
            found = channel.queue_declare(name, passive=True)
        except amqp.NotFound:
            return None
    return found.message_count, found.consumer_count


def drain(connection: kombu.Connection, seconds: float) -> None:
    """Have a connection's consumers called for what arrives within some seconds."""
    with contextlib.suppress(TimeoutError):
        connection.drain_events(timeout=seconds)
    connection.heartbeat_check()
