# SPDX-License-Identifier: Apache-2.0

import socket
import struct
import threading
import unittest
from unittest import mock

import msgpack
from ceilometer.publisher import utils

from ceilometer_paas.errors import Unavailable
from tests import publishing


class Receiver:
    """Reads messages from one connection after the other; closes a connection after ``per_connection`` of them."""

    def __init__(self, test, port=0, per_connection=None):
        self.got = []
        self.connections = 0
        self._socket = socket.create_server(('127.0.0.1', port))
        self._per_connection = per_connection
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        test.addCleanup(self._stop)

    def _stop(self):
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._socket.close()

    def _run(self):
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with line, line.makefile('rb') as stream:
                read = 0
                while len(header := stream.read(8)) == 8:
                    body = stream.read(int.from_bytes(header, 'little'))
                    self.got.append(msgpack.unpackb(body, raw=False))
                    read += 1
                    if read == self._per_connection:
                        break

    def wait(self, test, count):
        """Wait until it has read so many messages."""
        for _ in range(1000):
            if len(self.got) >= count:
                return
            threading.Event().wait(0.01)
        test.fail(f'only {len(self.got)} of {count} arrived')


class TestTcp(unittest.TestCase):
    def publisher(self, port):
        return publishing.publisher(self, f'tcp://127.0.0.1:{port}', '[publisher]\ntelemetry_secret = sesame\n')

    def test_samples_arrive(self):
        """Samples arrive signed, over one connection."""
        receiver = Receiver(self)
        publish = self.publisher(receiver.port)
        for _ in range(2):
            self.assertEqual([], publish(publishing.samples(2)))
        receiver.wait(self, 4)
        self.assertEqual(['0', '1', '0', '1'], [message['message_id'] for message in receiver.got])
        self.assertTrue(utils.verify_signature(receiver.got[0], 'sesame'))
        self.assertEqual(1, receiver.connections)

    def test_much(self):
        """More than the buffers of a connection hold arrives whole."""
        receiver = Receiver(self)
        given = publishing.samples(30, resource_metadata={'x': 'y' * 500_000})
        self.assertEqual([], self.publisher(receiver.port)(given))
        receiver.wait(self, 30)
        self.assertEqual(publishing.ids(given), [message['message_id'] for message in receiver.got])

    def test_closed_between(self):
        """A connection that the other end has closed is not written into, but made anew."""
        receiver = Receiver(self, per_connection=2)
        publish = self.publisher(receiver.port)
        for number in 1, 2, 3:
            publish(publishing.samples(2))
            receiver.wait(self, 2 * number)
            threading.Event().wait(0.05)  # until it has closed
        self.assertEqual(6, len(receiver.got))
        self.assertEqual(3, receiver.connections)

    def test_down_and_up(self):
        """While nobody listens it is unavailable, at once; afterwards all is well."""
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        publish = self.publisher(port)
        with self.assertRaisesRegex(Unavailable, 'refused'):
            publish(publishing.samples(2))
        receiver = Receiver(self, port)
        self.assertEqual([], publish(publishing.samples(2)))
        receiver.wait(self, 2)

    def test_reset(self):
        """A connection that is reset while samples are on their way is noticed."""
        with socket.create_server(('127.0.0.1', 0)) as server:
            publish = self.publisher(server.getsockname()[1])

            def reset():
                line, _ = server.accept()
                line.recv(100)
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                line.close()

            thread = threading.Thread(target=reset)
            thread.start()
            with self.assertRaises(Unavailable):
                publish(publishing.samples(30, resource_metadata={'x': 'y' * 500_000}))
            thread.join()

    def test_nobody_reads(self):
        """What the other host never acknowledges has not arrived, though all of it could be written."""
        with socket.create_server(('127.0.0.1', 0)) as silent, mock.patch('ceilometer_paas.publish.tcp.TIMEOUT', 0.3):
            publish = self.publisher(silent.getsockname()[1])
            with self.assertRaisesRegex(Unavailable, 'acknowledged|timed out'):
                publish(publishing.samples(1, resource_metadata={'x': 'y' * 6_000_000}))

    def test_bad_sample(self):
        """A sample that msgpack cannot express is refused alone, and no other is sent twice."""
        receiver = Receiver(self)
        given = publishing.samples(5)
        given[2].volume = 1 << 70
        given[4].resource_metadata = {'x': '\ud800'}
        refused = self.publisher(receiver.port)(given)
        self.assertEqual(['2', '4'], publishing.ids(sample for sample, reason in refused))
        receiver.wait(self, 3)
        self.assertEqual(list('013'), [message['message_id'] for message in receiver.got])
