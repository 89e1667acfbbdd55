# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.main."""

import contextlib
import io
import logging

from ceilometer_paas.cli import main
from tests.workspace import WorkspaceTestCase, database


class TestMain(WorkspaceTestCase):

    def test_every_command_is_there(self):
        """Without a command the help is shown, which names every command."""
        _, out, _ = self.run_command()
        for name in ('check', 'demo', 'explain', 'meter list', 'quarantine list', 'quarantine purge',
                     'quarantine release', 'quarantine show', 'replay', 'settle', 'simulate', 'source list',
                     'statement list'):
            self.assertRegex(out, rf'(?m)^  {name} +[A-Z]')

    def test_every_command_has_help(self):
        """Each command explains its options."""
        app = main.PaasApp(stdout=io.StringIO(), stderr=io.StringIO())
        for name in ('check', 'demo', 'explain', 'replay', 'simulate', 'quarantine release'):
            self.assertEqual(0, app.run([*name.split(), '--help']))
            self.assertIn(f'usage: ceilometer-paas {name}', app.stdout.getvalue())

    def test_mistakes_of_the_operator(self):
        """Every mistake is a line with its file on stderr; the status is 1, and there is no traceback."""
        self.edit('sources.yaml', 'exchange: nova', 'exchnage: nova')
        self.edit('meters.d/meters.yaml', 'type: gauge', 'type: gouge')
        status, out, err = self.run_command('source', 'list')
        self.assertEqual((1, ''), (status, out))
        self.assertIn(f'{self.directory}/sources.yaml:5: ', err)
        self.assertIn(f'{self.directory}/meters.d/meters.yaml:', err)
        self.assertNotIn('Traceback', err)

    def test_no_such_file(self):
        """A --config-file that is not there is one line."""
        err = io.StringIO()
        status = main.PaasApp(stdout=io.StringIO(), stderr=err).run(['--config-file', '/no/such/file', 'check'])
        self.assertEqual(1, status)
        self.assertEqual('ceilometer.conf: Failed to find some config files: /no/such/file\n', err.getvalue())

    def test_option_after_the_command(self):
        """--config-file may stand behind the command too."""
        out = io.StringIO()
        status = main.PaasApp(stdout=out, stderr=io.StringIO()).run(
            ['source', 'list', '-f', 'csv', '-c', 'queue', '--config-file', str(self.directory / 'ceilometer.conf')])
        self.assertEqual((0, '"queue"\n"usage.trove"\n"usage.nova"\n"usage.acme"\n'),
                         (status, out.getvalue().replace('\r', '')))

    def test_log_file(self):
        """With --log-file what goes wrong is written there too."""
        log = self.directory / 'command.log'
        _, _, err = self.run_command('--log-file', str(log), 'explain', '/no/such/file')
        for handler in logging.getLogger().handlers:
            handler.close()
        self.assertEqual(err, log.read_text())
        self.assertIn('/no/such/file', err)

    def test_log_options_are_for_agents(self):
        """A log file in ceilometer.conf is not touched by commands, which may not write there."""
        self.edit('ceilometer.conf', '[paas]', f'log_file = {self.directory}/agent.log\ndebug = true\n[paas]')
        status, _, err = self.run_command('source', 'list')
        self.assertEqual((0, ''), (status, err))
        self.assertFalse((self.directory / 'agent.log').exists())

    def test_terminal_without_a_character(self):
        """A character that the terminal cannot show is written as its number."""
        out = io.TextIOWrapper(io.BytesIO(), 'ascii')
        with contextlib.redirect_stdout(out):
            status = main.main(['--config-file', str(self.directory / 'ceilometer.conf'), 'explain', '-c', 'message_id',
                                self.lines(database('database\u00e9'))])
        out.flush()
        self.assertEqual(0, status)
        self.assertIn(b'| database\\xe9', out.buffer.getvalue())
