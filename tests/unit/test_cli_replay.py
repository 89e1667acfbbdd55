# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.replay."""

import json

from tests.workspace import LIFECYCLES, WorkspaceTestCase, acme, capture, database


class ReplayTestCase(WorkspaceTestCase):

    def samples(self):
        """What was published."""
        path = self.directory / 'samples'
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class TestReplay(ReplayTestCase):

    def test_counts(self):
        """Every line has one outcome, whatever is on it."""
        path = self.lines(database(), database(), acme(), acme('acme-2', 'many'), 'no JSON',
                          database('db-2') | {'event_type': 'trove.instance.reboot'})
        self.assertEqual([
            {'outcome': 'duplicate', 'code': '', 'messages': 1},
            {'outcome': 'ignored', 'code': 'ignored.no_definition', 'messages': 1},
            {'outcome': 'quarantined', 'code': 'decode.bad_field', 'messages': 1},
            {'outcome': 'quarantined', 'code': 'decode.undecodable', 'messages': 1},
            {'outcome': 'recorded', 'code': '', 'messages': 2}], self.table('replay', path))

    def test_several_files(self):
        """Several files, compressed or not, are one replay."""
        rows = self.table('replay', self.lines(database('a')), self.lines(capture(database('b')), name='more.jsonl.gz'))
        self.assertEqual([{'outcome': 'recorded', 'code': '', 'messages': 2}], rows)

    def test_again(self):
        """What was replayed before is a duplicate."""
        path = self.lines(database())
        self.table('replay', path)
        self.assertEqual('duplicate', self.table('replay', path)[0]['outcome'])

    def test_earlier_than_the_beginning(self):
        """That a replay tells of times which are not stated is said, with the option that changes it."""
        self.assertEqual('', self.run_command('replay', self.lines(database()))[2])
        earlier = self.lines(database('db-0') | {'timestamp': '2026-03-09 00:00:00'}, name='earlier.jsonl')
        status, _, err = self.run_command('replay', earlier)
        self.assertEqual((0, 'note: lives are not stated before the ledger\'s beginning, '
                             '2026-03-10T08:17:25.229658+00:00, and the earliest message is of '
                             '2026-03-09T00:00:00.000000+00:00; [paas] begin moves it\n'), (status, err))

    def test_publishes_nothing(self):
        """Without --publish nothing is published, not by a later replay either."""
        self.table('replay', self.lines(database('a')))
        self.assertEqual([], self.samples())
        self.table('replay', '--publish', self.lines(database('b')))
        self.assertEqual(1, len(self.samples()))

    def test_publish(self):
        """With --publish the samples are where the pipeline says when the command ends."""
        self.table('replay', '--publish', self.lines(database(), acme()))
        self.assertEqual([('acme.messages', 7.0), ('database.size', 10)],
                         sorted((sample['name'], sample['volume']) for sample in self.samples()))

    def test_strict(self):
        """With --strict a quarantined message is an exit status of 1, and a duplicate is not."""
        good, bad = self.lines(database(), database()), self.lines('{}', name='bad.jsonl')
        self.table('replay', '--strict', good)
        self.table('replay', '--strict', good, bad, status=1)
        self.table('replay', bad)

    def test_no_such_file(self):
        """A file that is not there is one line."""
        status, out, err = self.run_command('replay', '/no/such/file')
        self.assertEqual((1, '', '/no/such/file cannot be read: No such file or directory\n'), (status, out, err))

    def test_no_such_endpoint(self):
        """An endpoint that is not in the map is refused with those that are."""
        status, _, err = self.run_command('replay', '--endpoint', 'clod', self.lines(database()))
        self.assertEqual((1, "there is no queue on an endpoint 'clod'; there are the endpoints cloud\n"), (status, err))

    def test_no_such_exchange(self):
        """An exchange that no queue has is refused with those that there are."""
        status, _, err = self.run_command('replay', '--exchange', 'nvoa', self.lines(database()))
        self.assertEqual((1, "there is no queue with the exchange 'nvoa'; there are the exchanges trove, nova, acme\n"),
                         (status, err))

    def test_one_file_of_several_is_missing(self):
        """If a file cannot be read, nothing of the others is taken."""
        good = self.lines(database())
        self.assertEqual(1, self.run_command('replay', good, '/no/such/file')[0])
        self.assertEqual(['recorded'], [row['outcome'] for row in self.table('replay', good)])

    def test_damaged_archive(self):
        """An archive that is none, or is cut, is one line with its name."""
        path = self.lines(*[database(str(number)) for number in range(99)], name='cut.gz')
        whole = (self.directory / 'cut.gz').read_bytes()
        for content in (b'none', whole[:len(whole) // 2]):
            (self.directory / 'cut.gz').write_bytes(content)
            status, _, err = self.run_command('replay', path)
            self.assertEqual((1, 1), (status, len(err.splitlines())), err)
            self.assertTrue(err.startswith(f'{path} cannot be read: '), err)


def at(time, message_id='db-1', **fields):
    """A database's message of a time of 2026-03-10."""
    return database(message_id) | {'timestamp': f'2026-03-10 {time}'} | fields


class TestLives(ReplayTestCase):

    def setUp(self):
        super().setUp()
        self.write('lifecycles.d/lifecycles.yaml', LIFECYCLES.replace('database.size: [', 'database.uptime: ['))

    def settled(self):
        """Until when is settled."""
        until = json.loads(self.run_command('settle', '--until', '2026-03-01', '-f', 'json')[1])['until']
        return until and until[:16]

    def uptimes(self):
        return [(sample['timestamp'][11:19], sample['volume']) for sample in self.samples()
                if sample['name'] == 'database.uptime']

    def test_settles_until_the_latest_message(self):
        """What ended by the time of the latest message is settled, whatever its place in the files."""
        self.table('replay', self.lines(at('08:20:00'), at('10:30:00', 'late'), at('09:00:00', 'between')))
        self.assertEqual('2026-03-10T10:00', self.settled())

    def test_says_what_it_settled(self):
        """So that a message with a wrong date, which settles years, is noticed."""
        _, _, err = self.run_command('replay', self.lines(at('08:20:00'), at('10:30:00', 'late')))
        self.assertEqual('note: settled from 2026-03-10T08:20:00.000000+00:00 until 2026-03-10T10:00:00.000000+00:00\n',
                         err)

    def test_no_settle(self):
        """With --no-settle nothing is settled."""
        self.table('replay', '--no-settle', self.lines(at('08:20:00'), at('10:30:00', 'late')))
        self.assertIsNone(self.settled())

    def test_what_was_replayed_before(self):
        """A file that was replayed without settling is settled when it is replayed again."""
        path = self.lines(at('08:20:00'), at('10:30:00', 'late'))
        self.table('replay', '--no-settle', path)
        self.table('replay', path)
        self.assertEqual('2026-03-10T10:00', self.settled())

    def test_clocks_that_are_wrong(self):
        """A message from the future settles nothing that is not over, and one that is refused nothing at all."""
        refused = acme('future', 'many') | {'timestamp': '2025-01-01 00:00:00'}
        self.table('replay', self.lines(at('08:20:00'), at('10:30:00', 'late'), refused))
        self.assertEqual('2026-03-10T10:00', self.settled())
        self.table('replay', self.lines(acme('future') | {'timestamp': '2999-01-01 00:00:00'}))
        self.assertLess(self.settled(), '2999')

    def test_publish(self):
        """With --publish what is settled is published, to a publisher that is new, too; restated by a later replay."""
        self.table('replay', '--publish', self.lines(at('08:20:00'), at('10:00:00', 'late')))
        self.assertEqual([('08:20:00', 2400), ('09:00:00', 3600)], self.uptimes())
        self.table('replay', '--publish', self.lines(at('08:50:00', 'end', event_type='trove.instance.delete')))
        self.assertEqual([('08:20:00', 1800), ('09:00:00', 0)], self.uptimes()[2:])

    def test_publishes_nothing(self):
        """What is settled without --publish is published neither then nor by a later replay."""
        self.table('replay', self.lines(at('08:20:00'), at('09:00:00', 'late')))
        self.table('replay', '--publish', self.lines(at('10:00:00', 'later')))
        self.assertEqual([('09:00:00', 3600)], self.uptimes())

    def test_begin(self):
        """A ledger that is made begins when --begin says; the same time again is no mistake."""
        begin = '--begin', '2026-03-10T08:30'
        path = self.lines(at('08:20:00'), at('10:00:00', 'late'))
        self.assertIn('beginning, 2026-03-10T08:30:00.000000+00:00', self.run_command('replay', *begin, path)[2])
        self.assertEqual('2026-03-10T08:30:00.000000+00:00', self.table('interval', 'list')[0]['begin'])
        self.assertEqual(0, self.run_command('replay', *begin, path)[0])

    def test_begin_of_a_ledger_that_has_begun(self):
        """A ledger that began at another time is refused in one line, and nothing is taken."""
        self.table('replay', self.lines(at('08:20:00')))
        path = self.lines(at('09:00:00', 'new'))
        self.assertEqual((1, '', '--begin is 2026-03-10T08:30:00.000000+00:00, but the ledger began at '
                                 '2026-03-10T08:20:00.000000+00:00 already; [paas] begin moves it\n'),
                         self.run_command('replay', '--begin', '2026-03-10T08:30', path))
        self.assertEqual(['recorded'], [row['outcome'] for row in self.table('replay', path)])

    def test_begin_that_is_configured(self):
        """Another beginning than the configured one is refused in one line."""
        self.edit('ceilometer.conf', '[paas]', '[paas]\nbegin = 2026-03-10')
        path = self.lines(at('08:20:00'))
        self.assertEqual((1, '', '--begin is 2026-03-09T00:00:00.000000+00:00, but [paas] begin is '
                                 '2026-03-10T00:00:00.000000+00:00, and that is what counts\n'),
                         self.run_command('replay', '--begin', '2026-03-09', path))
        self.assertEqual(1, self.table('replay', '--begin', '2026-03-10', path)[0]['messages'])
        self.edit('ceilometer.conf', 'begin = 2026-03-10', 'begin = 2026-03-09')
        self.assertEqual('duplicate', self.table('replay', '--begin', '2026-03-09', path)[0]['outcome'])

    def test_begin_in_the_future(self):
        """A beginning that has not come yet is refused in one line."""
        self.assertEqual((1, '', '--begin 2999-01-01T00:00:00.000000+00:00 is in the future\n'),
                         self.run_command('replay', '--begin', '2999-01-01', self.lines(at('08:20:00'))))
