# SPDX-License-Identifier: Apache-2.0
"""What an operator writes about meters, and what is said about mistakes in it."""

import contextlib
import io
import os
import tempfile
import textwrap
import unittest

from ceilometer.meter.notifications import MeterDefinition
from stevedore import extension

from ceilometer_paas.config import reader
from ceilometer_paas.config.meters import Meter, load_meters, overlap
from tests import translation

MEMORY = """
metric:
  - name: memory
    event_type: [compute.instance.exists, compute.instance.create.end]
    type: gauge
    unit: MiB
    volume: $.payload.memory_mb
    resource_id: $.payload.instance_id
"""


class Loading(unittest.TestCase):

    maxDiff = None

    def setUp(self) -> None:
        self.problems = reader.Problems()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = directory.name

    def write(self, text: str, name: str = 'a/meters.yaml') -> str:
        """Write a file; give its directory."""
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(textwrap.dedent(text).removeprefix('\n'))
        return os.path.dirname(path)

    def load(self, *directories: str) -> tuple[Meter, ...]:
        return load_meters(directories, translation.conf(), self.problems)

    def said(self) -> list[str]:
        return [f'{problem.line}: {problem.text}' for problem in sorted(self.problems)]

    def refuses(self, changes: str, *said: str) -> None:
        """Assert what is said of a definition of which some lines are changed; `{line}` counts from its own first."""
        changed = {line.split(':')[0].strip(): line.strip() for line in textwrap.dedent(changes).strip().splitlines()}
        lines = ['metric:', '  - name: memory']
        good = {'event_type': 'compute.instance.exists', 'type': 'gauge', 'unit': 'MiB',
                'volume': '$.payload.memory_mb', 'resource_id': '$.payload.instance_id'}
        if 'name' in changed:
            lines[1] = f'  - {changed.pop("name")}'
        lines += [f'    {changed.pop(key, f"{key}: {value}")}' for key, value in good.items()]
        lines += [f'    {line}' for line in changed.values()]
        self.assertEqual(self.load(self.write('\n'.join(lines))), ())
        self.assertEqual(self.said(), list(said))


class Good(Loading):

    def test_a_definition_is_kept_with_the_place_where_it_stands(self):
        meter, = self.load(self.write(MEMORY))
        self.assertEqual((meter.name, os.path.basename(meter.file), meter.line), ('memory', 'meters.yaml', 2))

    def test_event_types_match_whole(self):
        meter, = self.load(self.write(MEMORY))
        self.assertTrue(meter.matches('compute.instance.create.end'))
        self.assertFalse(meter.matches('compute.instance.exists.failed'))

    def test_files_are_taken_in_the_order_of_their_names_and_definitions_in_the_order_of_the_file(self):
        directory = self.write(MEMORY, 'a/20.yaml')
        first, second = MEMORY.replace('memory\n', 'first\n'), MEMORY.replace('memory\n', 'second\n')
        self.write(first + second.partition('metric:')[2], 'a/10.yaml')
        self.assertEqual([meter.name for meter in self.load(directory)], ['first', 'second', 'memory'])

    def test_a_directory_may_hold_several_definitions_of_a_name(self):
        directory = self.write(MEMORY, 'a/1.yaml')
        self.write(MEMORY, 'a/2.yaml')
        self.assertEqual([meter.name for meter in self.load(directory)], ['memory', 'memory'])

    def test_an_earlier_directory_replaces_all_definitions_of_a_name(self):
        mine = self.write(MEMORY.replace('MiB', 'GiB'), 'mine/1.yaml')
        theirs = self.write(MEMORY, 'theirs/1.yaml')
        self.write(MEMORY, 'theirs/2.yaml')
        self.write(MEMORY.replace('memory\n', 'vcpus\n'), 'theirs/3.yaml')
        self.assertEqual([(meter.name, meter.cfg['unit']) for meter in self.load(mine, theirs)],
                         [('memory', 'GiB'), ('vcpus', 'MiB')])

    def test_only_yaml_files_are_read(self):
        directory = self.write('no meters', 'a/README.txt')
        self.assertEqual(self.load(directory), ())
        self.assertEqual(self.said(), [])

    def test_a_brace_in_a_directory_name_is_a_brace(self):
        self.assertEqual(len(self.load(self.write(MEMORY, '[a]/1.yaml'))), 1)

    def test_what_ceilometer_ships_is_good(self):
        self.assertEqual(len(self.load(translation.stock_dir(translation.conf()))), 38)
        self.assertEqual(self.said(), [])

    def test_what_is_shipped_is_good_for_ceilometer_too(self):
        plugins = extension.ExtensionManager('ceilometer.event.trait_plugin')
        for meter in self.load(translation.SHIPPED):
            with self.subTest(f'{meter.file}:{meter.line}'):
                self.assertTrue(MeterDefinition(meter.cfg, translation.conf(), plugins).match_type(example(meter)))

    def test_loading_prints_nothing(self):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            self.load(self.write(MEMORY.replace('$.payload.instance_id', '$.payload.instance_id.`sub(/-/, _)`')))
        self.assertEqual(printed.getvalue(), '')

    def test_the_names_that_ceilometer_would_publish_too(self):
        directory = self.write(MEMORY)
        self.write(MEMORY.replace('memory\n', 'of.our.own\n'), 'a/2.yaml')
        self.assertEqual(overlap(self.load(directory), translation.conf()), ('memory',))


def example(meter: Meter) -> str:
    """Name an event type, among those of the test notifications, that a definition matches."""
    events = (translation.message(name)['event_type'] for name in translation.names())
    return next(filter(meter.matches, events))


class Mistakes(Loading):

    def test_every_mistake_in_every_file_is_said_at_once(self):
        directory = self.write(MEMORY.replace('gauge', 'guage').replace('volume:', 'volumes:'), 'a/1.yaml')
        self.write('metric: [', 'a/2.yaml')
        self.assertEqual(self.load(directory), ())
        self.assertEqual(len(self.said()), 4, self.said())

    def test_a_file_without_metric(self):
        self.load(self.write('meters: []'))
        self.assertEqual(self.said(), ["1: a file of meter definitions has no key 'meters'; did you mean 'metric'?",
                                       "1: a file of meter definitions needs the key 'metric'"])

    def test_metric_that_is_no_list(self):
        for number, text in enumerate(('{name: memory}', '[]'), 1):
            with self.subTest(text):
                self.load(self.write(f'# all\nmetric: {text}'))
                self.assertEqual(self.said(), ["2: 'metric' is a list of meter definitions, at least one"] * number)

    def test_a_definition_that_is_no_mapping(self):
        self.load(self.write('metric:\n  - memory'))
        self.assertEqual(self.said(), ["2: a meter definition is a mapping, not 'memory'"])

    def test_keys_that_are_missing_or_unknown(self):
        self.load(self.write(MEMORY.replace('resource_id', 'resourceid')))
        self.assertEqual(self.said(), ["2: a meter definition needs the key 'resource_id'",
                                       "7: a meter definition has no key 'resourceid'; did you mean 'resource_id'?"])

    def test_a_required_key_that_is_empty(self):
        self.refuses('volume: 0', '6: volume is 0; Ceilometer takes that for missing')

    def test_a_type(self):
        self.refuses('type: guage', "4: 'guage' is no type; known: gauge, delta, cumulative")

    def test_a_name(self):
        self.refuses(f'name: {"m" * 256}', '2: a name is 1 to 255 printable characters')

    def test_a_regular_expression(self):
        self.refuses('event_type: "*.exists"',
                     "3: '*.exists' is not a regular expression: nothing to repeat at position 0")

    def test_event_types_that_are_no_words(self):
        self.refuses('event_type: {a: b}', '3: event_type is a word or a list of words')

    def test_a_jsonpath(self):
        self.refuses('volume: $.pay load', "6: Parse error in JSONPath specification '$.pay load' for volume: "
                                           'Parse error at 1:6 near token load (ID)')

    def test_a_path_that_is_a_number_or_a_list_of_numbers(self):
        self.refuses('resource_id: 17', '7: 17 is not a path; quote it if it is one')

    def test_a_volume_that_is_true(self):
        self.refuses('volume: true', '6: True is not a path; quote it if it is one')

    def test_an_unknown_plugin(self):
        self.refuses('volume: {fields: $.payload.a, plugin: tiemdelta}',
                     '6: No plugin named tiemdelta available for volume')

    def test_a_plugin_without_fields(self):
        self.refuses('volume: {plugin: timedelta}', "6: a path needs the key 'fields'")

    def test_a_plugin_without_a_name(self):
        self.refuses('volume: {fields: $.payload.a, plugin: {parameters: {}}}',
                     "6: a plug-in needs the key 'name'")

    def test_a_plugin_that_is_neither_a_name_nor_a_mapping(self):
        self.refuses('volume: {fields: $.payload.a, plugin: [map]}',
                     '6: plugin is a name, or a mapping with the keys name and parameters')

    def test_a_path_that_ends_too_early(self):
        self.refuses('volume: "$.payload["',
                     "6: Parse error in JSONPath specification '$.payload[' for volume: it ends too early")

    def test_a_volume_or_resource_that_no_message_has(self):
        self.refuses("""
            volume: size
            resource_id: thing
            """, "6: no message has 'size'; a path begins as in $.payload.id",
                     "7: no message has 'thing'; a path begins as in $.payload.id")

    def test_parameters_that_a_plugin_does_not_take(self):
        self.refuses('volume: {fields: $.payload.a, plugin: {name: map, parameters: {values: 3}}}',
                     "6: the plug-in does not take these parameters: The 'values' parameter needs to be a dict for the "
                     'map trait plugin')

    def test_metadata_that_is_no_mapping(self):
        self.refuses('metadata: [$.payload.a]', '8: metadata is a mapping of names to paths')

    def test_metadata_that_is_no_path(self):
        self.refuses('metadata: {host: 3}', '8: 3 is not a path; quote it if it is one')

    def test_a_lookup_of_what_cannot_be_looked_up(self):
        self.refuses('lookup: volumes',
                     '2: with lookup the name must be a path: there is one sample for each name found',
                     "8: 'volumes' cannot be looked up; known: name, type, volume, unit, timestamp, user_id, "
                     'project_id, resource_id')
