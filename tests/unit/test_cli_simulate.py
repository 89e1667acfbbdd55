# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.simulate."""

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
