# SPDX-License-Identifier: Apache-2.0
"""Runs tests/cases/*.yaml: given these messages, expect these samples, these intervals, this refusal.

A case of the way in::

    - case: what is promised
      given:                      # names of test notifications, changed ones, whole messages
        - nova/exists
        - {like: nova/exists, but: {payload.memory_mb: '12'}, without: [payload.state]}
        - {like: nova/versioned_exists, says: {state: stopped}}     # in its payload, or in the object in that
        - [nova/create_start, nova/create_end]                      # as if they stood there themselves
        - {message_id: ..., event_type: ..., timestamp: ..., payload: {...}}
      meters: [...]               # definitions; by default those that are shipped
      metric_types: {memory: q}   # by default, every metric type comes from the queue of the case
      queue: q
      format: paas-event          # of the queue; by default oslo; sample: the fields of what is published to paas://
      max_metrics: 2
      expect: {samples: [...]}    # in order, each with the fields that matter; or
      expect: {refused: translate.no_volume, because: a part of the reason}; or
      expect: ignored

Each message of a case is on its own, and the samples of all are listed one after the other; every one of them must be
refused where a refusal is expected.

A case of lives::

    - case: what is promised
      given: [...]                # as above; {times: 1000, apart: 60, ...} is so many messages, each with a message_id
                                  # of its own, and so many seconds apart (0 if it is left out)
      lifecycles: [...]           # definitions; by default, or if it says shipped, those that are shipped
      metric_types: {compute.instance.uptime: q}
      queue: q
      format: paas-event
      now: '2026-03-02T12:00'     # of the agent's clock; by default, no message is from the future
      max_future: 300             # seconds
      expect:
        intervals: [...]          # by resource and in order, each with the fields that matter: resource_type,
                                  # resource_id, project_id, user_id, state, flavor, size, begin, end, host,
                                  # availability_zone; end is null while it lasts
        known_start: false        # of every life in the case
        attributes: {name: x}     # of every life in the case
        refused: observe.x        # besides intervals: of some messages; without: of each of them

All messages of such a case are folded together: as they stand, backwards, and twice each in any order, with the same
result to the microsecond. Where ``given`` has them by format (``legacy`` and ``versioned``), the intervals are those of
the first; the other alone and both together give the same, but that their times may differ by less than a second.
"""

import copy
import datetime
import functools
import glob
import json
import os
import random
import tempfile
import unittest
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import yaml

from ceilometer_paas import times
from ceilometer_paas.config import reader
from ceilometer_paas.config.lifecycles import load_lifecycles
from ceilometer_paas.config.meters import load_meters
from ceilometer_paas.decode import decode_sample
from ceilometer_paas.errors import REFUSALS, Refused
from ceilometer_paas.ledger.evidence import Evidence
from ceilometer_paas.ledger.intervals import Life
from ceilometer_paas.model import Envelope, Fact, dump_facts
from ceilometer_paas.observe import Observer
from ceilometer_paas.publish import samples
from ceilometer_paas.translate import Translator
from tests import translation
from tests.lives import together

Case = dict[str, Any]
CASES = os.path.join(translation.ROOT, 'tests', 'cases')
LIFECYCLES = os.path.join(translation.ROOT, 'etc', 'ceilometer_paas', 'lifecycles.d')
COMMON = {'case', 'given', 'metric_types', 'queue', 'format', 'expect'}
WAY_IN = COMMON | {'meters', 'max_metrics'}
LIVES = COMMON | {'lifecycles', 'now', 'max_future'}
LATE = '9998-01-01T00:00'
SECOND = 1_000_000


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
    body = message(given['like'])
    for path, value in given.get('but', {}).items():
        place, key = find(body, path)
        place[key] = value
    for path in given.get('without', ()):
        place, key = find(body, path)
        del place[key]
    if 'says' in given:
        body['payload'].get('nova_object.data', body['payload']).update(given['says'])
    return body


def name_of(given: Any) -> str | None:
    """Give the test notification that a message is, or is like."""
    return given if isinstance(given, str) else name_of(given['like']) if 'like' in given else None


def flat(given: list[Any]) -> list[Any]:
    """Put what lists in a list have in their place."""
    return [one for each in given for one in (flat(each) if isinstance(each, list) else [each])]


def by_format(given: Any) -> list[tuple[str, list[Any], int]]:
    """Give what is to be folded together: its name, the messages, and how much their times may differ."""
    if isinstance(given, list):
        return [('all', flat(given), 0)]
    legacy, versioned = flat(given['legacy']), flat(given['versioned'])
    return [('legacy', legacy, 0), ('versioned', versioned, SECOND), ('both', legacy + versioned, SECOND)]


def messages(given: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Give the messages of a case of lives."""
    for each in given:
        if not isinstance(each, dict) or 'times' not in each:
            yield message(each)
            continue
        body = message({key: value for key, value in each.items() if key not in ('times', 'apart')})
        first = times.parse_utc(body['timestamp'])
        for number in range(each['times']):
            timestamp = first + datetime.timedelta(seconds=number * each.get('apart', 0))
            yield {**body, 'message_id': f'{body["message_id"]}-{number}', 'timestamp': str(timestamp)}


def find(body: Any, path: str) -> tuple[Any, Any]:
    *parents, key = [int(part) if part.isdigit() else part for part in path.split('.')]
    for parent in parents:
        body = body[parent]
    return body, key


def queues_of(case: Case) -> Callable[[str], frozenset[str]]:
    """Tell which queues may speak of a metric type."""
    queue, types = case.get('queue', translation.QUEUE), case.get('metric_types')
    return lambda name: frozenset({queue} if types is None else {types[name]} if name in types else ())


def definitions(key: str, written: list[Any], load: Callable[[list[str], reader.Problems], Any]) -> Any:
    """Load the definitions that a case writes."""
    problems = reader.Problems()
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, 'case.yaml'), 'w', encoding='utf-8') as file:
            yaml.safe_dump({key: written}, file, sort_keys=False)
        loaded = load([directory], problems)
    problems.check()
    return loaded


class WayIn:
    """One case: messages in, samples out, or what became of the messages instead."""

    def __init__(self, case: Case) -> None:
        self.queue = case.get('queue', translation.QUEUE)
        self.format = case.get('format', 'oslo')
        self.messages = [message(given) for given in case['given']]
        meters = translation.meters(translation.SHIPPED) if 'meters' not in case else definitions(
            'metric', case['meters'], lambda dirs, problems: load_meters(dirs, translation.conf(), problems))
        self.max_metrics = case.get('max_metrics', 1000)
        self.translate = Translator(meters, queues_of(case), self.max_metrics)

    def __call__(self, body: dict[str, Any]) -> list[Any]:
        if self.format == 'sample':
            notification = decode_sample(Envelope({}, body, 0))
            readings = notification.readings
        else:
            notification = translation.decode(body, self.format, self.max_metrics)
            readings = self.translate(notification, self.queue)
        return samples.from_readings('cloud/exchange', notification.message_id, readings)


@functools.cache
def shipped_lifecycles() -> Any:
    problems = reader.Problems()
    loaded = load_lifecycles([LIFECYCLES], problems)
    problems.check()
    return loaded


class Lives:
    """One case: messages in, lives out.

    :ivar refused: what became of some messages instead
    """

    def __init__(self, case: Case) -> None:
        self.queue = case.get('queue', translation.QUEUE)
        self.format = case.get('format', 'oslo')
        self.now = times.to_micros(times.parse_utc(case.get('now', LATE)))
        shipped = case.get('lifecycles', 'shipped') == 'shipped'
        lifecycles = shipped_lifecycles() if shipped else definitions('lifecycle', case['lifecycles'], load_lifecycles)
        self.observe = Observer(lifecycles, queues_of(case), {self.queue: self.format}, case.get('max_future', 300))
        self.refused: list[Refused] = []

    def facts(self, bodies: Sequence[dict[str, Any]]) -> list[tuple[str, Fact]]:
        """Read messages, and what they say as the ledger keeps it; those that are refused are noted."""
        told = []
        for body in bodies:
            notification = translation.decode(body, self.format)
            try:
                found = self.observe(notification, self.queue, self.now)
            except Refused as refused:
                self.refused.append(refused)
            else:
                told += [(notification.message_id, Fact(*fact)) for fact in json.loads(dump_facts(found))]
        return told


Folded = dict[tuple[str, str], Life]


def folded(facts: Sequence[tuple[str, Fact]]) -> Folded:
    """Fold what was told, put away and taken up again at each step, as the ledger does."""
    evidence: dict[tuple[str, str], str] = {}
    for message_id, fact in facts:
        key = fact.resource_type, fact.resource_id
        known = Evidence.load(evidence[key]) if key in evidence else Evidence()
        known.add(message_id, fact)
        evidence[key] = known.dump()
    return together({key: Evidence.load(evidence[key]) for key in sorted(evidence)})


def intervals(lives: Folded) -> list[dict[str, Any]]:
    """List intervals as a case writes them, with their times in microseconds."""
    return [{'resource_type': resource_type, 'resource_id': resource_id, 'flavor': span.size.get('flavor'),
             **span._asdict()} for (resource_type, resource_id), life in lives.items() for span in life.spans]


def readable(interval: dict[str, Any]) -> dict[str, Any]:
    """Show a person the times of an interval."""
    return {key: str(times.from_micros(value)) if key in ('begin', 'end') and value is not None else value
            for key, value in interval.items()}


def is_near(made: Any, wanted: Any, tolerance: int) -> bool:
    return isinstance(made, int) and isinstance(wanted, int) and abs(made - wanted) < tolerance


def in_micros(interval: dict[str, Any]) -> dict[str, Any]:
    """Count the microseconds of the times that a case writes."""
    return {key: times.to_micros(times.parse_utc(value)) if key in ('begin', 'end') and value is not None else value
            for key, value in interval.items()}


class Cases(unittest.TestCase):

    maxDiff = None

    def test_cases(self):
        """Every case comes true."""
        for file, case in cases():
            with self.subTest(f'{file}: {case["case"]}'):
                self.runner(case)(case)

    def test_every_refusal_of_a_message_has_a_case(self):
        """Besides those of messages that cannot be written here: test_decode and the functional tests have them."""
        refused = {case['expect']['refused'] for _, case in cases() if 'refused' in case['expect']}
        rooms = 'decode.', 'translate.', 'observe.', 'source.', 'sample.'
        missing = {code for code in REFUSALS if code.startswith(rooms)} - refused
        self.assertEqual(missing, {'decode.undecodable', 'decode.too_large', 'decode.too_deep'})

    def test_every_notification_of_a_platform_service_is_in_a_case(self):
        given = [given for _, case in cases() for _, some, _ in by_format(case['given']) for given in some]
        used = {name_of(each) for each in given if isinstance(each, (str, dict))}
        services = {'nova', 'trove', 'designate', 'octavia', 'manila', 'magnum'}
        unused = {name for name in translation.names() if name.split('/')[0] in services} - used
        self.assertEqual(unused, set())

    def runner(self, case: Case) -> Callable[[Case], None]:
        """Choose by its keys what runs a case."""
        expected = case['expect']
        of_lives = 'lifecycles' in case or (isinstance(expected, dict) and (
            'intervals' in expected or expected.get('refused', '').startswith('observe.')))
        if of_lives and set(case) <= LIVES:
            return self.run_lives
        if not of_lives and set(case) <= WAY_IN:
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

    def run_lives(self, case: Case) -> None:
        for name, given, tolerance in by_format(case['given']):
            with self.subTest(name):
                self.check_case(case, list(messages(given)), tolerance)

    def check_case(self, case: Case, bodies: list[dict[str, Any]], tolerance: int) -> None:
        take, expected = Lives(case), case['expect']
        facts = take.facts(bodies)
        for refused in take.refused:
            self.assertEqual(refused.code, expected.get('refused'), refused)
            self.assertIn(expected.get('because', ''), refused.reason)
        if 'refused' in expected:
            self.assertIn(len(take.refused), range(1, len(bodies)) if 'intervals' in expected else [len(bodies)])
        if 'intervals' in expected:
            self.check_lives(expected, folded(facts), tolerance)
            shuffled = random.Random(case['case']).sample(facts * 2, len(facts) * 2)
            for order, told in (('backwards', facts[::-1]), ('shuffled, twice each', shuffled)):
                self.assertEqual(folded(told), folded(facts), order)

    def check_lives(self, expected: Case, lives: Folded, tolerance: int) -> None:
        made, wanted = intervals(lives), [in_micros(each) for each in expected['intervals']]
        found = [{key: value if is_near(one[key], value, tolerance) else one[key] for key, value in each.items()}
                 for each, one in zip(wanted, made, strict=False)]
        self.assertEqual([*map(readable, found)], [*map(readable, wanted)])
        self.assertEqual(len(made), len(wanted), [*map(readable, made)])
        for (_, resource_id), life in lives.items():
            self.assertEqual(life.known_start, expected.get('known_start', life.known_start), resource_id)
            for name, value in expected.get('attributes', {}).items():
                self.assertEqual(life.attributes.get(name), value, resource_id)
