# SPDX-License-Identifier: Apache-2.0
"""The source map says what is consumed where and who may speak of what; every mistake in it is found at once."""

import os
import unittest

import hypothesis
from hypothesis import strategies

from ceilometer_paas.config import reader
from ceilometer_paas.config.sources import Sources, load_sources, shared_with_agent
from tests.files import REPOSITORY, Files, said

GOOD = '''
    endpoints:
      cloud: {url: "", dead_letter_exchange: ceilometer-paas.dead}
      acme: {url_file: acme.url}
    queues:
      ceilometer-paas.nova: {endpoint: cloud, exchange: nova, topic: notifications, priorities: [info, error]}
      acme.usage: {endpoint: acme, exchange: acme, topic: metering, format: paas-event, own_topic: true}
    metric_types:
      compute.instance.*: ceilometer-paas.nova
      acme-queue.*: [acme.usage, ceilometer-paas.nova]
    '''
ACME_URL = 'rabbit://acme:sesame@acme.example.com:5671/usage?ssl=true&rabbit_quorum_queue=true\n'


class SourcesTest(unittest.TestCase):

    def setUp(self):
        self.files = Files(self)
        self.files.write('acme.url', ACME_URL)
        self.conf = self.files.conf('[DEFAULT]\ntransport_url = rabbit://paas:sesame@broker/\n')

    def load(self, text, conf=None):
        problems = reader.Problems()
        return load_sources(self.files.write('sources.yaml', text), conf or self.conf, problems), problems

    def refused(self, text, conf=None):
        sources, problems = self.load(text, conf)
        self.assertIsNone(sources)
        self.assertNotIn('sesame', str(said(problems)))
        return said(problems)

    def test_only_rabbitmq_has_dead_letters(self):
        self.assertEqual(['sources.yaml:1: only RabbitMQ has dead letters; remove it'], self.refused('''
            endpoints: {cloud: {url: "fake://", dead_letter_exchange: dead}}
            queues: {q: {endpoint: cloud, exchange: nova, topic: notifications}}
            metric_types: {memory: q}
            '''))

    def test_a_map_as_small_as_in_the_documentation_is_read(self):
        sources, problems = self.load(GOOD)
        self.assertEqual([], said(problems))
        nova, acme = sources.queues['ceilometer-paas.nova'], sources.queues['acme.usage']
        self.assertEqual(('cloud', None, 'ceilometer-paas.dead'),
                         (nova.endpoint.name, nova.endpoint.url, nova.endpoint.dead_letter))
        self.assertEqual(('nova', 'notifications', ('info', 'error'), 'oslo', False),
                         (nova.exchange, nova.topic, nova.priorities, nova.format, nova.own_topic))
        self.assertEqual(('cloud/nova', 'ceilometer-paas.nova', ('ceilometer-paas.nova',)),
                         (nova.source, nova.pool, nova.amqp_names))
        self.assertEqual((ACME_URL.strip(), None), (acme.endpoint.url, acme.endpoint.dead_letter))
        self.assertEqual(('info', 'error'), acme.priorities)
        self.assertEqual(('acme/acme', None, ('metering.info', 'metering.error')),
                         (acme.source, acme.pool, acme.amqp_names))
        self.assertEqual({'compute.instance.*': ('ceilometer-paas.nova',),
                          'acme-queue.*': ('acme.usage', 'ceilometer-paas.nova')}, sources.metric_types)

    def test_no_password_stands_in_its_repr(self):
        self.assertNotIn('sesame', repr(self.load(GOOD)[0]))

    def test_the_shipped_map_is_right(self):
        problems = reader.Problems()
        sources = load_sources(os.path.join(REPOSITORY, 'etc/ceilometer_paas/sources.yaml'), self.conf, problems)
        self.assertEqual([], said(problems))
        self.assertEqual({'nova', 'trove', 'designate', 'octavia', 'openstack', 'magnum'},
                         {queue.exchange for queue in sources.queues.values()})
        self.assertIn('error', sources.queues['ceilometer-paas.magnum'].priorities)

    def test_a_map_of_hundreds_of_queues_is_read(self):
        endpoints = '\n'.join(f'  e{number}: {{url: "rabbit://e{number}/?ssl=true"}}' for number in range(30))
        queues = '\n'.join(f'  q{number}: {{endpoint: e{number % 30}, exchange: x{number}, topic: t}}'
                           for number in range(300))
        types = '\n'.join(f'  a{number}.*: q{number}' for number in range(300))
        sources, _ = self.load(f'endpoints:\n{endpoints}\nqueues:\n{queues}\nmetric_types:\n{types}\n')
        self.assertEqual(frozenset({'q299'}), sources.queues_of('a299.size'))

    def test_every_mistake_is_reported_at_once_with_its_line(self):
        self.files.write('empty.url', '\n')
        self.files.write('two.url', 'rabbit://u:sesame@a/\nrabbit://u:sesame@b/\n')
        self.assertEqual([
            'sources.yaml:3: the endpoint \'none\' needs either url or url_file; '
            'url: "" is the transport_url of ceilometer.conf',
            'sources.yaml:4: the endpoint \'both\' needs either url or url_file; '
            'url: "" is the transport_url of ceilometer.conf',
            f'sources.yaml:5: {self.files.path("no.url")} cannot be read: No such file or directory; '
            'it holds the transport URL of the endpoint',
            f'sources.yaml:6: {self.files.path("empty.url")} is empty; it holds one transport URL',
            f'sources.yaml:7: {self.files.path("two.url")} has several words; it holds one transport URL',
            'sources.yaml:8: url is a transport URL in quotes; "" is the transport_url of ceilometer.conf',
            "sources.yaml:9: an endpoint has no key 'urls'; did you mean 'url'?",
            "sources.yaml:10: 'a/b' has a slash; a source is <endpoint>/<exchange>",
            "sources.yaml:11: 'text' is not described; an endpoint is a mapping of its keys",
            "sources.yaml:13: there is no endpoint 'clout'; did you mean 'cloud'?",
            "sources.yaml:14: exchange is ''; it is printable text of 1 to 255 characters, without blanks around it",
            "sources.yaml:14: priorities is ['informative']; it is a list of some of "
            'audit, critical, debug, error, info, sample, warn',
            "sources.yaml:15: format is 'cadf'; it is oslo or paas-event",
            "sources.yaml:15: own_topic is 'yes please'; it is true or false",
            "sources.yaml:16: a queue needs the key 'exchange'",
            "sources.yaml:16: a queue needs the key 'topic'",
            "sources.yaml:17: no metric type is mapped to the queue 'unnamed'; "
            'map those that it carries, or remove it',
            'sources.yaml:19: no queue may speak of the metric type \'empty\'; name one, or a list of several',
            "sources.yaml:20: there is no queue 'pair'; did you mean 'pairs'?",
            "sources.yaml:21: the pattern 'range[ab]' has brackets; the wildcards are * and ?",
            'sources.yaml:22: 5 cannot be a name in metric_types; '
            'a name is printable text of 1 to 255 characters, without blanks around it',
        ], self.refused('''
            endpoints:
              cloud: {url: ""}
              none: {}
              both: {url: "", url_file: acme.url}
              unreadable: {url_file: no.url}
              empty: {url_file: empty.url}
              two: {url_file: two.url}
              null: {url: }
              typo: {url: "rabbit://a.example/", urls: ""}
              a/b: {url: "rabbit://b.example/"}
              text: "rabbit://u:sesame@c.example/"
            queues:
              missing: {endpoint: clout, exchange: a, topic: a}
              blank: {endpoint: cloud, exchange: "", topic: a, priorities: [informative]}
              odd: {endpoint: cloud, exchange: b, topic: a, format: cadf, own_topic: "yes please"}
              pairs: {endpoint: cloud}
              unnamed: {endpoint: cloud, exchange: c, topic: a}
            metric_types:
              empty: []
              typo: [pair, missing, blank, odd, pairs]
              range[ab]: odd
              5: odd
            '''.replace('null:', '"null":')))

    def test_a_section_that_is_missing_or_empty_hides_no_other_mistake(self):
        self.assertEqual(['sources.yaml:1: endpoints is a mapping with at least one entry',
                          "sources.yaml:1: the source map needs the key 'metric_types'",
                          "sources.yaml:2: no metric type is mapped to the queue 'a'; "
                          'map those that it carries, or remove it',
                          "sources.yaml:2: there is no endpoint 'cloud'; there are none",
                          "sources.yaml:3: the source map has no key 'queue'; did you mean 'queues'?"],
                         self.refused('endpoints: {}\nqueues: {a: {endpoint: cloud, exchange: a, topic: a}}\n'
                                      'queue: 1\n'))

    def test_a_url_that_oslo_messaging_would_refuse_is_refused_without_showing_it(self):
        for url, expected in [
            ('rabbit//u:sesame@h/', 'the URL is no transport URL'),
            ('rabbit://u:sesame@h:port/', 'the URL is no transport URL'),
            ('rabbit://u:1/sesame@h/', 'the URL is no transport URL'),
            ('rabbit://u:sesame#x@h/', 'the URL is no transport URL'),
            ('rabit://u:sesame@h/', "the URL names no driver of oslo.messaging; did you mean 'rabbit'?"),
            ('sesame://u@h', 'the URL names no driver of oslo.messaging; there are fake, kafka, kombu, rabbit'),
            ('rabbit://u:sesame@h/?amqp_durable_queue=true',
             "the URL sets 'amqp_durable_queue', which is no option of [oslo_messaging_rabbit]; "
             "did you mean 'amqp_durable_queues'?"),
            ('rabbit://u:sesame@h/?ssl=perhaps', "the URL sets ssl to what it cannot be: Unexpected boolean value"),
        ]:
            with self.subTest(url):
                lines = self.refused(GOOD.replace('url_file: acme.url', f'url: "{url}"'))
                self.assertEqual(1, len(lines))
                self.assertIn('sources.yaml:3: ' + expected, lines[0])

    def test_a_wrong_url_of_the_deployment_itself_is_named_so(self):
        conf = self.files.conf('[DEFAULT]\ntransport_url = rabit://u:sesame@h/\n')
        self.assertEqual(["sources.yaml:2: the transport_url of ceilometer.conf names no driver of oslo.messaging; "
                          "did you mean 'rabbit'?"], self.refused(GOOD, conf))

    def test_an_own_topic_that_ceilometers_agent_consumes_is_refused(self):
        text = '''
            endpoints: {cloud: {url: ""}, other: {url: "rabbit://x:y@elsewhere/"}, again: {url: "rabbit://broker:5672//"}}
            queues:
              stolen: {endpoint: cloud, exchange: nova, topic: notifications, own_topic: true, priorities: [info]}
              alone: {endpoint: other, exchange: nova, topic: notifications, own_topic: true}
              notifications.error: {endpoint: again, exchange: heat, topic: notifications}
            metric_types: {a: [stolen, alone, notifications.error]}
            '''
        lines = self.refused(text)
        self.assertEqual(2, len(lines))
        self.assertIn("sources.yaml:3: the queue 'stolen' would take messages from Ceilometer's agent, "
                      'which consumes notifications.info too', lines[0])
        self.assertIn("sources.yaml:5: the queue 'notifications.error' would take messages from", lines[1])

    def test_the_agents_own_topics_and_brokers_are_those_of_ceilometer_conf(self):
        conf = self.files.conf('[notification]\nmessaging_urls = rabbit://x:y@elsewhere/\n'
                               '[oslo_messaging_notifications]\ntopics = metering\n')
        text = '''
            endpoints: {cloud: {url: ""}, other: {url: "rabbit://elsewhere/"}}
            queues:
              mine: {endpoint: cloud, exchange: a, topic: metering, own_topic: true, priorities: [info]}
              stolen: {endpoint: other, exchange: a, topic: metering, own_topic: true, priorities: [info]}
              default: {endpoint: other, exchange: a, topic: notifications, own_topic: true, priorities: [info]}
            metric_types: {a: [mine, stolen, default]}
            '''
        lines = self.refused(text, conf)
        self.assertEqual(1, len(lines))
        self.assertIn("sources.yaml:4: the queue 'stolen' would take messages from Ceilometer's agent", lines[0])

    def test_two_that_would_consume_one_amqp_queue_are_refused(self):
        text = '''
            endpoints:
              one: {url: "rabbit://a.example,b.example/", dead_letter_exchange: dead}
              same: {url: "rabbit://u:sesame@b.example:5672//?amqp_durable_queues=true", dead_letter_exchange: dead}
              other: {url: "rabbit://b.example/other", dead_letter_exchange: dead}
            queues:
              a: {endpoint: one, exchange: a, topic: metering, own_topic: true, priorities: [info]}
              b: {endpoint: same, exchange: b, topic: metering, own_topic: true, priorities: [error, info]}
              c: {endpoint: other, exchange: c, topic: metering, own_topic: true, priorities: [info]}
              metering.error: {endpoint: one, exchange: d, topic: notifications}
            metric_types: {x: [a, b, c, metering.error]}
            '''
        self.assertEqual([
            "sources.yaml:3: the dead letters of 'one' and the dead letters of 'same' would both consume the AMQP "
            'queue dead; name them differently',
            "sources.yaml:7: the queue 'a' and the queue 'b' would both consume the AMQP queue metering.info; "
            'name them differently',
            "sources.yaml:9: the queue 'b' and the queue 'metering.error' would both consume the AMQP queue "
            'metering.error; name them differently'], self.refused(text))

    def test_two_queues_that_get_the_same_messages_are_refused(self):
        text = '''
            endpoints: {one: {url: "rabbit://a.example/"}, same: {url: "rabbit://u@a.example/"}}
            queues:
              trove: {endpoint: one, exchange: openstack, topic: notifications, priorities: [info]}
              manila: {endpoint: same, exchange: openstack, topic: notifications, priorities: [info, error]}
              errors: {endpoint: one, exchange: openstack, topic: notifications, priorities: [warn]}
            metric_types: {x: [trove, manila, errors]}
            '''
        self.assertEqual(["sources.yaml:4: 'manila' gets the messages of 'trove' (exchange openstack, topic "
                          'notifications, info) once more; keep one of them and map the metric types of both to it'],
                         self.refused(text))


class SharedWithAgentTest(unittest.TestCase):

    def test_queues_that_get_copies_of_what_ceilometers_agent_consumes_are_found(self):
        """On one of its brokers, and of one of its topics; not those whose messages would be taken from it."""
        files, text = Files(self), '''
            endpoints: {cloud: {url: ""}, same: {url: "rabbit://other:other@broker/"}, far: {url: "rabbit://far/"}}
            queues:
              q.nova: {endpoint: cloud, exchange: nova, topic: notifications, priorities: [error]}
              q.dns: {endpoint: same, exchange: dns, topic: notifications}
              q.topic: {endpoint: cloud, exchange: nova, topic: other}
              q.own: {endpoint: cloud, exchange: nova, topic: mine, own_topic: true}
              q.far: {endpoint: far, exchange: nova, topic: notifications}
            metric_types: {"*": [q.nova, q.dns, q.topic, q.own, q.far]}
            '''
        for more, expected in [('', ['q.nova', 'q.dns']),
                               ('[notification]\nmessaging_urls = rabbit://far/\n', ['q.far']),
                               ('[oslo_messaging_notifications]\ntopics = other\n', ['q.topic'])]:
            conf = files.conf(f'[DEFAULT]\ntransport_url = rabbit://paas:sesame@broker/\n{more}')
            problems = reader.Problems()
            sources = load_sources(files.write('sources.yaml', text), conf, problems)
            self.assertEqual([], said(problems))
            self.assertEqual(expected, [queue.name for queue in shared_with_agent(sources, conf)])


class QueuesOfTest(unittest.TestCase):

    def asked(self, metric_types, *names):
        sources = Sources({}, {}, metric_types)
        return [sorted(sources.queues_of(name)) for name in names]

    def test_the_most_specific_pattern_decides_alone(self):
        self.assertEqual([['exact'], ['long'], ['short'], ['all']], self.asked(
            {'*': ('all',), 'a.*': ('short',), 'a.b.*': ('long',), 'a.b.c': ('exact',)},
            'a.b.c', 'a.b.d', 'a.c', 'b'))

    def test_of_equally_specific_patterns_the_first_decides(self):
        self.assertEqual([['one']], self.asked({'a.*': ('one',), '*.b': ('two',)}, 'a.b'))

    def test_a_question_mark_is_one_character_and_all_else_is_literal(self):
        self.assertEqual([['q'], [], [], []], self.asked({'a.?': ('q',)}, 'a.b', 'a.', 'a.bc', 'aab'))
        self.assertEqual([['q'], []], self.asked({'a.b': ('q',)}, 'a.b', 'a-b'))

    def test_what_is_mapped_nowhere_has_no_queue(self):
        self.assertEqual([[]], self.asked({'a.*': ('q',)}, 'b.a'))

    def test_several_queues_may_speak_of_one_metric_type(self):
        self.assertEqual([['p', 'q']], self.asked({'a': ('q', 'p')}, 'a'))

    @hypothesis.given(strategies.dictionaries(strategies.text('ab.', min_size=1, max_size=4), strategies.just(('q',))),
                      strategies.text('ab.*', min_size=1, max_size=4))
    @hypothesis.settings(max_examples=100, deadline=None)
    def test_names_without_wildcards_match_themselves_only(self, metric_types, name):
        self.assertEqual([['q']] if name in metric_types else [[]], self.asked(metric_types, name))
