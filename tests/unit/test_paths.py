# SPDX-License-Identifier: Apache-2.0
"""Paths beside Ceilometer's own JSONPath."""

import glob
import os
import unittest
from collections.abc import Iterator
from typing import Any

import yaml
from ceilometer import declarative
from hypothesis import example, given
from hypothesis import strategies as st

from ceilometer_paas.config.paths import Definition, compile_path
from ceilometer_paas.errors import Refused
from tests import translation

KEYS = st.sampled_from(['payload', 'ctxt', 'a', 'b-c', "'d.e'", 'size'])
CHAINS = st.builds(lambda root, keys: root + '.'.join(keys), st.sampled_from(['', '$.']), st.lists(KEYS, min_size=1))
LEAVES = st.one_of(st.none(), st.just(0), st.text(max_size=2), st.lists(st.integers(), max_size=2))
OBJECTS = st.recursive(LEAVES, lambda inner: st.dictionaries(st.sampled_from(['a', 'b-c', 'd.e', 'size']), inner))
MESSAGES = st.builds(
    lambda payload, ctxt: {'ctxt': ctxt, 'payload': payload, 'event_type': 'e', 'publisher_id': None,
                           'metadata': {'message_id': 'm', 'timestamp': '2026-03-02T00:00:00+00:00'}},
    st.dictionaries(st.sampled_from(['a', 'b-c', 'd.e', 'size']), OBJECTS), st.dictionaries(st.just('a'), OBJECTS))
MESSAGE = {'ctxt': {}, 'payload': {'a': {'size': 3}, 'list': [1, 2], 'flag': None}, 'event_type': 'e',
           'publisher_id': 'host', 'metadata': {}}


def texts(value: Any) -> Iterator[Any]:
    """Find the paths of a definition."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, (str, list)):
        yield value


def written() -> list[Any]:
    """Give every text in our definitions and Ceilometer's that may be a path, names and units too."""
    found: list[Any] = []
    for directory in (translation.SHIPPED, translation.stock_dir(translation.conf())):
        for path in glob.glob(os.path.join(directory, '*.yaml')):
            with open(path, encoding='utf-8') as file:
                for cfg in yaml.safe_load(file)['metric']:
                    found += [text for key, value in cfg.items() if key not in {'event_type', 'lookup'}
                              for text in texts(value)]
    return list({repr(text): text for text in found}.values())


class Plain(unittest.TestCase):

    @given(st.one_of(CHAINS, st.lists(CHAINS, min_size=2, max_size=3)), MESSAGES)
    @example(['$.payload.a', '$.payload.size'], MESSAGE)
    def test_a_chain_of_keys_finds_what_jsonpath_finds(self, text, message):
        path, theirs = compile_path(Definition('x', text, None)), declarative.Definition('x', text, None)
        self.assertEqual(path.first(message), theirs.parse(message))
        self.assertEqual(path.every(message), theirs.parse(message, True))

    def test_every_path_in_use_finds_what_jsonpath_finds(self):
        messages = [translation.stock_message(translation.notification(name)) for name in translation.names()]
        for text in written():
            path, theirs = compile_path(Definition('x', text, None)), declarative.Definition('x', text, None)
            for message in messages:
                self.assertEqual(path.first(message), theirs.parse(message), text)

    def test_the_parser_is_asked_about_what_is_not_plain(self):
        for text, value in {'$.payload.list[1]': 2, '$.*.list[0]': 1, "$.payload.'list'": [1, 2],
                            '$.payload.a.size * 2': 6, '(($.payload.a).size)': 3,
                            '$.payload.a,list': {'size': 3}}.items():
            with self.subTest(text):
                self.assertEqual(compile_path(Definition('x', text, None)).first(MESSAGE), value)

    def test_words_of_the_grammar_are_no_keys(self):
        for text in ('true', '$.payload.where', '$.payload.falsehood'):
            with self.subTest(text), self.assertRaises(declarative.DefinitionException):
                Definition('x', text, None)


class Properties(unittest.TestCase):

    def path(self, text: Any) -> Any:
        return compile_path(Definition('x', text, None))

    def test_a_word_that_no_path_can_follow_is_constant(self):
        for text in ('gauge', 'disk.root.size', 7):
            self.assertTrue(self.path(text).constant, text)

    def test_a_word_that_begins_like_a_message_is_not(self):
        for text in ('payload.size', '$.event_type', '$', 'metadata', ['gauge', 'payload']):
            self.assertFalse(self.path(text).constant, text)

    def test_a_filter_and_where_are_conditions(self):
        for text in ("$.payload.list[?(@.name='a')].value", '$.payload where size', '($.payload where size).a'):
            self.assertTrue(self.path(text).conditional, text)

    def test_a_plain_path_and_an_index_are_none(self):
        for text in ('$.payload.size', '$.payload.list[0]'):
            self.assertFalse(self.path(text).conditional, text)

    def test_whatever_jsonpath_raises_is_a_refusal(self):
        with self.assertRaises(Refused) as caught:
            self.path('$.payload.a.size[0]').first(MESSAGE)
        self.assertEqual(str(caught.exception),
                         "translate.failed: x: TypeError: object of type 'int' has no len()")
