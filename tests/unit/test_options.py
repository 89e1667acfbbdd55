# SPDX-License-Identifier: Apache-2.0
"""The [paas] options have working defaults, and are known to oslo.config's own tools."""

import os
import socket
import unittest
from datetime import UTC, datetime

from oslo_config import cfg, generator

from ceilometer_paas.config import options
from ceilometer_paas.errors import ConfigError
from tests.files import Files


class OptionsTest(unittest.TestCase):

    def setUp(self):
        self.files = Files(self)

    def settings(self, text=''):
        return options.settings(self.files.conf(text))

    def test_an_empty_file_gives_the_documented_defaults(self):
        settings = self.settings()
        self.assertEqual(
            ('/var/lib/ceilometer-paas', 'sqlite:////var/lib/ceilometer-paas/ledger.sqlite', 1, 200, 0.2, 35),
            (settings.state_path, settings.ledger_connection, settings.workers, settings.batch_size,
             settings.batch_timeout, settings.seen_retention))
        self.assertEqual(('/etc/ceilometer/paas_meters.d', 'ceilometer_paas/meters.d'), settings.meter_definitions_dirs)
        self.assertEqual(('/etc/ceilometer/paas_lifecycles.d', 'ceilometer_paas/lifecycles.d'),
                         settings.lifecycle_definitions_dirs)
        self.assertEqual((None, 300), (settings.begin, settings.max_future))
        self.assertEqual((3600, 300), (settings.period, settings.grace))
        self.assertEqual((False, 'ceilometer_paas/event_definitions.yaml'),
                         (settings.publish_events, settings.event_definitions_cfg_file))

    def test_the_default_ledger_lies_in_the_state_path(self):
        self.assertEqual('sqlite:////srv/paas/ledger.sqlite',
                         self.settings('[paas]\nstate_path = /srv/paas\n').ledger_connection)

    def test_a_ledger_connection_is_taken_as_it_is(self):
        settings = self.settings('[paas]\nledger_connection = postgresql+psycopg2://u:sesame@h/paas\n')
        self.assertEqual('postgresql+psycopg2://u:sesame@h/paas', settings.ledger_connection)

    def test_directories_of_definitions_stand_one_a_line_and_replace_the_default(self):
        for option in ('meter_definitions_dirs', 'lifecycle_definitions_dirs'):
            settings = self.settings(f'[paas]\n{option} = /a\n{option} = b\n')
            self.assertEqual(('/a', 'b'), getattr(settings, option))

    def test_the_beginning_is_a_time_in_utc(self):
        for text in ('2026-03-01T00:00:00Z', '2026-03-01 01:00+01:00', '2026-03-01T00:00'):
            self.assertEqual(datetime(2026, 3, 1, tzinfo=UTC), self.settings(f'[paas]\nbegin = {text}\n').begin)

    def test_an_agent_is_known_by_its_host_and_process(self):
        one, other = self.settings().identity, self.settings().identity
        self.assertTrue(one.startswith(f'{socket.gethostname()}:{os.getpid()}:'), one)
        self.assertNotEqual(one, other, 'two containers may share a host name and a process id')

    def test_a_value_out_of_its_bounds_is_refused(self):
        for line in ('workers = 0', 'batch_size = 10001', 'batch_timeout = 0', 'seen_retention = x',
                     'max_future = -1', 'begin = 2026-03', 'begin = yesterday', 'period = 59', 'period = 2678401',
                     'period = 1.5', 'grace = -1'):
            with self.subTest(line), self.assertRaises(ValueError):
                self.settings(f'[paas]\n{line}\n')

    def test_registering_again_is_harmless(self):
        conf = self.files.conf('[paas]\nworkers = 3\n')
        options.register(conf)
        options.register(conf)
        self.assertEqual(3, conf.paas.workers)

    def test_a_missing_configuration_file_is_an_operators_mistake_in_one_line(self):
        with self.assertRaises(ConfigError) as caught:
            options.prepare(['test', '--config-file', self.files.path('none.conf')])
        self.assertRegex(str(caught.exception), r'^ceilometer\.conf: .*none\.conf[^\n]*$')

    def test_a_directory_instead_of_the_configuration_file_is_one_too(self):
        with self.assertRaisesRegex(ConfigError, '^/tmp: cannot be read: Is a directory$'):
            options.prepare(['test', '--config-file=/tmp'])

    def test_oslo_configs_generator_documents_every_option(self):
        conf = cfg.ConfigOpts()
        generator.register_cli_opts(conf)
        path = self.files.path('sample.conf')
        conf(['--namespace', 'ceilometer_paas', '--output-file', path], default_config_files=[])
        generator.generate(conf)
        with open(path, encoding='utf-8') as file:
            sample = file.read()
        self.assertIn('[paas]', sample)
        self.assertEqual([], [option.dest for option in options.OPTS if f'#{option.dest} =' not in sample])
