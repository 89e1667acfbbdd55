# SPDX-License-Identifier: Apache-2.0
"""One private RabbitMQ for the whole test process, and a fresh vhost for each test.

The first call starts the broker (some four seconds); it stops with the process. Everything of it lives in a temporary
directory and on free ports of 127.0.0.1, the Erlang port mapper included, so that it meets no other broker, and a plain
user can run it as well as root::

    class TestSomething(unittest.TestCase):
        def setUp(self):
            self.vhost = rabbit.vhost(self)
            self.url = rabbit.url(self.vhost)
"""

import atexit
import functools
import logging
import os
import secrets
import shlex
import socket
import subprocess
import unittest
from typing import Any

from pifpaf.drivers import rabbitmq

# A connection that a test leaves open says, into whatever another test looks at, that its vhost is gone.
logging.getLogger('oslo.messaging._drivers.impl_rabbit').addFilter(
    lambda record: 'heartbeat thread processing' not in record.getMessage())

_NODE = 'paas@localhost'
_ON_LOOPBACK = '-kernel inet_dist_use_interface {127,0,0,1}'
# Debian's commands in /usr/sbin are wrappers that insist on root or on the user rabbitmq: the real ones are here.
_PATH = ['/usr/lib/rabbitmq/bin', '/usr/lib/rabbitmq/sbin', '/usr/local/sbin', '/usr/sbin']


class _Driver(rabbitmq.RabbitMQDriver):
    """pifpaf's driver, kept from every default that it would share with another broker on this machine."""

    def __init__(self) -> None:
        amqp, self.epmd, dist = _free_ports(3)
        super().__init__(port=amqp, nodename=_NODE.partition('@')[0], password=secrets.token_hex(8))
        self._path = _PATH
        self.private = {
            'ERL_EPMD_ADDRESS': '127.0.0.1',
            'ERL_EPMD_PORT': str(self.epmd),
            'RABBITMQ_DIST_PORT': str(dist),
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': _ON_LOOPBACK,
            'RABBITMQ_CTL_ERL_ARGS': _ON_LOOPBACK,
            'RABBITMQ_CONF_ENV_FILE': os.devnull,
        }

    def _setUp(self) -> None:
        self.addCleanup(self._stop_epmd)  # the last to run: epmd stays as long as a node is known to it
        super()._setUp()

    def _exec(self, command: list[str], *args: Any, env: dict[str, str] | None = None, **kwargs: Any) -> Any:
        return super()._exec(command, *args, env={**(env or {}), **self.private, **self._config()}, **kwargs)

    def _config(self) -> dict[str, str]:
        path = os.path.join(self.tempdir, 'rabbitmq.conf')
        if not os.path.exists(path):
            with open(path, 'w') as file:
                file.write(f'listeners.tcp.default = 127.0.0.1:{self.port}\ndisk_free_limit.absolute = 50MB\n')
        return {'RABBITMQ_CONFIG_FILE': path.removesuffix('.conf')}

    def _stop_epmd(self) -> None:
        subprocess.run(['epmd', '-port', str(self.epmd), '-kill'], check=False, capture_output=True)

    def environment(self) -> dict[str, str]:
        return {**self.env, **self.private, 'PATH': os.pathsep.join([*_PATH, os.environ.get('PATH', os.defpath)])}

    def command(self, *args: str) -> str:
        done = subprocess.run(['rabbitmqctl', '--quiet', '-n', _NODE, *args], env={**os.environ, **self.environment()},
                              check=False, text=True, capture_output=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f'rabbitmqctl {args[0]}: {done.stdout}{done.stderr}')
        return done.stdout


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@functools.cache
def _broker() -> _Driver:
    logging.getLogger('pifpaf').setLevel(logging.ERROR)  # it warns of every process that has ended by itself
    driver, owner = _Driver(), os.getpid()
    driver.setUp()

    def stop() -> None:
        if os.getpid() == owner:  # not in a child that this process forked
            driver.cleanUp()

    atexit.register(stop)
    return driver


def rabbitmqctl(*args: str) -> str:
    """Run ``rabbitmqctl`` on the broker and return what it prints.

    ``stop_app`` and ``start_app`` let the broker go down and come back; queues that are not durable are lost.

    :raises RuntimeError: it failed; carries what it printed
    """
    return _broker().command(*args)


def script(name: str) -> str:
    """Write a shell script that is ``rabbitmqctl`` to those for whom a vhost is the broker's default one, ``/``."""
    environment = shlex.join(f'{key}={value}' for key, value in _broker().environment().items())
    return f"""#!/bin/bash
for word; do
    [[ "$word" == / ]] && word={name}
    words+=("$word")
done
exec env {environment} rabbitmqctl -n {_NODE} "${{words[@]}}"
"""


def vhost(test: unittest.TestCase) -> str:
    """Make a vhost for one test; it is deleted, with all its queues, when the test ends."""
    name = f'test-{secrets.token_hex(4)}'
    rabbitmqctl('add_vhost', name)
    test.addCleanup(rabbitmqctl, 'delete_vhost', name)
    rabbitmqctl('set_permissions', '-p', name, _broker().username, '.*', '.*', '.*')
    return name


def url(name: str, scheme: str = 'rabbit') -> str:
    """Return the transport URL of a vhost."""
    broker = _broker()
    return f'{scheme}://{broker.username}:{broker.password}@127.0.0.1:{broker.port}/{name}'


def queues(name: str) -> dict[str, tuple[int, int]]:
    """Return the queues of a vhost: name -> (messages, ready or not yet acknowledged, and consumers)."""
    table = rabbitmqctl('list_queues', '-p', name, '--no-table-headers', 'name', 'messages', 'consumers')
    rows = (line.split('\t') for line in table.splitlines())
    return {queue: (int(messages), int(consumers)) for queue, messages, consumers in rows}
