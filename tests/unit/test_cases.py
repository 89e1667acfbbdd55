# SPDX-License-Identifier: Apache-2.0
"""Runs tests/cases/*.yaml: given these messages, expect these samples, this refusal.

A case of the way in::

    - case: what is promised
      given:                      # names of test notifications, changed ones, whole messages
        - nova/exists
        - {like: nova/exists, but: {payload.memory_mb: '12'}, without: [payload.state]}
        - {message_id: ..., event_type: ..., timestamp: ..., payload: {...}}
      meters: [...]               # definitions; by default those that are shipped
      metric_types: {memory: q}   # by default, every metric type comes from the queue of the case
      queue: q
      format: paas-event          # of the queue; by default oslo
      max_metrics: 2
      expect: {samples: [...]}    # in order, each with the fields that matter; or
      expect: {refused: translate.no_volume, because: a part of the reason}; or
      expect: ignored

Each message of a case is on its own, and the samples of all are listed one after the other; every one of them must be
refused where a refusal is expected.
"""

import copy
import glob
import os
import tempfile
import unittest
from collections.abc import Callable
from typing import Any

import yaml

from ceilometer_paas.config import reader
from ceilometer_paas.config.meters import load_meters
from ceilometer_paas.errors import REFUSALS, Refused
from ceilometer_paas.publish import samples
from ceilometer_paas.translate import Translator
from tests import translation

Case = dict[str, Any]
CASES = os.path.join(translation.ROOT, 'tests', 'cases')
WAY_IN = {'case', 'given', 'meters', 'metric_types', 'queue', 'format', 'max_metrics', 'expect'}


def cases() -> list[tuple[str, Case]]:
    """Give every case with the name of its file."""
    found = []
    for path in sorted(glob.glob(os.path.join(CASES, '*.yaml'))):
        with open(path, encoding='utf-8') as file:
            found += [(os.path.basename(path), case) for case in yaml.safe_load(file)]
    return found


def message(given: Any) -> dict[str, Any]:
    """Give a message of a case: a test notification, one like it, or one that is written out."""
    if isinstance(given, str):
        return translation.message(given)
    if not isinstance(given, dict) or 'like' not in given:
        return copy.deepcopy(given)
    body = translation.message(given['like'])
    for path, value in given.get('but', {}).items():
        place, key = find(body, path)
        place[key] = value
    for path in given.get('without', ()):
        place, key = find(body, path)
        del place[key]
    return body


def find(body: Any, path: str) -> tuple[Any, Any]:
    *parents, key = [int(part) if part.isdigit() else part for part in path.split('.')]
    for parent in parents:
        body = body[parent]
    return body, key


class WayIn:
    """One case: messages in, samples out, or what became of the messages instead."""

    def __init__(self, case: Case) -> None:
        self.queue = case.get('queue', translation.QUEUE)
        self.format = case.get('format', 'oslo')
        self.messages = [message(given) for given in case['given']]
        self.types = case.get('metric_types')
        definitions = self.definitions(case['meters']) if 'meters' in case else translation.meters(translation.SHIPPED)
        self.max_metrics = case.get('max_metrics', 1000)
        self.translate = Translator(definitions, self.queues_of, self.max_metrics)

    def queues_of(self, name: str) -> frozenset[str]:
        if self.types is None:
            return frozenset({self.queue})
        return frozenset({self.types[name]} if name in self.types else ())

    @staticmethod
    def definitions(written: list[Any]) -> Any:
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, 'case.yaml'), 'w', encoding='utf-8') as file:
                yaml.safe_dump({'metric': written}, file)
            problems = reader.Problems()
            loaded = load_meters([directory], translation.conf(), problems)
        problems.check()
        return loaded

    def __call__(self, body: dict[str, Any]) -> list[Any]:
        notification = translation.decode(body, self.format, self.max_metrics)
        readings = self.translate(notification, self.queue)
        return samples.from_readings('cloud/exchange', notification.message_id, readings)


class Cases(unittest.TestCase):

    maxDiff = None

    def test_cases(self):
        """Every case comes true."""
        for file, case in cases():
            with self.subTest(f'{file}: {case["case"]}'):
                self.runner(case)(case)

    def test_every_refusal_of_decoding_and_translation_has_a_case(self):
        """Besides those of messages that cannot be written here: test_decode and the functional tests have them."""
        refused = {case['expect']['refused'] for _, case in cases() if 'refused' in case['expect']}
        missing = {code for code in REFUSALS if code.startswith(('decode.', 'translate.', 'source.'))} - refused
        self.assertEqual(missing, {'decode.undecodable', 'decode.too_large', 'decode.too_deep'})

    def test_every_notification_of_a_platform_service_is_in_a_case(self):
        given = [given for _, case in cases() for given in case['given']]
        used = {each if isinstance(each, str) else each.get('like') for each in given if isinstance(each, (str, dict))}
        services = {'nova', 'trove', 'designate', 'octavia', 'manila', 'magnum'}
        unused = {name for name in translation.names() if name.split('/')[0] in services} - used
        self.assertEqual(unused, set())

    def runner(self, case: Case) -> Callable[[Case], None]:
        """Choose by its keys what runs a case."""
        if set(case) <= WAY_IN:
            return self.run_way_in
        raise LookupError(f'nothing runs a case with the keys {sorted(case)}')

    def run_way_in(self, case: Case) -> None:
        take, expected = WayIn(case), case['expect']
        if expected == 'ignored':
            self.assertEqual([take(body) for body in take.messages], [[] for _ in take.messages])
        elif 'refused' in expected:
            for body in take.messages:
                with self.assertRaises(Refused) as caught:
                    take(body)
                self.assertEqual(caught.exception.code, expected['refused'], caught.exception)
                self.assertIn(expected.get('because', ''), caught.exception.reason)
        else:
            made = [vars(sample) for body in take.messages for sample in take(body)]
            self.assertEqual([{key: sample[key] for key in wanted} for wanted, sample in zip(
                expected['samples'], made, strict=False)], expected['samples'])
            self.assertEqual(len(made), len(expected['samples']), made)
