# SPDX-License-Identifier: Apache-2.0
"""What the cases cannot say of translation: what is shared, what is remembered, in what order it comes."""

import os
import tempfile
import unittest

from ceilometer_paas.config import reader
from ceilometer_paas.config.meters import Meter, load_meters
from ceilometer_paas.errors import Refused
from ceilometer_paas.model import Amount, Reading, dump_readings
from ceilometer_paas.translate import Translator
from tests import translation

TEMPLATE = ('  - {{name: {name}, event_type: {event_type}, type: gauge, unit: u, volume: {volume}, '
            'resource_id: {id}{more}}}\n')


class TranslateTest(unittest.TestCase):

    def setUp(self) -> None:
        self.exists = translation.notification('nova/exists')
        self.asked: list[str] = []

    def meters(self, *definitions: str) -> tuple[Meter, ...]:
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, 'm.yaml'), 'w', encoding='utf-8') as file:
                file.write('metric:\n' + ''.join(definitions))
            problems = reader.Problems()
            meters = load_meters([directory], translation.conf(), problems)
        problems.check()
        return meters

    def definition(self, name: str, volume: str, **more: str) -> str:
        rest = ''.join(f', {key}: {value}' for key, value in more.items() if key not in {'event_type', 'id'})
        return TEMPLATE.format(name=name, volume=volume, event_type=more.get('event_type', 'compute.instance.exists'),
                               id=more.get('id', '$.payload.instance_id'), more=rest)

    def queues_of(self, name: str) -> frozenset[str]:
        self.asked.append(name)
        return frozenset({translation.QUEUE})

    def translate(self, *definitions: str, max_metrics: int = 1000) -> tuple[Reading, ...]:
        return Translator(self.meters(*definitions), self.queues_of, max_metrics)(self.exists, translation.QUEUE)


class Sharing(TranslateTest):

    def test_definitions_that_differ_in_the_amount_only_share_a_reading(self):
        readings = self.translate(self.definition('a', '$.payload.vcpus'), self.definition('b', '$.payload.memory_mb'))
        self.assertEqual([reading.amounts for reading in readings], [
            (Amount('a', 'gauge', 'u', 2), Amount('b', 'gauge', 'u', 4096))])

    def test_definitions_that_differ_in_anything_else_do_not(self):
        for more in ({'project_id': '$.payload.host'}, {'user_id': '$.payload.host'}, {'id': '$.payload.display_name'},
                     {'timestamp': '$.payload.launched_at'}, {'metadata': '{a: $.payload.host}'},
                     {'user_metadata': '$.payload.metadata'}):
            with self.subTest(more):
                self.assertEqual(len(self.translate(self.definition('a', '1'), self.definition('b', '1', **more))), 2)

    def test_metadata_are_the_payload_where_none_is_found(self):
        reading, = self.translate(self.definition('a', '1', metadata='{a: $.payload.progress}'))
        self.assertEqual(reading.metadata, {**self.exists.payload, 'event_type': 'compute.instance.exists',
                                            'host': 'compute.cmp-03'})
        self.assertNotIn('event_type', self.exists.payload)

    def test_a_users_metadata_are_kept_where_they_are_meant_for_metering(self):
        reading, = self.translate(self.definition('a', '1', user_metadata='$.payload.metadata'))
        self.assertEqual(reading.metadata, {'user_metadata': {'department_code': 'd-17'}})


class Owners(TranslateTest):

    def test_the_context_is_no_owner(self):
        """Ceilometer writes a fallback to it, which its JSONPath reads otherwise; so nobody is charged by mistake."""
        self.exists = translation.notification('trove/create_of_an_active_database_says_unknown')
        reading, = self.translate(self.definition('a', '1', event_type='trove.*'))
        self.assertEqual((reading.project_id, reading.user_id), (None, None))
        self.assertEqual(self.exists.context['user'], '71a5c0de90ab4cd2b1e4f6a8c0d2e4f6')


class Numbers(TranslateTest):

    def test_an_integer_that_no_float_can_hold_is_not_finite(self):
        self.exists.payload['memory_mb'] = 10 ** 400
        with self.assertRaises(Refused) as caught:
            self.translate(self.definition('a', '$.payload.memory_mb'))
        self.assertEqual(caught.exception.code, 'translate.not_finite')
        self.assertLess(len(caught.exception.reason), 100)

    def test_a_large_integer_stays_as_it_is(self):
        self.exists.payload['memory_mb'] = 2 ** 60 + 1
        reading, = self.translate(self.definition('a', '$.payload.memory_mb'))
        self.assertEqual(reading.amounts[0].volume, 2 ** 60 + 1)


class Order(TranslateTest):

    own = Reading('q-1', 'p', None, '2026-03-02T08:00:00+00:00', {}, (Amount('own', 'gauge', '', 1),))

    def test_a_messages_own_readings_come_first(self):
        self.exists = self.exists._replace(readings=(self.own,))
        readings = self.translate(self.definition('a', '1'))
        self.assertEqual([amount.name for reading in readings for amount in reading.amounts], ['own', 'a'])

    def test_they_count_towards_the_limit(self):
        self.exists = self.exists._replace(readings=(self.own,))
        with self.assertRaises(Refused) as caught:
            self.translate(self.definition('a', '1'), max_metrics=1)
        self.assertEqual(caught.exception.code, 'translate.too_many')

    def test_they_are_a_measurement(self):
        self.exists = self.exists._replace(readings=(self.own,))
        self.assertEqual(self.translate(self.definition('a', '$.payload.absent')), (self.own,))

    def test_the_same_message_gives_the_same_text_again(self):
        translate = translation.translator(translation.meters(translation.SHIPPED))
        first, second = (dump_readings(translate(translation.notification('nova/exists'), translation.QUEUE))
                         for _ in range(2))
        self.assertEqual(first, second)


class Remembering(TranslateTest):

    def test_what_is_known_of_a_type_of_event_is_worked_out_once_for_each_queue(self):
        translate = Translator(self.meters(self.definition('a', '1')), self.queues_of, 1000)
        for _ in range(3):
            translate(self.exists, translation.QUEUE)
        self.assertEqual(self.asked, ['a'])
        with self.assertRaises(Refused):
            translate(self.exists, 'another-queue')
        self.assertEqual(self.asked, ['a', 'a'])

    def test_definitions_that_speak_of_an_event_are_named_whether_active_or_not(self):
        meters = self.meters(self.definition('a', '1'), self.definition('b', '1', event_type='compute.instance'))
        translate = Translator(meters, lambda name: frozenset(), 1000)
        self.assertEqual(translate.matching('compute.instance.exists'), (meters[0],))
        self.assertEqual(translate(self.exists, translation.QUEUE), ())


class Lookups(TranslateTest):

    def setUp(self) -> None:
        super().setUp()
        self.exists = translation.notification('magnum/bay_metrics')

    def lookup(self, **more: str) -> tuple[Reading, ...]:
        given = {'unit': "'$.payload.metrics.[*].unit'", 'resource_id': '$.payload.resource_id', **more}
        rest = ''.join(f', {key}: {value}' for key, value in given.items())
        return self.translate(
            "  - {name: '$.payload.metrics.[*].name', event_type: magnum.bay.*, type: gauge, "
            f"volume: '$.payload.metrics.[*].value', lookup: [name, unit, volume]{rest}}}\n")

    def test_samples_of_one_resource_share_a_reading(self):
        reading, = self.lookup()
        self.assertEqual(reading.amounts, (Amount('memory_util', 'gauge', '%', 42.5),
                                           Amount('cpu_util', 'gauge', '%', 7)))

    def test_samples_of_several_do_not(self):
        readings = self.lookup(resource_id="'$.payload.metrics.[*].name'")
        self.assertEqual([reading.resource_id for reading in readings], ['memory_util', 'cpu_util'])

    def test_a_sample_without_a_volume_is_left_out(self):
        self.exists.payload['metrics'][0]['value'] = None
        reading, = self.lookup()
        self.assertEqual([amount.name for amount in reading.amounts], ['cpu_util'])

    def test_a_name_that_is_none_is_refused(self):
        self.exists.payload['metrics'][0]['name'] = 17
        with self.assertRaises(Refused) as caught:
            self.lookup()
        self.assertEqual(str(caught.exception), 'translate.bad_name: name: 17')
