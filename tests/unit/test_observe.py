# SPDX-License-Identifier: Apache-2.0
"""What a message tells of a resource's life, by a definition; and why some messages are refused."""

import json
import unittest
from typing import Any

import hypothesis
from hypothesis import strategies as st

from ceilometer_paas import times
from ceilometer_paas.config import reader
from ceilometer_paas.config.lifecycles import load_lifecycles
from ceilometer_paas.errors import Refused
from ceilometer_paas.ledger.evidence import Evidence
from ceilometer_paas.ledger.intervals import fold
from ceilometer_paas.model import Fact, Notification, dump_facts
from ceilometer_paas.observe import MAX_SIZE, Observer
from tests.files import Files

SENT = '2026-03-02T09:00:00.500000+00:00'

BOX = '''
    lifecycle:
      - resource_type: box
        resource_id: $.payload.id
        project_id: $.payload.project
        user_id: $.payload.user
        name: $.payload.name
        tags: $.payload.tags
        parent: {resource_type: house, resource_id: $.payload.house}
        host: $.payload.shelf
        availability_zone: $.payload.room
        size: {litres: $.payload.litres, colour: $.payload.colour}
        created: {time: $.payload.created, state: ordered}
        launched: {time: $.payload.opened, state: open, unless: {$.payload.state: [ajar]}}
        ended: {time: $.payload.gone}
        states: [ordered, open, ajar, shut, moved]
        meters: {box.uptime: [open], box.count: [open, shut]}
        events:
          - {event_type: box.moved, when: {$.payload.by: [truck, 7]}, state: moved}
          - {event_type: box.moved, when: {$.payload.by: [null]}, ignored: true}
          - {event_type: box.opened, state: $.payload.state, time: $.payload.opened}
          - {event_type: box.seen, observed: [$.payload.state, shut]}
          - {event_type: box.counted, observed: $.payload.state, every: 90}
          - {event_type: box.updated, state: $.payload.state, changed: [$.payload.old, $.payload.state]}
          - {event_type: box.sold, sets: [project_id]}
          - {event_type: box.enlarged, sets: [size]}
          - {event_type: box.gone, state: deleted}
          - {event_type: box.*}
'''


def notification(event_type: str, timestamp: str = SENT, /, **payload: Any) -> Notification:
    return Notification('id-1', event_type, timestamp, None, {}, {'id': 'b-1', **payload})


def micros(text: str) -> int:
    return times.to_micros(times.parse_utc(text))


class ObserveTest(unittest.TestCase):

    maxDiff = None
    queues = {'box.uptime': frozenset({'boxes'}), 'box.count': frozenset({'boxes', 'counts'})}
    formats = {'boxes': 'oslo', 'counts': 'oslo', 'events': 'paas-event'}
    now = micros('2026-03-02T09:00')

    def observer(self, text: str = BOX, max_future: float = 300) -> Observer:
        files, problems = Files(self), reader.Problems()
        files.write('lives.yaml', text)
        lifecycles = load_lifecycles([files.directory], problems)
        problems.check()
        return Observer(lifecycles, lambda name: self.queues.get(name, frozenset()), self.formats, max_future)

    def setUp(self) -> None:
        self.observe = self.observer()

    def facts(self, told: Notification, queue: str = 'boxes') -> tuple[Fact, ...]:
        return self.observe(told, queue, self.now)

    def fact(self, event_type: str, **payload: Any) -> Fact:
        fact, = self.facts(notification(event_type, **payload))
        return fact

    def refused(self, code: str, told: Notification, queue: str = 'boxes') -> str:
        with self.assertRaises(Refused) as caught:
            self.facts(told, queue)
        self.assertEqual(caught.exception.code, code)
        return caught.exception.reason


class What(ObserveTest):

    def test_all_that_a_definition_names_is_told(self):
        self.assertEqual(self.fact(
            'box.opened', project='p', user='u', name='attic', tags=['old'], shelf='s', room='r', litres=3,
            colour='red', created='2026-03-01 08:00:00+00:00', opened='2026-03-02T08:59:59.25', gone='', state='open'),
            Fact('box', 'b-1', 'transition', 'box.opened', micros('2026-03-02T08:59:59.25'), micros(SENT), 'open', 0,
                 'p', 'u', {'litres': 3, 'colour': 'red'}, {'host': 's', 'availability_zone': 'r'},
                 {'name': 'attic', 'tags': ['old']}, micros('2026-03-01T08:00'), 'ordered',
                 micros('2026-03-02T08:59:59.25'), 'open', None))

    def test_what_is_not_there_is_not_told(self):
        fact = self.fact('box.opened', state='open', project=None, user='', shelf='', opened='', gone=None)
        self.assertEqual(fact, Fact(
            'box', 'b-1', 'transition', 'box.opened', micros(SENT), micros(SENT), 'open',
            place={'host': None, 'availability_zone': None}, created_state='ordered', launched_state='open'))

    def test_an_observation_holds_for_an_hour_and_five_minutes_or_as_its_event_says(self):
        for event_type, every in (('box.seen', 3900), ('box.counted', 90), ('box.gone', 0)):
            self.assertEqual(self.fact(event_type, state='shut').every, every)

    def test_what_a_resource_is_part_of(self):
        self.assertEqual(self.fact('box.moved', by='hand', house='h/1').attributes, {'parent': 'house/h/1'})
        for none in (None, ''):
            self.assertEqual(self.fact('box.moved', by='hand', house=none).attributes, {})

    def test_a_fixed_state_and_the_first_of_several(self):
        self.assertEqual(self.fact('box.gone', state='shut').state, 'deleted')
        self.assertEqual(self.fact('box.seen', state='ajar').state, 'ajar')
        self.assertEqual(self.fact('box.seen').state, 'shut')

    def test_a_launch_may_be_one_to_another_state(self):
        self.assertEqual(self.fact('box.seen', state='ajar', opened=SENT).launched_state, 'ajar')
        self.assertEqual(self.fact('box.seen', state='shut', opened=SENT).launched_state, 'open')

    def test_an_update_that_changes_nothing_is_a_witness(self):
        changed = self.fact('box.updated', old='shut', state='open', opened=SENT)
        self.assertEqual((changed.kind, changed.state), ('transition', 'open'))
        same = self.fact('box.updated', old='open', state='open', opened=SENT)
        self.assertEqual((same.kind, same.state, same.launched), ('witness', None, micros(SENT)))

    def test_an_update_that_changes_nothing_needs_no_state(self):
        self.assertEqual(self.fact('box.updated').kind, 'witness')

    def test_any_other_event_bears_witness_only(self):
        fact = self.fact('box.painted', state=7, gone='2026-03-02T08:00')
        self.assertEqual((fact.kind, fact.state, fact.ended), ('witness', None, micros('2026-03-02T08:00')))

    def test_a_change_tells_what_it_sets_and_nothing_else(self):
        payload = {'project': 'p', 'user': 'u', 'litres': 3, 'state': 'open'}
        sold, enlarged = self.fact('box.sold', **payload), self.fact('box.enlarged', **payload)
        self.assertEqual((sold.kind, sold.state, sold.project_id, sold.user_id, sold.size),
                         ('change', None, 'p', 'u', {}))
        self.assertEqual((enlarged.kind, enlarged.project_id, enlarged.user_id, enlarged.size),
                         ('change', None, None, {'litres': 3}))

    def test_the_first_event_whose_conditions_hold_decides(self):
        self.assertEqual(self.fact('box.moved', by='truck').state, 'moved')
        self.assertEqual(self.fact('box.moved', by=7).state, 'moved')
        self.assertEqual(self.fact('box.moved', by='hand').kind, 'witness')
        self.assertEqual(self.facts(notification('box.moved')), ())

    def test_other_events_tell_nothing(self):
        for event_type in ('jar.opened', 'a.box.opened', 'Box.opened'):
            self.assertEqual(self.facts(notification(event_type)), ())

    def test_each_definition_that_speaks_of_an_event_tells_a_fact(self):
        self.queues = {'box.uptime': frozenset({'boxes'}), 'lid.uptime': frozenset({'boxes'})}
        self.observe = self.observer(BOX + '''
      - resource_type: lid
        resource_id: $.payload.lid
        meters: {lid.uptime: [shut]}
        events:
          - {event_type: box.opened, state: shut}
''')
        facts = self.facts(notification('box.opened', state='open', lid='l-1'))
        self.assertEqual([(fact.resource_type, fact.resource_id, fact.state) for fact in facts],
                         [('box', 'b-1', 'open'), ('lid', 'l-1', 'shut')])


class Refusals(ObserveTest):

    def test_no_id(self):
        for none in (None, ''):
            self.assertEqual(self.refused('observe.no_resource_id', notification('box.seen', id=none)), 'resource_id')

    def test_bad_ids(self):
        for field, value, name in (('id', 7, 'resource_id'), ('id', 'x' * 256, 'resource_id'),
                                   ('project', ['p'], 'project_id'), ('user', 'u\n', 'user_id'),
                                   ('house', 7, 'parent')):
            told = notification('box.seen', **{'state': 'open', field: value})
            self.assertIn(f'{name}: ', self.refused('observe.bad_id', told))

    def test_no_state(self):
        for none in (None, ''):
            self.refused('observe.no_state', notification('box.opened', state=none))

    def test_bad_states(self):
        for bad in (7, True, ['open'], 'a\x00', 'x' * 256):
            self.refused('observe.bad_state', notification('box.opened', state=bad))

    def test_bad_sizes(self):
        for bad in (True, [3], {}, float('inf'), float('nan'), 10 ** 400, 'x' * (MAX_SIZE + 1)):
            told = notification('box.opened', state='open', litres=bad)
            self.assertIn('litres: ', self.refused('observe.bad_size', told))

    def test_good_sizes(self):
        for good in (0, -1, 2.5, 2 ** 60, '', 'x' * MAX_SIZE):
            self.assertEqual(self.fact('box.opened', state='open', litres=good).size, {'litres': good})

    def test_bad_times(self):
        for field in ('created', 'opened', 'gone'):
            for bad in ('soon', 7, ['x'], True, '2026-03-02', '0001-01-01T00:00:00+05:00', '9999-12-31T23:00:00-05:00'):
                self.refused('observe.bad_timestamp', notification('box.opened', state='open', **{field: bad}))

    def test_a_time_of_sending_that_is_before_the_year_1_in_utc(self):
        """It can be read, but not be told in UTC."""
        self.refused('observe.bad_timestamp', notification('box.seen', '0001-01-01T00:00:00+05:00', state='open'))

    def test_the_future(self):
        late = '2026-03-02T09:05:00.000001'
        telling = [notification('box.opened', state='open', **{field: late}) for field in ('created', 'opened', 'gone')]
        for told in (notification('box.seen', late, state='open'), *telling):
            self.assertIn('300 s', self.refused('observe.in_future', told))
        self.assertEqual(len(self.facts(notification('box.seen', '2026-03-02T09:05:00', state='open'))), 1)

    def test_a_path_that_fails(self):
        self.observe = self.observer(BOX.replace('$.payload.id', '$.payload.id[0]'))
        self.assertIn('resource_id', self.refused('observe.failed', notification('box.seen', id=7, state='open')))

    def test_what_is_ignored_is_not_looked_at(self):
        self.assertEqual(self.facts(notification('box.moved', id=None, project=7, created='soon')), ())


class Trust(ObserveTest):

    def test_a_queue_to_which_each_of_the_meters_is_mapped_may_speak(self):
        told = notification('box.seen', state='open')
        self.assertEqual(len(self.facts(told, 'boxes')), 1)
        self.assertEqual("box.uptime is not mapped to queue 'counts'",
                         self.refused('source.not_mapped', told, 'counts'))

    def test_a_meter_that_is_mapped_to_no_queue_says_nothing_of_who_may_speak(self):
        self.queues = {'box.count': frozenset({'boxes', 'counts'})}
        for queue in ('boxes', 'counts'):
            self.assertEqual(len(self.facts(notification('box.seen', state='open'), queue)), 1)

    def test_status_and_quantity_are_meters_of_it_too(self):
        text = BOX.replace('meters: {box.uptime: [open], box.count: [open, shut]}', 'PLACE')
        for what, meter in (('quantity: boxes', 'boxes'),
                            ('status: {meter: box.status, codes: {open: 1}}', 'box.status')):
            with self.subTest(meter):
                self.queues = {meter: frozenset({'boxes'})}
                self.observe = self.observer(text.replace('PLACE', what))
                told = notification('box.seen', state='open')
                self.assertEqual(len(self.facts(told)), 1)
                self.assertIn(f'{meter} is not', self.refused('source.not_mapped', told, 'counts'))

    def test_no_other_queue_may(self):
        told = notification('box.seen', state='open')
        self.assertIn("'others'", self.refused('source.not_mapped', told, 'others'))
        self.assertEqual(self.facts(notification('box.moved'), 'others'), (), 'ignored')

    def test_a_definition_of_which_no_meter_is_mapped_tells_nothing_and_refuses_nothing(self):
        self.queues = {'jar.uptime': frozenset({'boxes'})}
        for told in (notification('box.opened', state='open'), notification('box.opened', id=None, state=7, litres=[])):
            self.assertEqual(self.facts(told), ())

    def test_a_meter_may_be_named_after_the_type_in_the_message(self):
        self.queues = {'box.uptime': frozenset({'boxes'}), 'jar.uptime': frozenset({'jars'})}
        self.observe = self.observer('''
            lifecycle:
              - resource_type: $.payload.type
                resource_id: $.payload.id
                meters: {'{resource_type}.uptime': [open]}
                events:
                  - {event_type: it.opened, state: open}
        ''')
        fact, = self.facts(notification('it.opened', type='jar'), 'jars')
        self.assertEqual(fact.resource_type, 'jar')
        self.assertIn('jar.uptime', self.refused('source.not_mapped', notification('it.opened', type='jar')))
        self.assertEqual(self.facts(notification('it.opened', type='lid')), ())
        self.assertEqual(self.refused('observe.no_resource_id', notification('it.opened')), 'resource_type')
        self.refused('observe.bad_id', notification('it.opened', type=7))

    def test_a_type_that_is_defined_by_name_cannot_be_taken_by_a_message_that_names_it(self):
        self.queues = {'box.uptime': frozenset({'boxes'}), 'thing.box.time': frozenset({'things'})}
        self.observe = self.observer('''
            lifecycle:
              - resource_type: box
                resource_id: $.payload.id
                meters: {box.uptime: [open]}
                events:
                  - {event_type: box.opened, state: open}
              - resource_type: $.payload.type
                resource_id: $.payload.id
                meters: {'thing.{resource_type}.time': [open]}
                events:
                  - {event_type: it.gone, state: deleted}
        ''')
        self.assertIn('box.uptime', self.refused('source.not_mapped', notification('it.gone', type='box'), 'things'))

    def test_definitions_whose_type_is_in_the_message_share_meters(self):
        """The ledger keeps only the type, so that each meter of either is stated of what any of them tells."""
        self.queues = {'jar.uptime': frozenset({'jars', 'lids'}), 'jar.count': frozenset({'jars'}),
                       'lid.uptime': frozenset({'lids'})}
        self.observe = self.observer('''
            lifecycle:
              - resource_type: $.payload.type
                resource_id: $.payload.id
                meters: {'{resource_type}.uptime': [open]}
                events:
                  - {event_type: jar.opened, state: open}
              - resource_type: [$.payload.kind, lid]
                resource_id: $.payload.id
                meters: {'{resource_type}.count': [open]}
                events:
                  - {event_type: lid.opened, state: open}
        ''')
        told = notification('jar.opened', type='jar')
        self.assertEqual(len(self.facts(told, 'jars')), 1)
        self.assertEqual(self.refused('source.not_mapped', told, 'lids'), "jar.count is not mapped to queue 'lids'")
        self.assertEqual(len(self.facts(notification('lid.opened'), 'lids')), 1)

    def test_a_definition_reads_queues_of_its_format_only(self):
        self.queues = {'box.uptime': frozenset({'boxes', 'events'})}
        told = notification('box.seen', state='open')
        self.assertEqual(self.facts(told, 'events'), ())
        self.observe = self.observer(BOX.replace('resource_id:', 'format: paas-event\n        resource_id:', 1))
        self.assertEqual(len(self.facts(told, 'events')), 1)
        self.assertEqual(self.facts(told), ())


class UnknownStates(ObserveTest):

    def test_one_is_kept_and_warned_of_once(self):
        with self.assertLogs('ceilometer_paas.observe', 'WARNING') as logs:
            for state in ('leaking', 'open', 'leaking'):
                self.assertEqual(self.fact('box.opened', state=state).state, state)
        self.assertEqual(len(logs.records), 1)
        self.assertIn('leaking', logs.output[0])

    def test_none_is_unknown_where_none_is_listed_and_the_end_is_always_known(self):
        with self.assertNoLogs('ceilometer_paas.observe', 'WARNING'):
            self.fact('box.gone')
            self.observe = self.observer(BOX.replace('states:', 'metadata: $.payload.x  #'))
            self.fact('box.opened', state='leaking')


_TIMES = st.sampled_from(['', SENT, '2026-03-02T08:59:59Z', '0001-01-01T00:00:00+05:00', '1969-12-31 23:59:59', 'soon'])
_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(
    inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2), max_leaves=4)
_MESSAGES = st.tuples(
    st.sampled_from(['box.opened', 'box.seen', 'box.updated', 'box.gone']),
    st.fixed_dictionaries({}, optional={
        'state': st.sampled_from(['open', 'ajar', 'deleted']) | _JSON, 'project': st.text() | _JSON, 'name': _JSON,
        'tags': _JSON, 'shelf': _JSON, 'litres': _JSON, 'by': _JSON, 'old': _JSON, 'created': _TIMES | _JSON,
        'opened': _TIMES | _JSON, 'gone': _TIMES | _JSON}),
    _TIMES.filter(lambda text: text not in ('', 'soon')))


class Anything(ObserveTest):

    def setUp(self) -> None:
        self.observe = self.observer(BOX.replace('states:', 'metadata: $.payload.x  #'))

    @hypothesis.settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @hypothesis.given(st.lists(_MESSAGES, max_size=5))
    def test_whatever_a_message_says_is_refused_or_told_and_what_is_told_is_folded(self, messages):
        evidence = Evidence()
        for event_type, payload, timestamp in messages:
            try:
                facts = self.facts(notification(event_type, timestamp, **payload))
            except Refused as refused:
                self.assertTrue(refused.code.startswith('observe.') and len(refused.reason) < 200, refused)
                continue
            for fact in json.loads(dump_facts(facts)):
                evidence.add('id-1', Fact(*fact))
        self.assertEqual(fold(Evidence.load(evidence.dump())).spans, fold(evidence).spans)
