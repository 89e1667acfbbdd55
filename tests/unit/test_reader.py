# SPDX-License-Identifier: Apache-2.0
"""YAML keeps its lines, and every mistake in it has one."""

import copy
import os
import sys
import unittest
from unittest import mock

import hypothesis
import yaml
from hypothesis import strategies

from ceilometer_paas.config import reader
from ceilometer_paas.errors import ConfigError, Problem
from tests.files import Files, said

SCALARS = strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(max_size=5)
DOCUMENTS = strategies.recursive(
    SCALARS, lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(max_size=5), inner),
    max_leaves=8)


class ReadTest(unittest.TestCase):

    def setUp(self):
        self.files = Files(self)
        self.problems = reader.Problems()

    def read(self, text):
        return reader.read_yaml(self.files.write('a.yaml', text), self.problems)

    def refused(self, text):
        self.problems = reader.Problems()
        self.assertIsNone(self.read(text))
        return said(self.problems)

    def test_every_map_key_and_item_knows_its_line(self):
        root = self.read('''
            first: 1
            second:

              inner: [a,
                      {b: c}]
            ''')
        self.assertEqual({'first': 1, 'second': {'inner': ['a', {'b': 'c'}]}}, root)
        self.assertEqual((1, {'first': 1, 'second': 2}), (root.line, root.lines))
        self.assertEqual({'inner': 4}, root['second'].lines)
        self.assertEqual((4, [4, 5]), (root['second']['inner'].line, root['second']['inner'].lines))
        self.assertEqual((5, {'b': 5}), (root['second']['inner'][1].line, root['second']['inner'][1].lines))
        self.assertEqual({self.files.path('a.yaml')},
                         {part.file for part in (root, root['second'], root['second']['inner'])})

    def test_anchors_and_merges_work_and_a_merged_key_may_be_overridden(self):
        root = self.read('''
            base: &base {a: 1, b: 2}
            other:
              <<: *base
              b: 3
            again: {<<: [*base], c: 4}
            ''')
        self.assertEqual([], said(self.problems))
        self.assertEqual({'a': 1, 'b': 3}, root['other'])
        self.assertEqual({'a': 1, 'b': 4}, root['other'].lines)
        self.assertEqual({'a': 1, 'b': 2, 'c': 4}, root['again'])

    def test_an_empty_file_is_nothing_and_no_mistake(self):
        self.assertIsNone(self.read('# nothing\n'))
        self.assertFalse(self.problems)

    def test_a_copy_keeps_the_lines(self):
        copied = copy.deepcopy(self.read('a: [1]'))
        self.assertEqual(({'a': 1}, [1], self.files.path('a.yaml')), (copied.lines, copied['a'].lines, copied.file))

    def test_every_duplicate_key_is_refused_with_both_lines(self):
        self.assertEqual(["a.yaml:2: the key 'a' stands already on line 1; keep one of them",
                          "a.yaml:3: the key 'b' stands already on line 3; keep one of them"],
                         self.refused('a: 1\na: 2\nc: [{b: 1, b: 1}]\n'))

    def test_broken_yaml_is_one_line_with_the_place(self):
        for text, place in [('a: [1\nb: 2', 'a.yaml:2: '), ('a: *b', 'a.yaml:1: '), ('a:\n\t- b', 'a.yaml:2: '),
                            ('a: 1\n---\nb: 2', 'a.yaml:2: '), ('a: \x07', 'a.yaml:0: '),
                            ('\na: !!python/name:os.x y', 'a.yaml:1: '), ('a: 1\nb: 2026-99-99', 'a.yaml:2: '),
                            ('a: !!int b', 'a.yaml:1: '), ('a: !!map [b]', 'a.yaml:1: '), ('a: !!seq b', 'a.yaml:1: '),
                            ('[a]: b', 'a.yaml:1: ')]:
            with self.subTest(text):
                lines = self.refused(text)
                self.assertEqual(1, len(lines), lines)
                self.assertTrue(lines[0].startswith(place), lines)
                self.assertNotIn('\n', lines[0])

    def test_a_password_never_stands_in_a_message(self):
        for text in ['rabbit://u:sesame@h: 1\nrabbit://u:sesame@h: 2', 'url: [rabbit://u:sesame@h',
                     '- !x://u:sesame@h y', 'url: rabbit://u:sesame@h: x', 'a: !!int rabbit://u:sesame@h',
                     '*rabbit://u:sesame@h', 'url: "rabbit://u:sesame@h']:
            with self.subTest(text):
                self.assertNotIn('sesame', ''.join(self.refused(text)))

    def test_a_file_that_cannot_be_read_says_why(self):
        self.assertIsNone(reader.read_yaml(self.files.path('none.yaml'), self.problems))
        self.assertIsNone(reader.read_yaml(self.files.directory, self.problems))
        with open(self.files.path('latin.yaml'), 'wb') as file:
            file.write('a: 1\nb: Zürich\n'.encode('latin-1'))
        self.assertIsNone(reader.read_yaml(self.files.path('latin.yaml'), self.problems))
        self.assertEqual({'none.yaml:0: cannot be read: No such file or directory',
                          os.path.basename(self.files.directory) + ':0: cannot be read: Is a directory',
                          'latin.yaml:2: is not UTF-8; save it as UTF-8'}, set(said(self.problems)))

    def test_the_pure_python_parser_gives_the_same(self):
        text = 'a: &a {b: [1, x]}\nc: {<<: *a}\n'
        with mock.patch.object(reader, '_LOADER', yaml.SafeLoader):
            pure = self.read(text)
            self.assertEqual(1, len(self.refused('a: \x07')))
        fast = self.read(text)
        self.assertEqual((pure, pure.lines, pure['a'].lines, pure['a']['b'].lines),
                         (fast, fast.lines, fast['a'].lines, fast['a']['b'].lines))

    @hypothesis.given(DOCUMENTS)
    @hypothesis.settings(max_examples=50, deadline=None)
    def test_values_are_those_of_the_safe_loader(self, document):
        text = yaml.safe_dump(document)
        with open(self.files.path('a.yaml'), 'w', encoding='utf-8', newline='') as file:
            file.write(text)
        self.assertEqual(yaml.safe_load(text), reader.read_yaml(self.files.path('a.yaml'), self.problems))

    @hypothesis.given(strategies.text(alphabet='ab:-[]{}&*!<>|#\'" \n\t1@%,?', max_size=30))
    @hypothesis.settings(max_examples=300, deadline=None)
    def test_no_text_makes_it_fail(self, text):
        problems = reader.Problems()
        with open(self.files.path('a.yaml'), 'w', encoding='utf-8', newline='') as file:
            file.write(text)
        read = reader.read_yaml(self.files.path('a.yaml'), problems)
        self.assertTrue(read is None or not problems)


class KeysTest(unittest.TestCase):

    def setUp(self):
        self.files = Files(self)
        self.problems = reader.Problems()

    def check(self, text):
        value = reader.read_yaml(self.files.write('a.yaml', text), self.problems)
        return reader.check_keys(value, self.problems, required=('endpoint', 'topic'), optional=('format',),
                                 what='a queue')

    def test_all_required_and_no_unknown_keys_are_right(self):
        self.assertTrue(self.check('endpoint: a\ntopic: b\n'))
        self.assertTrue(self.check('endpoint: a\ntopic: b\nformat: c'))
        self.assertFalse(self.problems)

    def test_missing_and_unknown_keys_are_named_all_at_once(self):
        self.assertFalse(self.check('\nendpont: a\n5: b\n'))
        self.assertEqual(["a.yaml:1: a queue has no key 'endpont'; did you mean 'endpoint'?",
                          "a.yaml:1: a queue needs the key 'endpoint'",
                          "a.yaml:1: a queue needs the key 'topic'",
                          'a.yaml:2: a queue has no key 5; known: endpoint, topic, format'], said(self.problems))

    def test_a_file_that_is_no_mapping_is_told_what_it_should_be(self):
        for text in ('', '- a', 'a'):
            with self.subTest(text):
                problems = reader.Problems()
                path = self.files.write('a.yaml', text)
                self.assertIsNone(reader.read_map(path, problems, required=('sources', 'sinks'), what='the pipeline'))
                self.assertEqual(['a.yaml:1: the pipeline is a mapping with the keys sources, sinks'], said(problems))

    def test_a_file_that_cannot_be_read_is_one_problem(self):
        self.assertIsNone(reader.read_map(self.files.path('none'), self.problems, required=('a',), what='a map'))
        self.assertEqual(1, len(self.problems))


class ProblemsTest(unittest.TestCase):

    def test_all_are_raised_at_once_sorted_by_file_and_line(self):
        problems = reader.Problems()
        problems.check()
        problems.add('b', 2, 'x')
        problems.extend([Problem('a', 3, 'y'), Problem('b', 1, 'z')])
        with self.assertRaises(ConfigError) as caught:
            problems.check()
        self.assertEqual('a:3: y\nb:1: z\nb:2: x', str(caught.exception))

    def test_a_quoted_value_is_short_and_without_userinfo(self):
        self.assertEqual("'rabbit://***@h/'", reader.shown('rabbit://u:p/w@x@h/'))
        self.assertEqual(60, len(reader.shown('x' * 100)))

    def test_a_name_is_printable_text_without_blanks_around_it(self):
        self.assertTrue(reader.is_name('Zürich 1'))
        for value in ('', ' ', 'a ', '\ta', 'a\nb', 5, None, ['a'], 'x' * 256):
            self.assertFalse(reader.is_name(value), value)


class FindTest(unittest.TestCase):

    def setUp(self):
        self.files = Files(self)
        self.conf = self.files.conf()

    def test_a_relative_name_is_found_beside_ceilometer_conf(self):
        self.assertEqual(self.files.write('own.yaml', ''), reader.find(self.conf, 'own.yaml'))

    def test_a_relative_name_is_found_in_a_directory_of_the_package_there(self):
        os.mkdir(self.files.path('ceilometer_paas'))
        self.assertEqual(self.files.write('ceilometer_paas/own.yaml', ''), reader.find(self.conf, 'own.yaml'))

    def test_a_relative_name_is_found_among_what_was_installed(self):
        installed = os.path.join(self.files.directory, 'prefix', 'etc', 'ceilometer_paas', 'own.d')
        os.makedirs(installed)
        with mock.patch.object(sys, 'prefix', self.files.path('prefix')):
            self.assertEqual(installed, reader.find(self.conf, 'own.d'))

    def test_an_absolute_name_is_taken_as_it_is_if_it_exists(self):
        path = self.files.write('own.yaml', '')
        self.assertEqual(path, reader.find(self.conf, path))
        self.assertIsNone(reader.find(self.conf, path + '.none'))
        self.assertEqual('does not exist', reader.not_found(path + '.none'))

    def test_what_is_nowhere_is_not_found_and_the_places_are_named(self):
        self.assertIsNone(reader.find(self.conf, 'no-such.yaml'))
        self.assertIsNone(reader.find(self.conf, ''))
        self.assertIn(os.path.join(sys.prefix, 'etc', 'ceilometer_paas'), reader.not_found('no-such.yaml'))
