# SPDX-License-Identifier: Apache-2.0
"""What an operator writes about the lives of resources, and what is said about mistakes in it."""

import os
import textwrap
import unittest

from ceilometer.dns import designate

from ceilometer_paas.config import reader
from ceilometer_paas.config.events import Event
from ceilometer_paas.config.lifecycles import Lifecycle, load_lifecycles
from ceilometer_paas.errors import Refused
from tests.files import REPOSITORY, Files

INSTANCE = """
lifecycle:
  - resource_type: instance
    resource_id: $.payload.instance_id
    events:
      - {event_type: compute.instance.exists, observed: $.payload.state}
"""
FULL = """
lifecycle:
  - resource_type: instance
    format: oslo
    resource_id: [$.payload.instance_id, $.payload.uuid]
    project_id: $.payload.tenant_id
    user_id: $.payload.user_id
    name: $.payload.display_name
    host: $.payload.host
    availability_zone: $.payload.zone
    image: $.payload.image_meta.base_image_ref
    license: $.payload.image_meta.license_product
    metadata: $.payload.metadata
    tags: {fields: $.payload.tags, plugin: {name: map, parameters: {values: {a-b: c}}}}
    size: {flavor: $.payload.instance_type, vcpus: $.payload.vcpus}
    created: {time: $.payload.created_at, state: building}
    launched: {time: $.payload.launched_at, state: active, unless: {$.payload.state: [resized, rescued]}}
    ended: {time: $.payload.terminated_at}
    states: [active, building, paused, rescued, resized]
    meters: {compute.instance.uptime: [active, paused], compute.instance.seconds: active}
    as_before: [resized]
    status: {meter: compute.instance.status, codes: {active: 1, building: 2, deleted: 99}}
    quantity: compute.instances
    events:
      - {event_type: compute.instance.create.end, state: active, time: $.payload.launched_at}
"""
MESSAGE = {'event_type': 'compute.instance.exists', 'publisher_id': 'nova', 'ctxt': {}, 'metadata': {},
           'payload': {'uuid': 'i1', 'tenant_id': 'p1', 'state': 'resized', 'tags': 'a-b', 'vcpus': 2, 'spot': True,
                       'old': None, 'service_type': 'queue'}}


class Loading(unittest.TestCase):

    maxDiff = None

    def setUp(self) -> None:
        self.files = Files(self)

    def write(self, text: str, name: str = 'a/lifecycles.yaml') -> str:
        """Write a file; give its directory."""
        os.makedirs(os.path.dirname(self.files.path(name)), exist_ok=True)
        return os.path.dirname(self.files.write(name, text))

    def load(self, *directories: str) -> tuple[Lifecycle, ...]:
        self.problems = reader.Problems()
        return load_lifecycles(directories, self.problems)

    def one(self, text: str) -> Lifecycle:
        """Load a definition in which nothing is wrong."""
        lifecycle, = self.load(self.write(text))
        self.assertEqual(self.said(), [])
        return lifecycle

    def event(self, *lines: str, head: str = '') -> Event:
        """Load a definition with one event, of one or more lines."""
        return self.one(one_event(*lines, head=head)).events[0]

    def said(self) -> list[str]:
        return [f'{problem.line}: {problem.text}' for problem in sorted(self.problems)]

    def refuses(self, text: str, *said: str) -> None:
        self.assertEqual(self.load(self.write(text)), ())
        self.assertEqual(self.said(), list(said))

    def refuses_key(self, line: str, *said: str) -> None:
        """Assert what is said of a definition with one more line, its fifth."""
        self.refuses(INSTANCE.replace('    events', f'    {line}\n    events'), *said)

    def refuses_event(self, *lines: str, said: list[str]) -> None:
        """Assert what is said of an event; its lines begin at line 7."""
        self.refuses(one_event(*lines), *said)


def one_event(*lines: str, head: str = '') -> str:
    """Write a definition; an event's further lines begin at line 7."""
    events = textwrap.indent('\n'.join(lines), ' ' * 8)
    return (INSTANCE.replace('    events:', f'    {head or "project_id: $.payload.tenant_id"}\n    events:')
            .partition('      -')[0] + f'      - event_type: compute.instance.exists\n{events}\n')


class Good(Loading):

    def test_a_definition_finds_what_it_names_in_a_message(self):
        lifecycle = self.one(FULL)
        self.assertEqual(('instance', 'oslo', 'instance', 'lifecycles.yaml', 2),
                         (lifecycle.type_name, lifecycle.format, lifecycle.resource_type(MESSAGE),
                          os.path.basename(lifecycle.file), lifecycle.line))
        self.assertEqual({'resource_id': 'i1', 'project_id': 'p1', 'user_id': None}, found(lifecycle.ids))
        self.assertEqual({'flavor': None, 'vcpus': 2}, found(lifecycle.size))
        self.assertEqual({'host': None, 'availability_zone': None}, found(lifecycle.place))
        self.assertEqual({'name': None, 'image': None, 'license': None, 'metadata': None, 'tags': 'c'},
                         found(lifecycle.attributes))
        self.assertEqual({'active', 'building', 'paused', 'rescued', 'resized'}, lifecycle.states)
        self.assertEqual({'compute.instance.uptime': ({'active', 'paused'}, False),
                          'compute.instance.seconds': ({'active'}, False)}, counted(lifecycle))
        self.assertEqual(({'resized'}, 'compute.instance.status', {'active': 1, 'building': 2, 'deleted': 99},
                          'compute.instances'), (lifecycle.as_before, lifecycle.status.meter, lifecycle.status.codes,
                                                 lifecycle.quantity))
        self.assertEqual(['compute.instance.uptime', 'compute.instance.seconds', 'compute.instance.status',
                          'compute.instances'], lifecycle.meter_names('instance'))

    def test_what_is_left_out_is_empty(self):
        lifecycle = self.one(INSTANCE)
        self.assertEqual((set(), None, '', []), (lifecycle.as_before, lifecycle.status, lifecycle.quantity,
                                                 lifecycle.meter_names('instance')))
        self.assertEqual(('oslo', ['resource_id'], {}, {}, {}, None, None, None, set(), {}),
                         (lifecycle.format, list(lifecycle.ids), lifecycle.size, lifecycle.place, lifecycle.attributes,
                          lifecycle.created, lifecycle.launched, lifecycle.ended, lifecycle.states, lifecycle.meters))

    def test_marks_have_a_time_and_the_state_since_then(self):
        lifecycle = self.one(FULL)
        message = {**MESSAGE, 'payload': {'created_at': 1, 'launched_at': 2, 'terminated_at': 3, 'state': 'rescued'}}
        marks = lifecycle.created, lifecycle.launched, lifecycle.ended
        self.assertEqual([(1, 'building'), (2, 'active'), (3, 'deleted')],
                         [(mark.time(message), mark.state) for mark in marks])
        self.assertEqual([0, 1, 0], [len(mark.unless) for mark in marks])
        (find, values), = lifecycle.launched.unless
        self.assertEqual(('rescued', {'resized', 'rescued'}), (find(message), values))

    def test_a_life_may_be_part_of_another(self):
        lifecycle = self.one(INSTANCE.replace('    events', """
    parent: {resource_type: cluster, resource_id: [$.payload.cluster_id, $.payload.uuid]}
    events"""))
        self.assertEqual(('cluster', 'i1'), (lifecycle.parent.resource_type, lifecycle.parent.resource_id(MESSAGE)))
        self.assertIsNone(self.one(FULL).parent)

    def test_a_type_may_stand_in_each_message(self):
        lifecycle = self.one(INSTANCE.replace('type: instance', 'type: $.payload.service_type\n    format: paas-event'))
        self.assertEqual(('', 'queue', 'paas-event'),
                         (lifecycle.type_name, lifecycle.resource_type(MESSAGE), lifecycle.format))

    def test_an_event_tells_a_transition(self):
        event = self.event('state: $.payload.state', 'time: $.payload.vcpus')
        self.assertEqual(('transition', 'resized', 2, 0, 6),
                         (event.kind, event.state(MESSAGE), event.time(MESSAGE), event.every, event.line))

    def test_an_event_tells_an_observation_that_holds_until_the_next_audit(self):
        event = self.event('observed: $.payload.state')
        self.assertEqual(('observation', 'resized', None, 3900),
                         (event.kind, event.state(MESSAGE), event.time, event.every))
        self.assertEqual(60, self.event('observed: $.payload.state', 'every: 60').every)
        self.assertEqual(0, self.event('observed: $.payload.state', 'time: $.payload.at').every)

    def test_an_event_tells_a_change_of_owner_or_size(self):
        event = self.event('sets: project_id')
        self.assertEqual(('change', {'project_id'}, None), (event.kind, event.sets, event.state))
        event = self.event('sets: [size]', head='size: {gib: $.payload.gib}')
        self.assertEqual(('change', {'size'}), (event.kind, event.sets))

    def test_an_event_is_ignored_or_else_a_witness(self):
        self.assertEqual('ignored', self.event('ignored: true').kind)
        self.assertEqual('witness', self.event().kind)

    def test_a_state_is_a_word_or_what_a_path_finds_or_the_first_of_them(self):
        for text, expected in (('active', 'active'), ('soft-delete', 'soft-delete'), ('in use', 'in use'),
                               ('$.payload.state', 'resized'), ('[$.payload.old, active]', 'active'),
                               ('[$.payload.state, active]', 'resized'), ('[active]', 'active'),
                               ('[$.payload.old, $.payload.state, active]', 'resized'),
                               ('[$.payload.old, $.payload.none]', None),
                               ('{fields: $.payload.tags, plugin: {name: map, parameters: {values: {a-b: c}}}}', 'c')):
            with self.subTest(text):
                self.assertEqual(expected, self.event(f'state: {text}').state(MESSAGE))

    def test_what_changed_is_two_paths(self):
        event = self.event('state: $.payload.state', 'changed: [$.payload.old, $.payload.state]')
        self.assertEqual([None, 'resized'], [find(MESSAGE) for find in event.changed])

    def test_conditions_compare_as_text(self):
        event = self.event('when: {$.payload.spot: true, $.payload.vcpus: [1, 2], $.payload.old: null}')
        self.assertEqual([{'True'}, {'1', '2'}, {'None'}], [values for _, values in event.when])
        self.assertTrue(all(str(find(MESSAGE)) in values for find, values in event.when))

    def test_event_types_match_whole(self):
        lifecycle = self.one(INSTANCE.replace('compute.instance.exists', '[compute.instance.(pause|exists), x]'))
        for one in (lifecycle, lifecycle.events[0]):
            self.assertTrue(one.matches('compute.instance.pause'))
            self.assertTrue(one.matches('x'))
            self.assertFalse(one.matches('compute.instance.exists.failed'))

    def test_definitions_of_a_type_share_their_states_and_meters(self):
        more = """
          - resource_type: instance
            resource_id: $.payload.uuid
            states: [active, error]
            meters: {compute.instance.uptime: [error], more: active}
            as_before: error
            quantity: compute.instances
            events: [{event_type: x, state: error}]
          - resource_type: other
            resource_id: $.payload.id
            events: [{event_type: x, state: on fire}]
        """
        lifecycles = self.load(self.write(FULL.rstrip() + textwrap.indent(textwrap.dedent(more), '  ')))
        self.assertEqual(self.said(), [])
        self.assertEqual(['instance', 'instance', 'other'], [lifecycle.type_name for lifecycle in lifecycles])
        for lifecycle in lifecycles[:2]:
            self.assertEqual({'active', 'building', 'error', 'paused', 'rescued', 'resized'}, lifecycle.states)
            self.assertEqual({'compute.instance.uptime': ({'active', 'error', 'paused'}, False),
                              'more': ({'active'}, False), 'compute.instance.seconds': ({'active'}, False)},
                             counted(lifecycle))
            self.assertEqual({'error', 'resized'}, lifecycle.as_before)
            self.assertEqual({'active': 1, 'building': 2, 'deleted': 99}, lifecycle.status.codes)
            self.assertEqual('compute.instances', lifecycle.quantity)
        self.assertEqual((set(), {}, None), (lifecycles[2].states, lifecycles[2].meters, lifecycles[2].status))

    def test_definitions_in_which_messages_name_the_type_share_meters_but_no_states(self):
        text = INSTANCE.replace('type: instance', f'type: $.payload.a\n    states: [active]\n{EVERY_TYPE}')
        one, other = self.load(self.write(text, 'a/1.yaml'),
                               self.write(INSTANCE.replace('type: instance', 'type: $.payload.b'), 'b/1.yaml'))
        self.assertEqual(self.said(), [])
        self.assertEqual(({'active'}, set()), (one.states, other.states))
        for lifecycle in (one, other):
            self.assertEqual(['queue.uptime', 'paas.queue.status', 'queues'], lifecycle.meter_names('queue'))

    def test_a_meter_counts_some_states_or_all_but_some(self):
        lifecycle = self.one(FULL.replace('[active, paused], ', '{all_but: [building, deleted]}, '))
        uptime, seconds = lifecycle.meters.values()
        self.assertEqual([True, False, True, False],
                         [uptime.counts(state) for state in ('active', 'building', 'unheard of', 'deleted')])
        self.assertEqual([True, False, False, False],
                         [seconds.counts(state) for state in ('active', 'building', 'unheard of', 'deleted')])
        lifecycle = self.one(FULL.replace('[active, paused], ', '{all_but: []}, '))
        self.assertTrue(lifecycle.meters['compute.instance.uptime'].counts('building'))

    def test_what_several_definitions_except_is_excepted(self):
        meters = INSTANCE.replace('events', 'meters: {uptime: {all_but: STATE}}\n    events')
        one, _ = self.load(self.write(meters.replace('STATE', 'error') + meters.replace('STATE', 'lost').replace(
            '\nlifecycle:\n', '')))
        self.assertEqual((self.said(), {'uptime': ({'error', 'lost'}, True)}), ([], counted(one)))

    def test_an_earlier_directory_replaces_all_definitions_of_a_type(self):
        mine = self.write(INSTANCE, 'mine/1.yaml')
        theirs = self.write(INSTANCE.replace('events', 'meters: {replaced: active}\n    events'), 'theirs/1.yaml')
        self.write(INSTANCE.replace('type: instance', 'type: $.payload.type'), 'theirs/2.yaml')
        self.write(INSTANCE.replace('type: instance', 'type: $.payload.type'), 'theirs/3.yaml')
        lifecycles = self.load(mine, theirs)
        self.assertEqual([('mine', 'instance'), ('theirs', ''), ('theirs', '')],
                         [(os.path.basename(os.path.dirname(one.file)), one.type_name) for one in lifecycles])
        self.assertEqual({}, lifecycles[0].meters)

    def test_what_is_shipped_is_good_and_every_fixed_state_is_listed(self):
        lifecycles = self.load(os.path.join(REPOSITORY, 'etc', 'ceilometer_paas', 'lifecycles.d'))
        self.assertEqual(self.said(), [])
        self.assertEqual([], [f'{one.file}:{one.line}' for one in lifecycles if one.type_name and not one.states])

    def test_what_is_shipped_counts_and_numbers_every_type(self):
        """Stores keep the numbers: 1 is what is well, 99 what is gone, and below 10 they mean the same everywhere."""
        lifecycles = self.load(os.path.join(REPOSITORY, 'etc', 'ceilometer_paas', 'lifecycles.d'))
        self.assertEqual(
            {'compute.instance.uptime': 'compute.instances', 'database.instance.uptime': 'database.instances',
             'dns.zone.uptime': 'dns.zones', 'dns.recordset.uptime': 'dns.recordsets',
             'loadbalancer.uptime': 'loadbalancers', 'share.uptime': 'shares', 'cluster.uptime': 'clusters',
             '{resource_type}.instance.uptime': '{resource_type}.instances'},
            {name: one.quantity for one in lifecycles for name in one.meters})
        well = {'active', 'ACTIVE', 'available', 'CREATE_COMPLETE'}
        for one in lifecycles:
            with self.subTest(f'{one.file}:{one.line}'):
                codes = one.status.codes
                self.assertEqual([name.replace('uptime', 'status') for name in one.meters], [one.status.meter])
                self.assertEqual(set(), one.states - set(codes), 'each known state has a code')
                self.assertEqual([1], [codes[state] for state in well.intersection(codes)])
                if one.status.meter == 'dns.zone.status':
                    self.assertEqual({state.lower(): code for state, code in codes.items()}, designate.ZONE_STATUS)
                    continue
                self.assertEqual(99, codes['deleted'])
                self.assertLessEqual({code for code in codes.values() if code < 10}, {1, 2, 3, 5, 6, 7})

    def test_what_is_shipped_counts_these_states(self):
        by_type = {one.type_name: one for one in
                   self.load(os.path.join(REPOSITORY, 'etc', 'ceilometer_paas', 'lifecycles.d'))}
        self.assertEqual({'compute.instance.uptime': ({'active', 'paused', 'rescued', 'resized'}, False)},
                         counted(by_type['instance']))
        self.assertEqual({'resized'}, by_type['instance'].as_before)
        self.assertEqual({'database.instance.uptime': ({'error', 'deleted', 'shutdown'}, True)},
                         counted(by_type['database_instance']))
        self.assertEqual({'{resource_type}.instance.uptime': ({'active'}, False)}, counted(by_type['']))

    def test_a_path_that_fails_on_a_message_refuses_it_as_one_of_a_lifecycle(self):
        event = self.event('state: {fields: $.payload.state, plugin: {name: map, parameters: {values: {a: b}}}}')
        with self.assertRaises(Refused) as caught:
            event.state({**MESSAGE, 'payload': {'state': ['no', 'word']}})
        self.assertEqual('observe.failed', caught.exception.code)


EVERY_TYPE = """
    meters: {'{resource_type}.uptime': []}
    status: {meter: 'paas.{resource_type}.status', codes: {active: 1}}
    quantity: '{resource_type}s'
"""


def counted(lifecycle):
    return {name: (meter.states, meter.all_but) for name, meter in lifecycle.meters.items()}


def found(finds):
    return {name: find(MESSAGE) for name, find in finds.items()}


class Mistakes(Loading):

    def test_every_mistake_in_every_file_is_said_at_once(self):
        text = FULL.replace('$.payload.host', 'host').replace('state: building', 'state: 3')
        directory = self.write(text, 'a/1.yaml')
        self.write('lifecycle: [', 'a/2.yaml')
        self.assertEqual(self.load(directory), ())
        self.assertEqual(["8: no message has 'host'; a path begins as in $.payload.id",
                          '15: state is 3; it is printable text of 1 to 255 characters, without blanks around it'],
                         self.said()[:2])
        self.assertEqual(len(self.said()), 3, self.said())

    def test_a_file_without_lifecycle(self):
        self.refuses('lifecycles: []',
                     "1: a file of lifecycle definitions has no key 'lifecycles'; did you mean 'lifecycle'?",
                     "1: a file of lifecycle definitions needs the key 'lifecycle'")

    def test_a_file_without_definitions(self):
        self.refuses('# none\nlifecycle: []', "2: 'lifecycle' is a list of lifecycle definitions, at least one")

    def test_a_definition_that_is_no_mapping(self):
        self.refuses('lifecycle:\n  - instance', "2: a lifecycle definition is a mapping, not 'instance'")

    def test_keys_that_are_missing_or_unknown(self):
        self.refuses(INSTANCE.replace('resource_id', 'resourceid'),
                     "2: a lifecycle definition needs the key 'resource_id'",
                     "3: a lifecycle definition has no key 'resourceid'; did you mean 'resource_id'?")

    def test_a_definition_without_a_type(self):
        self.refuses('lifecycle:\n  - resource_id: $.payload.id\n    events: [{event_type: x}]',
                     "2: a lifecycle definition needs the key 'resource_type'")

    def test_a_resource_type(self):
        for text, said in (("''", "''"), ('payload.service_type', "'payload.service_type'"), ("' a'", "' a'")):
            with self.subTest(text):
                self.refuses(INSTANCE.replace('type: instance', f'type: {text}'),
                             f'2: {said} is no word for it; that is printable text of 1 to 255 characters, without '
                             'blanks around it; a path begins as in $.payload.id')
        self.refuses(INSTANCE.replace('type: instance', 'type: 3'), '2: 3 is not a path; quote it if it is one')

    def test_a_format(self):
        self.refuses_key('format: olso', "4: format is 'olso'; it is oslo or paas-event")

    def test_a_path_that_finds_nothing_or_is_none(self):
        self.refuses_key('host: host', "4: no message has 'host'; a path begins as in $.payload.id")
        self.refuses_key('tags: [a, b]', "4: no message has ['a', 'b']; a path begins as in $.payload.id")
        self.refuses_key('name:', '4: None is not a path; quote it if it is one')
        self.refuses_key('name: $.pay load', "4: Parse error in JSONPath specification '$.pay load' for name: "
                                             'Parse error at 1:6 near token load (ID)')
        self.refuses_key('name: {fields: $.payload.a, plugin: {name: map, parameters: {values: 3}}}',
                         "4: the plug-in does not take these parameters: The 'values' parameter needs to be a dict for "
                         'the map trait plugin')

    def test_a_size(self):
        for text in ('$.payload.vcpus', '{}', "{'': $.payload.vcpus}"):
            with self.subTest(text):
                self.refuses_key(f'size: {text}', '4: size is a mapping of names to paths; a name is printable text of '
                                                  '1 to 255 characters, without blanks around it')
        self.refuses_key('size:\n      vcpus: 2', '5: 2 is not a path; quote it if it is one')

    def test_meters(self):
        self.refuses_key('meters: [uptime]', '4: meters is a mapping of meter names to states; a name is printable '
                                             'text of 1 to 255 characters, without blanks around it')
        self.refuses_key('meters:\n      uptime: 1', '5: uptime is a word or a list of words')
        self.refuses_key('meters:\n      uptime: {allbut: [error]}',
                         "5: what a meter counts has no key 'allbut'; did you mean 'all_but'?",
                         "5: what a meter counts needs the key 'all_but'")
        self.refuses_key('meters: {uptime: {all_but: 3}}', '4: all_but is a word or a list of words')
        self.refuses_key('as_before: {a: b}', '4: as_before is a word or a list of words')

    def test_a_status(self):
        for text in ('compute.instance.status', '', '[a]'):
            with self.subTest(text):
                self.refuses_key(f'status: {text}', '4: status is a mapping with meter and codes')
        self.refuses_key('status: {metre: a, codes: {b: 1}}',
                         "4: status has no key 'metre'; did you mean 'meter'?", "4: status needs the key 'meter'")
        self.refuses_key('status: {meter: 3, codes: {a: 1}}',
                         '4: meter is 3; the name of a meter is printable text of 1 to 255 characters, without blanks '
                         'around it')
        for text in ('[active]', '{}', '{on: 1}'):
            with self.subTest(text):
                self.refuses_key(f'status: {{meter: a, codes: {text}}}',
                                 '4: codes is a mapping of states to whole numbers; a name is printable text of 1 to '
                                 '255 characters, without blanks around it')

    def test_a_code(self):
        for text, shown in (('0', '0'), ('-1', '-1'), ('1.0', '1.0'), ('true', 'True'), ('"1"', "'1'"),
                            ('2147483648', '2147483648')):
            with self.subTest(text):
                self.refuses_key(f'status:\n      meter: s\n      codes:\n        active: {text}',
                                 f'7: the code of active is {shown}; it is a whole number from 1 to 2147483647, '
                                 'because 0 stands for a state without a code')
        self.refuses_key('status:\n      meter: s\n      codes: {a: 1, b: 2,\n        c: 1}',
                         "7: 1 is the code of a already; choose another")

    def test_a_quantity(self):
        for text, shown in (('3', '3'), ('[a]', "['a']"), ("' a'", "' a'"), ('', 'None')):
            with self.subTest(text):
                self.refuses_key(f'quantity: {text}', f'4: quantity is {shown}; the name of a meter is printable text '
                                                      'of 1 to 255 characters, without blanks around it')

    def test_a_meter_of_resources_of_several_types(self):
        generic = INSTANCE.replace('type: instance', 'type: $.payload.type')
        for line, name in (('meters: {a.uptime: []}', 'a.uptime'), ('quantity: things', 'things'),
                           ('status: {meter: a.status, codes: {active: 1}}', 'a.status')):
            with self.subTest(line):
                self.refuses(generic.replace('    events', f'    {line}\n    events'),
                             f"4: '{name}' would be a meter of resources of several types; write {{resource_type}} "
                             'where their type is to stand')
        self.one(generic.replace('type: $', f'type: $.payload.type{EVERY_TYPE}    host: $'))

    def two(self, one: str, other: str, types: tuple[str, str] = ('instance', 'instance')) -> str:
        """Write a definition with one more line, its fourth, and one with another, the ninth; give what is said."""
        first, second = (INSTANCE.replace('type: instance', f'type: {of}').replace('events', f'{line}\n    events')
                         for of, line in zip(types, (one, other), strict=True))
        self.load(self.write(first + second.replace('\nlifecycle:\n', '')))
        return '\n'.join(self.said()).replace(self.files.directory + '/a/', '')

    def test_a_meter_that_is_given_twice_by_a_type(self):
        for one, other in (('meters: {m: []}', 'quantity: m'), ('quantity: m', 'meters: {m: []}'),
                           ('status: {meter: m, codes: {a: 1}}', 'quantity: m'),
                           ('meters: {m: []}', 'status: {meter: m, codes: {a: 1}}')):
            with self.subTest(one, other=other):
                self.assertEqual('9: m is given by lifecycles.yaml:4 already; choose another name: a meter says one '
                                 'thing, of one type', self.two(one, other))
                self.says(INSTANCE.replace('events', f'{one}\n    {other}\n    events'),
                          f'{5 - other.startswith("meters")}: m is given by '
                          f'{self.files.path("a/lifecycles.yaml")}:{4 + other.startswith("meters")} already; choose '
                          'another name: a meter says one thing, of one type')
        self.assertIn('9: instance.m is given by',
                      self.two('meters: {"{resource_type}.m": []}', 'quantity: instance.m'))
        self.assertIn('9: instance.m is given by',
                      self.two('quantity: "{resource_type}.m"', 'meters: {instance.m: []}'))

    def test_a_meter_that_two_types_give(self):
        lines = 'meters: {m: []}', 'quantity: m', 'status: {meter: m, codes: {a: 1}}'
        for one in lines:
            for other in lines:
                with self.subTest(one, other=other):
                    self.assertEqual('9: m is given by lifecycles.yaml:4 already; choose another name: a meter says '
                                     'one thing, of one type', self.two(one, other, ('jar', 'lid')))
        self.assertEqual('', self.two('quantity: "{resource_type}.m"', 'quantity: "{resource_type}.m"', ('jar', 'lid')))
        self.assertIn('9: jar.m is', self.two('quantity: "{resource_type}.m"', 'quantity: jar.m', ('jar', 'lid')))

    def test_definitions_that_contradict_each_other(self):
        for one, other, key in (
                ('quantity: M', 'quantity: N', 'quantity'), ('meters: {M: a}', 'meters: {M: {all_but: a}}', 'M'),
                ('status: {meter: M, codes: {a: 1}}', 'status: {meter: N, codes: {a: 1}}', 'status'),
                ('status: {meter: M, codes: {a: 1}}', 'status: {meter: M, codes: {a: 2}}', 'status'),
                ('status: {meter: M, codes: {a: 1}}', 'status: {meter: M, codes: {a: 1, b: 2}}', 'status')):
            for of, name in (('instance', '{}'), ('$.payload.type', '{{resource_type}}.{}')):
                with self.subTest(one, of=of):
                    said, *lines = (text.replace('M', name.format('m')).replace('N', name.format('n'))
                                    for text in (key, *(line.replace('M', '"M"').replace('N', '"N"')
                                                        for line in (one, other))))
                    self.assertEqual(f'9: {said} contradicts lifecycles.yaml:4; leave it to one of them',
                                     self.two(*lines, types=(of, of)))
                    self.assertEqual('', self.two(lines[0], lines[0], types=(of, of)))

    def test_a_meter_may_be_called_as_a_key(self):
        self.assertEqual('', self.two('meters: {status: a, quantity: b}', 'quantity: x'))

    def test_what_is_replaced_contradicts_nothing_and_gives_no_meter(self):
        mine = self.write(INSTANCE.replace('events', 'quantity: mine\n    events'), 'mine/1.yaml')
        theirs = self.write(INSTANCE.replace('events', 'quantity: theirs\n    events'), 'theirs/1.yaml')
        self.write(INSTANCE.replace('type: instance', 'type: x').replace('events', 'quantity: theirs\n    events'),
                   'theirs/2.yaml')
        self.assertEqual((['mine', 'theirs'], []),
                         ([one.quantity for one in self.load(mine, theirs)], self.said()))

    def test_states(self):
        self.refuses_key('states: 3', '4: states is a word or a list of words')
        self.refuses_key('states: [active, ""]', "4: '' is no state; a state is printable text of 1 to 255 characters, "
                                                 'without blanks around it')

    def test_a_state_that_is_none_of_those_of_its_type(self):
        self.says(
            FULL.replace('[active, paused]', '[active, pausd]').replace('state: active, time', 'state: activee, time')
            .replace('state: building', 'state: build').replace('resized, rescued]}', 'resize, rescued]}'),
            "15: 'build' is none of the states of instance; did you mean 'building'?",
            "16: 'resize' is none of the states of instance; did you mean 'resized'?",
            "19: 'pausd' is none of the states of instance; did you mean 'paused'?",
            "24: 'activee' is none of the states of instance; did you mean 'active'?")
        self.says(FULL.replace('state: active, time', 'state: xyz, time'),
                                        "24: 'xyz' is none of the states of instance; add it there")
        self.one(FULL.replace('state: active, time', 'state: deleted, time'))

    def test_a_state_of_meters_that_is_none_of_those_of_its_type(self):
        self.says(FULL.replace('[active, paused],', '{all_but: [actives, deleted]},').replace('[resized]\n', 'resize\n')
                  .replace('{active: 1', '{activex: 1'),
                  "19: 'actives' is none of the states of instance; did you mean 'active'?",
                  "20: 'resize' is none of the states of instance; did you mean 'resized'?",
                  "21: 'activex' is none of the states of instance; did you mean 'active'?")

    def says(self, text: str, *said: str) -> None:
        """Assert what is said, though a definition is given: states are compared when all are known."""
        self.load(self.write(text))
        self.assertEqual(self.said(), list(said))

    def test_marks(self):
        self.refuses_key('created: $.payload.created_at', '4: created is a mapping with time and state')
        self.refuses_key('ended: []', '4: ended is a mapping with time')
        self.refuses_key('launched: {time: launched_at}', "4: launched needs the key 'state'",
                         "4: no message has 'launched_at'; a path begins as in $.payload.id")
        self.refuses_key('ended: {time: $.payload.a, state: gone}', "4: ended has no key 'state'; known: time")
        self.refuses_key('launched: {time: $.payload.a, state: active, unless: [resized]}',
                         '4: unless is a mapping of paths to values')

    def test_a_parent(self):
        for text in ('$.payload.zone_id', '', '[a]'):
            with self.subTest(text):
                self.refuses_key(f'parent: {text}', '4: parent is a mapping with resource_type and resource_id')
        self.refuses_key('parent: {resource_type: zone, id: $.payload.id}',
                         "4: parent has no key 'id'; known: resource_type, resource_id",
                         "4: parent needs the key 'resource_id'")
        self.refuses_key('parent:\n      resource_type: zone\n      resource_id: zone_id',
                         "6: no message has 'zone_id'; a path begins as in $.payload.id")
        for text, said in (('$.payload.type', "'$.payload.type'"), ('a/b', "'a/b'"), ('3', '3'), ("' a'", "' a'")):
            with self.subTest(text):
                self.refuses_key(f'parent: {{resource_type: {text}, resource_id: $.payload.id}}',
                                 f'4: resource_type is {said}; that of a parent is a word without a slash')

    def test_a_parent_that_has_a_parent(self):
        part = INSTANCE.replace('    events', '    parent: {resource_type: zone, resource_id: $.payload.a}\n    events')
        zone = part.replace('type: instance', 'type: zone').replace('type: zone,', 'type: region,')
        self.says(part + zone.replace('\nlifecycle:\n', ''),
                  '4: zone is itself part of another resource; name that one')
        self.says(zone.replace('type: region', 'type: zone'),
                  '4: zone is itself part of another resource; name that one')

    def test_events_that_are_none(self):
        for text in ('[]', '{event_type: x}', ''):
            with self.subTest(text):
                self.refuses(INSTANCE.partition('    events')[0] + f'    events: {text}\n',
                             '4: events is a list of events, at least one')
        self.refuses(INSTANCE + '      - x\n', "6: an event is a mapping, not 'x'")

    def test_an_event_type(self):
        self.refuses(INSTANCE.replace('compute.instance.exists', '"*.exists"'),
                     "5: '*.exists' is not a regular expression: nothing to repeat at position 0")
        self.refuses(INSTANCE.replace('compute.instance.exists', '[]'),
                     '5: event_type is []; it is a regular expression, or a list of them')
        self.refuses(INSTANCE.replace('compute.instance.exists', '{a: b}'),
                     '5: event_type is a word or a list of words')
        self.refuses(INSTANCE.replace('event_type', 'eventtype'), "5: an event has no key 'eventtype'; did you mean "
                                                                  "'event_type'?",
                     "5: an event needs the key 'event_type'")

    def test_an_event_that_tells_two_things(self):
        self.refuses_event('state: active', 'observed: $.payload.state', 'ignored: true', said=[
            '8: an event has state or observed, not both; make two events of it',
            '9: an event has state or ignored, not both; make two events of it'])

    def test_an_event_that_is_ignored(self):
        self.refuses_event('ignored: false', said=['7: ignored is False; it is true, or left out'])

    def test_what_has_no_effect(self):
        useless = ['time: $.payload.a', 'every: 60', 'changed: [$.payload.a, $.payload.b]']
        for told in ([], ['ignored: true']):
            for line in useless:
                with self.subTest(line, told=told):
                    self.refuses_event(*told, line, said=[
                        f'{7 + len(told)}: {line.partition(":")[0]} has no effect in an event that tells no state and '
                        'sets nothing; remove it'])

    def test_a_state_that_is_none(self):
        for text, said in (('3', '3 is not a path; quote it if it is one'),
                           ('[]', '[] is not a path; quote it if it is one'),
                           ('$.state', "no message has '$.state'; a path begins as in $.payload.id"),
                           ('[active, $.payload.state]',
                            'only the last of the alternatives can be a word; a path begins with $'),
                           ('"a\\tb"', "'a\\tb' is no word for it; that is printable text of 1 to 255 characters, "
                                       'without blanks around it; a path begins as in $.payload.id')):
            for key in ('state', 'observed'):
                with self.subTest(text, key=key):
                    self.refuses_event(f'{key}: {text}', said=[f'7: {said}'])

    def test_what_changed(self):
        for text in ('$.payload.old', '[$.payload.old]', '[$.payload.a, $.payload.b, $.payload.c]'):
            with self.subTest(text):
                self.refuses_event('state: active', f'changed: {text}', said=['8: changed is a list of two paths'])
        self.refuses_event('state: active', 'changed: [$.payload.old, new]',
                           said=["8: no message has 'new'; a path begins as in $.payload.id"])

    def test_what_is_set(self):
        for text, shown in (('host', "'host'"), ('[]', '[]'), ('[size, host]', "['size', 'host']")):
            with self.subTest(text):
                self.load(self.write(one_event(f'sets: {text}')))
                self.assertEqual(f'7: sets is {shown}; it is a list of some of project_id, size', self.said()[0])
        self.refuses_event('sets: [project_id, size]',
                           said=['7: the lifecycle definition does not say where size stands'])

    def test_conditions(self):
        self.refuses_event('when: $.payload.state', said=['7: when is a mapping of paths to values'])
        self.refuses_event('when:', '  $.payload.state: []',
                           said=['8: [] is no value or list of values; quote it if it is text'])
        self.refuses_event('when:', '  state: active',
                           said=["8: no message has 'state'; a path begins as in $.payload.id"])
        self.refuses_event('when: {$.payload.at: 2026-03-10}',
                           said=['7: datetime.date(2026, 3, 10) is no value or list of values; quote it if it is text'])
        self.refuses_event('when: {3: a}', said=['7: 3 is not a path; quote it if it is one'])

    def test_seconds(self):
        for text in ('-1', '1.5', 'true', 'hour'):
            with self.subTest(text):
                self.load(self.write(one_event('observed: active', f'every: {text}')))
                self.assertRegex(self.said()[0], '^8: every is .*; it is a whole number of seconds$')
        self.refuses_event('observed: active', 'every: 60', 'time: $.payload.at', said=[
            '8: every and time exclude each other: what is said again is said of the time of the message; remove one'])
