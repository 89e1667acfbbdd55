# SPDX-License-Identifier: Apache-2.0

import http.server
import json
import os
import tempfile
import threading
import unittest
from importlib.metadata import entry_points

from ceilometer_paas.convert import Converter
from ceilometer_paas.errors import ConfigError, Unavailable
from ceilometer_paas.model import Parcel
from ceilometer_paas.publish import events
from ceilometer_paas.publish.load import load_publishers
from tests import publishing, translation
from tests.gnocchi import TEXT, Gnocchi

DEFINITIONS = '''
resources:
  - resource_type: thing
    metrics: [memory]
    event_create: compute.instance.create.end
    event_update: compute.instance.update
    event_delete: compute.instance.delete.end
    event_attributes: {id: resource_id, host: host}
    event_associated_resources: {part: '{"=": {"whole": "%s"}}'}
  - resource_type: not_created
    metrics: []
    event_create: orphan.create
    event_attributes: {id: resource_id}
'''
TIME = '2026-11-22T09:00:00.250000+00:00'


def as_dicts(given):
    return [event.as_dict() for event in given]


def ids(given):
    return [event.message_id for event in given]


class TestForm(unittest.TestCase):
    def test_an_event_comes_back_as_it_was(self):
        """Times are times again; whoever refuses an event gives back the text that it was made of."""
        definition = {'event_type': '*', 'traits': {
            'at': {'type': 'datetime', 'fields': 'payload.launched_at'},
            'cpus': {'type': 'int', 'fields': 'payload.vcpus'}, 'half': {'type': 'float', 'fields': 'payload.vcpus'}}}
        convert = Converter(publishing.conf(self, '[event]\nstore_raw = info\n'), [definition])
        given = translation.notification('nova/create_end')
        stock = convert._to_event('info', translation.stock_message(given._replace(context={})))
        text = convert(given._replace(context={}))
        event, = events.build(Parcel(1, 'cloud/nova', f'[["m1",{text}]]'))
        self.assertEqual(stock.as_dict(), event.as_dict())
        self.assertEqual(json.loads(text), json.loads(events.refused_body(event))[1])
        self.assertEqual('compute.instance.create.end', events.name(event))


class TestLoad(unittest.TestCase):
    def test_ours_come_first(self):
        """Each publisher of Ceilometer's that hides its failures has one of ours; the others are taken as they are."""
        ours = {point.name: point.load().__module__ for point in entry_points(group='ceilometer_paas.event.publisher')}
        stock = {point.name for point in entry_points(group='ceilometer.event.publisher')}
        self.assertEqual({'test', 'zaqar'}, stock - ours.keys())
        self.assertEqual({'ceilometer_paas'}, {module.partition('.')[0] for module in ours.values()})
        self.assertEqual([], publishing.publisher(self, 'test://', content='events')(publishing.events(2)))

    def test_problems(self):
        """What cannot be loaded has a line, also what would be a publisher of samples."""
        urls = ['nowhere://', 'file://', 'tcp://host', 'gnocchi://', 'gnocchi://?resources_definition_file=none.yaml']
        with self.assertRaises(ConfigError) as raised:
            load_publishers([publishing.target(url, line, 'events') for line, url in enumerate(urls, 1)],
                            publishing.conf(self))
        lines = str(raised.exception).splitlines()
        for line, words in zip(lines, ["no publisher 'nowhere' of events; there are file, ", 'path', "'tcp' of events",
                                       'auth_type', 'none.yaml'], strict=True):
            self.assertIn(words, line)


class TestFile(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, 'events')

    def publish(self, options, given):
        self.assertEqual([], publishing.publisher(self, f'file://{self.path}{options}', content='events')(given))
        with open(self.path) as file:
            return file.read().splitlines()

    def test_lines(self):
        """Each event is a line, as Ceilometer writes it."""
        given = publishing.events(2)
        lines = [json.loads(line) for line in self.publish('?json', given)]
        self.assertEqual(json.loads(json.dumps(as_dicts(given), default=str)), lines)
        self.assertEqual('2026-11-22 09:00:00.250000', lines[0]['generated'])
        os.unlink(self.path)
        self.assertEqual([str(event) for event in as_dicts(given)], self.publish('', given))

    def test_full_disk(self):
        """What is not on the disk was not published."""
        with self.assertRaisesRegex(Unavailable, 'No space'):
            publishing.publisher(self, 'file:///dev/full?json', content='events')(publishing.events(1))


class TestHttp(unittest.TestCase):
    def setUp(self):
        self.requests, self.answer = [], lambda given: 200
        test = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                given = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
                test.requests.append(given)
                self.send_response(test.answer(given if isinstance(given, list) else [given]))
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f'http://127.0.0.1:{server.server_port}/?max_retries=0'

    def publisher(self, options=''):
        return publishing.publisher(self, self.url + options, content='events')

    def test_events_arrive(self):
        """A list of events is a request, as Ceilometer writes them."""
        given = publishing.events(2)
        self.assertEqual([], self.publisher()(given))
        self.assertEqual([json.loads(json.dumps([event.serialize() for event in given]))], self.requests)

    def test_refused(self):
        """An event that the server refuses is found, and the others arrive; alone with batch=false."""
        self.answer = lambda given: 400 if '2' in [event['message_id'] for event in given] else 200
        for options in '', '&batch=false':
            given = publishing.events(5)
            (event, reason), = self.publisher(options)(given)
            self.assertIs(given[2], event)
            self.assertIn('HTTP 400', reason)
        self.assertEqual(list('01234'), [event['message_id'] for event in self.requests[-5:]])

    def test_down(self):
        """Any other error may pass."""
        self.answer = lambda given: 503
        for options in '', '&batch=false':
            with self.assertRaisesRegex(Unavailable, 'HTTP 503'):
                self.publisher(options)(publishing.events(1))


class TestGnocchi(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, 'resources.yaml')
        with open(self.path, 'w') as file:
            file.write(DEFINITIONS)
        self.gnocchi = Gnocchi(self)
        self.gnocchi.types['part'] = {'whole': TEXT}
        self.publish = publishing.publisher(
            self, f'gnocchi://?enable_filter_project=false&resources_definition_file={self.path}', self.gnocchi.conf(),
            'events')

    def of(self, action, **traits):
        return publishing.events(1, f'compute.instance.{action}', **traits)

    def test_a_resource_is_created_changed_and_ends_when_the_events_say(self):
        """Again changes nothing; a resource that Gnocchi does not have is none of the event's business."""
        for _ in range(2):
            self.assertEqual([], self.publish([*self.of('create.end', host='a'), *self.of('update', host='b'),
                                               *self.of('delete.end'), *self.of('delete.end', resource_id='gone'),
                                               *self.of('reboot.end')]))
            self.assertEqual({'id': 'resource-0', 'type': 'thing', 'host': 'b', 'started_at': TIME, 'ended_at': TIME},
                             self.gnocchi.resources['resource-0'])
            self.assertNotIn('gone', self.gnocchi.resources)

    def test_what_ends_with_a_resource_ends_when_it_does(self):
        """Gnocchi is asked which resources these are."""
        self.gnocchi.resources['part-1'] = {'id': 'part-1', 'type': 'part', 'whole': 'resource-0'}
        self.assertEqual([], self.publish(self.of('delete.end')))
        self.assertEqual(TIME, self.gnocchi.resources['part-1']['ended_at'])

    def test_failures(self):
        """Ceilometer's publisher logs whatever Gnocchi answers; here nothing has arrived then."""
        for action in 'create.end', 'update', 'delete.end':
            self.gnocchi.script.extend([503] * 20)
            with self.subTest(action), self.assertRaises(Unavailable):
                self.publish(self.of(action))
            self.gnocchi.script.clear()

    def test_missing_type(self):
        """A type that Gnocchi lacks can be created: nothing is refused."""
        with self.assertRaisesRegex(Unavailable, 'not_created.*; run: ceilometer-upgrade'):
            self.publish(publishing.events(1, 'orphan.create'))

    def test_refused(self):
        """An event that does not fit, or says nothing of a resource, is refused alone, the others are applied."""
        given = [*self.of('create.end', host='x' * 200), *self.of('create.end'), *self.of('create.end')]
        given[2].traits = []
        refused = self.publish(given)
        self.assertEqual([given[0], given[2]], [event for event, _ in refused])
        self.assertIn('length of value', refused[0][1])
        self.assertIn('no trait', refused[1][1])
        self.assertEqual(['resource-0'], list(self.gnocchi.resources))

    def test_without_a_file_ceilometers_own_counts(self):
        """The pipeline of events is Ceilometer's, and so is what it means."""
        publish = publishing.publisher(self, 'gnocchi://?enable_filter_project=false', self.gnocchi.conf(), 'events')
        self.gnocchi.types['instance'] = dict.fromkeys(('host', 'display_name'), TEXT)
        self.assertEqual([], publish(publishing.events(1, instance_id='i-1', display_name='web')))
        self.assertEqual({'id': 'i-1', 'type': 'instance', 'display_name': 'web', 'started_at': TIME},
                         self.gnocchi.resources['i-1'])
