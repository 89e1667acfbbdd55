# SPDX-License-Identifier: Apache-2.0
"""Ceilometer's own notification agent, unmodified, as a child process."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from tests.functional import rabbit
from tests.functional.deployment import kill

START = 120.0
"""Seconds that the agent may take until it consumes; five are usual."""

_CONF = '''
[DEFAULT]
transport_url = {url}
[notification]
pipelines = meter
{more}
'''


def start(test: unittest.TestCase, conf: str, log: str) -> subprocess.Popen[str]:
    """Start it by its console script, in a session of its own; it is killed, if it still runs, when the test ends.

    :param conf: path of its ceilometer.conf
    :param log: path of the file to which its output is added
    """
    command = os.path.join(os.path.dirname(sys.executable), 'ceilometer-agent-notification')
    with open(log, 'a') as output:
        # A session of its own: it signals its whole process group.
        agent = subprocess.Popen([command, '--config-file', conf], stdout=output, stderr=subprocess.STDOUT,
                                 start_new_session=True, text=True)
    test.addCleanup(kill, agent)
    return agent


class NotificationAgent:
    """``ceilometer-agent-notification`` with files of its own; it consumes when this returns, and ends with the test.

    :param vhost: of the test broker; the agent consumes the samples and the notifications of its exchanges
    :param pipeline: text of its pipeline.yaml; ``{directory}`` stands for the directory of all its files
    :param conf: more lines of its ceilometer.conf
    :ivar directory: where its files are
    """

    def __init__(self, test: unittest.TestCase, vhost: str, pipeline: str, conf: str = '') -> None:
        self.directory = tempfile.mkdtemp()
        test.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self._write('pipeline.yaml', pipeline.format(directory=self.directory))
        self._write('ceilometer.conf', _CONF.format(url=rabbit.url(vhost), more=conf))
        self._process = start(test, self.path('ceilometer.conf'), self.path('log'))
        test.addCleanup(self.stop)
        self._wait(vhost)

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def log(self) -> str:
        with open(self.path('log'), errors='replace') as file:
            return file.read()

    def stop(self) -> None:
        """End it by SIGTERM, and by force if it has not ended twenty seconds later; again is harmless."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _write(self, name: str, text: str) -> None:
        with open(self.path(name), 'w') as file:
            file.write(text)

    def _wait(self, vhost: str) -> None:
        deadline = time.monotonic() + START
        while not any(name == 'notifications.sample' and consumers
                      for name, (_, consumers) in rabbit.queues(vhost).items()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f'ceilometer-agent-notification does not consume:\n{self.log()}')
            time.sleep(0.2)
