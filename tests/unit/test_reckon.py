# SPDX-License-Identifier: Apache-2.0
"""What is stated of segments and counts, by lifecycle definitions."""

import datetime
import decimal
import json
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ceilometer_paas import times
from ceilometer_paas.config import reader
from ceilometer_paas.config.lifecycles import load_lifecycles
from ceilometer_paas.model import DELETED, LASTING, TURNING, Account, Count, Segment, Statement
from ceilometer_paas.reckon import Reckoner
from tests.files import Files
from tests.lives import HOUR, MINUTE, NOON, SECOND

PERIOD = (NOON, NOON + HOUR)
SIZE = {'litres': 40, 'colour': 'red'}
DEFINITIONS = '''
    lifecycle:
      - resource_type: box
        resource_id: $.payload.id
        states: [ordered, open, ajar, shut, moved, broken]
        meters:
          box.uptime: [open, ajar]
          box.sealed: shut
          box.kept: {all_but: [ordered, deleted]}
          box.rented: [open]
        as_before: [moved]
        status: {meter: box.status, codes: {open: 1, ajar: 2, shut: 3, deleted: 9}}
        quantity: boxes
        events:
          - {event_type: box.gone, state: deleted}
      - resource_type: shelf
        resource_id: $.payload.id
        meters: {shelf.uptime: [built]}
        events:
          - {event_type: shelf.built, state: built}
      - resource_type: $.payload.kind
        resource_id: $.payload.id
        meters: {'{resource_type}.uptime': [lit], '{resource_type}.kept': {all_but: [broken]}}
        as_before: [busy]
        status: {meter: '{resource_type}.status', codes: {lit: 1, dark: 2}}
        quantity: '{resource_type}.number'
        events:
          - {event_type: .*, observed: $.payload.state}
      - resource_type: $.payload.type
        resource_id: $.payload.id
        meters: {'{resource_type}.uptime': [running]}
        as_before: [moving]
        events:
          - {event_type: .*, observed: $.payload.state}
'''
MAPPED = {'box.uptime', 'box.sealed', 'box.kept', 'box.status', 'boxes', 'shelf.uptime', 'lamp.uptime', 'lamp.status',
          'lamp.number'}


def segment(begin: int = NOON, end: int = NOON + HOUR, state: str = 'open', **fields: Any) -> Segment:
    values = {'counts_as': state, 'project_id': 'p-1', 'user_id': 'u-1', 'size': SIZE, 'host': 'h-1',
              'availability_zone': 'z-1', 'marks': LASTING, 'period': PERIOD, **fields}
    return Segment(begin, end, state, **values)


def boxes(number: int = 3, **fields: Any) -> Count:
    values = {'states': {'open': 1, 'shut': 2}, 'flavors': {'big': 2}, 'highest': 5, 'lowest': 1, 'period': PERIOD,
              **fields}
    return Count('box', 'p-1', number, **values)


class ReckonTest(unittest.TestCase):

    maxDiff = None

    def reckoner(self, mapped: set[str] = MAPPED) -> Reckoner:
        files, problems = Files(self), reader.Problems()
        files.write('lives.yaml', DEFINITIONS)
        lifecycles = load_lifecycles([files.directory], problems)
        problems.check()
        return Reckoner(lifecycles, lambda name: frozenset({'a queue'} if name in mapped else ()))

    def setUp(self) -> None:
        self.reckon = self.reckoner()

    def stated(self, *segments: Segment, resource_type: str = 'box', name: str | None = 'a box') -> list[Statement]:
        return list(self.reckon([Account(resource_type, 'r-1', name, list(segments))], []))

    def volumes(self, *segments: Segment, resource_type: str = 'box') -> dict[str, float]:
        """Give what is stated of each meter; none may be stated twice."""
        stated = self.stated(*segments, resource_type=resource_type)
        found = {one.meter: one.volume for one in stated}
        self.assertEqual(len(stated), len(found), stated)
        return found


class TestUptime(ReckonTest):

    def test_every_field(self) -> None:
        """An uptime is a delta in seconds at the segment's beginning, with all that is known of the segment."""
        uptime = self.stated(segment(NOON + MINUTE, NOON + 3 * MINUTE, revision=2))[0]
        self.assertEqual(('box.uptime', 'delta', 's', 120, 'r-1', 'p-1', 'u-1', NOON + MINUTE), uptime[:-1])
        self.assertEqual({
            'resource_type': 'box', 'display_name': 'a box', 'state': 'open', 'size': SIZE, 'host': 'h-1',
            'availability_zone': 'z-1', 'revision': 2,
            'period': {'begin': '2026-03-02T12:00:00+00:00', 'end': '2026-03-02T13:00:00+00:00'},
        }, uptime.metadata)

    def test_unknown_is_left_out(self) -> None:
        """A name, a host and a zone that are unknown are not in the metadata, which JSON can express."""
        uptime = self.stated(segment(host=None, availability_zone=None, user_id=None, project_id=None), name=None)[0]
        self.assertEqual({'resource_type', 'state', 'size', 'period', 'revision'}, set(uptime.metadata))
        self.assertEqual((None, None), (uptime.project_id, uptime.user_id))
        self.assertEqual(uptime.metadata, json.loads(json.dumps(uptime.metadata)))

    def test_each_meter_by_its_states(self) -> None:
        """Each meter that is mapped says the segment's seconds, or 0 in a state that it does not count."""
        for state, expected in (('open', (3600, 0, 3600)), ('shut', (0, 3600, 3600)), ('ordered', (0, 0, 0)),
                                ('strange', (0, 0, 3600))):
            with self.subTest(state):
                self.assertEqual(dict(zip(('box.uptime', 'box.sealed', 'box.kept'), expected, strict=True)),
                                 self.volumes(segment(state=state)))

    def test_counts_as(self) -> None:
        """What a segment counts as decides on its seconds; its own state is told."""
        uptime = self.stated(segment(state='moved', counts_as='ajar'))[0]
        self.assertEqual((3600, 'moved'), (uptime.volume, uptime.metadata['state']))

    def test_gone(self) -> None:
        """Of a segment that is gone 0 is stated, whatever holds now and whoever counts it."""
        gone = segment(NOON, NOON, 'open', revision=1)
        self.assertEqual({'box.uptime': 0, 'box.sealed': 0, 'box.kept': 0}, self.volumes(gone))
        ended = segment(NOON, NOON, DELETED, marks=LASTING | TURNING, revision=1)
        self.assertEqual({'box.uptime': 0, 'box.sealed': 0, 'box.kept': 0, 'box.status': 9}, self.volumes(ended))

    def test_segments_stay_apart(self) -> None:
        """Each segment is stated for itself, in order, though state and owner may be the same."""
        stated = self.stated(segment(NOON, NOON + MINUTE), segment(NOON + MINUTE, NOON + 3 * MINUTE, user_id='u-2'))
        self.assertEqual([(NOON, 60, 'u-1'), (NOON + MINUTE, 120, 'u-2')],
                         [(one.timestamp, one.volume, one.user_id) for one in stated if one.meter == 'box.uptime'])

    def test_shared_metadata(self) -> None:
        """Statements of one segment share their metadata, and segments of one period its times."""
        first, *others = self.stated(segment(marks=LASTING | TURNING))
        self.assertEqual(3, len(others))
        self.assertEqual({id(first.metadata)}, {id(one.metadata) for one in others})
        other = self.stated(segment(NOON + MINUTE))[0]
        self.assertIs(first.metadata['period'], other.metadata['period'])

    @given(st.integers(0, 31 * 24 * HOUR))
    def test_exact(self, micros: int) -> None:
        """A volume is exact to the microsecond as it is printed, and a whole number where it is whole."""
        volume = self.stated(segment(NOON, NOON + micros))[0].volume
        self.assertEqual(decimal.Decimal(micros).scaleb(-6), decimal.Decimal(repr(volume)))
        self.assertIs(int if micros % SECOND == 0 else float, type(volume))


class TestStatus(ReckonTest):

    def test_turning(self) -> None:
        """Where a state turned and lasts, the status is stated beside the uptimes: a gauge without a unit."""
        status = self.stated(segment(NOON + 1, state='shut', marks=LASTING | TURNING))[-1]
        self.assertEqual(('box.status', 'gauge', '', 3, 'r-1', 'p-1', 'u-1', NOON + 1), status[:-1])
        self.assertEqual('shut', status.metadata['state'])

    def test_lasting(self) -> None:
        """Where no state turned, no status is stated; where nothing lasts, nothing but that."""
        self.assertNotIn('box.status', self.volumes(segment()))
        self.assertEqual({'box.status': 9}, self.volumes(segment(NOON, NOON, DELETED, marks=TURNING)))
        self.assertEqual({}, self.volumes(segment(marks=0)))

    def test_state_itself(self) -> None:
        """The status is that of the state itself, whatever it counts as, and 0 where it has no code."""
        for state, code in (('open', 1), ('moved', 0), ('strange', 0)):
            with self.subTest(state):
                self.assertEqual({'box.status': code},
                                 self.volumes(segment(state=state, counts_as='ajar', marks=TURNING)))

    def test_none_defined(self) -> None:
        """A type without a status has uptimes only."""
        self.assertEqual({'shelf.uptime': 3600}, self.volumes(
            segment(state='built', marks=LASTING | TURNING), resource_type='shelf'))


class TestQuantity(ReckonTest):

    def test_every_field(self) -> None:
        """A quantity is a gauge at the period's end, of a resource that stands for the project."""
        quantity, = self.reckon([], [boxes(revision=1)])
        self.assertEqual(('boxes', 'gauge', '', 3, 'paas-p-1', 'p-1', None, NOON + HOUR), quantity[:-1])
        self.assertEqual({
            'resource_type': 'box', 'states': {'open': 1, 'shut': 2}, 'flavors': {'big': 2}, 'highest': 5, 'lowest': 1,
            'period': {'begin': '2026-03-02T12:00:00+00:00', 'end': '2026-03-02T13:00:00+00:00'}, 'revision': 1,
        }, quantity.metadata)

    def test_none(self) -> None:
        """That a project has none any more is stated, too."""
        quantity, = self.reckon([], [boxes(0, states={}, flavors={})])
        self.assertEqual(0, quantity.volume)

    def test_none_defined(self) -> None:
        """A type without a quantity is not counted."""
        self.assertEqual([], list(self.reckon([], [boxes()._replace(resource_type='shelf')])))

    def test_after_accounts(self) -> None:
        """What was used is stated first, then what there was, each in the order given."""
        accounts = [Account('shelf', name, None, [segment()]) for name in ('b', 'a')]
        counts = [boxes()._replace(project_id=name) for name in ('d', 'c')]
        self.assertEqual(['b', 'a', 'paas-d', 'paas-c'], [one.resource_id for one in self.reckon(accounts, counts)])


class TestDefinitions(ReckonTest):

    def test_unmapped(self) -> None:
        """A meter that is mapped to no queue says nothing, of whichever kind it is."""
        self.reckon = self.reckoner({'box.sealed'})
        self.assertEqual({'box.sealed': 0}, self.volumes(segment(marks=LASTING | TURNING)))
        self.assertEqual([], list(self.reckon([], [boxes()])))

    def test_type_from_the_message(self) -> None:
        """Of a type that no definition names, those that read it from the message say all; its name is in meters'."""
        turned = segment(state='lit', marks=LASTING | TURNING)
        self.assertEqual({'lamp.uptime': 3600, 'lamp.status': 1}, self.volumes(turned, resource_type='lamp'))
        quantity, = self.reckon([], [boxes()._replace(resource_type='lamp')])
        self.assertEqual('lamp.number', quantity.meter)
        self.assertEqual({}, self.volumes(turned, resource_type='heater'))

    def test_one_meter_of_several_definitions(self) -> None:
        """A meter that several definitions have counts the states of each, and is stated once."""
        for state, volume in (('lit', 3600), ('running', 3600), ('dark', 0)):
            with self.subTest(state):
                self.assertEqual({'lamp.uptime': volume}, self.volumes(segment(state=state), resource_type='lamp'))

    def test_named_type(self) -> None:
        """A type that a definition names goes by that alone."""
        self.reckon = self.reckoner({*MAPPED, 'shelf.status', 'shelf.number', 'shelf.kept'})
        self.assertEqual({'shelf.uptime': 0}, self.volumes(
            segment(state='lit', marks=LASTING | TURNING), resource_type='shelf'))

    def test_no_definition(self) -> None:
        """Nothing is stated of a type that has no definition any more."""
        reckon = Reckoner([], lambda name: frozenset({'a queue'}))
        self.assertEqual([], list(reckon([Account('box', 'r-1', None, [segment()])], [boxes()])))
        self.assertEqual(frozenset(), reckon.as_before('box'))

    def test_as_before(self) -> None:
        """States that count as the one before are those of the type's definitions, mapped or not."""
        for resource_type, states in (('box', {'moved'}), ('shelf', set()), ('lamp', {'busy', 'moving'}),
                                      ('heater', {'busy', 'moving'})):
            with self.subTest(resource_type):
                self.assertEqual(states, self.reckon.as_before(resource_type))


class TestTogether(ReckonTest):

    @given(st.sets(st.integers(NOON + 1, NOON + HOUR - 1), max_size=5).map(sorted),
           st.lists(st.sampled_from(['open', 'ajar', 'shut', 'strange']), min_size=6, max_size=6))
    def test_seconds_add_up(self, cuts: list[int], states: list[str]) -> None:
        """However a period is cut, what is stated of a meter adds up to the time in the states that it counts."""
        bounds = [NOON, *cuts, NOON + HOUR]
        parts = [segment(begin, end, state) for begin, end, state in zip(bounds, bounds[1:], states, strict=False)]
        stated = self.stated(*parts)
        for meter, counted in (('box.uptime', {'open', 'ajar'}), ('box.sealed', {'shut'}), ('box.kept', set(states))):
            volumes = [one.volume for one in stated if one.meter == meter]
            expected = datetime.timedelta(microseconds=sum(one.end - one.begin for one in parts
                                                           if one.state in counted))
            self.assertEqual(expected, sum(map(_time, volumes), datetime.timedelta()))
            self.assertEqual([one.begin for one in parts], [one.timestamp for one in stated if one.meter == meter])
        self.assertEqual(times.from_micros(NOON).isoformat(), stated[0].metadata['period']['begin'])


def _time(seconds: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=seconds)
