# SPDX-License-Identifier: Apache-2.0

import http.server
import json
import logging
import socket
import threading
import unittest

from ceilometer_paas.errors import Unavailable
from tests import publishing


class Server(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it, unless ``answer`` of the posted samples says otherwise."""

    daemon_threads = True

    def __init__(self, test):
        super().__init__(('127.0.0.1', 0), Handler)
        self.accepted = []
        self.requests = []
        self.answer = lambda samples: (204, {}, '')
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        test.addCleanup(self.server_close)
        test.addCleanup(self.shutdown)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        text = self.rfile.read(int(self.headers['Content-Length'])).decode()
        body = json.loads(text) if self.headers['Content-Type'] == 'application/json' else text
        samples = body if isinstance(body, list) else [body]
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        status, headers, text = self.server.answer(samples)
        if status < 300:
            self.server.accepted += samples
        self.send_response(status)
        for name, value in {**headers, 'Content-Length': str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *args):
        pass


class TestHttp(unittest.TestCase):
    def setUp(self):
        self.server = Server(self)

    def publisher(self, options='', scheme='http'):
        url = f'{scheme}://user:sesame@127.0.0.1:{self.server.server_port}/usage?max_retries=0{options}'
        return publishing.publisher(self, url)

    def accepted(self):
        return [sample['id'] for sample in self.server.accepted]

    def test_samples_arrive(self):
        """Samples arrive as JSON with all their fields, by a request that bears the user and the password."""
        given = publishing.samples(3)
        self.assertEqual([], self.publisher()(given))
        self.assertEqual([sample.as_dict() for sample in given], self.server.accepted)
        (method, path, headers), = self.server.requests
        self.assertEqual(('POST', '/usage', 'Basic dXNlcjpzZXNhbWU='), (method, path, headers['Authorization']))

    def test_content_is_refused(self):
        """A list that is refused for its content is halved; the bad sample is refused with the server's words."""
        for status in 400, 413, 422:
            with self.subTest(status):
                self.server.accepted.clear()
                self.server.answer = lambda samples, status=status: (
                    (status, {}, 'too odd') if '2' in [sample['id'] for sample in samples] else (204, {}, ''))
                (sample, reason), = self.publisher()(publishing.samples(5))
                self.assertEqual('2', sample.id)
                self.assertRegex(reason, f'HTTP {status} .*too odd')
                self.assertEqual(list('0134'), self.accepted())

    def test_one_by_one(self):
        """With batch=false a refused sample is refused alone, and no other is sent twice."""
        self.server.answer = lambda samples: ((422 if samples[0]['id'] == '2' else 200), {}, '')
        (sample, _), = self.publisher('&batch=false')(publishing.samples(5))
        self.assertEqual('2', sample.id)
        self.assertEqual(list('0134'), self.accepted())
        self.assertEqual(5, len(self.server.requests))

    def test_server_fails(self):
        """Any other error may pass, also those that an operator must mend: nothing is refused for them."""
        publish = self.publisher()
        for status in 300, 304, 401, 403, 404, 405, 407, 408, 409, 429, 500, 502, 503, 504:
            self.server.answer = lambda samples, status=status: (status, {}, '')
            with self.subTest(status), self.assertRaisesRegex(Unavailable, f'HTTP {status}'):
                publish(publishing.samples(2))
        self.server.answer = lambda samples: (200, {}, '')
        self.assertEqual([], publish(publishing.samples(2)))

    def test_redirection_that_drops_the_samples(self):
        """A redirection after which the samples would not be sent again is a failure; one that repeats is followed."""
        publish = self.publisher()
        for status in 301, 302, 303:
            self.server.answer = lambda samples, status=status: (status, {'Location': '/new'}, '')
            with self.subTest(status), self.assertRaisesRegex(Unavailable, f'HTTP {status}'):
                publish(publishing.samples(2))
        for status in 307, 308:
            answers = iter([(status, {'Location': '/new'}, ''), (200, {}, '')])
            self.server.answer = lambda samples, answers=answers: next(answers)
            self.assertEqual([], publish(publishing.samples(2)))
        self.assertEqual(['POST'] * 7, [method for method, path, headers in self.server.requests])

    def test_nobody_answers(self):
        """A port where nobody listens, and a server that accepts and is silent, are unavailable."""
        with socket.create_server(('127.0.0.1', 0)) as silent:
            port = silent.getsockname()[1]
            with self.assertRaisesRegex(Unavailable, 'Timeout'):
                publishing.publisher(self, f'http://127.0.0.1:{port}/?timeout=1&max_retries=0')(publishing.samples(1))
        with self.assertRaisesRegex(Unavailable, 'refused'):
            publishing.publisher(self, f'http://127.0.0.1:{port}/?max_retries=0')(publishing.samples(1))

    def test_mixed_fates(self):
        """With refusals and failures in turn, every sample is accepted or refused in the end."""
        script = iter([503, 0, 429, 0, 0, 500, 0, 0, 0])

        def answer(samples):
            bad = '3' in [sample['id'] for sample in samples]
            return next(script, 0) or (400 if bad else 200), {}, ''

        self.server.answer = answer
        publish = self.publisher()
        refused, failures = None, 0
        while refused is None:
            try:
                refused = publish(publishing.samples(6))
            except Unavailable:
                failures += 1
        self.assertEqual(3, failures)
        self.assertEqual(['3'], publishing.ids(sample for sample, reason in refused))
        self.assertEqual(set('01245'), set(self.accepted()))

    def test_quiet(self):
        """Neither the password nor what the samples say is in any log or message, however it ends."""
        self.server.answer = lambda samples: (500, {}, '')
        publish = self.publisher('&key=token-1')
        with self.assertLogs(level=logging.DEBUG) as logs, self.assertRaises(Unavailable) as raised:
            logging.getLogger().debug('so that there is one')
            publish(publishing.samples(1))
        self.server.server_close()
        self.server.shutdown()
        with self.assertRaisesRegex(Unavailable, 'refused') as refused:
            publish(publishing.samples(1))
        self.assertNotIn('token-1', str(refused.exception))
        everything = '\n'.join([*logs.output, str(raised.exception), str(refused.exception)])
        self.assertNotIn('sesame', everything)
        self.assertNotIn('compute-1', everything)

    def test_relatives(self):
        """The publishers that Ceilometer derives from this one notice failures too."""
        for scheme in 'prometheus', 'opentelemetryhttp':
            with self.subTest(scheme):
                publish = self.publisher(scheme=scheme)
                self.server.answer = lambda samples: (204, {}, '')
                self.assertEqual([], publish(publishing.samples(2)))
                self.server.answer = lambda samples: (500, {}, '')
                with self.assertRaisesRegex(Unavailable, 'HTTP 500'):
                    publish(publishing.samples(2))
