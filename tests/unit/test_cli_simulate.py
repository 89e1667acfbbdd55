# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.simulate."""

import contextlib
import io
import time
from collections import Counter
from datetime import UTC, datetime

import oslo_messaging
from oslo_config import cfg

from ceilometer_paas import simulate, transport
from ceilometer_paas.cli.simulate import send
from tests.workspace import WorkspaceTestCase


class TestSimulate(WorkspaceTestCase):

    def test_counts(self):
        """The whole day is sent, and counted by exchange."""
        day = simulate.cloud_day(3, datetime(2026, 1, 2, tzinfo=UTC), servers=1)
        rows = self.table('simulate', '--seed', '3', '--vms', '1', '--begin', '2026-01-02')
        self.assertEqual(Counter(message.exchange for message in day),
                         {row['exchange']: row['messages'] for row in rows})

    def test_unreachable(self):
        """A broker that is down is one line, without the password."""
        url = self.write('url', 'rabbit://me:secret@127.0.0.1:1/\n')
        status, out, err = self.run_command('simulate', '--url-file', url)
        self.assertEqual((1, ''), (status, out))
        self.assertEqual(1, len(err.splitlines()), err)
        self.assertNotIn('secret', err)

    def test_wrong_url(self):
        """A URL that is none is one line, without any of the password."""
        for url in ('rabbit://me:sec/ret@127.0.0.1/', 'rabit://me:sec@h/', 'rabbit://me:sec@h:port/'):
            status, _, err = self.run_command('simulate', '--transport-url', url)
            self.assertEqual((1, 1), (status, len(err.splitlines())), err)
            self.assertTrue(err.startswith('the URL '), err)
            self.assertNotIn("'sec", err)

    def test_wrong_url_file(self):
        """A file that is empty or not there does not mean the broker of ceilometer.conf."""
        for path, said in ((self.write('url', '\n'), 'the URL is empty\n'),
                           ('/no/such/file', '/no/such/file cannot be read: No such file or directory\n')):
            self.assertEqual((1, '', said), self.run_command('simulate', '--url-file', path))

    def test_numbers_below_zero(self):
        """A negative rate or number of servers is a mistake in the command line."""
        for option in ('--rate', '--vms'):
            with contextlib.redirect_stderr(io.StringIO()) as err, self.assertRaises(SystemExit):
                self.run_command('simulate', option, '-1')
            self.assertIn(f'argument {option}: -1 is not a number from 0 up', err.getvalue())


class TestSend(WorkspaceTestCase):

    def test_kept(self):
        """What arrives has the message's own id, payload and context."""
        message = next(simulate.cloud_day(3, datetime(2026, 1, 2, tzinfo=UTC)))
        conf = cfg.ConfigOpts()
        conf([])
        opened = transport.open_transport(conf, 'fake://')
        self.addCleanup(opened.cleanup)
        arrived = []

        class Dispatcher(oslo_messaging.dispatcher.DispatcherBase):
            supported_priorities = (message.priority,)

            def dispatch(self, incoming):
                arrived.extend(incoming)
                return set()

        server = oslo_messaging.notify.listener.BatchNotificationServer(
            opened, [oslo_messaging.Target(exchange=message.exchange, topic=message.topic)], Dispatcher(),
            executor='threading')
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)
        send(opened, message)
        deadline = time.monotonic() + 10
        while not arrived and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(message.body['message_id'], arrived[0].message['message_id'])
        self.assertEqual(message.body['payload'], arrived[0].message['payload'])
        self.assertEqual(message.body['_context_request_id'], arrived[0].ctxt['request_id'])
