# SPDX-License-Identifier: Apache-2.0
"""Statements, as agents publish them: whatever happens to agents and publishers, folded they are what there was.

Of what happens to a cloud of virtual machines in a day, three fifths are told in order, the rest late and some of it
twice. The day ended an hour ago, for agents know no other time than the present.
"""

import json
import os
import random
import re
import signal
import time
import unittest
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from ceilometer_paas import simulate, times
from ceilometer_paas.ledger.usage import Scope
from ceilometer_paas.model import Account, statement_id
from ceilometer_paas.publish import samples
from ceilometer_paas.serve import Collecting, reckoner, settler
from tests.files import REPOSITORY
from tests.functional import rabbit
from tests.functional.agent import NotificationAgent
from tests.functional.databases import MARIADB, POSTGRESQL
from tests.functional.deployment import PATIENCE, Deployment, Sink, kill, send, wait_for
from tests.functional.statements import (
    CODES,
    COUNTED,
    METERS,
    NUMBER,
    STATUS,
    UPTIME,
    content,
    counted,
    every,
    folded,
    revision,
    stated,
    superseded,
    when,
)

QUEUE = 'ceilometer-paas.nova'
KILLS = 20
PARTS = 100
"""Of what comes late: it must do for all kills."""
LEASE = 1.5
"""Seconds that a publisher waits after each kill."""
SOURCES = '''
endpoints:
  cloud: {url: ""}
queues:
  ceilometer-paas.nova: {endpoint: cloud, exchange: nova, topic: notifications, priorities: [info, error]}
metric_types:
  compute.*: ceilometer-paas.nova
'''
PIPELINE = '''
sources: [{{name: all, meters: ["*"], sinks: [all]}}]
sinks: [{{name: all, publishers: ["file://{directory}/samples.jsonl?json", "{other}"]}}]
'''
STOCK = '''
sources: [{{name: all, meters: ["*"], sinks: [file]}}]
sinks: [{{name: file, publishers: ["file://{directory}/samples.jsonl?json"]}}]
'''


class Cloud:
    """The agent's files, the broker, and what Nova says in a day that ended an hour ago."""

    def __init__(self, test, other, *, servers, **conf):
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        self.begin = now - timedelta(hours=25)
        self.vhost = rabbit.vhost(test)
        self.deployment = Deployment(test, rabbit.url(self.vhost))
        self.deployment.write('sources.yaml', SOURCES)
        self.deployment.write('paas_pipeline.yaml', PIPELINE.format(directory=self.deployment.directory, other=other))
        self.conf = {'begin': self.begin.isoformat(), 'grace': 0,
                     'lifecycle_definitions_dirs': os.path.join(REPOSITORY, 'etc/ceilometer_paas/lifecycles.d'), **conf}
        self.configure()
        self.as_before = reckoner(self.deployment.configuration()).as_before
        self.ledger = self.deployment.ledger()
        self.ledger.upgrade()
        self.targets = [target.name for target in self.deployment.configuration().targets]
        self.chance = random.Random(1)
        day = simulate.cloud_day(1, self.begin, servers=servers)
        told = [one for one in day if one.exchange == 'nova' and (
            one.body['event_type'] != 'compute.instance.exists' or self.chance.random() < 0.1)]
        late = set(self.chance.sample(range(len(told)), len(told) * 2 // 5))
        self.early = [one for number, one in enumerate(told) if number not in late]
        self.late = [told[number] for number in late] + self.chance.sample(told, len(told) // 10)
        self.chance.shuffle(self.late)

    def configure(self, **conf):
        self.conf.update(conf)
        self.deployment.write_conf(**self.conf)

    def publish(self, messages):
        for priority in ('info', 'error'):
            send(self.deployment.url, 'nova', [one.body for one in messages if one.priority == priority],
                 routing_key=f'notifications.{priority}')

    def collect(self):
        """Record what is not late, before anything is folded, settled or published."""
        collecting = Collecting(self.deployment.configuration())
        collecting.start()
        wait_for(lambda: all(listener.listening.is_set() for listener in collecting.listeners), 'the queue is consumed')
        self.publish(self.early)
        wait_for(lambda: sum(collecting.counts().values()) == len(self.early), 'the messages are recorded')
        collecting.stop()

    def is_empty(self):
        return not rabbit.queues(self.vhost)[QUEUE][0]

    def undelivered(self, *targets):
        """Whether a publisher is still to be told of something."""
        for target in targets or self.targets:
            due = self.ledger.due(target, self.as_before)
            if due is not None and (due.accounts or due.counts):
                return True
        return False

    def finish(self):
        """Wait until everything was told that can be by now; until when that is."""
        wait_for(self.is_empty, 'all is collected')
        self.ledger.catch_up()
        while self.ledger.restate(self.as_before):
            pass
        until = self.ledger.settled()
        wait_for(lambda: not self.undelivered(), 'everything was told')
        return until

    def known(self, until):
        """What the ledger says that it states: by id, what is stated and the publishers that were told so."""
        reckon = reckoner(self.deployment.configuration())
        known = {}
        for one, told in self.ledger.listed(Scope(self.begin), None, until, self.as_before):
            account, count = ([one], []) if isinstance(one, Account) else ([], [one])
            for sample in samples.from_statements(reckon(account, count)):
                known[sample.id] = content(json.loads(json.dumps(sample.as_dict()))), sorted(told)
        return known


class StatementsCase(unittest.TestCase):

    def assert_right(self, cloud, edges, **arrived):
        """Expect that what arrived at each publisher is, folded, what the ledger knows, and what there was.

        :param edges: the periods' limits
        """
        intervals = list(cloud.ledger.intervals(Scope(datetime(2000, 1, 1, tzinfo=UTC))))
        known, lasted, numbers = cloud.known(edges[-1]), stated(intervals, edges), counted(intervals, edges)
        for name, all_of_it in arrived.items():
            with self.subTest(name):
                self.assert_in_order(all_of_it)
                newest = folded(all_of_it, edges[-1])
                self.assert_same({key: known.get(key) for key in newest},
                                 {key: (content(one), sorted(cloud.targets)) for key, one in newest.items()})
                self.assert_stated(newest.values(), lasted, intervals)
                self.assert_counted(newest.values(), numbers)
                self.assert_usage(cloud, newest.values(), edges)

    def assert_same(self, expected, found):
        """Expect that mappings equal; else show some differences: all of them would take unittest hours."""
        differing = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
        self.assertEqual([], [(key, expected.get(key), found.get(key)) for key in differing[:5]], len(differing))

    def assert_in_order(self, arrived):
        """Expect that no older revision of a statement comes after a newer one, and that each is said in one way."""
        newest, said = {}, {}
        for sample in arrived:
            self.assertLessEqual(newest.get(sample['id'], 0), revision(sample), sample)
            newest[sample['id']] = revision(sample)
            self.assertEqual(said.setdefault((sample['id'], revision(sample)), content(sample)), content(sample))

    def assert_stated(self, newest, expected, intervals):
        """Expect uptime and status as they follow from the intervals; where nothing begins any more, no time."""
        found, gone = {}, []
        for one in newest:
            if one['name'] == NUMBER:
                continue
            key = one['name'], one['resource_id'], when(one)
            self.assertEqual(one['id'], statement_id(*key[:2], times.to_micros(key[2])))
            metadata = one['resource_metadata']
            found[key] = one['volume'], one['project_id'], metadata['state'], metadata['size']
            if key not in expected:
                self.assertGreater(revision(one), 0, one)
                gone.append((key, found.pop(key)))
        self.assert_same(expected, found)
        lives = defaultdict(list)
        for one in intervals:
            lives[one.resource_id].append(one)
        for (meter, resource_id, at), (volume, _, state, _) in gone:
            states = [one.state for one in lives[resource_id] if one.begin <= at and (one.end is None or at < one.end)]
            self.assertEqual(states or ['deleted'], [state])
            self.assertEqual(CODES[state] if meter == STATUS else 0, volume)

    def assert_counted(self, newest, expected):
        found = {}
        for one in newest:
            if one['name'] == NUMBER:
                metadata = one['resource_metadata']
                found[one['resource_id'], when(one)] = one['volume'], *(
                    metadata[name] for name in ('states', 'flavors', 'highest', 'lowest'))
                if (one['resource_id'], when(one)) not in expected:
                    self.assertGreater(revision(one), 0, one)
                    self.assertEqual((0, {}, {}, 0, 0), found.pop((one['resource_id'], when(one))))
        self.assert_same(expected, found)

    def assert_usage(self, cloud, newest, edges):
        """Expect that the seconds are those that usage tells, to the microsecond."""
        sums = Counter()
        for one in newest:
            if one['name'] == UPTIME and one['volume']:
                metadata = one['resource_metadata']
                sums[one['project_id'], metadata['state'], json.dumps(metadata['size'])] += round(one['volume'] * 1e6)
        used = cloud.ledger.usage(edges[0], edges[-1], Scope(edges[0]), ('project_id', 'state', 'size'))
        self.assertEqual({(one.group['project_id'], one.group['state'], json.dumps(one.group['size'])): one.micros
                          for one in used if one.group['state'] in COUNTED}, sums)


class AgentStatementsTest(StatementsCase):

    def test_a_publisher_that_was_down_for_a_day_gets_the_newest_revisions_and_no_other(self):
        sink = Sink(self)
        sink.up = False
        cloud = Cloud(self, sink.url, servers=100)
        cloud.collect()
        agent = cloud.deployment.start_agent()
        wait_for(lambda: cloud.ledger.settled() and not cloud.undelivered(cloud.targets[0]), 'the file has the day')
        cloud.publish(cloud.late)
        wait_for(cloud.is_empty, 'all is collected')
        wait_for(lambda: len(superseded(cloud.deployment.samples())) > 100 and not cloud.undelivered(cloud.targets[0]),
                 'what came late is restated')
        self.assertEqual([], sink.taken)
        self.assertGreater(sink.turned_away, 0)
        sink.up = True
        until = cloud.finish()
        agent.terminate()
        self.assertEqual(0, agent.wait(PATIENCE))
        self.assertEqual([], superseded(sink.taken))
        self.assert_right(cloud, every(3600, cloud.begin, until), file=cloud.deployment.samples(), http=sink.taken)

    def test_sigterm_while_statements_are_published_ends_before_the_last_and_nothing_is_lost_or_said_twice(self):
        sink = Sink(self)
        sink.delay = 0.5
        cloud = Cloud(self, sink.url, servers=200, period=900)
        cloud.collect()
        agent = cloud.deployment.start_agent()
        wait_for(lambda: sink.taken, 'the first statements')
        agent.terminate()
        self.assertEqual(0, agent.wait(PATIENCE))
        self.assertTrue(cloud.undelivered(cloud.targets[1]))
        sink.delay = 0
        cloud.deployment.start_agent()
        wait_for(lambda: not cloud.undelivered(), 'the rest is published')
        until = cloud.finish()
        arrived = {'file': cloud.deployment.samples(), 'http': sink.taken}
        for some in arrived.values():
            self.assertEqual(len(some), len({one['id'] for one in some}))
        self.assert_right(cloud, every(900, cloud.begin, until), **arrived)

    def test_sighup_with_another_period_takes_effect_at_the_end_of_what_is_settled(self):
        sink = Sink(self)
        cloud = Cloud(self, sink.url, servers=30, period=900, grace=3600)
        cloud.collect()
        cloud.ledger.follow(cloud.targets)
        settler(cloud.deployment.configuration(), cloud.ledger).until(datetime.now(UTC) - timedelta(minutes=30))
        agent = cloud.deployment.start_agent()
        wait_for(lambda: sink.taken and not cloud.undelivered(), 'what is settled is published')
        cloud.configure(period=60, grace=0)
        agent.send_signal(signal.SIGHUP)
        line = 'From (.*) on periods have 60 s, and no longer 900 s'
        said = wait_for(lambda: re.search(line, cloud.deployment.log()), 'the change is named')
        changed, until = datetime.fromisoformat(said[1]), cloud.finish()
        self.assertGreaterEqual(until - changed, timedelta(minutes=5))
        arrived = cloud.deployment.samples()
        self.assertEqual(len(arrived), len({one['id'] for one in arrived}))
        self.assert_right(cloud, [*every(900, cloud.begin, changed), *every(60, changed, until)[1:]], file=arrived)

    def test_statements_come_through_the_bus_to_the_publishers_of_the_stock_agent(self):
        cloud = Cloud(self, 'paasbus://', servers=60)
        cloud.collect()
        ceilometer = NotificationAgent(self, cloud.vhost, STOCK)
        cloud.deployment.start_agent()
        wait_for(lambda: cloud.ledger.settled() and not cloud.undelivered(), 'the day is published')

        def arrived():
            with open(ceilometer.path('samples.jsonl')) as file:
                lines = [json.loads(line) for line in file if line.endswith('\n')]
            return [line for line in lines if line['name'] in METERS]

        sent = cloud.deployment.samples()
        wait_for(lambda: len(arrived()) >= len(sent), 'the statements in the file of the stock agent')
        self.assert_same({one['id']: one for one in sent}, {one['id']: one for one in arrived()})
        self.assertEqual(len(sent), len(arrived()))
        cloud.publish(cloud.late)
        until = cloud.finish()
        self.assertGreater(len(superseded(cloud.deployment.samples())), 50)
        newest = {key: revision(one) for key, one in folded(cloud.deployment.samples(), until).items()}
        wait_for(lambda: {key: revision(one) for key, one in folded(arrived(), until).items()} == newest,
                 'the corrections in the file of the stock agent')
        self.assert_right(cloud, every(3600, cloud.begin, until), bus=arrived())


class KilledAgents:
    """Of two agents that share a ledger, one is killed again and again; the publishers notice nothing of it."""

    def options(self):
        """Give what stands in ceilometer.conf of the ledger."""
        return {}

    def test_of_two_agents_one_is_killed_while_they_settle_and_what_they_stated_is_right(self):
        sink = Sink(self)
        cloud = Cloud(self, sink.url, servers=700, period=1800, **self.options())
        cloud.collect()
        parts = [cloud.late[number::PARTS] for number in range(PARTS)]
        agents = [cloud.deployment.start_agent(LEASE) for _ in range(2)]
        kills = rounds = 0
        while kills < KILLS:
            self.assertLess(rounds, 2 * KILLS, f'{kills} kills')
            before = self.arrived(cloud, sink)
            cloud.publish(parts.pop())
            wait_for(lambda before=before: self.arrived(cloud, sink) > before, 'something is delivered')
            time.sleep(cloud.chance.random() / 2)
            while not cloud.undelivered():
                cloud.publish(parts.pop())
                time.sleep(0.1)
            kill(agents[rounds % 2])
            kills += cloud.undelivered()
            agents[rounds % 2] = cloud.deployment.start_agent(LEASE)
            rounds += 1
        for part in parts:
            cloud.publish(part)
        until = cloud.finish()
        for one in agents:
            one.terminate()
        self.assertEqual([0, 0], [one.wait(PATIENCE) for one in agents])
        self.assert_right(cloud, every(1800, cloud.begin, until), file=cloud.deployment.samples(killed=True),
                          http=sink.taken)
        self.assertEqual([], cloud.ledger.quarantine_list())
        self.assertNotIn('Traceback', cloud.deployment.log())

    def arrived(self, cloud, sink):
        """How much has arrived."""
        path = cloud.deployment.path('samples.jsonl')
        return len(sink.taken) + (os.path.getsize(path) if os.path.exists(path) else 0)


class SqliteKilledAgentsTest(KilledAgents, StatementsCase):
    pass


class PostgresqlKilledAgentsTest(KilledAgents, StatementsCase):

    def options(self):
        return {'ledger_connection': POSTGRESQL.database(self)}


class MariadbKilledAgentsTest(KilledAgents, StatementsCase):

    def options(self):
        return {'ledger_connection': MARIADB.database(self)}
