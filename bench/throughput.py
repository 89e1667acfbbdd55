# SPDX-License-Identifier: Apache-2.0
"""Messages a second from a filled RabbitMQ queue to Ceilometer's file publisher.

Side by side, in rounds: an oslo.messaging listener that does nothing, the unmodified ceilometer-agent-notification, and
ceilometer-agent-paas with a durable SQLite ledger, collecting and delivering being two processes. All get the same
messages, the agents use Ceilometer's own meter definitions, and every sample's line is counted. A rate is measured from
the first output to the last, so that nobody's start counts.
"""

import argparse
import contextlib
import glob
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import ceilometer
import kombu

from tests import messages
from tests.functional import rabbit

STOCK_METERS = os.path.join(os.path.dirname(ceilometer.__file__), 'data', 'meters.d')
SAMPLES_EACH = 4
QUEUES = {'empty': 'notifications.info', 'stock': 'notifications.info', 'paas': 'ceilometer-paas.nova',
          'paas, lives': 'ceilometer-paas.nova', 'paas, one process': 'ceilometer-paas.nova'}
CONF = '''
[DEFAULT]
transport_url = {url}
[meter]
meter_definitions_dirs = {meters}
[notification]
pipelines = meter
[paas]
state_path = {directory}
meter_definitions_dirs = {meters}
sources_file = {directory}/sources.yaml
pipeline_cfg_file = {directory}/pipeline.yaml
'''
SOURCES = '''
endpoints: {cloud: {url: ""}}
queues: {ceilometer-paas.nova: {endpoint: cloud, exchange: nova, topic: notifications, priorities: [info]}}
metric_types:
  memory: ceilometer-paas.nova
  vcpus: ceilometer-paas.nova
  disk.*: ceilometer-paas.nova
'''
LIVES = '  compute.instance.uptime: ceilometer-paas.nova'
PIPELINE = '''
sources: [{{name: all, meters: ["*"], sinks: [file]}}]
sinks: [{{name: file, publishers: ["file://{directory}/samples.jsonl?json"]}}]
'''


class Run:
    """One contender on a queue of its own, filled before it starts."""

    def __init__(self, contender: str, number: int) -> None:
        self.contender = contender
        self.number = number
        self.test = unittest.TestCase()
        self.vhost = rabbit.vhost(self.test)
        self.url = rabbit.url(self.vhost)
        directory = tempfile.TemporaryDirectory()
        self.test.addCleanup(directory.cleanup)
        self.directory = directory.name
        sources = SOURCES + (LIVES if contender == 'paas, lives' else '')
        for name, text in {'ceilometer.conf': CONF.format(url=self.url, meters=STOCK_METERS, directory=self.directory),
                           'pipeline.yaml': PIPELINE.format(directory=self.directory), 'sources.yaml': sources}.items():
            with open(self.path(name), 'w') as file:
                file.write(text)

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def fill(self) -> None:
        """Put the messages into the queue, which nobody consumes yet."""
        with kombu.Connection(self.url.replace('rabbit://', 'amqp://')) as connection:
            channel = connection.channel()
            exchange = kombu.Exchange('nova', 'topic', durable=False)
            queue = kombu.Queue(QUEUES[self.contender], exchange, 'notifications.info', durable=False, channel=channel)
            queue.declare()
            producer = kombu.Producer(channel, exchange)
            for _ in range(self.number):
                message = {**messages.vm_exists(str(uuid.uuid4()), instance_id=str(uuid.uuid4())),
                           '_unique_id': uuid.uuid4().hex}
                body = json.dumps({'oslo.version': '2.0', 'oslo.message': json.dumps(message)})
                producer.publish(body, routing_key='notifications.info', content_type='application/json',
                                 content_encoding='utf-8')

    @contextlib.contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the contender as a child process."""
        scripts = os.path.dirname(sys.executable)
        command = {
            'empty': [sys.executable, '-m', 'bench.contenders', 'empty'],
            'stock': [os.path.join(scripts, 'ceilometer-agent-notification')],
            'paas': [os.path.join(scripts, 'ceilometer-agent-paas')],
            'paas, lives': [os.path.join(scripts, 'ceilometer-agent-paas')],
            'paas, one process': [sys.executable, '-m', 'bench.contenders', 'one-process'],
        }[self.contender]
        with open(self.path('log'), 'w') as log:
            child = subprocess.Popen([*command, '--config-file', self.path('ceilometer.conf')], stdout=log, stderr=log,
                                     start_new_session=True, cwd=os.getcwd())
        try:
            yield child
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def done(self) -> int:
        """How many messages have come out by now."""
        name, each = ('count', 1) if self.contender == 'empty' else ('samples.jsonl', SAMPLES_EACH)
        with contextlib.suppress(FileNotFoundError), open(self.path(name), 'rb') as file:
            if each == 1:
                return int(file.read() or b'0')
            return sum(block.count(b'\n') for block in iter(lambda: file.read(1 << 20), b'')) // each
        return 0

    def rate(self, watch: Callable[[int, int], None] = lambda pid, done: None) -> float:
        """Fill, run, check every sample and give messages a second."""
        self.fill()
        with self.started() as child:
            first = first_time = 0.0
            deadline = time.monotonic() + 60 + self.number / 100
            while (done := self.done()) < self.number:
                now = time.monotonic()
                if done and not first:
                    first, first_time = done, now
                if now > deadline or child.poll() is not None:
                    raise RuntimeError(f'{self.contender}: {done} of {self.number}; see its log:\n{self.log()}')
                watch(child.pid, done)
                time.sleep(0.02 if self.number <= 20000 else 0.5)
            rate = (self.number - first) / (time.monotonic() - first_time)
        self.check()
        self.test.doCleanups()
        return rate

    def check(self) -> None:
        """Make sure that every message gave its samples, once."""
        if self.contender == 'empty':
            return
        with open(self.path('samples.jsonl')) as file:
            samples = [json.loads(line) for line in file]
        ids = {sample['id'] for sample in samples}
        if not len(samples) == len(ids) == self.number * SAMPLES_EACH:
            raise RuntimeError(f'{self.contender}: {len(samples)} samples, {len(ids)} ids')

    def log(self) -> str:
        with open(self.path('log')) as file:
            return file.read()[-3000:]


def compare(number: int, rounds: int) -> None:
    """Measure all contenders in interleaved rounds and print their medians side by side."""
    rates: dict[str, list[float]] = {contender: [] for contender in QUEUES}
    for _ in range(rounds):
        for contender in QUEUES:
            rates[contender].append(Run(contender, number).rate())
    medians = {contender: statistics.median(values) for contender, values in rates.items()}
    print(f'From a queue of {number} compute.instance.exists to the file publisher, {SAMPLES_EACH} samples each; '
          f'median of {rounds} interleaved rounds')
    print(f'{"":30}{"messages/s":>12}{"min":>9}{"max":>9}{"of empty":>10}{"times stock":>13}')
    for contender, name in {'empty': 'oslo.messaging, does nothing', 'stock': 'ceilometer-agent-notification',
                            'paas': 'ceilometer-agent-paas', 'paas, lives': 'the same, which keeps lives',
                            'paas, one process': 'in one process, without lives'}.items():
        rate = medians[contender]
        print(f'{name:30}{rate:12.0f}{min(rates[contender]):9.0f}{max(rates[contender]):9.0f}'
              f'{rate / medians["empty"]:10.2f}{rate / medians["stock"]:13.1f}')


def memory(number: int) -> None:
    """Print the collecting process's resident memory while it collects many messages."""
    seen: list[tuple[int, float]] = []

    def watch(pid: int, done: int) -> None:
        sizes = [resident(child) for child in children(pid) if ': collect' in title(child)]
        if sizes and (not seen or done - seen[-1][0] >= number / 10):
            seen.append((done, sizes[0]))
    Run('paas', number).rate(watch)
    print(f'Resident memory of the collecting process over {number} messages (delivered so far: MB)')
    print('  ' + '  '.join(f'{done}: {size:.0f}' for done, size in seen))


def children(pid: int) -> list[int]:
    found: list[int] = []
    for path in glob.glob(f'/proc/{pid}/task/*/children'):  # of each thread, because any may have forked
        with contextlib.suppress(OSError), open(path) as file:
            found += map(int, file.read().split())
    return found


def title(pid: int) -> str:
    with contextlib.suppress(OSError), open(f'/proc/{pid}/cmdline') as file:
        return file.read().replace('\0', ' ')
    return ''


def resident(pid: int) -> float:
    with contextlib.suppress(OSError), open(f'/proc/{pid}/status') as file:
        for line in file:
            if line.startswith('VmRSS'):
                return int(line.split()[1]) / 1024
    return 0.0


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--messages', type=int, default=10000)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--memory-messages', type=int, default=200000, help='0: do not measure memory')
    args = parser.parse_args(arguments)
    compare(args.messages, args.rounds)
    if args.memory_messages:
        memory(args.memory_messages)


if __name__ == '__main__':
    main()
