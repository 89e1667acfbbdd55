# SPDX-License-Identifier: Apache-2.0
"""What our doors in Ceilometer's agent promise that can be seen without the agent."""

import contextlib
import json
import os
import sqlite3
import threading
import urllib.parse

from ceilometer.notification import NotificationService

from ceilometer_paas.config.options import prepare
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.model import sample_id
from ceilometer_paas.plugin import worker
from ceilometer_paas.plugin.endpoint import SampleEndpoint
from ceilometer_paas.plugin.pipeline import PaasPipelineManager
from ceilometer_paas.plugin.publisher import SamplePublisher
from ceilometer_paas.serve import Delivering
from tests import messages, publishing
from tests.workspace import CONF, WorkspaceTestCase, database

ENDPOINT = 'sample_endpoint = true\n'
PRIORITIES = {'audit', 'critical', 'debug', 'error', 'info', 'sample', 'warn'}


def handed_over(message):
    """Give a message as oslo.messaging's dispatcher hands it to an endpoint."""
    fields = {key: message.get(key) for key in ('publisher_id', 'event_type', 'payload')}
    return {'ctxt': {'project_id': 'p1'}, 'metadata': {key: message.get(key) for key in ('message_id', 'timestamp')},
            **fields}


class PluginTestCase(WorkspaceTestCase):

    def setUp(self):
        super().setUp()
        self.addCleanup(setattr, NotificationService, 'terminate', NotificationService.terminate)

    def conf(self, more=''):
        path = self.write('ceilometer.conf', CONF.format(directory=self.directory) + more)
        return prepare(['test', '--config-file', path])

    def join(self, conf):
        """Join, and leave when the test ends."""
        joined = worker.join(conf)
        self.addCleanup(joined.stop)
        self.addCleanup(worker._workers.clear)
        return joined

    def ledger(self):
        ledger = Ledger(f'sqlite:///{self.directory}/ledger.sqlite')
        self.addCleanup(ledger.close)
        return ledger

    @contextlib.contextmanager
    def ledger_away(self):
        with contextlib.closing(sqlite3.connect(self.directory / 'ledger.sqlite', isolation_level=None)) as other:
            other.execute('BEGIN EXCLUSIVE')
            yield


class WorkerTest(PluginTestCase):

    def test_a_process_joins_one_worker_and_a_fork_of_it_another_one(self):
        conf = self.conf()
        first = self.join(conf)
        self.assertIs(first, worker.join(conf))
        first.stop()  # what other threads have locked when a process forks stays locked
        child = os.fork()
        if not child:
            try:
                other = worker.join(conf)
                os._exit(0 if other is not first and other is worker.join(conf) and other._starting.ident else 3)
            finally:
                os._exit(4)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def test_it_stops_with_the_service(self):
        conf = self.conf()
        joined = self.join(conf)
        NotificationService(0, conf).terminate()
        self.assertTrue(joined.stopping.is_set())
        self.assertFalse(joined._starting.is_alive())

    def test_what_ceilometer_finishes_while_it_stops_is_recorded(self):
        joined = self.join(self.conf())
        handle = joined.collecting.handler(joined.configuration.sources.queues['usage.trove'])
        self.assertTrue(joined.collecting.opened.wait(30))
        joined.stopping.set()
        joined.collect(handle, [messages.envelope(database())])
        self.assertEqual({'recorded': 1}, joined.collecting.counts())

    def held(self, joined, opened):
        """Have a message collected while the ledger is away, until the worker stops, which must raise then."""
        raised, handle = [], joined.collecting.handler(joined.configuration.sources.queues['usage.trove'])

        def collect():
            try:
                joined.collect(handle, [messages.envelope(database())])
            except worker.Stopping as stopping:
                raised.append(stopping)
        thread = threading.Thread(target=collect)
        thread.start()
        thread.join(0.5)
        self.assertTrue(thread.is_alive(), 'it is held')
        self.assertEqual(opened, joined.collecting.opened.is_set())
        joined.stopping.set()
        thread.join(30)
        self.assertNotIsInstance(raised[0], Exception)
        return handle

    def test_what_it_cannot_record_any_more_stays_with_the_broker(self):
        """Ceilometer would acknowledge, or requeue, whatever raised an Exception."""
        joined = self.join(self.conf(f'ledger_connection = sqlite:///{self.directory}/ledger.sqlite?timeout=0.1\n'))
        self.assertTrue(joined.collecting.opened.wait(30))
        with self.ledger_away():
            handle = self.held(joined, opened=True)
        with self.assertRaises(worker.Stopping):  # at once: there may be many
            joined.collect(handle, [messages.envelope(database('db-2'))])
        self.assertEqual({'retried': 1}, joined.collecting.counts())

    def test_so_does_what_comes_before_the_ledger_could_be_opened(self):
        with self.ledger_away():
            joined = self.join(self.conf(f'ledger_connection = sqlite:///{self.directory}/ledger.sqlite?timeout=0.1\n'))
            self.held(joined, opened=False)
        self.assertEqual({}, joined.collecting.counts())

    def test_a_configuration_that_cannot_be_used_ends_the_process_with_a_line_for_each_mistake(self):
        self.edit('meters.d/meters.yaml', 'type: gauge', 'typ: gauge')
        with self.assertLogs('ceilometer_paas', 'ERROR') as logs, self.assertRaises(SystemExit) as caught:
            worker.join(self.conf('batch_size = none\n'))
        self.assertEqual(os.EX_CONFIG, caught.exception.code)
        self.assertEqual(len(logs.output), len([line for line in logs.output if 'cannot be used: ' in line]))
        for mistake in ('meters.yaml:2: ', 'meters.yaml:4: ', 'meters.yaml:9: ', 'meters.yaml:11: ', 'batch_size'):
            self.assertEqual(1, len([line for line in logs.output if mistake in line]), mistake)
        self.assertEqual({}, worker._workers)

    def test_whatever_else_fails_ends_the_process_too(self):
        """Else the agent would go on without us, and drop what is ours."""
        with self.assertLogs('ceilometer_paas', 'ERROR') as logs, self.assertRaises(SystemExit) as caught:
            worker.join(None)
        self.assertEqual(os.EX_SOFTWARE, caught.exception.code)
        self.assertIsNotNone(logs.records[0].exc_info)


class PipelineTest(PluginTestCase):

    def test_it_joins_and_gives_the_agents_own_listeners_nothing_to_do(self):
        conf = self.conf('[notification]\npipelines = meter\npipelines = paas\n')
        joined = self.join(conf)
        self.assertEqual([], PaasPipelineManager(conf).get_main_endpoints())
        self.assertEqual({'usage.trove', 'usage.nova', 'usage.acme'},
                         {listener.queue.name for listener in joined.collecting.listeners})

    def test_without_it_nothing_is_listened_to(self):
        self.assertEqual([], self.join(self.conf()).collecting.listeners)


class SampleEndpointTest(PluginTestCase):

    def endpoint(self):
        conf = self.conf(ENDPOINT)
        joined = self.join(conf)
        return SampleEndpoint(conf, None), joined

    def test_it_is_silent_unless_it_is_asked_for(self):
        endpoint = SampleEndpoint(self.conf(), None)
        self.assertFalse([name for name in PRIORITIES if hasattr(endpoint, name)])
        self.assertEqual({}, worker._workers)

    def test_it_takes_the_priorities_of_our_queues(self):
        endpoint, _ = self.endpoint()
        self.assertEqual({'info', 'error'}, {name for name in PRIORITIES if hasattr(endpoint, name)})

    def test_a_message_is_taken_as_one_of_the_queue_that_may_speak_of_it(self):
        endpoint, joined = self.endpoint()
        endpoint.info([handed_over(messages.vm_exists('vm-1')), handed_over(database('db-1'))])
        endpoint.error([handed_over(messages.vm_exists('vm-2'))])
        endpoint.info([handed_over(messages.vm_exists('vm-1')),
                       handed_over({**database('db-2'), 'event_type': 'trove.noise'})])
        self.assertEqual({'recorded': 3, 'duplicate': 1, 'ignored(ignored.no_definition)': 1},
                         joined.collecting.counts())
        for part in joined._parts:
            part.stop()
        Delivering(joined.configuration).finish()
        samples = [json.loads(line) for line in (self.directory / 'samples').read_text().splitlines()]
        vm = messages.vm_exists()['payload']['instance_id']
        self.assertEqual({sample_id('cloud/nova', 'vm-1', 'vcpus', vm, 0),
                          sample_id('cloud/nova', 'vm-2', 'vcpus', vm, 0),
                          sample_id('cloud/trove', 'db-1', 'database.size', 'i1', 0)},
                         {sample['id'] for sample in samples})

    def test_a_message_at_which_this_package_fails_is_quarantined_and_nothing_is_raised(self):
        endpoint, joined = self.endpoint()

        def fail(*args):
            raise ZeroDivisionError
        for handle in endpoint._handlers:
            handle.collect._translate = fail
        with self.assertLogs('ceilometer_paas', 'ERROR'):
            endpoint.info([handed_over(database())])
        self.assertEqual({'quarantined(internal.failed)': 1}, joined.collecting.counts())

    def test_whatever_stands_in_a_message_nothing_is_raised(self):
        endpoint, joined = self.endpoint()
        given = [{**database(), key: value} for key in ('message_id', 'event_type', 'payload', 'timestamp')
                 for value in (None, 7, [], {}, 'x' * 300)]
        endpoint.info([handed_over(message) for message in given])
        self.assertEqual(len(given), sum(joined.collecting.counts().values()))
        self.assertEqual({'quarantined'}, {outcome.partition('(')[0] for outcome in joined.collecting.counts()})
        self.assertNotIn('quarantined(internal.failed)', joined.collecting.counts())

    def test_a_message_of_any_depth_is_quarantined_and_not_raised(self):
        """Ceilometer would requeue it at once, again and again."""
        conf = self.conf(ENDPOINT)
        joined, payload = self.join(conf), {}
        for _ in range(2000):
            payload = {'deeper': payload}
        SampleEndpoint(conf, None).info([handed_over({**database(), 'payload': payload})])
        self.assertEqual({'quarantined(decode.too_deep)': 1}, joined.collecting.counts())

    def test_without_a_queue_on_the_agents_bus_the_process_ends(self):
        self.edit('sources.yaml', 'topic: notifications', 'topic: elsewhere')
        conf = self.conf(ENDPOINT)
        with self.assertLogs('ceilometer_paas', 'ERROR') as logs, self.assertRaises(SystemExit) as caught:
            SampleEndpoint(conf, None)
        self.assertEqual(os.EX_CONFIG, caught.exception.code)
        self.assertIn('sample_endpoint is set, and no queue', logs.output[0])


class SamplePublisherTest(PluginTestCase):

    def publisher(self, url='paas://'):
        conf = self.conf()
        self.joined = self.join(conf)
        return SamplePublisher(conf, urllib.parse.urlsplit(url))

    def test_the_same_samples_are_recorded_once_although_ceilometer_numbers_them_anew(self):
        publisher = self.publisher()
        publisher.publish_samples(publishing.samples(3))
        again = publishing.samples(3)
        for sample in again:
            sample.id, sample.monotonic_time = f'new-{sample.id}', 12.5
        publisher.publish_samples(reversed(again))
        self.assertEqual({'recorded': 3, 'duplicate': 3}, self.joined.collecting.counts())

    def test_equal_samples_of_one_call_each_count_and_so_does_one_that_differs(self):
        publisher = self.publisher()
        twice = publishing.samples(2, volume=1, resource_id='r')
        publisher.publish_samples(twice)
        publisher.publish_samples(twice)
        publisher.publish_samples(publishing.samples(1, volume=1, resource_id='r', user_name='Ada'))
        self.assertEqual({'recorded': 3, 'duplicate': 2}, self.joined.collecting.counts())

    def test_a_bad_volume_is_quarantined_with_its_sample_and_the_others_are_recorded(self):
        publisher = self.publisher()
        given = publishing.samples(3)
        given[1].volume = 'nan'
        publisher.publish_samples(given)
        self.assertEqual({'recorded': 2, 'quarantined(sample.bad_volume)': 1}, self.joined.collecting.counts())
        row, = self.ledger().quarantine_list()
        self.assertEqual(('paas://', 'sample.bad_volume'), (row.origin, row.code))
        self.assertIn('resource-1', self.ledger().quarantine_get(row.id).body)

    def test_what_cannot_be_written_as_json_is_quarantined_and_the_others_are_recorded(self):
        publisher = self.publisher()
        given = publishing.samples(3)
        given[1].resource_metadata = {1: 'a', 'b': 2}
        deep: list = []
        for _ in range(2000):
            deep = [deep]
        given[2].project_id = deep
        with self.assertLogs('ceilometer_paas', 'WARNING'):
            publisher.publish_samples(given)
        self.assertEqual({'recorded': 1, 'quarantined(internal.failed)': 2}, self.joined.collecting.counts())
        for number, row in enumerate(self.ledger().quarantine_list(), 1):
            self.assertIn(f'resource-{number}', self.ledger().quarantine_get(row.id).body)

    def test_no_samples_are_no_matter(self):
        self.publisher().publish_samples([])
        self.assertEqual({}, self.joined.collecting.counts())

    def test_more_than_the_scheme_ends_the_process(self):
        for url in ('paas://host', 'paas:///path', 'paas://?option=1', 'paas://#fragment'):
            with (self.subTest(url), self.assertLogs('ceilometer_paas', 'ERROR') as logs,
                  self.assertRaises(SystemExit) as caught):
                SamplePublisher(self.conf(), urllib.parse.urlsplit(url))
            self.assertEqual(os.EX_CONFIG, caught.exception.code)
            self.assertIn('pipeline.yaml: paas:// stands alone', logs.output[0])
        self.assertEqual({}, worker._workers)
