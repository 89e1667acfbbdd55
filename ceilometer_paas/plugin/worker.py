# SPDX-License-Identifier: Apache-2.0
"""A worker of ``ceilometer-agent-notification`` -> our part of it, which all doors share: the ledger, the threads.

It begins when the first door is opened, and ends with the worker: on SIGTERM, and on SIGHUP, after which a new worker
reads everything again. Should the worker be killed, what was not acknowledged comes again and is recognised.
"""

import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent import futures
from typing import Any, NoReturn

from ceilometer.notification import NotificationService

from ceilometer_paas.config import doors
from ceilometer_paas.config.load import Configuration, load
from ceilometer_paas.errors import ConfigError
from ceilometer_paas.listen import Handler
from ceilometer_paas.model import RETRIED, Envelope
from ceilometer_paas.publish.load import load_publishers
from ceilometer_paas.serve import Collecting, Delivering, open_once

LOG = logging.getLogger(__name__)

_POLL = 0.2
"""Seconds between two looks whether the worker stops, while the ledger is waited for."""

_FAILED = 'ceilometer_paas failed to start'
_LOCK = threading.Lock()
_workers: dict[int, 'Worker'] = {}  # by process: a fork has threads and connections of its own


class Stopping(BaseException):
    """The worker stops while the ledger cannot be reached.

    Ceilometer catches every :exc:`Exception` and acknowledges, or requeues at once, what it was about. This passes
    through, so that the message stays with the broker, unacknowledged, and comes again.
    """


class Worker:
    """What collects and delivers in one process of the agent.

    :param configuration: a good one
    :ivar stopping: once it is set, a ledger that cannot be reached is no longer waited for
    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.stopping = threading.Event()
        self.collecting = Collecting(configuration, listen=doors.NAME in configuration.conf.notification.pipelines,
                                     stop=self.stopping)
        self._parts = self.collecting, Delivering(configuration, stop=self.stopping)
        self._given_up = threading.Event()
        # A thread, because the ledger may have to be waited for, and Ceilometer's own work does not need it.
        self._starting = threading.Thread(target=self._start, name='paas', daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._starting.start()

    def stop(self) -> None:
        """Finish what is in flight, and stop; nobody may have anything collected any more."""
        self.stopping.set()
        self._starting.join()
        with futures.ThreadPoolExecutor(len(self._parts)) as pool:
            for stopped in [pool.submit(part.stop) for part in self._parts]:
                stopped.result()

    def collect(self, handle: Handler, envelopes: Sequence[Envelope]) -> None:
        """Have messages collected; when it returns, each has its outcome, durably.

        :raises Stopping: they have not, because the worker stops
        """
        while not self.collecting.opened.wait(_POLL):
            if self.stopping.is_set():
                raise Stopping
        # Each of Ceilometer's threads would try once more, after the other, and many messages may wait for a thread.
        if self._given_up.is_set() or RETRIED in handle(envelopes):
            self._given_up.set()
            raise Stopping

    def _start(self) -> None:
        mistakes = None
        try:
            for part in self._parts:
                part.start()
            return
        except ConfigError as error:
            mistakes = error
        except Exception:  # noqa: BLE001 - whatever it is, the worker would hold messages for ever
            LOG.exception(_FAILED)
        if mistakes is not None:
            _say(mistakes)
        os.kill(os.getpid(), signal.SIGTERM)  # the next worker tries again


def join(conf: Any) -> Worker:
    """Give this process's worker; the first call starts it.

    :param conf: Ceilometer's
    :raises SystemExit: the configuration cannot be used; the log says why
    """
    with _LOCK:
        if os.getpid() not in _workers:
            _workers[os.getpid()] = _begin(conf)
        return _workers[os.getpid()]


def _begin(conf: Any) -> Worker:
    mistakes = None
    try:
        configuration = load(conf, load_publishers)
        open_once(configuration)
        worker = Worker(configuration)
        worker.start()
        _stop_with_the_service(worker)
    except ConfigError as error:
        mistakes = error
    except Exception:  # noqa: BLE001 - whatever it is, the agent would go on without us, and drop what is ours
        LOG.exception(_FAILED)
        sys.exit(os.EX_SOFTWARE)
    if mistakes is not None:
        give_up(mistakes)  # here, because oslo.log adds an exception that is being handled to every line
    return worker


def give_up(error: ConfigError) -> NoReturn:
    """End the process over a configuration that cannot be used.

    :raises SystemExit: always; stevedore, which only logs an :exc:`Exception`, lets it pass
    """
    _say(error)
    sys.exit(os.EX_CONFIG)


def _say(error: ConfigError) -> None:
    for problem in error.problems:
        LOG.error('ceilometer_paas cannot be used: %s', problem)


def _stop_with_the_service(worker: Worker) -> None:
    """Have a worker stopped when the agent's service is.

    The agent stops its own listeners only, and leaves by ``os._exit``; it has no hook for others.
    """
    terminate = NotificationService.terminate

    @functools.wraps(terminate)
    def both(service: NotificationService) -> None:
        worker.stopping.set()
        terminate(service)
        worker.stop()

    NotificationService.terminate = both
