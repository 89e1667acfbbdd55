# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.source."""

from tests.workspace import WorkspaceTestCase


class TestSourceList(WorkspaceTestCase):

    def test_rows(self):
        """Each queue is a row with what it carries and may speak of, in the order of the map."""
        rows = self.table('source', 'list')
        self.assertEqual(['usage.trove', 'usage.nova', 'usage.acme'], [row['queue'] for row in rows])
        self.assertEqual({'queue': 'usage.acme', 'endpoint': 'cloud', 'exchange': 'acme', 'topic': 'metering',
                          'priorities': ['info', 'error'], 'format': 'paas-event', 'own_topic': True,
                          'metric_types': ['acme.*']}, rows[-1])

    def test_columns(self):
        """The columns have the same names in every format."""
        names = list(self.table('source', 'list')[0])
        _, csv, _ = self.run_command('source', 'list', '-f', 'csv')
        _, table, _ = self.run_command('source', 'list')
        self.assertEqual(names, csv.splitlines()[0].replace('"', '').split(','))
        self.assertEqual(names, table.splitlines()[1].strip('|').replace(' ', '').split('|'))

    def test_lists_in_a_cell(self):
        """CSV and plain values have a list's words with commas; JSON and YAML have lists."""
        for how, words in (('csv', '"info,error"'), ('value', 'info,error'), ('yaml', '- info\n'), ('json', '"info",')):
            _, out, err = self.run_command('source', 'list', '-c', 'priorities', '-f', how)
            self.assertIn(words, out, err)
