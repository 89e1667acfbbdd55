# SPDX-License-Identifier: Apache-2.0

import os
import shutil
import tempfile
import unittest
from unittest import mock

from ceilometer_paas.errors import ConfigError, Unavailable
from ceilometer_paas.publish import gnocchi as publisher_module
from ceilometer_paas.publish.load import load_publishers
from tests import publishing
from tests.gnocchi import MAX_HOST, TEXT, Gnocchi

DEFINITIONS = '''
archive_policy_default: hourly
archive_policies:
  - {name: hourly, aggregation_methods: [sum], back_window: 24, definition: [{granularity: 1 hour, timespan: 90 days}]}
resources:
  - resource_type: thing
    metrics: {memory: , disk: }
    attributes: {host: resource_metadata.host}
  - resource_type: not_created
    metrics: {orphan: }
  - resource_type: generic
    metrics: {unruly: {archive_policy_name: not_created}}
'''
TIME = '2026-11-22T09:00:00+00:00'
LONG = {'host': 'x' * (MAX_HOST + 1)}


class Base(unittest.TestCase):
    def setUp(self):
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.path = os.path.join(directory, 'resources.yaml')
        self.define(DEFINITIONS)
        self.gnocchi = Gnocchi(self)

    def define(self, text):
        with open(self.path, 'w') as file:
            file.write(text)

    def publisher(self):
        return publishing.publisher(
            self, f'gnocchi://?enable_filter_project=false&resources_definition_file={self.path}', self.gnocchi.conf())


class TestGnocchi(Base):
    def test_samples_arrive(self):
        """Measures are stored, under a resource with its attributes; the same again changes nothing."""
        publish = self.publisher()
        for _ in range(2):
            self.assertEqual([], publish(publishing.samples(2)))
            self.assertEqual({('resource-0', 'memory', TIME): 0, ('resource-1', 'memory', TIME): 1},
                             self.gnocchi.measures)
        self.assertEqual({'id': 'resource-0', 'type': 'thing', 'user_id': 'u' * 32, 'project_id': 'p' * 32,
                          'host': 'compute-1'}, self.gnocchi.resources['resource-0'])

    def test_metric_without_definition(self):
        """A metric that the file lacks is refused, with its name and the file's; the others arrive."""
        (sample, reason), = self.publisher()([*publishing.samples(2), *publishing.samples(1, 'nowhere')])
        self.assertEqual('nowhere', sample.name)
        self.assertRegex(reason, 'metric nowhere stands nowhere in ')
        self.assertEqual(2, len(self.gnocchi.measures))

    def test_misfits(self):
        """What Gnocchi cannot take, and over which it would fail for ever or store something else, is refused alone."""
        good, = publishing.samples(1)
        for fields in ({'unit': 'x' * 32}, {'unit': 'a\0'}, {'resource_metadata': LONG},
                       {'resource_metadata': {'host': 'a\0b'}}, {'resource_metadata': {'host': '\ud800'}},
                       {'volume': 'much'}, {'timestamp': '2600' + TIME[4:]}, {'timestamp': '1969' + TIME[4:]}):
            with self.subTest(fields):
                self.gnocchi.measures.clear()
                bad, = publishing.samples(1, **{'resource_id': f'bad-{fields}', **fields})
                refused = self.publisher()([bad, good])
                self.assertEqual([bad], [sample for sample, reason in refused])
                self.assertEqual({('resource-0', 'memory', TIME): 0}, self.gnocchi.measures)

    def test_no_resource_id(self):
        """A sample without a resource does not take the others with it."""
        given = publishing.samples(3)
        given[1].resource_id = None
        self.assertEqual(['1'], publishing.ids(sample for sample, reason in self.publisher()(given)))
        self.assertEqual(2, len(self.gnocchi.measures))

    def test_update_refused(self):
        """An attribute that cannot be brought up to date is noticed, also where the measure was stored."""
        publish = self.publisher()
        publish(publishing.samples(1))
        (sample, reason), = publish(publishing.samples(1, resource_metadata=LONG))
        self.assertIn('at most 20', reason)
        self.assertEqual('compute-1', self.gnocchi.resources['resource-0']['host'])


class TestFates(Base):
    def test_any_request_may_fail(self):
        """Whichever request meets an error that may pass, it is noticed, and all is well the next time."""
        given = [*publishing.samples(2), *publishing.samples(1, resource_id='known', resource_metadata={'host': 'new'})]
        statuses = 401, 403, 404, 405, 409, 429, 500, 503
        for number, status in [(number, status) for number in range(4) for status in statuses]:
            with self.subTest(f'request {number} gets {status}'):
                self.gnocchi.resources = {'known': {'id': 'known', 'type': 'thing', 'host': 'old'}}
                self.gnocchi.measures.clear()
                publish = self.publisher()
                self.gnocchi.script.extend([0] * number + [status])
                with self.assertRaises(Unavailable):
                    publish(given)
                self.assertEqual([], publish(given))
                self.assertEqual(3, len(self.gnocchi.measures))
                self.assertEqual('new', self.gnocchi.resources['known']['host'])

    def test_mixed(self):
        """With refusals and failures in turn every sample is stored or refused in the end."""
        given = [*publishing.samples(4), *publishing.samples(1, resource_id='bad', resource_metadata=LONG),
                 *publishing.samples(2, 'nowhere')]
        self.gnocchi.script.extend([0, 0, 500, 0, 429, 0, 0, 0, 0, 503])
        publish = self.publisher()
        refused, failures = None, 0
        while refused is None:
            try:
                refused = publish(given)
            except Unavailable:
                failures += 1
        self.assertFalse(self.gnocchi.script)
        self.assertGreater(failures, 1)
        self.assertEqual(['bad', 'resource-0', 'resource-1'], sorted(sample.resource_id for sample, _ in refused))
        self.assertEqual({f'resource-{number}' for number in range(4)}, {key[0] for key in self.gnocchi.measures})

    def test_what_an_operator_creates(self):
        """A type, an attribute or an archive policy that is missing is no fault of the samples: they wait for it."""
        for name, lacking in ('orphan', 'Resource type not_created does not exist'), (
                'unruly', 'Archive policy not_created does not exist'), (
                'memory', "Invalid input: extra keys not allowed @ data\\['host'\\]"):
            with self.subTest(name):
                self.gnocchi.types = {'generic': {}, 'thing': {}}
                self.gnocchi.policies.clear()
                self.gnocchi.resources.clear()
                publish = self.publisher()
                for _ in range(2):
                    with self.assertRaisesRegex(Unavailable, f'^sink: gnocchi: Gnocchi: {lacking} '
                                                             r'\(HTTP 40[04]\); run: ceilometer-paas gnocchi upgrade$'):
                        publish(publishing.samples(1, name))
                self.gnocchi.types |= {'not_created': {}, 'thing': {'host': TEXT}}
                self.gnocchi.policies['not_created'] = {}
                self.assertEqual([], publish(publishing.samples(1, name)))

    def test_down(self):
        """A Gnocchi that does not answer is unavailable within seconds."""
        publish = self.publisher()
        self.gnocchi.shutdown()
        self.gnocchi.server_close()
        with self.assertRaisesRegex(Unavailable, 'ConnectionFailure'):
            publish(publishing.samples(1))


class TestDefinitions(Base):
    def test_unusable(self):
        """A file of definitions that is not there, or is broken, is refused at the start; mistakes with their lines."""
        for text, lines in [
            ('resources: [', ['2: is not YAML: while parsing a flow node']),
            ('- resources', [' there is no list of resources']),
            ('resources: {}', [' there is no list of resources']),
            ('archive_policies: [{name: a}]\nresources: []', ['1: an archive policy has a name and a definition']),
            (DEFINITIONS + '  - {resource_type: a}\n  - {metrics: []}\n  - b\n', [
                '13: the resource cannot be used: Required field metrics not specified',
                '14: the resource cannot be used: Required field resource_type not specified',
                '15: the resource cannot be used: ']),
            (DEFINITIONS + '  - {resource_type: a, metrics: {}, attributes: {b: "$..["}}\n', [
                '13: the resource cannot be used: Parse error in JSONPath']),
        ]:
            with self.subTest(text):
                self.define(text)
                with self.assertRaises(ConfigError) as caught:
                    self.publisher()
                said = str(caught.exception).splitlines()
                self.assertEqual(len(lines), len(said), said)
                for expected, line in zip(lines, said, strict=True):
                    self.assertTrue(line.startswith(f'{self.path}:{expected}'), line)
        os.unlink(self.path)
        with self.assertRaisesRegex(ConfigError, '^paas_pipeline.yaml:7: publisher .*: does not exist'):
            self.publisher()
        self.define(DEFINITIONS)  # for setUp's clean-up

    def test_shipped(self):
        """Without a file of one's own the shipped definitions are used, and not Ceilometer's of the same name."""
        conf = publishing.conf(self, self.gnocchi.conf())
        beside = os.path.join(os.path.dirname(conf.config_file[0]), 'gnocchi_resources.yaml')
        with open(beside, 'w') as file:
            file.write(DEFINITIONS)
        self.gnocchi.types['instance'] = {'flavor_id': TEXT | {'required': True}}
        for query, name, takes in (('', 'compute.instance.uptime', True), ('', 'disk', False),
                                   ('resources_definition_file=gnocchi_resources.yaml', 'disk', True)):
            with self.subTest(query, name=name):
                publish, = load_publishers([publishing.target(f'gnocchi://?enable_filter_project=false&{query}')], conf)
                refused = publish(publishing.samples(1, name, resource_id=name, resource_metadata={}))
                self.assertEqual([] if takes else [
                    'metric disk stands nowhere in ceilometer_paas/gnocchi_resources.yaml'],
                    [reason for sample, reason in refused])


class TestAgain(Base):
    """What is stated is stated again, with another volume, when a late message told that it was otherwise."""

    def stated(self, volume, revision=0, time=TIME, **metadata):
        return publishing.samples(1, volume=volume, timestamp=time,
                                  resource_metadata={'revision': revision, **metadata})

    def test_volume(self):
        """The last volume counts, though of those that are not aggregated yet Gnocchi takes the smallest."""
        publish = self.publisher()
        for revision, volume in enumerate([3600, 1200, 3600, 0, 60]):
            with self.subTest(revision):
                self.assertEqual([], publish(self.stated(volume, revision)))
                self.assertEqual({('resource-0', 'memory', TIME): volume}, self.gnocchi.measures)

    def test_attributes(self):
        """A resource is what its newest sample says, in whatever order they come, also in one batch."""
        later, latest = TIME.replace('09', '10'), TIME.replace('09', '11')
        publish = self.publisher()
        for samples, host in (
            (self.stated(1, host='a'), 'a'),
            (self.stated(1, time=later, host='b'), 'b'),
            (self.stated(2, 1, host='c'), 'b'),
            (self.stated(1, 1, time=later, host='d'), 'd'),
            ([*self.stated(1, time=latest, host='e'), *self.stated(3, 2, host='f')], 'e'),
            (self.stated(1, time=later, host='g'), 'e'),
        ):
            self.assertEqual([], publish(samples))
            self.assertEqual(host, self.gnocchi.resources['resource-0']['host'])

    def test_after_a_start(self):
        """Of a resource that this process has not described yet, Gnocchi tells whether it knows newer samples."""
        later = TIME.replace('09', '11')
        self.publisher()([*self.stated(1, host='a'), *self.stated(1, time=later, host='b')])
        for time, says, host in (TIME, 'c', 'b'), (later, 'd', 'd'), (TIME, 'e', 'd'), (later[:14] + '30:00', 'f', 'f'):
            self.publisher()(self.stated(2, 1, time, host=says))
            self.assertEqual(host, self.gnocchi.resources['resource-0']['host'])

    def test_many(self):
        """Of as many resources as it is to remember it knows the newest; the one not seen for longest is forgotten."""
        with mock.patch.object(publisher_module, '_REMEMBERED', 2):
            publish = self.publisher()
            for resource in 'first', 'second', 'third':
                publish(publishing.samples(1, resource_id=resource))
            for resource, host in ('first', 'old'), ('third', 'compute-1'):
                publish(publishing.samples(1, resource_id=resource, timestamp=TIME.replace('09', '08'),
                                           resource_metadata={'host': 'old'}))
                self.assertEqual(host, self.gnocchi.resources[resource]['host'])


class TestResources(Base):
    def test_what_a_type_requires(self):
        """What a type requires and no sample tells is empty until one tells it."""
        self.gnocchi.types['thing']['host'] = TEXT | {'required': True}
        publish = self.publisher()
        for metadata, host in ({}, ''), ({'host': 'h'}, 'h'), ({}, 'h'):
            self.assertEqual([], publish(publishing.samples(1, resource_metadata=metadata)))
            self.assertEqual(host, self.gnocchi.resources['resource-0']['host'])

    def test_of_another_type(self):
        """A resource that exists under another type is told of; it does not hold up the others for ever."""
        self.gnocchi.resources['resource-1'] = {'id': 'resource-1', 'type': 'generic'}
        (sample, reason), = self.publisher()(publishing.samples(3))
        self.assertEqual('resource-1', sample.resource_id)
        self.assertIn('resource resource-1 is of the type generic', reason)

    def test_names(self):
        """An id may hold what has a meaning in a URL."""
        publish = self.publisher()
        for metadata in {}, {'revision': 1}:
            self.assertEqual([], publish(publishing.samples(1, resource_id='a/b?c#d%e f', resource_metadata=metadata)))
        self.assertEqual({('a_b?c#d%e f', 'memory', TIME): 0}, self.gnocchi.measures)
        self.assertIn('GET resource/generic/a_b%3Fc%23d%25e%20f/metric/memory/measures', self.gnocchi.requests)
