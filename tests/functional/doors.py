# SPDX-License-Identifier: Apache-2.0
"""A deployment whose doors are in Ceilometer's own notification agent, and that agent as a child process."""

import glob
import json
import re
import signal
import subprocess
import unittest
from typing import Any

import kombu

from ceilometer_paas.transport import depth
from tests.functional import agent
from tests.functional.deployment import PATIENCE, Deployment, wait_for

QUEUE = 'ceilometer-paas.nova'
BUS = 'notifications.info'
"""A queue of Ceilometer's own."""

_METERS = '''
sources: [{{name: all, meters: ["*"], sinks: [sink]}}]
sinks: [{{name: sink, publishers: ["{publisher}"]}}]
'''
_EVENTS = '''
sources: [{{name: all, events: ["*"], sinks: [sink]}}]
sinks: [{{name: sink, publishers: ["file://{directory}/events?json"]}}]
'''


class Doors(Deployment):
    """The operator's files of Ceilometer and of ours, and ``ceilometer-agent-notification`` on them, unmodified.

    Ceilometer publishes its samples and its events to the files ``own`` and ``events``, unless told otherwise.

    :param pipelines: names for ``[notification] pipelines``
    :param options: ours, as :meth:`write_conf` takes them
    """

    def __init__(self, test: unittest.TestCase, url: str, *pipelines: str, **options: Any) -> None:
        self.pipelines = pipelines
        self.more = ''
        super().__init__(test, url)
        self.publish_own(f'file://{self.path("own")}?json')
        self.write('event_pipeline.yaml', _EVENTS.format(directory=self.directory))
        self.write_conf(**options)

    def write_conf(self, **options: Any) -> None:
        super().write_conf(**options)
        with open(self.path('ceilometer.conf'), 'a') as file:
            file.write('\n'.join(['[notification]', *(f'pipelines = {name}' for name in self.pipelines), self.more]))

    def publish_own(self, publisher: str) -> None:
        """Have Ceilometer's own samples published to a URL."""
        self.write('pipeline.yaml', _METERS.format(publisher=publisher))

    def start(self, *queues: str) -> subprocess.Popen[str]:
        """Start the agent, and wait until it consumes from some queues."""
        process = agent.start(self._test, self.path('ceilometer.conf'), self.path('agent.log'))
        self.wait_for_consumers(*queues)
        return process

    def wait_for_consumers(self, *queues: str) -> None:
        """Wait until the agent consumes from some queues."""
        for queue in queues:
            try:
                wait_for(lambda queue=queue: self.depth(queue)[1], f'{queue} is consumed from', agent.START)
            except AssertionError as error:
                raise AssertionError(f'{error}\n{self.log()}') from None

    def stop(self, process: subprocess.Popen[str]) -> None:
        """End the agent by SIGTERM; it must end well, and before it would be killed, which is after 60 s."""
        process.send_signal(signal.SIGTERM)
        self._test.assertEqual(0, process.wait(PATIENCE), self.log())
        self._test.assertNotIn('Graceful shutdown timeout', self.log())

    def depth(self, queue: str) -> tuple[int, int]:
        """Count what waits in a queue, without what a consumer has, and its consumers."""
        with kombu.Connection(self.url.replace('rabbit://', 'amqp://')) as connection:
            return depth(connection, queue) or (0, 0)

    def lines(self, pattern: str) -> list[str]:
        """Find lines of the log."""
        return [line for line in self.log().splitlines() if re.search(pattern, line)]

    def failures(self) -> list[str]:
        """Find the lines of tracebacks that lead through this package."""
        return self.lines(' File ".*/ceilometer_paas/')

    def published(self, name: str) -> list[dict[str, Any]]:
        """Read a file that Ceilometer publishes to."""
        found = []
        for path in glob.glob(glob.escape(self.path(name)) + '*'):
            with open(path) as file:
                found += [json.loads(line) for line in file if line.endswith('\n')]
        return found

    def worker(self, process: subprocess.Popen[str]) -> int:
        """Find the process that does the work of an agent with one worker."""
        found = wait_for(lambda: subprocess.run(['pgrep', '-P', str(process.pid)], capture_output=True, text=True,
                                                check=False).stdout.split(), 'there is a worker')
        self._test.assertEqual(1, len(found))
        return int(found[0])
