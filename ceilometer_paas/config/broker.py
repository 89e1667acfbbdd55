# SPDX-License-Identifier: Apache-2.0
"""A transport URL -> which broker it names, after a check of all that oslo.messaging would refuse only later."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any
from urllib import parse as urls

import oslo_messaging
from oslo_messaging import opts as messaging_opts

from ceilometer_paas.config.reader import did_you_mean, shown

PRIORITIES = ('audit', 'critical', 'debug', 'error', 'info', 'sample', 'warn')
"""The priorities of oslo.messaging's notifications; each is an AMQP queue of its own behind a topic."""

_GROUPS = {'rabbit': 'oslo_messaging_rabbit', 'kombu': 'oslo_messaging_rabbit', 'kafka': 'oslo_messaging_kafka'}
_AMQP_PORT = 5672


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a URL leads, without its secrets.

    :ivar group: the driver, as the group of its options
    :ivar hosts: host and port of each node that the URL names
    """

    group: str
    virtual_host: str
    hosts: frozenset[tuple[str, int]]

    @property
    def is_rabbit(self) -> bool:
        """Whether it is a RabbitMQ."""
        return self.group == 'oslo_messaging_rabbit'

    def is_same(self, other: 'Broker') -> bool:
        """Tell whether two URLs lead to one virtual host: they may name different nodes of a cluster."""
        return ((self.group, self.virtual_host) == (other.group, other.virtual_host)
                and not self.hosts.isdisjoint(other.hosts))


def parse(conf: Any, url: str | None) -> Broker:
    """Check a transport URL.

    :param conf: Ceilometer's configuration
    :param url: None for the deployment's own (``[oslo_messaging_notifications] transport_url``, else ``[DEFAULT]``)
    :raises ValueError: what is wrong with it, to be read after 'the URL'; without the URL, which holds a password
    """
    url = url or _notifications(conf).transport_url or None
    try:
        # A password with a / or # in it ends the authority early; its rest would be taken for a virtual host.
        if '@' in ''.join(urls.urlsplit(url or '')[2:]):
            raise ValueError
        parsed = oslo_messaging.TransportURL.parse(conf, url)
    except (oslo_messaging.InvalidTransportURL, ValueError):
        raise ValueError('is no transport URL; write driver://user:password@host:port/virtual_host, '
                         'with / ? # % @ in a password as %2F %3F %23 %25 %40') from None
    if parsed.transport not in _drivers():
        meant = did_you_mean(parsed.transport, _drivers()) or f'there are {", ".join(_drivers())}'
        raise ValueError(f'names no driver of oslo.messaging; {meant}')
    group = _GROUPS.get(parsed.transport, parsed.transport)
    _check_query(parsed.query, group)
    hosts = frozenset((host.hostname or 'localhost', host.port or _AMQP_PORT) for host in parsed.hosts)
    return Broker(group, parsed.virtual_host or '/', hosts or frozenset({('localhost', _AMQP_PORT)}))


def read_bus(parsed: urls.SplitResult) -> tuple[str | None, list[str] | None]:
    """Read the URL of a ``paasbus://`` publisher.

    :return: the transport URL that it stands for, None for the deployment's own; and the topics, None for those of
        ``[oslo_messaging_notifications]``
    :raises ValueError: it has what only a URL with a host may have
    """
    query = urls.parse_qs(parsed.query, keep_blank_values=True)
    topics = query.pop('topic', None)
    if parsed.netloc:
        return urls.urlunsplit(('rabbit', parsed.netloc, parsed.path, urls.urlencode(query, doseq=True), '')), topics
    if query or parsed.path:
        raise ValueError('a URL without a host has neither a virtual host nor options but topic')
    return None, topics


def agents_queues(conf: Any) -> frozenset[str]:
    """Name the AMQP queues that Ceilometer's notification agent consumes."""
    return frozenset(f'{topic}.{priority}' for topic in _notifications(conf).topics for priority in PRIORITIES)


def agents_brokers(conf: Any) -> Iterator[Broker]:
    """Find the brokers on which it does; a URL that is wrong is the agent's matter."""
    try:
        urls_of_agent = conf.notification.messaging_urls or [None]
    except AttributeError:  # what oslo.config raises for a value with the name of an option that there is not
        return
    for url in urls_of_agent:
        try:
            yield parse(conf, url)
        except ValueError:
            continue


def _check_query(query: dict[str, str], group: str) -> None:
    """Check what a URL's query sets, as the driver does when it is made."""
    known = {opt.dest: opt for opt in _options().get(group, ())}
    for name, text in query.items():
        if known and name not in known:
            raise ValueError(f'sets {shown(name)}, which is no option of [{group}]; '
                             f'{did_you_mean(name, known) or "see the documentation of oslo.messaging"}')
        try:
            known[name].type(text) if known else text
        except ValueError as error:
            raise ValueError(f'sets {name} to what it cannot be: {error}') from None


def _notifications(conf: Any) -> Any:
    """Read ``[oslo_messaging_notifications]``, which oslo.messaging itself registers late."""
    group = 'oslo_messaging_notifications'
    conf.register_opts(_options()[group], group=group)
    return conf[group]


@functools.cache
def _drivers() -> list[str]:
    return sorted(point.name for point in metadata.entry_points(group='oslo.messaging.drivers'))


@functools.cache
def _options() -> dict[str | None, list[Any]]:
    return dict(messaging_opts.list_opts())
