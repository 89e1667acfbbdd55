# SPDX-License-Identifier: Apache-2.0
"""``gnocchi upgrade``: what the file of definitions needs is created, once; what there is stays as it is."""

import copy
import unittest
from pathlib import Path

import yaml
from ceilometer import gnocchi_client

from ceilometer_paas.config.lifecycles import load_lifecycles
from ceilometer_paas.config.reader import Problems
from ceilometer_paas.publish import gnocchi_types
from tests import workspace
from tests.gnocchi import TEXT, Gnocchi

SHIPPED = Path(__file__).parents[2] / 'etc/ceilometer_paas'
DEFINITIONS = '''\
archive_policies:
  - name: mine
    aggregation_methods: [sum, last]
    back_window: 48
    definition: [{granularity: 1 hour, timespan: 90 days}, {granularity: 5 minutes, timespan: 1 day}]
resources:
  - {resource_type: queue, metrics: {acme.messages: {archive_policy_name: mine}}, attributes: {a: x, b: y}}
  - {resource_type: queue, metrics: {acme.bytes: {archive_policy_name: mine}}, attributes: {c: x, b: y}}
'''
PIPELINE = '''\
sources: [{{name: all, meters: ["*"], sinks: [gnocchi]}}]
sinks:
  - name: gnocchi
    publishers:
{}
'''


class Upgrading(workspace.WorkspaceTestCase):

    def setUp(self):
        super().setUp()
        self.gnocchi = Gnocchi(self)
        self.conf = workspace.CONF.format(directory=self.directory) + self.gnocchi.conf()
        self.write('ceilometer.conf', self.conf)
        self.file = self.write('mine.yaml', DEFINITIONS)

    def name(self, *urls):
        """Name publishers in the pipeline."""
        self.write('paas_pipeline.yaml', PIPELINE.format('\n'.join(f'      - "{url}"' for url in urls)))

    def upgrade(self, *arguments):
        """Run the command; what was done by kind and name, and the notes."""
        status, out, err = self.run_command('gnocchi', 'upgrade', '-f', 'value', *arguments)
        self.assertEqual(0, status, err)
        return out.splitlines(), err.splitlines()


class UpgradeTest(Upgrading):

    def test_once(self):
        """What is missing is created, a type with all that its definitions have; again is harmless."""
        for action in 'created', 'unchanged':
            self.assertEqual(([f'archive policy mine {action}', f'resource type queue {action}'], []),
                             self.upgrade('--resources-definition-file', self.file))
            self.assertEqual({'a': TEXT, 'b': TEXT, 'c': TEXT}, self.gnocchi.types['queue'])
            self.assertEqual({'mine'}, self.gnocchi.policies.keys())

    def test_attributes(self):
        """A type gets the attributes that it lacks, and keeps those that it has as they are."""
        own = {'type': 'number', 'required': True}
        self.gnocchi.types['queue'] = {'b': own, 'other': own}
        done, _ = self.upgrade('--resources-definition-file', self.file)
        self.assertIn('resource type queue updated', done)
        self.assertEqual({'a': TEXT, 'b': own, 'c': TEXT, 'other': own}, self.gnocchi.types['queue'])

    def test_pipeline(self):
        """The files of all publishers of the pipeline count, each thing once; beside others, and with their queries."""
        self.write('ours.yaml', DEFINITIONS.replace('queue', 'topic'))
        self.name(f'gnocchi://?resources_definition_file={self.file}', 'file:///nowhere',
                  f'gnocchi://?filter_project=x&resources_definition_file={self.directory}/ours.yaml')
        self.assertEqual(['archive policy mine created', 'resource type queue created', 'resource type topic created'],
                         self.upgrade()[0])

    def test_shipped(self):
        """Without a publisher of that kind it is the shipped file; Ceilometer's types are as Ceilometer makes them."""
        done, notes = self.upgrade()
        self.assertIn('resource type paas_project created', done)
        self.assertEqual([], notes)
        instance = self.gnocchi.types['instance']
        self.assertEqual(gnocchi_client.resources_initial['instance']['flavor_id'], instance['flavor_id'])
        self.assertEqual({'type': 'datetime', 'required': False}, instance['launched_at'])
        self.assertEqual(TEXT, instance['host'], 'it is no longer required')
        self.assertEqual(TEXT | {'required': True}, instance['flavor_name'])
        self.assertEqual(TEXT, instance['state'])

    def test_after_ceilometer(self):
        """Where Ceilometer made its types, they are given the attributes of ours."""
        self.gnocchi.types |= copy.deepcopy(gnocchi_client.resources_initial)
        done, _ = self.upgrade()
        self.assertIn('resource type instance updated', done)
        added = {name: self.gnocchi.types['instance'][name] for name in ('state', 'flavor_name')}
        self.assertEqual({'state': TEXT, 'flavor_name': TEXT}, added)
        self.assertTrue(all('unchanged' in line for line in self.upgrade()[0]))


class NotesTest(Upgrading):

    def test_policy(self):
        """A policy that does less than the file wants stays as it is; each thing that it does not do is noted."""
        there = {'name': 'mine', 'aggregation_methods': ['mean', 'sum', 'last'], 'back_window': 2,
                 'definition': [{'granularity': '1 day, 0:00:00'}, {'granularity': '1:00:00'},
                                {'granularity': '0:05:00'}]}
        for change, notes in (
            ({}, []),
            ({'back_window': 1, 'aggregation_methods': ['mean', 'sum']}, [
                'does not aggregate by last', 'has a back_window of 24 hours, not 48: of what is stated later Gnocchi '
                                              'drops the measures without a word']),
            ({'definition': [{'granularity': '1 day, 0:00:00'}, {'granularity': 300.0}]}, [
                'has no granularity of 1 hour']),
        ):
            with self.subTest(change):
                self.gnocchi.policies['mine'] = given = there | change
                done, said = self.upgrade('--resources-definition-file', self.file)
                self.assertIn('archive policy mine unchanged', done)
                self.assertEqual([f'note: archive policy mine {note}' for note in notes], said)
                self.assertEqual(there | change, given)

    def test_no_policy(self):
        """A policy that metrics use, and that nobody creates, is named."""
        self.name(f'gnocchi://?archive_policy=low&resources_definition_file={self.file}')
        self.assertEqual(['note: there is no archive policy low, which metrics use; create it'], self.upgrade()[1])


class FailuresTest(Upgrading):

    def assert_said(self, expected, *arguments):
        """Expect one line on stderr, and nothing done."""
        status, out, err = self.run_command('gnocchi', 'upgrade', *arguments)
        self.assertEqual((1, ''), (status, out))
        line, = err.splitlines()
        self.assertRegex(line, expected)
        self.assertEqual(({'generic', 'thing'}, {}), (self.gnocchi.types.keys(), self.gnocchi.policies))

    def test_files(self):
        """A file that is not there, or cannot be used, is told with the publisher's line."""
        self.assert_said('^nowhere.yaml: not found; looked in ', '--resources-definition-file', 'nowhere.yaml')
        self.write('mine.yaml', 'resources: [')
        self.assert_said(f'^{self.file}:2: is not YAML: while parsing', '--resources-definition-file', self.file)
        self.write('mine.yaml', '[]')
        self.name(f'gnocchi://?resources_definition_file={self.file}')
        self.assert_said(f'^{self.file}: there is no list of resources')
        self.name('gnocchi://?resources_definition_file=nowhere.yaml')
        self.assert_said(r'paas_pipeline.yaml:5: nowhere.yaml: not found; looked in ')

    def test_credentials(self):
        """Without credentials nothing is asked."""
        self.write('ceilometer.conf', workspace.CONF.format(directory=self.directory))
        self.assert_said(r'^credentials are missing: \[service_credentials\] has no auth_type$')
        self.assertEqual([], self.gnocchi.requests)

    def test_refused(self):
        """Whoever may not create types is told so."""
        self.gnocchi.script.append(403)
        self.assert_said(r'^Gnocchi: as the script says \(HTTP 403\)$')

    def test_unreachable(self):
        """A Gnocchi that does not answer, and a Keystone that does not, is told within seconds."""
        self.gnocchi.shutdown()
        self.gnocchi.server_close()
        self.assert_said('^Gnocchi: ConnectionFailure: Unable to establish connection to http://127.0.0.1:',
                         '--resources-definition-file', self.file)
        keystone = f'auth_url = http://127.0.0.1:{self.gnocchi.server_port}\nusername = u\npassword = secret\n'
        self.write('ceilometer.conf', workspace.CONF.format(directory=self.directory) +
                   f'[service_credentials]\nauth_type = password\n{keystone}')
        self.assert_said('^Gnocchi: [A-Za-z]+: .*Unable to establish connection')


class ShippedTest(unittest.TestCase):

    def setUp(self):
        self.definitions = yaml.safe_load((SHIPPED / 'gnocchi_resources.yaml').read_text())
        self.metrics = [(metric, resource['resource_type']) for resource in self.definitions['resources']
                        for metric in resource['metrics']]

    def test_every_meter_of_the_shipped_definitions_is_a_metric_of_one_type(self):
        """What is published by what is shipped has a place in the shipped file; and nothing else has."""
        meters = {definition['name'] for path in SHIPPED.glob('meters.d/*.yaml')
                  for definition in yaml.safe_load(path.read_text())['metric']}
        lifecycles = load_lifecycles([str(SHIPPED / 'lifecycles.d')], problems := Problems())
        self.assertFalse(problems)
        for lifecycle in lifecycles:
            if lifecycle.type_name:
                meters.update(lifecycle.meter_names(lifecycle.type_name))
        self.assertEqual(sorted(meters), sorted(metric for metric, _ in self.metrics))

    def test_a_resource_has_one_type(self):
        """Meters of one lifecycle but the quantity, and those of one file of meters, stand at one type."""
        types = dict(self.metrics)
        lifecycles = load_lifecycles([str(SHIPPED / 'lifecycles.d')], Problems())
        of_lifecycles = [set(lifecycle.meter_names(lifecycle.type_name)) - {lifecycle.quantity}
                         for lifecycle in lifecycles if lifecycle.type_name]
        of_meters = [{definition['name'] for definition in yaml.safe_load(path.read_text())['metric']}
                     for path in SHIPPED.glob('meters.d/*.yaml')]
        for names in filter(None, of_lifecycles + of_meters):
            self.assertEqual(1, len({types[name] for name in names}), names)
        quantities = {one.quantity for one in lifecycles if one.type_name} - {''}
        self.assertEqual({'paas_project'}, {types[name] for name in quantities})

    def test_the_archive_policy_keeps_what_is_restated(self):
        """By the hour, with sums, and for 35 days."""
        policy, = self.definitions['archive_policies']
        self.assertEqual(self.definitions['archive_policy_default'], policy['name'])
        self.assertIn('sum', policy['aggregation_methods'])
        self.assertEqual([3600], [gnocchi_types._seconds(one['granularity']) for one in policy['definition']])
        self.assertEqual(35 * 24, gnocchi_types._back_window(policy))
