# SPDX-License-Identifier: Apache-2.0
"""Event definitions are Ceilometer's, and every mistake in them is found at once, with its line."""

import os
import unittest

from ceilometer import pipeline

from ceilometer_paas.config import reader
from ceilometer_paas.config.event_definitions import load_event_definitions
from tests.files import REPOSITORY, Files, said


class EventDefinitionsTest(unittest.TestCase):

    def load(self, text):
        problems = reader.Problems()
        return load_event_definitions(Files(self).write('events.yaml', text), problems), said(problems)

    def test_what_is_shipped_and_what_ceilometer_ships_has_no_mistake(self):
        for path in (os.path.join(REPOSITORY, 'etc/ceilometer_paas/event_definitions.yaml'),
                     os.path.join(os.path.dirname(pipeline.__file__), 'data/event_definitions.yaml')):
            with self.subTest(path):
                problems = reader.Problems()
                self.assertGreater(len(load_event_definitions(path, problems)), 15)
                self.assertEqual([], said(problems))

    def test_definitions_are_what_the_file_says(self):
        definitions, problems = self.load('''
            - event_type: [a.*, '!a.b']
              traits: &all {id: payload.id, size: {type: int, fields: [payload.size, payload.gb]}}
            - event_type: a.b
              traits: {<<: *all, fixed: {fields: 1}}
            ''')
        self.assertEqual([], problems)
        traits = {'id': 'payload.id', 'size': {'type': 'int', 'fields': ['payload.size', 'payload.gb']}}
        self.assertEqual(({'event_type': ['a.*', '!a.b'], 'traits': traits},
                          {'event_type': 'a.b', 'traits': {**traits, 'fixed': {'fields': 1}}}), definitions)

    def test_every_mistake_is_a_line(self):
        _, problems = self.load('''
            - event_type: a
              trait: {}
            - event_type: []
              traits:
                kind: {type: integer, fields: payload.kind}
                path: payload.path[
                none: {type: int}
                what: {fields: payload.id, filter: x}
                split: {fields: payload.id, plugin: splitt}
                parts: {fields: payload.id, plugin: {name: map}}
                number: 1.5
                1: payload.id
            - not a mapping
            - {event_type: b, traits: [payload.id]}
            - {event_type: 7, traits: {}}
            ''')
        self.assertEqual([
            "events.yaml:1: an event definition needs the key 'traits'",
            "events.yaml:2: an event definition has no key 'trait'; did you mean 'traits'?",
            'events.yaml:3: event_type names no type of event',
            "events.yaml:5: a trait has no type 'integer'; known: text, int, float, datetime",
            "events.yaml:6: Parse error in JSONPath specification 'payload.path[' for path: it ends too early",
            "events.yaml:7: a path needs the key 'fields'",
            "events.yaml:8: a path has no key 'filter'; known: fields, plugin, type",
            'events.yaml:9: No plugin named splitt available for split',
            'events.yaml:11: 1.5 is not a path; quote it if it is one',
            'events.yaml:12: 1 is no name of a trait; quote it',
            "events.yaml:13: an event definition is a mapping, not 'not a mapping'",
            'events.yaml:14: traits is a mapping of names to paths',
            'events.yaml:15: event_type is a word or a list of words',
        ], [line for line in problems if not line.startswith('events.yaml:10:')])
        self.assertIn('events.yaml:10: the plug-in does not take these parameters', '\n'.join(problems))

    def test_a_mistake_that_is_merged_is_reported_once(self):
        _, problems = self.load('''
            - {event_type: a, traits: &all {id: 'payload.id['}}
            - {event_type: b, traits: {<<: *all}}
            ''')
        self.assertEqual(1, len(problems), problems)

    def test_a_file_that_is_no_list_is_refused(self):
        for text in ('', '[]', 'event_type: a'):
            self.assertEqual(['events.yaml:1: a file of event definitions is a list of them, at least one'],
                             self.load(text)[1])
