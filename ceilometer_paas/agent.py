# SPDX-License-Identifier: Apache-2.0
"""``ceilometer-agent-paas``: collecting and delivering as processes of their own, under any supervisor.

SIGTERM finishes what is in flight. SIGHUP reads ceilometer.conf and every file again: workers are replaced by new ones
with the new configuration, or, if it is broken, run on with the old one.
"""

import gc
import logging
import multiprocessing
import sys
from typing import Any

import cotyledon

from ceilometer_paas.config import options
from ceilometer_paas.config.load import Configuration, load
from ceilometer_paas.errors import ConfigError, Problem
from ceilometer_paas.publish.load import load_publishers
from ceilometer_paas.serve import Collecting, Delivering, open_once

LOG = logging.getLogger(__name__)


class Current:
    """The configuration that workers are started with: the last one that was good.

    :raises ConfigError: the first one is not
    """

    def __init__(self, conf: Any) -> None:
        self._conf = conf
        self.configuration = self._load()

    def reload(self) -> tuple[Problem, ...]:
        """Read everything again; if something is wrong, keep what there is and give the mistakes."""
        if not self._conf.reload_config_files():
            return (Problem('ceilometer.conf', 0, 'it cannot be read; the log has the reason'),)
        try:
            self.configuration = self._load()
        except ConfigError as error:
            return error.problems
        return ()

    def reload_and_say(self) -> None:
        """Read everything again, for the process whose task it is to tell the operator."""
        for problem in self.reload():
            LOG.error('The old configuration stays in force: %s', problem)

    def _load(self) -> Configuration:
        return load(self._conf, load_publishers)


class _Worker(cotyledon.Service):  # type: ignore[misc]
    """One process: builds its part from the current configuration, runs it, and ends with it."""

    def __init__(self, worker_id: int, current: Current) -> None:
        super().__init__(worker_id)
        self._current = current
        self._part: Collecting | Delivering = self._build(current.configuration)

    def _build(self, configuration: Configuration) -> Collecting | Delivering:
        raise NotImplementedError

    def run(self) -> None:
        collect_garbage_rarely()
        try:
            self._part.start()
        except ConfigError as error:
            LOG.error('%s', error)
            sys.exit(1)

    def terminate(self) -> None:
        self._part.stop()

    def reload(self) -> None:
        if not self._current.reload():
            super().reload()


class CollectService(_Worker):
    """A process that collects."""

    name = 'collect'

    def _build(self, configuration: Configuration) -> Collecting:
        return Collecting(configuration)


class DeliverService(_Worker):
    """The process that delivers."""

    name = 'deliver'

    def _build(self, configuration: Configuration) -> Delivering:
        return Delivering(configuration)


def collect_garbage_rarely() -> None:
    """Spare a process what the bench shows to be a tenth of its time: messages are trees, and go by themselves."""
    gc.collect()
    gc.freeze()  # what start-up made stays for ever
    gc.set_threshold(50_000, 50, 100)


def main() -> int:
    """Run the agent until SIGTERM; 1 if what the operator wrote cannot be used."""
    try:
        current = Current(options.prepare(sys.argv))
        open_once(current.configuration)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    manager = cotyledon.ServiceManager(mp_context=multiprocessing.get_context('fork'))
    manager.add(CollectService, workers=current.configuration.settings.workers, args=(current,))
    manager.add(DeliverService, args=(current,))
    manager.register_hooks(on_reload=current.reload_and_say)
    manager.run()
    return 0
