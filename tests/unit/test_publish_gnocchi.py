# SPDX-License-Identifier: Apache-2.0

import os
import shutil
import tempfile
import unittest

from ceilometer_paas.errors import ConfigError, Unavailable
from tests import publishing
from tests.gnocchi import MAX_HOST, Gnocchi

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
        self.assertEqual({'id': 'resource-0', 'user_id': 'u' * 32, 'project_id': 'p' * 32, 'host': 'compute-1'},
                         self.gnocchi.resources['resource-0'])

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
                self.gnocchi.resources = {'known': {'id': 'known', 'host': 'old'}}
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
        """A resource type or an archive policy that is missing is no fault of the samples: they wait for it."""
        for name in 'orphan', 'unruly':
            with self.subTest(name):
                publish = self.publisher()
                with self.assertRaisesRegex(Unavailable, 'not_created does not exist'):
                    publish(publishing.samples(1, name))
                self.gnocchi.types.add('not_created')
                self.gnocchi.policies.add('not_created')
                self.assertEqual([], publish(publishing.samples(1, name)))
                self.gnocchi.types.discard('not_created')
                self.gnocchi.resources.clear()
                self.gnocchi.policies.discard('not_created')

    def test_down(self):
        """A Gnocchi that does not answer is unavailable within seconds."""
        publish = self.publisher()
        self.gnocchi.shutdown()
        self.gnocchi.server_close()
        with self.assertRaisesRegex(Unavailable, 'ConnectionFailure'):
            publish(publishing.samples(1))


class TestDefinitions(Base):
    def test_unusable(self):
        """A file of definitions that is not there, is broken, or holds a broken resource, is refused at the start."""
        for text, words in [
            ('resources: [', 'while parsing'),
            ('- resources', 'no list of resources'),
            ('resources: {}', 'no list of resources'),
            (DEFINITIONS + '  - resource_type: incomplete\n', '1 of its 4 resources cannot be used'),
        ]:
            with self.subTest(text):
                self.define(text)
                with self.assertRaisesRegex(ConfigError, words):
                    self.publisher()
        os.unlink(self.path)
        with self.assertRaisesRegex(ConfigError, 'does not exist'):
            self.publisher()
        self.define(DEFINITIONS)  # for setUp's clean-up

    def test_ceilometers_own(self):
        """Without a file of one's own Ceilometer's definitions are used."""
        publish = publishing.publisher(self, 'gnocchi://?enable_filter_project=false', self.gnocchi.conf())
        self.gnocchi.types.add('instance')
        (sample, reason), = publish([*publishing.samples(1, 'memory.usage'), *publishing.samples(1, 'nowhere')])
        self.assertEqual('nowhere', sample.name)
        self.assertIn('gnocchi_resources.yaml', reason)
        self.assertEqual({('resource-0', 'memory.usage', TIME): 0}, self.gnocchi.measures)
