# SPDX-License-Identifier: Apache-2.0

import json
import math
import traceback
import unittest
from importlib.metadata import entry_points

from hypothesis import given
from hypothesis import strategies as st

from ceilometer_paas.errors import ConfigError, Refused, Unavailable
from ceilometer_paas.publish.load import Publisher, load_publishers
from tests import publishing

URL = 'http://user:se%20cret@host/path?token=abc123'
HIDDEN = ('se%20cret', 'se cret', 'token=abc123')


class Scripted:
    """A stock publisher: refuses a batch that holds a bad sample, and fails whenever its script says so."""

    def __init__(self, bad=(), script=(), error=None):
        self.accepted = []
        self.calls = 0
        self._bad = set(bad)
        self._script = iter(script)
        self._error = error or Refused('publish.refused', 'bad')

    def publish_samples(self, samples):
        self.calls += 1
        if next(self._script, False):
            raise ConnectionResetError('gone')
        if self._bad.intersection(publishing.ids(samples)):
            raise self._error
        self.accepted += samples


def publisher(conduit, url=URL):
    return Publisher(publishing.target(url), conduit)


def until_done(publish, samples):
    """Publish as delivery does: again, as often as it takes."""
    while True:
        try:
            return publish(samples)
        except Unavailable:
            continue


class TestFates(unittest.TestCase):
    @given(count=st.integers(0, 40), bad=st.sets(st.integers(0, 39).map(str), max_size=5),
           script=st.lists(st.booleans(), max_size=12))
    def test_nothing_is_lost(self, count, bad, script):
        """Always well, now and then transient, now and then permanent, or mixed: accepted + refused = given."""
        given_samples = publishing.samples(count)
        conduit = Scripted(bad, script)
        refused = publishing.ids(sample for sample, reason in until_done(publisher(conduit), given_samples))
        accepted = set(publishing.ids(conduit.accepted))
        self.assertEqual(set(publishing.ids(given_samples)), accepted.union(refused))
        self.assertEqual(sorted(bad.intersection(publishing.ids(given_samples))), sorted(refused))

    @given(count=st.integers(1, 200), bad=st.sets(st.integers(0, 199).map(str), max_size=8))
    def test_few_calls(self, count, bad):
        """With k bad samples among n there are at most 1 + 2 k log2 n calls, and none arrives twice."""
        given_samples = publishing.samples(count)
        conduit = Scripted(bad)
        refused = publisher(conduit)(given_samples)
        self.assertLessEqual(conduit.calls, 1 + 2 * len(refused) * math.ceil(math.log2(count)))
        good = [sample.id for sample in given_samples if sample.id not in bad]
        self.assertEqual(good, publishing.ids(conduit.accepted))

    def test_all_are_refused(self):
        """A publisher that refuses everything comes to an end."""
        given_samples = publishing.samples(9)
        refused = publisher(Scripted(publishing.ids(given_samples)))(given_samples)
        self.assertEqual([(sample, 'bad') for sample in given_samples], refused)

    def test_a_publisher_may_name_the_refused(self):
        """What a publisher returns as refused is passed on, in one call."""
        class Naming:
            def publish_samples(self, samples):
                return [(samples[1], 'no such metric')]

        given_samples = publishing.samples(3)
        self.assertEqual([(given_samples[1], 'no such metric')], publisher(Naming())(given_samples))


class TestErrors(unittest.TestCase):
    def test_content(self):
        """What serialising raises is the sample's fault."""
        for error in TypeError('x'), ValueError('x'), OverflowError('x'), RecursionError('x'), '\ud800':
            if isinstance(error, str):
                with self.assertRaises(UnicodeEncodeError) as raised:
                    error.encode()
                error = raised.exception
            with self.subTest(type(error)):
                given_samples = publishing.samples(4)
                refused = publisher(Scripted('2', error=error))(given_samples)
                self.assertEqual(['2'], publishing.ids(sample for sample, reason in refused))

    def test_anything_else(self):
        """Whatever else is raised, unknown errors included, may pass; so may an answer that cannot be read."""
        for error in (OSError('x'), AttributeError('x'), KeyError('x'), Unavailable('x'), TimeoutError(),
                      json.JSONDecodeError('x', 'y', 0)):
            with self.subTest(type(error)), self.assertRaisesRegex(Unavailable, '^sink: http: '):
                publisher(Scripted('2', error=error))(publishing.samples(4))

    def test_no_secret_in_unavailable(self):
        """Neither the text nor the traceback of a failure shows the password or the query of the URL."""
        for error in OSError(f'cannot reach {URL} (se cret)'), Unavailable(f'{URL} se cret'):
            with self.subTest(type(error)):
                with self.assertRaises(Unavailable) as raised:
                    publisher(Scripted('0', error=error))(publishing.samples(1))
                text = ''.join(traceback.format_exception(raised.exception))
                self.assertFalse([secret for secret in HIDDEN if secret in text])

    def test_no_secret_of_several_hosts(self):
        """A transport URL with several hosts has several passwords."""
        url = 'paasbus://a:first@one:5672,b:second@two/vhost?ssl=1'
        with self.assertRaisesRegex(Unavailable, 'one and two') as raised:
            publisher(Scripted('0', error=OSError('first, one and two, second')), url)(publishing.samples(1))
        self.assertNotRegex(str(raised.exception), 'first|second')

    def test_no_secret_in_a_refusal(self):
        """The reason of a refusal, which an operator's table shows, has no secret, one line and an end."""
        error = Refused('publish.refused', f'{URL} se cret\n' + 'x' * 10000)
        (_, reason), = publisher(Scripted('0', error=error))(publishing.samples(1))
        self.assertFalse([secret for secret in HIDDEN if secret in reason])
        self.assertNotIn('\n', reason)
        self.assertLess(len(reason), 1000)


class TestLoad(unittest.TestCase):
    def test_one_without_a_wrapper(self):
        """A publisher of Ceilometer's that has no namesake here is used as it is."""
        publish = publishing.publisher(self, 'test://')
        self.assertEqual([], publish(publishing.samples(2)))

    def test_supports(self):
        """A publisher takes the meters that the pipeline sends to it."""
        publish = publishing.publisher(self, 'test://')
        self.assertTrue(publish.supports('memory'))

    def test_ours_come_first(self):
        """Every scheme of the namespace can be loaded, and none of its classes is Ceilometer's own."""
        names = set()
        for entry_point in entry_points(group='ceilometer_paas.publisher'):
            self.assertTrue(entry_point.load().__module__.startswith('ceilometer_paas.'))
            names.add(entry_point.name)
        self.assertLessEqual({'file', 'gnocchi', 'http', 'https', 'tcp', 'notifier', 'paasbus'}, names)

    def test_all_problems_at_once(self):
        """Each publisher that cannot be loaded has a line of its own, which says where and why, and no password."""
        urls = ['nowhere://', 'file://', 'http://', 'http://user:se%20cret@host:port/', 'http://user@host/', 'tcp://',
                'tcp://host:port', 'file:///nowhere/x', 'file:///tmp/x?max_bytes=a&backup_count=b', 'file://tmp/x',
                'gnocchi://', 'gnocchi://?resources_definition_file=absent.yaml', 'paasbus://host:port/',
                'https://host/?clientcert=/nowhere/cert.pem', 'notifier://?per_meter_topic=often', 'http://u:cret@[host/']
        targets = [publishing.target(url, line) for line, url in enumerate(urls, 1)]
        with self.assertRaises(ConfigError) as raised:
            load_publishers([publishing.target('test://'), *targets], publishing.conf(self))
        lines = str(raised.exception).splitlines()
        self.assertEqual([f'paas_pipeline.yaml:{line}' for line in range(1, len(urls) + 1)],
                         [':'.join(line.split(':')[:2]) for line in lines])
        self.assertNotIn('cret', str(raised.exception))
        for line, word in zip(lines, ['nowhere', 'path', 'host', 'port', 'password', 'host', 'port', 'nowhere',
                                      'max_bytes', 'tmp', 'auth_type', 'absent.yaml', 'port', 'cert.pem', 'often',
                                      'IPv6'],
                              strict=True):
            self.assertIn(word, line.partition('cannot be loaded: ')[2])
