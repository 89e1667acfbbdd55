# SPDX-License-Identifier: Apache-2.0
"""What the shipped definitions publish, in a real Gnocchi: created by the command, stored, replaced, and summed up."""

import json
import random
import secrets
import unittest
import uuid
from pathlib import Path
from typing import Any

import yaml
from ceilometer import gnocchi_client

from ceilometer_paas import times
from ceilometer_paas.errors import Unavailable
from tests import publishing
from tests.functional import gnocchi
from tests.workspace import CONF, WorkspaceTestCase

SHIPPED = Path(__file__).parents[2] / 'etc/ceilometer_paas/gnocchi_resources.yaml'
NOON = times.parse('2026-11-22T12:00:00+00:00').timestamp()
HOUR = 3600
DAY = times.parse('2026-03-02T00:00:00+00:00').timestamp()
NOTIFICATIONS = SHIPPED.parents[2] / 'tests/notifications/nova'
SOURCES = '''\
endpoints:
  cloud: {url: "fake://"}
queues:
  usage.nova: {endpoint: cloud, exchange: nova, topic: notifications}
metric_types:
  compute.*: usage.nova
'''
PIPELINE = '''\
sources: [{name: all, meters: ["*"], sinks: [gnocchi]}]
sinks: [{name: gnocchi, publishers: ["gnocchi://?enable_filter_project=false"]}]
'''
STATED = {'resource_type': 'any', 'state': 'active', 'display_name': 'ü', 'host': 'h', 'availability_zone': 'az',
          'size': {'flavor': 'm1', 'type': 'A', 'topology': 'SINGLE', 'protocol': 'NFS', 'share_type': 'default',
                   'master_flavor': 'm2', 'vcpus': 2}, 'period': {}, 'revision': 0}


def at(seconds: float) -> str:
    """Write a time as a sample does."""
    return times.from_micros(round(seconds * 1e6)).isoformat()


class GnocchiTestCase(WorkspaceTestCase):

    def setUp(self):
        super().setUp()
        self.gnocchi = gnocchi.server()
        self.write('ceilometer.conf', CONF.format(directory=self.directory) + self.gnocchi.conf())

    def upgrade(self, *arguments: str) -> list[dict[str, str]]:
        """Run the command."""
        return self.table('gnocchi', 'upgrade', *arguments)

    def publisher(self, file: str = '') -> Any:
        """Load a publisher."""
        query = f'&resources_definition_file={file}' if file else ''
        return publishing.publisher(self, f'gnocchi://?enable_filter_project=false{query}', self.gnocchi.conf())

    def own_file(self) -> tuple[str, str]:
        """Write the shipped definitions under other names; the file, and the prefix of the names of types."""
        name = f't{secrets.token_hex(4)}'
        text = SHIPPED.read_text().replace('resource_type: ', f'resource_type: {name}_')
        return self.write('own.yaml', text.replace('name: paas', f'name: {name}').replace(
            'archive_policy_default: paas', f'archive_policy_default: {name}')), name

    def stated(self, resource: str, begin: float, volume: float, revision: int = 0, **fields: Any) -> list[Any]:
        """Make the sample of a statement of a machine's uptime."""
        return publishing.samples(1, **{
            'name': 'compute.instance.uptime', 'resource_id': resource, 'type': 'delta', 'unit': 's',
            'timestamp': at(begin), 'volume': volume, 'resource_metadata': STATED | {'revision': revision}, **fields})


class EventTest(GnocchiTestCase):

    def test_a_machine_is_created_and_ends_when_its_events_say(self):
        """By Ceilometer's own file and types, whenever they are published, and however often."""
        conf = self.gnocchi.conf()
        gnocchi_client.upgrade_resource_types(publishing.conf(self, conf))
        publish = publishing.publisher(self, 'gnocchi://', conf, 'events')
        machine = str(uuid.uuid4())
        traits = {'instance_id': machine, 'display_name': 'web', 'host': 'h', 'instance_flavor_id': 'f',
                  'instance_type': 'm1', 'project_id': 'p1', 'user_id': 'u1'}
        for _ in range(2):
            self.assertEqual([], publish([*publishing.events(1, **traits),
                                          *publishing.events(1, 'compute.instance.delete.start', **traits)]))
        found = self.gnocchi.get(f'resource/instance/{machine}')
        at = '2026-11-22T09:00:00.250000+00:00'
        self.assertEqual(('web', 'p1', at, at),
                         (found['display_name'], found['project_id'], found['started_at'], found['ended_at']))

    def test_a_machine_of_which_gnocchi_heard_later_ends_when_it_began_there(self):
        """Gnocchi takes no end before the beginning; to refuse the event would let the machine live for ever."""
        conf = self.gnocchi.conf()
        gnocchi_client.upgrade_resource_types(publishing.conf(self, conf))
        publish = publishing.publisher(self, 'gnocchi://', conf, 'events')
        machine = str(uuid.uuid4())
        client = gnocchi_client.get_gnocchiclient(publishing.conf(self, conf))
        client.resource.create('instance', {'id': machine, 'display_name': 'web', 'host': 'h', 'flavor_id': 'f',
                                            'flavor_name': 'm1', 'started_at': '2026-11-22T10:00:00+00:00'})
        self.assertEqual([], publish(publishing.events(1, 'compute.instance.delete.start', instance_id=machine)))
        found = self.gnocchi.get(f'resource/instance/{machine}')
        self.assertEqual('2026-11-22T10:00:00+00:00', found['ended_at'])


class UpgradeTest(GnocchiTestCase):

    def test_once(self):
        """Policy and types are created; the second time all is there, and says so."""
        file, name = self.own_file()
        types = [resource['resource_type'] for resource in yaml.safe_load(Path(file).read_text())['resources']]
        for action in 'created', 'unchanged':
            self.assertEqual([('archive policy', name, action), *(('resource type', one, action) for one in types)],
                             [tuple(row.values()) for row in self.upgrade('--resources-definition-file', file)])
        self.assertEqual(840, self.gnocchi.get(f'archive_policy/{name}')['back_window'])

    def test_beside_ceilometer(self):
        """Ceilometer's own upgrade goes well after ours, and ours after its."""
        self.upgrade()
        gnocchi_client.upgrade_resource_types(publishing.conf(self, self.gnocchi.conf()))
        self.assertEqual({'unchanged'}, {row['action'] for row in self.upgrade()})
        self.assertEqual({'state', 'flavor_name', 'launched_at'}, self.gnocchi.get('resource_type/instance')[
            'attributes'].keys() & {'state', 'flavor_name', 'launched_at'})

    def test_attributes(self):
        """An attribute that the file has and the type lacks is added; until then samples wait, and are told why."""
        file, name = self.own_file()
        text, state = Path(file).read_text(), '      state: resource_metadata.state\n'
        Path(file).write_text(text.replace(state, '', 1))
        self.upgrade('--resources-definition-file', file)
        self.assertEqual([], self.publisher(file)(self.stated('later', NOON, 1)))
        Path(file).write_text(text)
        publish = self.publisher(file)
        with self.assertRaisesRegex(Unavailable, "extra keys not allowed.*'state'.*; run: ceilometer-paas gnocchi upg"):
            publish(self.stated('later', NOON, 2))
        self.assertEqual([f'{name}_instance'], [row['name'] for row in self.upgrade('--resources-definition-file', file)
                                                if row['action'] == 'updated'])
        self.assertEqual([], publish(self.stated('later', NOON, 2)))
        self.assertEqual('active', self.gnocchi.get(f'resource/{name}_instance/later')['state'])


class PublishingTest(GnocchiTestCase):

    def test_types_are_missing(self):
        """Samples wait for the types, with one line that names the command, and are stored after it."""
        file, _ = self.own_file()
        publish, given = self.publisher(file), self.stated('early', NOON, 60)
        for _ in range(2):
            with self.assertRaisesRegex(Unavailable, '^sink: gnocchi: Gnocchi: Resource type t[0-9a-f]+_instance does '
                                                     r'not exist \(HTTP 404\); run: ceilometer-paas gnocchi upgrade$'):
                publish(given)
        self.upgrade('--resources-definition-file', file)
        self.assertEqual([], publish(given))
        self.assertEqual({at(NOON): 60}, self.gnocchi.measures('early', 'compute.instance.uptime'))

    def test_every_metric(self):
        """A sample of each metric of the shipped definitions is stored, with the resource's attributes."""
        self.upgrade()
        given = []
        for resource in yaml.safe_load(SHIPPED.read_text())['resources']:
            identity = str(uuid.uuid4())
            for number, metric in enumerate(resource['metrics'], 1):
                given += self.stated(identity, NOON, number, name=metric)
        self.assertGreater(len(given), 30)
        self.assertEqual([], self.publisher()(given))
        for sample in given:
            with self.subTest(sample.name):
                self.assertEqual({at(NOON): sample.volume}, self.gnocchi.measures(sample.resource_id, sample.name))
        for name, expected in (('instance', {'flavor_name': 'm1', 'flavor_id': '', 'state': 'active', 'host': 'h'}),
                               ('dns_zone', {'zone_type': 'A', 'zone_name': 'ü', 'state': 'active'}),
                               ('loadbalancer', {'topology': 'SINGLE', 'flavor_name': 'm1', 'name': 'ü'}),
                               ('manila_share', {'protocol': 'NFS', 'share_type': 'default', 'status': 'active'}),
                               ('cluster', {'flavor_id': 'm1', 'master_flavor_id': 'm2'})):
            resource = self.gnocchi.get(f'resource/{name}', sort='started_at:desc')[0]
            self.assertEqual(expected, {key: resource[key] for key in expected})

    def test_stated_again(self):
        """Whatever was stated of a time before, and whether it is aggregated yet, the last counts, once."""
        self.upgrade()
        publish, chance = self.publisher(), random.Random(1)
        resources = [str(uuid.uuid4()) for _ in range(20)]
        for revision in range(4):
            volumes = {resource: chance.choice([0, 1, 1800.25, HOUR]) for resource in resources}
            self.assertEqual([], publish([sample for resource, volume in volumes.items()
                                          for sample in self.stated(resource, NOON, volume, revision)]))
        for resource, volume in volumes.items():
            self.assertEqual({at(NOON): volume}, self.gnocchi.measures(resource, 'compute.instance.uptime'))

    def test_back_window(self):
        """What is stated of 34 days ago replaces what was; hours and days are summed up."""
        self.upgrade()
        publish, resource, begin = self.publisher(), str(uuid.uuid4()), NOON - 34 * 24 * HOUR
        for time in begin, begin + 600, begin + HOUR, NOON:
            self.assertEqual([], publish(self.stated(resource, time, 500)))
        self.assertEqual([], publish(self.stated(resource, begin + 600, 200.5, 1)))
        self.assertEqual({at(begin): 700.5, at(begin + HOUR): 500, at(NOON): 500},
                         self.gnocchi.measures(resource, 'compute.instance.uptime'))
        self.assertEqual({at(begin - 12 * HOUR): 1200.5, at(NOON - 12 * HOUR): 500}, self.gnocchi.measures(
            resource, 'compute.instance.uptime', granularity=HOUR, resample=24 * HOUR))


class DayTest(GnocchiTestCase):
    """A machine's day, from Nova's notifications to the sums in Gnocchi, by the commands."""

    def setUp(self):
        super().setUp()
        self.upgrade()
        self.write('sources.yaml', SOURCES)
        self.write('lifecycles.d/lifecycles.yaml', (SHIPPED.parent / 'lifecycles.d/nova.yaml').read_text())
        self.write('paas_pipeline.yaml', PIPELINE)
        self.machine, self.project = str(uuid.uuid4()), uuid.uuid4().hex

    def notification(self, name: str, timestamp: str = '', **payload: Any) -> dict[str, Any]:
        """Take one of Nova's notifications for this test's machine; at another time, if one is given."""
        body = json.loads((NOTIFICATIONS / f'{name}.json').read_text())
        body['message_id'] = str(uuid.uuid4())
        body['timestamp'] = timestamp or body['timestamp']
        body['payload'] |= {'instance_id': self.machine, 'tenant_id': self.project, **payload}
        return body

    def publish(self, *command: str) -> None:
        """Run a command that publishes; nothing of it may be refused."""
        status, _, err = self.run_command(*command, '--publish')
        self.assertEqual(0, status, err)  # of libraries that are not there, its log says more than it should
        self.assertEqual([], self.table('quarantine', 'list'))

    def sums(self, seconds: int) -> dict[str, float]:
        """Ask Gnocchi for the machine's uptime in each hour, or day, in which it was stated at all."""
        return self.gnocchi.measures(self.machine, 'compute.instance.uptime', granularity=HOUR, resample=seconds)

    def used(self, begin: float, seconds: int) -> float:
        """Ask the ledger for it."""
        rows = self.table('usage', 'list', '--resource', self.machine, '--begin', at(begin), '--end',
                          at(begin + seconds), '--group-by', 'state')
        return sum(row['seconds'] for row in rows if row['state'] in ('active', 'paused', 'rescued', 'resized'))

    def assert_equal_to_usage(self, expected: float) -> None:
        """Expect that each hour, and the day, has as many seconds in Gnocchi as in the ledger."""
        hours = self.sums(HOUR)
        for hour in range(24):
            begin = DAY + hour * HOUR
            self.assertAlmostEqual(self.used(begin, HOUR), hours.pop(at(begin), 0), 6, f'{hour} o\'clock')
        self.assertEqual({}, hours)
        self.assertAlmostEqual(expected, self.used(DAY, 24 * HOUR), 6)
        (day, total), = self.sums(24 * HOUR).items()
        self.assertEqual(at(DAY), day)
        self.assertAlmostEqual(expected, total, 6)

    def instances(self) -> list[float]:
        """Ask Gnocchi how many machines the project had at the ends of the hours."""
        return list(self.gnocchi.measures(f'paas-{self.project}', 'compute.instances', 'last').values())

    def resource(self) -> tuple[str, str, str]:
        """Ask Gnocchi what the machine is like."""
        resource = self.gnocchi.get(f'resource/instance/{self.machine}')
        return resource['state'], resource['flavor_name'], resource['project_id']

    def test_a_day(self):
        """Hour by hour and for the day, Gnocchi has the seconds of usage list: as stated first, and as restated."""
        first = self.lines(self.notification('create_end'), self.notification('finish_resize_end'),
                           self.notification('resize_confirm_end'))
        self.publish('replay', first, '--exchange', 'nova', '--begin', at(DAY))
        self.publish('settle', '--until', at(DAY + 24 * HOUR))
        self.assert_equal_to_usage(24 * HOUR - (7 * HOUR + 41 * 60 + 22.604113))
        self.assertEqual(([1] * 17, ('active', 'std.8', self.project)), (self.instances(), self.resource()))

        # It was down before it was resized, and deleted in the evening.
        off = self.notification('power_off_end', '2026-03-02 08:15:07.250000')
        on = self.notification('power_off_end', '2026-03-02 09:20:30.500000', state='active')
        on['event_type'] = 'compute.instance.power_on.end'
        self.publish('replay', self.lines(on, name='on.jsonl'), self.lines(off, name='off.jsonl'), '--exchange', 'nova')
        down = HOUR + 5 * 60 + 23.25
        self.assert_equal_to_usage(24 * HOUR - (7 * HOUR + 41 * 60 + 22.604113) - down)
        self.assertEqual(('active', 'std.8', self.project), self.resource())
        late = self.lines(self.notification('delete_end', instance_type='std.8'), name='late.jsonl')
        self.publish('replay', late, '--exchange', 'nova')
        self.assert_equal_to_usage(18 * HOUR + 20 * 60 + 40.118 - (7 * HOUR + 41 * 60 + 22.604113) - down)
        self.assertEqual([1] * 11 + [0] * 6, self.instances())
        self.assertEqual(('deleted', 'std.8', self.project), self.resource())


if __name__ == '__main__':
    unittest.main()
