# SPDX-License-Identifier: Apache-2.0
"""Lives, as the agent keeps them: whatever happens to it and to the messages, they are those of a replay in order."""

import contextlib
import gzip
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
import unittest
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from ceilometer_paas import simulate
from ceilometer_paas.simulate import octavia
from ceilometer_paas.simulate.bus import Day
from tests.files import REPOSITORY
from tests.functional import rabbit
from tests.functional.deployment import Deployment, kill, send, wait_for

BEGIN = datetime(2026, 3, 10, tzinfo=UTC)
END = BEGIN + timedelta(days=1)
QUEUES = 'ceilometer-paas.nova', 'ceilometer-paas.octavia'
KILLS = 4
SOURCES = '''
endpoints:
  cloud: {url: ""}
queues:
  ceilometer-paas.nova: {endpoint: cloud, exchange: nova, topic: notifications, priorities: [info, error]}
  ceilometer-paas.octavia: {endpoint: cloud, exchange: octavia, topic: notifications}
metric_types:
  memory: ceilometer-paas.nova
  compute.instance.*: ceilometer-paas.nova
  loadbalancer.*: ceilometer-paas.octavia
'''


def a_day():
    """Give what is said, in order, of the lives of 200 machines and 300 load balancers."""
    sent = [message for message in simulate.cloud_day(1, BEGIN, servers=200) if message.exchange == 'nova']
    for seed in range(100):
        sent += (message for _, message in octavia.lives(Day(seed, BEGIN, END), simulate.tenants(seed)[0]))
    return sorted(sent, key=lambda message: message.body['timestamp'])


class AgentLivesTest(unittest.TestCase):

    def deployment(self, url):
        deployment = Deployment(self, url)
        deployment.write('sources.yaml', SOURCES)
        deployment.write_conf(workers=2, begin='2026-03-01', batch_size=50,
                              lifecycle_definitions_dirs=os.path.join(REPOSITORY, 'etc/ceilometer_paas/lifecycles.d'))
        return deployment

    def command(self, deployment, *arguments):
        program = os.path.join(os.path.dirname(sys.executable), 'ceilometer-paas')
        done = subprocess.run([program, '--config-file', deployment.path('ceilometer.conf'), *arguments, '-f', 'json'],
                              capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        return json.loads(done.stdout, parse_float=Decimal)

    def replayed(self, messages):
        """Make a ledger of a replay of messages; its deployment."""
        deployment = self.deployment('fake://')
        with gzip.open(deployment.path('messages.gz'), 'wt') as file:
            for exchange, topic, priority, body in messages:
                line = {'exchange': exchange, 'routing_key': f'{topic}.{priority}', 'body': body}
                file.write(f'{json.dumps(line)}\n')
        self.command(deployment, 'replay', '--no-settle', deployment.path('messages.gz'))
        return deployment

    def recorded(self, deployment):
        """How many messages have been recorded by now."""
        with contextlib.closing(sqlite3.connect(deployment.path('ledger.sqlite'), timeout=10)) as ledger:
            return ledger.execute('SELECT count(*) FROM message').fetchone()[0]

    def publish(self, url, messages):
        routes = defaultdict(list)
        for exchange, topic, priority, body in messages:
            routes[exchange, f'{topic}.{priority}'].append(body)
        for (exchange, routing_key), bodies in routes.items():
            send(url, exchange, bodies, routing_key=routing_key)

    def test_lives_are_those_of_a_replay_in_order_however_messages_come_and_often_the_agent_is_killed(self):
        vhost = rabbit.vhost(self)
        deployment = self.deployment(rabbit.url(vhost))

        def started():
            agent = deployment.start_agent()
            wait_for(lambda: all(rabbit.queues(vhost).get(queue, (0, 0))[1] for queue in QUEUES), 'the agent consumes')
            return agent

        chance = random.Random(1)
        told = a_day()
        shuffled = told + chance.sample(told, len(told) // 5)
        chance.shuffle(shuffled)
        agent = started()
        interrupted = 0
        for part in range(KILLS):
            publisher = threading.Thread(target=self.publish, args=(deployment.url, shuffled[part::KILLS]))
            enough = self.recorded(deployment) + 50 * part
            publisher.start()
            wait_for(lambda: self.recorded(deployment) >= enough, 'some are recorded')  # noqa: B023 - called here
            time.sleep(chance.random() / 20)
            kill(agent)
            publisher.join()
            interrupted += any(rabbit.queues(vhost)[queue][0] for queue in QUEUES)
            agent = started()
        self.assertEqual(KILLS, interrupted)
        wait_for(lambda: not any(rabbit.queues(vhost)[queue][0] for queue in QUEUES), 'all is collected')
        intervals = self.command(deployment, 'interval', 'list')
        in_order = self.replayed(told)
        self.assertEqual(self.command(in_order, 'interval', 'list'), intervals)
        self.assertEqual({'instance': 200, 'loadbalancer': 200},  # a third of these has never been
                         {kind: len({one['resource_id'] for one in intervals if one['resource_type'] == kind})
                          for kind in ('instance', 'loadbalancer')})
        self.assert_usage(deployment, intervals)
        self.assertEqual([], deployment.quarantined())
        self.assertNotIn('Traceback', deployment.log())

    def assert_usage(self, deployment, intervals):
        """Expect that the seconds of a period are those of the intervals, to the microsecond."""
        begin, end = BEGIN + timedelta(hours=3, microseconds=1), BEGIN + timedelta(hours=21, microseconds=-1)
        sums = defaultdict(timedelta)
        for one in intervals:
            first = max(datetime.fromisoformat(one['begin']), begin)
            last = min(datetime.fromisoformat(one['end'] or '9999-01-01T00:00:00+00:00'), end)
            if first < last:
                sums[one['project_id'], one['resource_type'], one['state'], json.dumps(one['size'])] += last - first
        used = self.command(deployment, 'usage', 'list', '--begin', begin.isoformat(), '--end', end.isoformat())
        self.assertEqual({key: Decimal(time // timedelta(microseconds=1)) / 1_000_000 for key, time in sums.items()},
                         {(one['project_id'], one['resource_type'], one['state'], json.dumps(one['size'])):
                          one['seconds'] for one in used})
