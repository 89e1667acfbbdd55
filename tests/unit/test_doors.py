# SPDX-License-Identifier: Apache-2.0
"""What of Ceilometer's configuration and ours does not go together is found, with its place."""

import os
import sys
import tempfile
import unittest

from ceilometer import service

from ceilometer_paas.config import doors
from ceilometer_paas.config.load import load
from ceilometer_paas.errors import ConfigError
from tests.files import Files, said

SOURCES = '''
    endpoints:
      cloud: {url: ""}
      far: {url: "rabbit://h/far"}
    queues:
      usage.nova: {endpoint: cloud, exchange: nova, topic: notifications}
      usage.far: {endpoint: far, exchange: nova, topic: notifications}
    metric_types: {memory: [usage.nova, usage.far]}
    '''
PIPELINE = '''
    sources: [{{name: all, meters: ["*"], sinks: [s]}}]
    sinks:
      - name: s
        publishers: [{}]
    '''
CONF = '[DEFAULT]\ntransport_url = rabbit://u:sesame@h/\n'
ENTRY_POINTS = '''
    [ceilometer.notification.pipeline]
    paas = ceilometer_paas.plugin.pipeline:PaasPipelineManager
    [ceilometer.sample.endpoint]
    paas = ceilometer_paas.plugin.endpoint:Renamed
    [ceilometer.sample.publisher]
    '''


class DoorsTestCase(unittest.TestCase):

    def setUp(self):
        self.files = Files(self)
        self.files.write('sources.yaml', SOURCES)
        self.publish('gnocchi://')

    def publish(self, *urls, to='paas_pipeline.yaml'):
        """Write a pipeline, its publishers on line 4."""
        return self.files.write(to, PIPELINE.format(', '.join(f'"{url}"' for url in urls)))

    def conf(self, text=''):
        return self.files.conf(CONF + text)

    def install(self, name, version, entry_points=''):
        """Have another distribution of this name hide the one that is installed."""
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.addCleanup(sys.path.remove, place.name)
        information = os.path.join(place.name, f'{name}-{version}.dist-info')
        os.mkdir(information)
        for file, text in (('METADATA', f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'),
                           ('entry_points.txt', '\n'.join(map(str.strip, entry_points.splitlines())))):
            with open(os.path.join(information, file), 'w') as stream:
                stream.write(text)
        sys.path.insert(0, place.name)


class CheckTest(DoorsTestCase):

    def check(self, text=''):
        """Load the configuration; its mistakes."""
        try:
            load(self.conf(text))
        except ConfigError as error:
            self.assertNotIn('sesame', str(error))
            return said(error.problems)
        return []

    def test_samples_do_not_go_back_into_the_ledger(self):
        for url in ('paas://', 'paas', 'paas://h/x?y=z'):
            self.publish('file:///x', url)
            with self.subTest(url):
                self.assertEqual(['paas_pipeline.yaml:4: paas:// is for Ceilometer\'s own pipeline.yaml: from here '
                                  'samples would go back into the ledger; name where they are to end, such as '
                                  'gnocchi://'], self.check())

    def test_a_loop_by_way_of_the_agent_is_refused_with_both_files(self):
        self.publish('file:///x', 'paas', to='pipeline.yaml')
        for url in ('paasbus://', 'paasbus', 'paasbus://u:sesame@h/', 'paasbus://?topic=a&topic=notifications'):
            self.publish(url)
            with self.subTest(url):
                self.assertEqual(['paas_pipeline.yaml:4: samples would go round: this leads to the bus of '
                                  f'Ceilometer\'s notification agent, and {self.files.path("pipeline.yaml")}:4 from '
                                  'there to paas://; name here where they are to end, such as gnocchi://, or remove '
                                  'paas:// there'], self.check())

    def test_what_the_agent_does_not_take_up_is_no_loop(self):
        self.publish('paas://', to='pipeline.yaml')
        for url in ('paasbus://?topic=elsewhere', 'paasbus://h/other', 'paasbus://other/', 'notifier://',
                    'notifier://?topic=notifications', 'http://h/', 'gnocchi://'):
            self.publish(url)
            with self.subTest(url):
                self.assertEqual([], self.check())
        self.publish('paasbus://')
        self.assertEqual([], self.check('[notification]\nmessaging_urls = rabbit://elsewhere/\n'))
        self.assertEqual(1, len(self.check('[notification]\nmessaging_urls = rabbit://x/\n'
                                           'messaging_urls = rabbit://h/\n')))

    def test_no_loop_without_a_pipeline_that_leads_into_the_ledger(self):
        self.publish('paasbus://')
        self.assertEqual([], self.check(), 'Ceilometer falls back on its own')
        self.publish('gnocchi://', to='pipeline.yaml')
        self.assertEqual([], self.check())
        self.publish('paas://', to='pipeline.yaml')
        self.assertEqual([], self.check('[notification]\npipelines = event\n'), 'nothing reads the file')
        self.assertEqual(1, len(self.check('[notification]\npipelines = meter,event\n')), 'it is to be mended')

    def test_the_pipeline_is_found_as_ceilometer_finds_it(self):
        self.publish('paasbus://')
        path = self.publish('paas://', to='mine.yaml')
        for name in ('mine.yaml', path):
            problem, = self.check(f'pipeline_cfg_file = {name}\n')
            self.assertIn(f'{path}:4', problem)

    def test_a_pipeline_of_ceilometers_that_cannot_be_read_is_its_matter(self):
        self.publish('paasbus://')
        for text in ('{', 'x', '[]', 'sinks: 3', 'sinks: [3, {publishers: 4}, {publishers: [5, null]}]', ''):
            self.files.write('pipeline.yaml', text)
            with self.subTest(text):
                self.assertEqual([], self.check())
        for option in ('pipeline_cfg_file = /nowhere.yaml', 'pipeline_cfg_file = /', 'pipeline_cfg_file = $nothing',
                       '[notification]\npipelines = $nothing', '[notification]\nmessaging_urls = nonsense'):
            with self.subTest(option):
                self.assertEqual([], self.check(f'{option}\n'))

    def test_an_old_ceilometer_is_refused_with_the_command_that_mends_it(self):
        self.install('ceilometer', '26.1.0')
        self.assertEqual(['ceilometer:0: version 26.1.0 is installed, and 27 or newer is needed; run: '
                          f'{sys.executable} -m pip install --upgrade "ceilometer>=27"'], self.check())
        self.install('ceilometer', '27.0.0.dev4')
        self.assertEqual([], self.check())


class MistakesTest(DoorsTestCase):

    def mistakes(self, text):
        return said(doors.mistakes(self.conf(text)))

    def test_nothing_is_wrong_with_names_on_lines_of_their_own(self):
        self.assertEqual([], self.mistakes(''))
        self.assertEqual([], self.mistakes('[notification]\npipelines = meter\npipelines = "event"\n'
                                           'pipelines = paas\n'))

    def test_several_names_on_a_line_are_one_name(self):
        for names in ('meter,event,paas', 'meter, event, paas', 'meter event paas', '"meter;event;paas"'):
            with self.subTest(names):
                problem, = self.mistakes(f'[other]\npipelines = x,y\n[notification]\n# pipelines\npipelines={names}\n')
                self.assertTrue(problem.startswith('ceilometer.conf:7: [notification] pipelines: '), problem)
                self.assertTrue(problem.endswith('write a line for each: pipelines = meter, pipelines = event, '
                                                 'pipelines = paas'), problem)

    def test_a_line_that_is_continued_is_one_name_too(self):
        problem, = self.mistakes('[notification]\npipelines = meter\n  event\n')
        self.assertRegex(problem, r'^ceilometer\.conf:4: .* takes .meter\\nevent. for one name')

    def test_a_file_of_a_configuration_directory_is_named(self):
        os.mkdir(self.files.path('conf.d'))
        self.files.write('conf.d/paas.conf', '[notification]\n\npipelines = meter,paas\n')
        conf = service.prepare_service(['test', '--config-dir', self.files.path('conf.d')])
        self.assertTrue(said(doors.mistakes(conf))[0].startswith('paas.conf:3: '))

    def test_an_unknown_name_is_told_with_the_nearest(self):
        self.assertEqual(['ceilometer.conf:5: [notification] pipelines: there is no pipeline \'pass\'; '
                          'did you mean \'paas\'?',
                          'ceilometer.conf:6: [notification] pipelines: there is no pipeline \'xyz\'; '
                          'there are event, meter, paas'],
                         self.mistakes('[notification]\npipelines = event\npipelines = pass\npipelines = xyz\n'))

    def test_doors_that_are_missing_or_lead_nowhere(self):
        self.install('ceilometer_paas', '9.0', ENTRY_POINTS)
        nowhere, missing = self.mistakes('[notification]\npipelines = paas\n')
        self.assertRegex(nowhere, 'the entry point paas of ceilometer.sample.endpoint cannot be loaded: .*Renamed.*; '
                                  'install the package again: .*pip install')
        self.assertRegex(missing, 'the entry point paas of ceilometer.sample.publisher is missing; install')

    def test_a_pipeline_that_is_named_and_not_installed(self):
        self.install('ceilometer_paas', '9.0')
        said_of_pipeline = self.mistakes('[notification]\npipelines = paas\n')[0]
        self.assertEqual('ceilometer.conf:4: [notification] pipelines: there is no pipeline \'paas\' in this '
                         'environment; install ceilometer-paas where ceilometer-agent-notification runs',
                         said_of_pipeline)


class EndpointTest(DoorsTestCase):
    SHARED = '[paas]\nsample_endpoint = true\n'

    def check(self, text):
        try:
            load(self.conf(text))
        except ConfigError as error:
            return said(error.problems)
        return []

    def test_what_its_queues_could_not_tell_apart_is_refused(self):
        """A message that comes by two doors would count as that of one queue and of the other."""
        self.files.write('sources.yaml', SOURCES.replace('usage.far]', 'usage.other, usage.far]').replace(
            'queues:', 'queues:\n      usage.other: {endpoint: cloud, exchange: x, topic: notifications}'))
        self.assertEqual([], self.check(''))
        mistake, = self.check(self.SHARED)
        self.assertIn("gives 'memory' to usage.nova, usage.other, which cannot be told apart", mistake)

    def test_it_is_for_some_queue(self):
        mistake, = self.check(self.SHARED + '[notification]\nmessaging_urls = rabbit://elsewhere/\n')
        self.assertIn('no queue of the source map would get copies', mistake)


class NotesTest(DoorsTestCase):

    def notes(self, text='', twice=()):
        config = load(self.conf(text))
        return list(doors.notes(config.conf, config.sources, twice))

    def test_one_door_is_nothing_to_speak_of(self):
        self.assertEqual([], self.notes())
        self.assertEqual([], self.notes('[paas]\nsample_endpoint = true\n'))
        self.assertEqual([], self.notes('[notification]\npipelines = meter\n[paas]\npublish_events = true\n'))

    def test_an_agent_beside_that_of_ceilometer_is_not_needed(self):
        note, = self.notes('[notification]\npipelines = meter\npipelines = paas\n')
        self.assertIn('ceilometer-agent-paas, where it runs too, shares them with it', note)

    def test_two_doors_for_one_queue_are_told_with_the_queue(self):
        _, note = self.notes('[notification]\npipelines = meter\npipelines = paas\n[paas]\nsample_endpoint = true\n')
        self.assertIn('what is sent to usage.nova counts once, but is carried twice', note)

    def test_an_endpoint_that_nothing_loads(self):
        note, = self.notes('[notification]\npipelines = event\n[paas]\nsample_endpoint = true\n')
        self.assertIn('sample_endpoint has no effect', note)

    def test_events_that_both_publish(self):
        note, = self.notes('[paas]\npublish_events = true\n')
        self.assertIn('two events', note)

    def test_meters_that_come_into_the_ledger_by_two_definitions(self):
        path = self.publish('paas://', to='pipeline.yaml')
        self.assertEqual([], self.notes())
        note, = self.notes(twice=('memory', 'vcpus'))
        self.assertTrue(note.startswith(f'{path}:4 publishes to paas://'), note)
        self.assertIn('twice, by its definitions and by ours: memory, vcpus;', note)
        self.publish('gnocchi://', to='pipeline.yaml')
        self.assertEqual([], self.notes(twice=('memory', 'vcpus')))


if __name__ == '__main__':
    unittest.main()
