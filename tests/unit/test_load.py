# SPDX-License-Identifier: Apache-2.0
"""What an operator wrote becomes one configuration, or all its mistakes one message."""

import os
import unittest
from unittest import mock

from ceilometer_paas.config import reader
from ceilometer_paas.config.load import load
from ceilometer_paas.errors import ConfigError, Problem
from tests.files import REPOSITORY, Files, said

SHIPPED = os.path.join(REPOSITORY, 'etc', 'ceilometer_paas')
SOURCES = '''
    endpoints: {cloud: {url: ""}}
    queues: {q: {endpoint: cloud, exchange: nova, topic: notifications}}
    metric_types: {memory: q}
    '''
PIPELINE = '''
    sources: [{name: all, meters: ["*"], sinks: [bus]}]
    sinks: [{name: bus, publishers: ["paasbus://"]}]
    '''
METER = '''
    metric:
      - name: memory
        event_type: compute.instance.exists
        type: gauge
        unit: MiB
        volume: $.payload.memory_mb
        resource_id: $.payload.instance_id
    '''


LIFECYCLE = '''
    lifecycle:
      - resource_type: instance
        resource_id: $.payload.instance_id
        events: [{event_type: compute.instance.exists, observed: $.payload.state}]
    '''
OWN = 'meter_definitions_dirs = own.d\nlifecycle_definitions_dirs = lives.d'


class LoadTest(unittest.TestCase):

    def setUp(self):
        self.files = Files(self)
        self.files.write('sources.yaml', SOURCES)
        self.files.write('paas_pipeline.yaml', PIPELINE)
        for directory, text in (('own.d', METER), ('lives.d', LIFECYCLE)):
            os.mkdir(self.files.path(directory))
            self.files.write(f'{directory}/a.yaml', text)

    def load(self, *options):
        return load(self.files.conf('\n'.join(['[paas]', *options, ''])))

    def refused(self, *options):
        with self.assertRaises(ConfigError) as caught:
            self.load(*options)
        self.assertNotIn('sesame', str(caught.exception))
        return said(caught.exception.problems)

    def test_files_beside_ceilometer_conf_become_one_configuration(self):
        config = self.load(OWN, 'workers = 3')
        self.assertEqual((3, ['q'], ['memory'], ['instance'], ['bus: paasbus://']),
                         (config.settings.workers, list(config.sources.queues), [meter.name for meter in config.meters],
                          [lifecycle.type_name for lifecycle in config.lifecycles],
                          [target.name for target in config.targets]))
        self.assertEqual(3, config.conf.paas.workers)

    def test_every_meter_and_lifecycle_that_is_shipped_is_mapped(self):
        config = self.load(f'sources_file = {SHIPPED}/sources.yaml', f'meter_definitions_dirs = {SHIPPED}/meters.d',
                           f'lifecycle_definitions_dirs = {SHIPPED}/lifecycles.d',
                           f'pipeline_cfg_file = {SHIPPED}/paas_pipeline.yaml')
        names = {meter.name for meter in config.meters}
        self.assertLess(9, len(names))
        self.assertEqual([], [name for name in names if not config.sources.queues_of(name)])
        self.assertIn('instance', [lifecycle.type_name for lifecycle in config.lifecycles])
        for lifecycle in config.lifecycles:
            queues = {config.sources.queues_of(name) for name in lifecycle.meter_names(lifecycle.type_name)}
            if lifecycle.type_name:
                self.assertEqual([1], [len(each) for each in queues], lifecycle.type_name)

    def test_reading_leaves_no_trace(self):
        before = sorted(os.listdir(self.files.directory))
        self.load(OWN, f'state_path = {self.files.path("state")}')
        self.assertEqual(sorted([*before, 'ceilometer.conf']), sorted(os.listdir(self.files.directory)))

    def test_no_password_stands_in_its_repr(self):
        config = self.load(OWN, 'ledger_connection = postgresql+psycopg2://u:sesame@h/paas')
        self.assertIn('sesame', config.settings.ledger_connection)
        self.assertNotIn('sesame', repr(config))

    def test_the_mistakes_of_all_files_are_reported_at_once(self):
        self.files.write('sources.yaml', SOURCES.replace('nova', '""'))
        self.files.write('paas_pipeline.yaml', PIPELINE.replace('[bus]', '[buss]'))
        self.files.write('own.d/a.yaml', METER.replace('gauge', 'gouge'))
        self.files.write('lives.d/a.yaml', LIFECYCLE.replace('instance_id', 'instance_id['))
        lines = self.refused(OWN, 'workers = 0', 'batch_size = many')
        self.assertEqual([
            'ceilometer.conf:0: [paas] batch_size: invalid literal for int() with base 10: \'many\'',
            'ceilometer.conf:0: [paas] workers: Should be greater than or equal to 1',
            "paas_pipeline.yaml:1: there is no sink 'buss'; did you mean 'bus'?",
            "paas_pipeline.yaml:2: no source feeds the sink 'bus'; name it in one, or remove it",
            "sources.yaml:2: exchange is ''; it is printable text of 1 to 255 characters, without blanks around it",
        ], sorted(line for line in lines if not line.startswith('a.yaml')))
        self.assertEqual(['a.yaml:3', 'a.yaml:4'], sorted(line[:8] for line in lines if line.startswith('a.yaml')))

    def test_a_missing_file_says_where_it_was_looked_for_and_what_to_do(self):
        os.remove(self.files.path('sources.yaml'))
        missing, = self.refused(OWN, 'sources_file = no-such.yaml')
        self.assertEqual('ceilometer.conf:0: sources_file = no-such.yaml: not found; looked in the directory of '
                         'ceilometer.conf, /etc/ceilometer, /etc/ceilometer_paas, '
                         + ', '.join(reader.prefixes()) +
                         '; copy the one that comes with the package and edit it, or set [paas] sources_file', missing)
        absolute, = self.refused(OWN, 'sources_file = /no/such.yaml')
        self.assertIn('sources_file = /no/such.yaml: does not exist; ', absolute)

    def test_a_value_with_a_lone_dollar_is_refused_without_showing_it(self):
        line, = self.refused(OWN, 'ledger_connection = mysql+pymysql://u:$sesame@h/paas')
        self.assertIn('ceilometer.conf:0: [paas] ledger_connection: $ begins the name of another option', line)
        lines = self.refused(OWN, 'sources_file = $sesame')
        self.assertEqual(1, len(lines), lines)

    def test_of_the_default_directories_of_definitions_one_suffices(self):
        os.mkdir(self.files.path('ceilometer_paas'))
        os.rename(self.files.path('own.d'), self.files.path('ceilometer_paas/meters.d'))
        os.rename(self.files.path('lives.d'), self.files.path('ceilometer_paas/lifecycles.d'))
        config = self.load()
        self.assertEqual((['memory'], ['instance']), ([meter.name for meter in config.meters],
                                                      [lifecycle.type_name for lifecycle in config.lifecycles]))

    def test_ceilometers_own_definitions_beside_ceilometer_conf_do_not_hide_the_shipped_ones(self):
        os.rename(self.files.path('own.d'), self.files.path('meters.d'))
        with mock.patch.object(reader, 'prefixes', return_value=[str(SHIPPED)]):
            self.assertIn('trove.instance', [meter.name for meter in self.load().meters])

    def test_a_directory_of_definitions_that_an_operator_names_must_be_there(self):
        for option in ('meter_definitions_dirs', 'lifecycle_definitions_dirs'):
            line, = self.refused(OWN, f'{option} = none.d')
            self.assertIn(f'ceilometer.conf:0: {option} = none.d: not found; looked in ', line)
            line, = self.refused(OWN, f'{option} = sources.yaml')
            self.assertEqual(f'ceilometer.conf:0: {option} = sources.yaml: '
                             f'{self.files.path("sources.yaml")} is a file; name its directory', line)

    def test_no_directory_of_definitions_at_all_is_a_mistake(self):
        with mock.patch.object(reader, 'prefixes', return_value=[self.files.path('prefix')]):
            lines = self.refused()
        for line, begin in zip(lines, ('lifecycle_definitions_dirs = /etc/ceilometer/paas_lifecycles.d: does not exist',
                                       'lifecycle_definitions_dirs = ceilometer_paas/lifecycles.d: not found',
                                       'meter_definitions_dirs = /etc/ceilometer/paas_meters.d: does not exist',
                                       'meter_definitions_dirs = ceilometer_paas/meters.d: not found'), strict=True):
            self.assertIn(begin, line)

    def test_an_option_that_there_is_not_is_refused_with_its_line(self):
        self.assertEqual(["ceilometer.conf:4: [paas] has no option 'workres'; did you mean 'workers'?"],
                         self.refused(OWN, 'workres = 3'))
        self.load(OWN, '# workres = 3', '[elsewhere]', 'workres: 3')

    def test_a_number_that_is_none_is_refused(self):
        self.assertEqual(['ceilometer.conf:0: [paas] batch_timeout: it is a finite number',
                          'ceilometer.conf:0: [paas] max_backoff: it is a finite number'],
                         self.refused(OWN, 'max_backoff = nan', 'batch_timeout = inf'))

    def test_a_beginning_that_is_no_time_is_refused(self):
        self.assertEqual(["ceilometer.conf:0: [paas] begin: 'March' is not a date and time; write it as "
                          '2026-03-01T00:00:00Z or 2026-03-01'], self.refused(OWN, 'begin = March'))

    def test_the_state_path_does_not_depend_on_where_a_program_is_started(self):
        for path in ('', 'state'):
            self.assertEqual([f"ceilometer.conf:0: [paas] state_path is '{path}'; it is a path that begins with /"],
                             self.refused(OWN, f'state_path = {path}'))

    def test_nothing_of_events_is_read_unless_they_are_published(self):
        self.files.write('event_pipeline.yaml', 'nonsense')
        config = self.load(OWN, 'event_definitions_cfg_file = /nowhere')
        self.assertEqual(((), ()), (config.events, config.event_targets))

    def test_with_events_their_definitions_and_pipeline_are_read(self):
        self.files.write('events.yaml', '[{event_type: a.*, traits: {id: payload.id}}]')
        options = OWN, 'publish_events = true', 'event_definitions_cfg_file = events.yaml'
        config = self.load(*options)
        self.assertEqual((({'event_type': 'a.*', 'traits': {'id': 'payload.id'}},), ['event event_sink: notifier://'],
                          ['bus: paasbus://']),
                         (config.events, [target.name for target in config.event_targets],
                          [target.name for target in config.targets]))
        self.files.write('event_pipeline.yaml', PIPELINE.replace('meters', 'events').replace('paasbus', 'http://a/b'))
        self.assertEqual(['event bus: http://a/b://'], [target.name for target in self.load(*options).event_targets])

    def test_the_shipped_event_definitions_are_found_and_not_ceilometers(self):
        with mock.patch.object(reader, 'prefixes', return_value=[str(SHIPPED)]):
            config = self.load(OWN, 'publish_events = true')
        self.assertEqual({os.path.join(SHIPPED, 'event_definitions.yaml')}, {one.file for one in config.events})

    def test_what_is_wrong_with_events_is_reported_with_the_rest(self):
        self.files.write('events.yaml', '[{event_type: a.*, trait: {}}]')
        self.files.write('event_pipeline.yaml', 'sinks: []')
        lines = self.refused(OWN, 'workers = 0', 'publish_events = on', 'event_definitions_cfg_file = events.yaml')
        self.assertEqual(['ceilometer.conf:0', 'event_pipeline.yaml:1', 'event_pipeline.yaml:1', 'events.yaml:1',
                          'events.yaml:1'], [':'.join(line.split(':')[:2]) for line in lines])
        self.assertEqual(['ceilometer.conf:0: [paas] publish_events: Unexpected boolean value \'maybe\''],
                         self.refused(OWN, 'publish_events = maybe'))

    def test_files_of_events_that_are_not_there_are_mistakes(self):
        one, other = self.refused(OWN, 'publish_events = true', 'event_definitions_cfg_file = none.yaml',
                                  '[DEFAULT]', 'event_pipeline_cfg_file = none.yaml')
        self.assertIn('ceilometer.conf:0: [DEFAULT] event_pipeline_cfg_file = none.yaml: not found; looked in ', one)
        self.assertIn('ceilometer.conf:0: event_definitions_cfg_file = none.yaml: not found; looked in ', other)

    def test_a_publisher_of_events_is_never_called_what_one_of_samples_is(self):
        self.files.write('paas_pipeline.yaml', PIPELINE.replace('bus]', 'event bus]').replace('name: bus',
                                                                                           'name: event bus'))
        self.files.write('event_pipeline.yaml', PIPELINE.replace('meters', 'events'))
        self.files.write('events.yaml', '[{event_type: a.*, traits: {}}]')
        self.assertEqual(['event_pipeline.yaml:2: event bus: paasbus:// is what a publisher of samples is called, too; '
                          'give the sink another name'],
                         self.refused(OWN, 'publish_events = true', 'event_definitions_cfg_file = events.yaml'))

    def test_what_the_caller_finds_wrong_with_targets_is_reported_too(self):
        self.files.write('sources.yaml', SOURCES.replace('nova', '""'))

        def dislike(targets, conf):
            raise ConfigError([Problem(target.file, target.line, 'no') for target in targets])
        with self.assertRaises(ConfigError) as caught:
            load(self.files.conf(f'[paas]\n{OWN}\n'), dislike)
        self.assertEqual([('paas_pipeline.yaml', 2), ('sources.yaml', 2)],
                         [(os.path.basename(one.file), one.line) for one in caught.exception.problems])
