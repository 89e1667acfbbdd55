# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.quarantine."""

import json
from datetime import UTC, datetime

from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.model import Quarantined
from tests import ledgers
from tests.unit.test_publish_http import Server
from tests.workspace import StatementsTestCase, WorkspaceTestCase, acme, database


class TestQuarantine(WorkspaceTestCase):

    def setUp(self):
        super().setUp()
        self.replay(database(volume_size='ten'), acme(value='many'))

    def replay(self, *documents):
        self.table('replay', self.lines(*documents))

    def test_list(self):
        """Each row says where it came from, why it was refused, how often and when."""
        first, second = sorted(self.table('quarantine', 'list'), key=lambda row: row['source'])
        self.assertEqual(['id', 'source', 'origin', 'code', 'reason', 'count', 'first_at', 'last_at'], list(first))
        self.assertEqual(('cloud/acme', 'usage.acme', 'decode.bad_field', 1),
                         (first['source'], first['origin'], first['code'], first['count']))
        self.assertEqual(('cloud/trove', 'translate.bad_volume'), (second['source'], second['code']))
        self.assertRegex(first['last_at'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$')

    def test_filters(self):
        """The list is filtered by source and code, and limited."""
        self.assertEqual(2, len(self.table('quarantine', 'list')))
        for filters in (('--source', 'cloud/acme'), ('--code', 'translate.bad_volume'), ('--limit', '1')):
            self.assertEqual(1, len(self.table('quarantine', 'list', *filters)), filters)

    def test_broken_configuration(self):
        """What is in the quarantine can be seen while the source map is broken."""
        self.write('sources.yaml', 'endpoints: [')
        self.assertEqual(2, len(self.table('quarantine', 'list')))

    def test_show(self):
        """One row is shown with what was set aside, its text readable."""
        row_id, = (row['id'] for row in self.table('quarantine', 'list', '--source', 'cloud/trove'))
        shown = self.table('quarantine', 'show', str(row_id))
        self.assertEqual('ten', json.loads(shown['body'])['message']['payload']['volume_size'])
        self.assertIn('\n      "volume_size": "ten"', shown['body'])

    def test_show_nothing(self):
        """A row that is not there is one line."""
        self.assertEqual((1, '', 'there is no row 999 in the quarantine\n'),
                         self.run_command('quarantine', 'show', '999'))

    def test_release_what_was_mended(self):
        """After a definition is mended, a released message is recorded and leaves the quarantine; others stay."""
        self.edit('meters.d/meters.yaml', 'volume: $.payload.volume_size', 'volume: 1')
        rows = self.table('quarantine', 'release', '--all')
        self.assertEqual([('quarantined', 'decode.bad_field'), ('recorded', '')],
                         sorted((row['outcome'], row['code']) for row in rows))
        self.assertEqual([('decode.bad_field', 2)],
                         [(row['code'], row['count']) for row in self.table('quarantine', 'list')])

    def test_release_some(self):
        """Only the rows that are named, or that have the code, are tried."""
        row_id = self.table('quarantine', 'list')[0]['id']
        self.assertEqual([row_id], [row['id'] for row in self.table('quarantine', 'release', str(row_id))])
        rows = self.table('quarantine', 'release', '--all', '--code', 'translate.bad_volume')
        self.assertEqual(['translate.bad_volume'], [row['code'] for row in rows])

    def test_release_of_a_queue_that_is_gone(self):
        """A message whose queue the map no longer has stays, and the reason says so."""
        text = (self.directory / 'sources.yaml').read_text().replace('usage.trove', 'usage.databases')
        self.write('sources.yaml', text)
        row, = self.table('quarantine', 'release', '--all', '--code', 'translate.bad_volume')
        self.assertEqual('the source map has no queue usage.trove any more', row['reason'])
        self.assertEqual(2, len(self.table('quarantine', 'list')))

    def test_release_of_a_sample(self):
        """A sample that its publisher refused goes back to that publisher; it stays if that is gone."""
        ledger = Ledger(f'sqlite:///{self.directory}/ledger.sqlite')
        self.addCleanup(ledger.close)
        body = json.dumps(['id', [['i1', 'p1', None, '2026-03-10T08:00:00+00:00', {}, [['m', 'gauge', '', 1, 'id']]]]])
        publisher = f'file: file://{self.directory}/samples'
        ledger.delivered(publisher, [], [('cloud/trove', Quarantined(name, 'publish.refused', 'no', body))
                                         for name in (publisher, 'file: gone://')], datetime.now(UTC))
        row, gone = self.table('quarantine', 'release', '--all', '--code', 'publish.refused')
        self.assertEqual(('recorded', ''), (row['outcome'], row['code']))
        self.assertEqual('the pipeline has no publisher file: gone:// any more', gone['reason'])
        self.assertEqual([f'[{body}]'], [parcel.body for parcel in ledger.pending(publisher, 10)])
        self.assertEqual(['file: gone://'], [left['origin'] for left in
                                             self.table('quarantine', 'list', '--code', 'publish.refused')])

    def test_release_of_facts(self):
        """Facts of a resource that were not folded are folded when they are released."""
        ledger = Ledger(f'sqlite:///{self.directory}/ledger.sqlite')
        self.addCleanup(ledger.close)
        told = ledgers.telling('m1', ledgers.fact('active', 0, 'vm'))
        ledger.record(ledgers.SOURCE, (), [Quarantined('instance/vm', 'fold.failed', 'no', f'[["m1",{told.facts}]]')],
                      (), ledgers.NOW)
        self.assertEqual([], self.table('resource', 'list'))
        row, = self.table('quarantine', 'release', '--code', 'fold.failed')
        self.assertEqual(('recorded', ''), (row['outcome'], row['code']))
        self.assertEqual([], self.table('quarantine', 'list', '--code', 'fold.failed'))
        self.assertEqual(['vm'], [one['id'] for one in self.table('resource', 'list')])

    def test_purge(self):
        """Rows are deleted by id, code or age, and their number is told."""
        row_id = self.table('quarantine', 'list', '--code', 'decode.bad_field')[0]['id']
        for number, *which in ((0, '--before', '2020-01-01'), (1, str(row_id)), (1, '--code', 'translate.bad_volume')):
            self.assertEqual((0, f'{number} deleted\n', ''), self.run_command('quarantine', 'purge', *which))
        self.assertEqual([], self.table('quarantine', 'list'))

    def test_purge_nothing_in_particular(self):
        """Without a word on which, nothing is deleted."""
        status, _, err = self.run_command('quarantine', 'purge')
        self.assertEqual((1, 'say which rows: by their ids, --code or --before\n'), (status, err))
        self.assertEqual(2, len(self.table('quarantine', 'list')))

    def test_all_that_is_said_must_hold(self):
        """Ids and filters together mean the rows that both do."""
        row_id = str(self.table('quarantine', 'list', '--code', 'decode.bad_field')[0]['id'])
        which = row_id, '--code', 'translate.bad_volume'
        self.assertEqual([], self.table('quarantine', 'release', *which))
        self.assertEqual((0, '0 deleted\n', ''), self.run_command('quarantine', 'purge', *which))

    def test_release_by_code(self):
        """A code alone says which rows; nothing at all does not."""
        self.assertEqual(1, len(self.table('quarantine', 'release', '--code', 'decode.bad_field')))
        self.assertEqual((1, '', 'say which rows: by their ids, --code or --all\n'),
                         self.run_command('quarantine', 'release'))

    def test_ids_without_rows(self):
        """An id that there is not is told, and nothing is done."""
        row_id = str(self.table('quarantine', 'list')[0]['id'])
        for verb in ('release', 'purge'):
            self.assertEqual((1, '', 'there is no row 998, 999 in the quarantine\n'),
                             self.run_command('quarantine', verb, row_id, '998', '999'))
        self.assertEqual([1, 1], [row['count'] for row in self.table('quarantine', 'list')])


class TestStatements(StatementsTestCase):
    """Statements that a publisher refused: one by HTTP, beside a file."""

    def setUp(self):
        super().setUp()
        self.server = Server(self)
        self.server.answer = lambda samples: (400 if any(one['volume'] == 3000 for one in samples) else 204, {}, '')
        self.add_publisher(f'http://127.0.0.1:{self.server.server_port}/?max_retries=0')
        self.tell(ledgers.fact('active', 600), ledgers.fact('active', 0, 'r2'))
        self.settle(9, '--publish')

    def add_publisher(self, url):
        self.edit('paas_pipeline.yaml', 'publishers: [', f'publishers: ["{url}", ')

    def uptimes(self, samples):
        return [(sample['resource_id'], sample['volume'], sample['resource_metadata']['revision'])
                for sample in samples if sample['name'] == 'compute.uptime']

    def release(self):
        row, = self.table('quarantine', 'list')
        outcome, = self.table('quarantine', 'release', str(row['id']))
        self.assertEqual(('recorded', ''), (outcome['outcome'], outcome['code']))
        self.assertEqual([], self.table('quarantine', 'list'))

    def test_list(self):
        """A refused statement is set aside with its publisher and the reason; the others are published."""
        row, = self.table('quarantine', 'list')
        self.assertEqual(('ceilometer_paas/statements', f'file: http://127.0.0.1:{self.server.server_port}/',
                          'publish.refused'), (row['source'], row['origin'], row['code']))
        self.assertIn('HTTP 400', row['reason'])
        self.assertEqual([('r2', 3600, 0)], self.uptimes(self.server.accepted))
        self.assertEqual([('r1', 3000, 0), ('r2', 3600, 0)], self.uptimes(self.published()))

    def test_release(self):
        """A released statement is made anew, with the next revision, for each publisher."""
        self.server.answer = lambda samples: (204, {}, '')
        self.release()
        self.run_command('settle', '--publish', '--until', '2026-03-10T09:00')
        for samples in (self.server.accepted, self.published()):
            self.assertEqual(('r1', 3000, 1), self.uptimes(samples)[-1])

    def test_release_of_what_was_restated(self):
        """What is released is stated as it is now, not as it was refused."""
        self.tell(ledgers.fact('stopped', 1800))
        self.release()
        self.run_command('settle', '--publish', '--until', '2026-03-10T09:00')
        self.assertEqual(('r1', 1200), max(self.uptimes(self.server.accepted), key=lambda row: row[2])[:2])
        self.assertEqual([], self.table('quarantine', 'list'))

    def test_release_without_the_publisher(self):
        """A statement stays, as a sample does: the publisher in its place is told of what is settled from now on."""
        self.edit('paas_pipeline.yaml', f'{self.server.server_port}/?', f'{self.server.server_port}/new?')
        self.server.answer = lambda samples: (204, {}, '')
        row, = self.table('quarantine', 'list')
        outcome, = self.table('quarantine', 'release', str(row['id']))
        self.assertEqual(('quarantined', 'publish.refused'), (outcome['outcome'], outcome['code']))
        self.assertEqual([row['id']], [one['id'] for one in self.table('quarantine', 'list')])
