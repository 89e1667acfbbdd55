# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.replay."""

import io
import json
import unittest

from hypothesis import given, settings, strategies

from ceilometer_paas import serve
from ceilometer_paas.config.load import load
from ceilometer_paas.config.options import prepare
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.model import Quarantined
from ceilometer_paas.replay import Replay, Router, read
from tests.workspace import WorkspaceTestCase, acme, capture, database


def lines(*documents):
    """Read documents as the lines of a file."""
    return list(read(io.BytesIO('\n'.join(map(json.dumps, documents)).encode()), False))


class TestRead(unittest.TestCase):

    def test_bare(self):
        """A bare notification is read without its context keys, which become its context."""
        item, = lines(database() | {'_topic': 'notifications.info', '_seq': 3})
        self.assertEqual(({'project_id': 'p1'}, 'db-1', None),
                         (item.envelope.context, item.envelope.message['message_id'], item.exchange))

    def test_captures(self):
        """A capture's body may be text or an object, bare or in an envelope; all say the same."""
        bare = database()
        wrapped = {'oslo.version': '2.0', 'oslo.message': json.dumps(bare)}
        items = lines(*(capture(body) for body in (bare, json.dumps(bare), wrapped, json.dumps(wrapped))))
        self.assertEqual(4, len([item for item in items if item.refused is None]))
        self.assertEqual([('trove', 'notifications.info')] * 4, [(item.exchange, item.routing_key) for item in items])
        self.assertTrue(all(item.envelope[:2] == lines(bare)[0].envelope[:2] for item in items))

    def test_blank_lines(self):
        """Blank lines are skipped and counted."""
        self.assertEqual([2], [item.line for item in read(io.BytesIO(b'\n{}\n\n'), False)])

    def test_broken(self):
        """Whatever cannot be read is refused, with its text kept."""
        for text in (b'{', b'\xff\xfe', b'[' * 100000, b'{"exchange": "x", "body": "{"}',
                     b'{"oslo.version": "3.0", "oslo.message": "{}"}', b'{"oslo.version": "2.0", "oslo.message": 1}'):
            item, = read(io.BytesIO(text), False)
            self.assertEqual('decode.undecodable', item.refused and item.refused.code, text[:40])
            self.assertIsInstance(item.envelope.message, str)


class TestReplay(WorkspaceTestCase):

    def test_conservation(self):
        """Every line has one outcome, whatever is on it."""
        config = load(prepare(['test', f'--config-file={self.directory}/ceilometer.conf']))
        ledger = Ledger(config.settings.ledger_connection)
        self.addCleanup(ledger.close)
        ledger.upgrade()
        values = strategies.recursive(strategies.none() | strategies.booleans() | strategies.floats() |
                                      strategies.text(max_size=8), lambda inner: strategies.lists(inner, max_size=3))
        keys = ('message_id', 'event_type', 'timestamp', 'payload', 'body', 'exchange', 'oslo.version', 'oslo.message')
        documents = strategies.dictionaries(strategies.sampled_from(keys), values)
        texts = strategies.one_of(
            strategies.binary(max_size=20).map(lambda text: text.replace(b'\n', b'')),
            strategies.builds(lambda good, bad: json.dumps(good | bad).encode(),
                              strategies.sampled_from([database(), acme(), capture({}), {}]), documents))

        @settings(max_examples=40, deadline=None)
        @given(strategies.lists(texts, max_size=12))
        def check(texts):
            replay = Replay(Router(config), serve.way_in(config, ledger, ()),
                            clock=serve.utcnow, batch_size=4)
            replay(read(io.BytesIO(b'\n'.join(texts)), False))
            self.assertEqual(len([text for text in texts if text.strip()]), replay.counts().total())

        check()

    def test_times(self):
        """The earliest and the latest time are those of messages that are no mistakes, in whatever order."""
        config = load(prepare(['test', f'--config-file={self.directory}/ceilometer.conf']))
        ledger = Ledger(config.settings.ledger_connection)
        self.addCleanup(ledger.close)
        ledger.upgrade()
        replay = Replay(Router(config), serve.way_in(config, ledger, ()), clock=serve.utcnow, batch_size=2)
        self.assertEqual((None, None), (replay.earliest, replay.latest))
        times = ('2026-03-10 09:00:00', '2026-03-10T10:00:00+02:00', '2026-03-10 11:00:00', 'noon')
        documents = [database(str(number)) | {'timestamp': time} for number, time in enumerate(times)]
        replay(lines(*documents, acme('bad', 'many') | {'timestamp': '1970-01-01 00:00:00'}, {}))
        self.assertEqual(['2026-03-10T08:00:00+00:00', '2026-03-10T11:00:00+00:00'],
                         [time.isoformat() for time in (replay.earliest, replay.latest)])


class TestRouter(WorkspaceTestCase):

    def route(self, document, **arguments):
        """Choose a document's queue."""
        config = load(prepare(['test', f'--config-file={self.directory}/ceilometer.conf']))
        return Router(config, **arguments)(lines(document)[0]).name

    def test_exchange(self):
        """A capture belongs to the queue with its exchange, whatever it says."""
        self.assertEqual('usage.nova', self.route(capture(database(), exchange='nova')))

    def test_unknown_exchange(self):
        """A capture from an exchange that no queue has belongs to the queue that may speak of it."""
        self.assertEqual('usage.trove', self.route(capture(database(), exchange='openstack')))

    def test_definitions(self):
        """A bare notification belongs to the queue that may speak of the meters that its definitions give."""
        self.assertEqual('usage.trove', self.route(database()))
        self.assertEqual('usage.nova', self.route(database() | {'event_type': 'compute.instance.exists'}))

    def test_given_exchange(self):
        """What a bare notification does not say can be given."""
        self.assertEqual('usage.nova', self.route(database(), exchange='nova'))

    def test_event_format(self):
        """A message in the PaaS Event Format belongs to the queue that may speak of its metrics."""
        self.assertEqual('usage.acme', self.route(acme()))

    def test_one_exchange_many_queues(self):
        """Of several queues with one exchange, the one with the capture's topic is chosen."""
        self.edit('sources.yaml', '  usage.acme:', '  usage.extra: {endpoint: cloud, exchange: trove, topic: extra}\n'
                                                   '  usage.acme:')
        self.edit('sources.yaml', '  vcpus: usage.nova', '  vcpus: usage.nova\n  extra: usage.extra')
        reboot = database() | {'event_type': 'trove.instance.reboot'}
        self.assertEqual('usage.extra', self.route(capture(reboot, routing_key='extra.info')))
        self.assertEqual('usage.trove', self.route(capture(reboot)))

    def test_nobodys(self):
        """What belongs nowhere goes to a queue of its format, where it is ignored."""
        self.assertEqual('usage.trove', self.route({'event_type': 'image.create', 'payload': None}))

    def test_endpoint(self):
        """Only the queues of the endpoint that is given are looked at; without any, that is an error."""
        with self.assertRaisesRegex(LookupError, "no queue on an endpoint 'far'; there are the endpoints cloud"):
            self.route(database(), endpoint='far')


class TestEvents(WorkspaceTestCase):
    """With publish_events, what is recorded becomes an event; whatever became of it before."""

    def setUp(self):
        super().setUp()
        conf = (self.directory / 'ceilometer.conf').read_text() + (
            f'publish_events = true\nevent_definitions_cfg_file = {self.directory}/events.yaml\n')
        self.write('ceilometer.conf', conf.replace(
            '[DEFAULT]', f'[DEFAULT]\nevent_pipeline_cfg_file = {self.directory}/event_pipeline.yaml'))
        self.write('event_pipeline.yaml', """\
sources: [{name: all, events: ["trove.*"], sinks: [log]}]
sinks: [{name: log, publishers: ["file://DIRECTORY/events?json"]}]
""".replace('DIRECTORY', str(self.directory)))
        self.define('int')

    def define(self, kind):
        self.write('events.yaml', f'- {{event_type: "*", traits: {{size: {{type: {kind}, fields: payload.size}}}}}}\n')

    def config(self):
        return load(prepare(['test', f'--config-file={self.directory}/ceilometer.conf']))

    def deliver(self):
        """Deliver what waits; the events that came out, and the samples."""
        serve.Delivering(self.config()).finish()
        return self.published('events'), self.published('samples')

    def published(self, name):
        path = self.directory / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def collect(self, *documents):
        """Take messages as the agent does; what became of them."""
        config = self.config()
        ledger = Ledger(config.settings.ledger_connection)
        self.addCleanup(ledger.close)
        ledger.upgrade()
        take = Replay(Router(config), serve.way_in(config, ledger), clock=serve.utcnow, batch_size=2)
        take(lines(*documents))
        return dict(take.counts())

    def test_messages(self):
        """Each that counts becomes one event, of which the pipeline of events decides."""
        self.assertEqual({'recorded': 2, 'duplicate': 1}, self.collect(database(), acme(), database()))
        events, samples = self.deliver()
        self.assertEqual((['db-1'], 2), ([event['message_id'] for event in events], len(samples)))

    def test_a_file(self):
        """A file that is replayed without being published gives no events either."""
        self.assertEqual(0, self.run_command('replay', self.lines(database()))[0])
        self.assertEqual(([], []), self.deliver())
        self.assertEqual(0, self.run_command('replay', '--publish', self.lines(database('db-2')))[0])
        self.assertEqual(['db-2'], [event['message_id'] for event in self.published('events')])

    def test_a_message_that_failed(self):
        """A message that no event can be made of is quarantined whole, and released when the definition is mended."""
        self.assertEqual({'quarantined(event.failed)': 1}, self.collect(database(size='large')))
        self.assertEqual(([], []), self.deliver())
        self.assertIn('event.failed', self.run_command('quarantine', 'release', '1')[1])
        self.define('text')
        self.assertEqual(0, self.run_command('quarantine', 'release', '1')[0])
        events, samples = self.deliver()
        self.assertIn({'name': 'size', 'dtype': 1, 'value': 'large'}, events[0]['traits'])
        self.assertEqual(1, len(samples))

    def test_a_refused_event(self):
        """An event that a publisher refused is released to that publisher, unless the pipeline has it no more."""
        self.collect(database())
        target, = self.config().event_targets
        ledger = Ledger(self.config().settings.ledger_connection)
        self.addCleanup(ledger.close)
        parcel, = ledger.pending(target.name)
        event, = json.loads(parcel.body)
        refused = Quarantined(target.name, 'publish.refused', 'no', json.dumps(event))
        ledger.delivered(target.name, [parcel.id], [(parcel.source, refused)], serve.utcnow())
        self.edit('event_pipeline.yaml', 'events?json', 'other')
        self.assertIn('no publisher event log', ''.join(map(str, self.run_command('quarantine', 'release', '1'))))
        self.edit('event_pipeline.yaml', 'other', 'events?json')
        self.assertEqual(0, self.run_command('quarantine', 'release', '1')[0])
        self.assertEqual(['db-1'], [event['message_id'] for event in self.deliver()[0]])

    def test_check(self):
        """What is wrong with a publisher of events is found, and it counts as a publisher."""
        self.assertIn(' 2 publishers', self.run_command('check')[1])
        self.edit('event_pipeline.yaml', 'file://', 'files://')
        self.assertIn("event_pipeline.yaml:2: publisher event log: files://", self.run_command('check')[2])
