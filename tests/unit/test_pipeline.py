# SPDX-License-Identifier: Apache-2.0
"""The pipeline is Ceilometer's, every publisher of it has a lasting name, and every mistake is found at once."""

import os
import unittest

import yaml
from ceilometer.pipeline import sample as pipeline

from ceilometer_paas.config import reader
from ceilometer_paas.config.pipeline import load_event_pipeline, load_pipeline
from tests.files import REPOSITORY, Files, said


class PipelineTest(unittest.TestCase):

    def setUp(self):
        self.files = Files(self)

    def load(self, text):
        problems = reader.Problems()
        return load_pipeline(self.files.write('pipeline.yaml', text), problems), said(problems)

    def one_sink(self, *publishers, meters=('*',)):
        return self.load(yaml.safe_dump({
            'sources': [{'name': 'all', 'meters': list(meters), 'sinks': ['sink']}],
            'sinks': [{'name': 'sink', 'publishers': list(publishers)}]}, default_flow_style=None))

    def test_the_shipped_pipeline_publishes_every_meter_on_ceilometers_bus(self):
        problems = reader.Problems()
        path = os.path.join(REPOSITORY, 'etc/ceilometer_paas/paas_pipeline.yaml')
        target, = load_pipeline(path, problems)
        self.assertEqual([], said(problems))
        self.assertEqual(('paas_sink: paasbus://', 'paasbus://', True),
                         (target.name, target.url, target.supports('any.meter')))

    def test_the_pipeline_that_ceilometer_ships_is_read(self):
        problems = reader.Problems()
        path = os.path.join(os.path.dirname(pipeline.__file__), 'data', 'pipeline.yaml')
        self.assertEqual(['meter_sink: gnocchi://'], [target.name for target in load_pipeline(path, problems)])
        self.assertEqual([], said(problems))

    def test_the_pipeline_of_events_that_ceilometer_ships_is_read(self):
        problems = reader.Problems()
        path = os.path.join(os.path.dirname(pipeline.__file__), 'data', 'event_pipeline.yaml')
        target, = load_event_pipeline(path, problems)
        self.assertEqual([], said(problems))
        self.assertEqual(('event event_sink: notifier://', 'events', True),
                         (target.name, target.content, target.supports('compute.instance.exists')))

    def test_a_pipeline_of_events_is_read_as_one_of_samples_is(self):
        problems = reader.Problems()
        one, other = load_event_pipeline(self.files.write('pipeline.yaml', """
            sources: [{name: all, events: ['*', '!compute.instance.exists'], sinks: [sink]}]
            sinks: [{name: sink, publishers: ['http://a/', 'http://a/?b']}]
            """), problems)
        self.assertEqual(['event sink: http://a/', 'event sink: http://a/ #2'], [one.name, other.name])
        self.assertEqual([True, False, True], [*map(one.supports, ('compute.x', 'compute.instance.exists', 'dns'))])
        self.assertEqual([], said(problems))
        load_event_pipeline(self.files.write('pipeline.yaml', """
            sources: [{name: all, meters: ['*'], sinks: [sink]}, {name: b, events: [a, '!b'], sinks: [sink]}]
            sinks: [{name: sink, publishers: ['http://a/']}]
            """), problems)
        self.assertEqual(['pipeline.yaml:1: Both included and excluded events specified; list the events to publish, '
                          'or "*", or those to leave out ("!name")',
                          "pipeline.yaml:1: an entry of sources has no key 'meters'; known: name, events, sinks",
                          "pipeline.yaml:1: an entry of sources needs the key 'events'"], said(problems))

    def test_a_name_that_the_ledger_cannot_hold_is_refused(self):
        targets, problems = self.one_sink('file:///' + 'x' * 498)
        self.assertEqual(([512], []), ([len(target.name) for target in targets], problems))
        self.assertIn('513 characters; 512 fit', self.one_sink('file:///' + 'x' * 499)[1][0])

    def test_every_publisher_of_every_sink_is_a_target_with_its_line(self):
        targets, problems = self.load('''
            sources:
              - name: a
                meters: [memory]
                sinks: [one, two]
              - {name: b, meters: ["!dns.*"], sinks: [two]}
            sinks:
              - name: one
                publishers:
                  - gnocchi://
                  - file:///var/lib/x?json
              - {name: two, publishers: [paasbus]}
            ''')
        self.assertEqual([], problems)
        self.assertEqual([('one: gnocchi://', 'gnocchi://', (('memory',),), 9),
                          ('one: file:///var/lib/x', 'file:///var/lib/x?json', (('memory',),), 10),
                          ('two: paasbus://', 'paasbus://', (('memory',), ('!dns.*',)), 11)],
                         [(target.name, target.url, target.patterns, target.line) for target in targets])
        self.assertEqual({self.files.path('pipeline.yaml')}, {target.file for target in targets})

    def test_a_name_has_no_secrets_and_tells_publishers_apart_that_differ_in_their_query_only(self):
        targets, problems = self.one_sink('http://u:sesame@a.example:81/x?token=sesame', 'http://a.example:81/x?y=1',
                                          'http://a.example:82/x')
        self.assertEqual([], problems)
        self.assertEqual(['sink: http://a.example:81/x', 'sink: http://a.example:81/x #2',
                          'sink: http://a.example:82/x'], [target.name for target in targets])
        self.assertNotIn('sesame', repr(targets))

    def test_which_meters_pass_is_what_ceilometer_decides(self):
        meters = ('memory', 'dns.zone', 'dns.zone.shared', 'trove.instance')
        for patterns in (['*'], ['dns.*'], ['!dns.*'], ['*', '!memory'], ['memory', 'trove.*'], ['!memory', '!dns.*']):
            with self.subTest(patterns):
                (target,), problems = self.one_sink('paasbus://', meters=patterns)
                self.assertEqual([], problems)
                source = pipeline.SampleSource({'name': 'x', 'meters': patterns, 'sinks': ['sink']})
                self.assertEqual([source.support_meter(meter) for meter in meters],
                                 [target.supports(meter) for meter in meters])

    def test_a_meter_passes_if_any_source_of_the_sink_lets_it(self):
        (target,), _ = self.load('''
            sources:
              - {name: a, meters: [memory], sinks: [sink]}
              - {name: b, meters: [vcpus, memory], sinks: [sink]}
            sinks: [{name: sink, publishers: ["paasbus://"]}]
            ''')
        self.assertEqual([True, True, False], [target.supports(meter) for meter in ('memory', 'vcpus', 'dns.zone')])

    def test_every_mistake_is_reported_at_once_with_its_line(self):
        _, problems = self.load('''
            sources:
              - {name: mixed, meters: [a, "!b"], sinks: [one]}
              - {name: wild, meters: ["*", a], sinks: [one, onne]}
              - {name: mixed, meters: ["*"], sinks: [one]}
              - {meters: ["*"], sinks: []}
              - {name: "", meters: "*", sinks: [three], interval: 60}
              - text
            sinks:
              - {name: one, publishers: ["http://u:sesame@h:port/", "http://u:ses/ame@h/", "gnocchi:/", ""]}
              - {name: two, publishers: ["paasbus://"]}
              - {name: three, publishers: ["http://h/", "http://h/"], transformers: []}
              - {name: four}
            ''')
        self.assertEqual([
            'pipeline.yaml:2: Both included and excluded meters specified; '
            'list the meters to publish, or "*", or those to leave out ("!name")',
            'pipeline.yaml:3: Included meters specified with wildcard; '
            'list the meters to publish, or "*", or those to leave out ("!name")',
            "pipeline.yaml:3: there is no sink 'onne'; did you mean 'one'?",
            "pipeline.yaml:4: the name 'mixed' stands already on line 2; choose another",
            "pipeline.yaml:5: an entry of sources needs the key 'name'",
            'pipeline.yaml:5: sinks is a list of at least one word, each in quotes',
            "pipeline.yaml:6: an entry of sources has no key 'interval'; known: name, meters, sinks",
            'pipeline.yaml:6: meters is a list of at least one word, each in quotes',
            "pipeline.yaml:6: name is ''; it is printable text of 1 to 255 characters, without blanks around it",
            'pipeline.yaml:7: an entry of sources is a mapping with the keys name, meters, sinks',
            'pipeline.yaml:9: publishers is a list of at least one word, each in quotes',
            "pipeline.yaml:10: no source feeds the sink 'two'; name it in one, or remove it",
            "pipeline.yaml:11: an entry of sinks has no key 'transformers'; known: name, publishers",
            'pipeline.yaml:11: http://h/ stands already on line 11; everything would be published twice: remove one',
            "pipeline.yaml:12: an entry of sinks needs the key 'publishers'",
            "pipeline.yaml:12: no source feeds the sink 'four'; name it in one, or remove it",
        ], problems)

    def test_a_publisher_that_is_no_url_is_refused_without_showing_it(self):
        for publisher in ('http://u:sesame@h:port/', 'http://u:1/sesame@h/', 'http://u:1#sesame@h/', 'gnocchi:/sesame',
                          '://sesame', 'two words sesame', 'http://[sesame/'):
            with self.subTest(publisher):
                targets, problems = self.one_sink(publisher)
                self.assertEqual((), targets)
                self.assertEqual(1, len(problems))
                self.assertIn('pipeline.yaml:3: this is no publisher; it is scheme://', problems[0])
                self.assertNotIn('sesame', problems[0])

    def test_a_file_without_sources_or_sinks_is_refused(self):
        self.assertEqual(((), ['pipeline.yaml:1: sinks is a list of at least one mapping',
                               "pipeline.yaml:1: the pipeline needs the key 'sources'"]), self.load('sinks: []'))
        self.assertEqual(((), ['pipeline.yaml:1: the pipeline is a mapping with the keys sources, sinks']),
                         self.load('- a'))
