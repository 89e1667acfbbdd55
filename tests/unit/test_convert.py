# SPDX-License-Identifier: Apache-2.0
"""A notification becomes the event that Ceilometer makes of it."""

import functools
import json
import os
import unittest

from ceilometer.event.converter import setup_events
from stevedore import extension

from ceilometer_paas.config import reader
from ceilometer_paas.config.event_definitions import load_event_definitions
from ceilometer_paas.convert import Converter
from ceilometer_paas.errors import Refused
from tests import publishing, translation

SHIPPED = os.path.join(translation.ROOT, 'etc', 'ceilometer_paas', 'event_definitions.yaml')
SERVICES = ('acme', 'designate', 'magnum', 'manila', 'nova', 'octavia', 'trove')


@functools.cache
def shipped():
    problems = reader.Problems()
    definitions = load_event_definitions(SHIPPED, problems)
    problems.check()
    return definitions


def traits(event):
    return {name: value for name, _, value in json.loads(event)['traits']}


class ShippedTest(unittest.TestCase):

    def setUp(self):
        self.names = [name for name in translation.names() if name.split('/')[0] in SERVICES]

    def test_an_event_is_what_ceilometers_own_endpoint_makes_of_the_same_file(self):
        conf = publishing.conf(self, f'[event]\ndefinitions_cfg_file = {SHIPPED}\n')
        stock = setup_events(conf, extension.ExtensionManager('ceilometer.event.trait_plugin'))
        convert = Converter(conf, shipped())
        for name in self.names:
            with self.subTest(name):
                given = translation.notification(name)
                expected = stock.to_event('info', translation.stock_message(given)).serialize()
                self.assertEqual(json.loads(json.dumps(expected)), json.loads(convert(given)))

    def test_every_trait_that_is_shipped_is_told_by_a_service(self):
        conf = publishing.conf(self, '[event]\ndrop_unmatched_notifications = true\n')
        given = [translation.notification(name) for name in self.names]
        told, defined = set(), set()
        for one in shipped():
            found = {name for event in map(Converter(conf, [one]), given) if event for name in traits(event)}
            told |= {(name, repr(one['traits'][name])) for name in found & one['traits'].keys()}
            defined |= {(name, repr(value)) for name, value in one['traits'].items()}
        self.assertEqual(set(), defined - told)

    def test_every_event_of_a_platform_service_says_whose_and_which_resource_it_is(self):
        convert = Converter(publishing.conf(self), shipped())
        lacking = {name for name in self.names
                   if not {'resource_id', 'project_id'} <= traits(convert(translation.notification(name))).keys()}
        self.assertEqual({
            'designate/zone_create_of_the_audit_plugin_has_no_owner', 'magnum/bay_metrics', 'nova/host_metrics',
        }, lacking)


class ConverterTest(unittest.TestCase):

    def convert(self, options='', *definitions, **message):
        size = {'type': 'int', 'fields': 'payload.size'}
        definitions = definitions or ({'event_type': 'a.*', 'traits': {'size': size}},)
        body = {'message_id': 'm1', 'event_type': 'a.b', 'timestamp': '2026-03-10 09:00:00.25', 'priority': 'INFO',
                '_context_auth_token': 'sesame', '_context_request_id': 'req-1', 'payload': {'size': 7}, **message}
        event = Converter(publishing.conf(self, f'[event]\n{options}\n'), definitions)(translation.decode(body))
        return json.loads(event) if event else None

    def test_the_last_definition_that_matches_makes_the_event(self):
        one, other = ({'event_type': 'a.*', 'traits': {name: 'payload.size'}} for name in ('one', 'other'))
        self.assertEqual({'request_id': 'req-1', 'other': '7'},
                         {name: value for name, _, value in self.convert('', one, other)['traits']})

    def test_an_event_says_when_the_notification_was_sent(self):
        event = self.convert(timestamp='2026-03-10 10:00:00.25+01:00')
        self.assertEqual(('m1', 'a.b', '2026-03-10T09:00:00.250000'),
                         (event['message_id'], event['event_type'], event['generated']))

    def test_what_no_definition_matches_has_the_default_traits_or_is_dropped(self):
        self.assertEqual([['request_id', 1, 'req-1']], self.convert(event_type='b')['traits'])
        self.assertIsNone(self.convert('drop_unmatched_notifications = true', event_type='b'))

    def test_the_notification_is_kept_where_ceilometer_is_told_to_keep_it_and_without_the_token(self):
        self.assertEqual({}, self.convert()['raw'])
        self.assertEqual({}, self.convert('store_raw = info', priority='ERROR')['raw'])
        for priority in ('INFO', 'info'):
            raw = self.convert('store_raw = info', priority=priority)['raw']
            self.assertEqual(({'size': 7}, {'request_id': 'req-1'}), (raw['payload'], raw['ctxt']))

    def test_a_value_that_does_not_fit_is_refused(self):
        for size in ('seven', [7], {'a': 1}):
            with self.subTest(size), self.assertRaises(Refused) as caught:
                self.convert(payload={'size': size})
            self.assertEqual('event.failed', caught.exception.code)
            self.assertRegex(caught.exception.reason, '^a.b: (Value|Type)Error: ')
