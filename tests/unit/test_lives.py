# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys
import threading
import unittest
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_db import exception

from ceilometer_paas.errors import Unavailable
from ceilometer_paas.ledger import intervals, lives
from ceilometer_paas.ledger.schema import FOREVER
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.ledger.usage import Scope
from tests.ledgers import NOW, SOURCE, LedgerCase, fact, micros, telling
from tests.unit.test_store import broken, fail

ROOT = Path(__file__).parents[2]

INTERVALS = ('SELECT r.resource_type, r.resource_id, i.id, i.begins_at, i.ends_at, i.state, i.project_id, i.user_id, '
             'i.flavor, i.size, i.host, i.availability_zone FROM state_interval i JOIN resource r ON r.id = '
             'i.resource_no ORDER BY 1, 2, 4')
RESOURCES = ('SELECT resource_type, resource_id, name, project_id, user_id, state, since, known_start, body '
             'FROM resource JOIN evidence ON resource_no = id ORDER BY 1, 2')


class LivesCase(LedgerCase):
    """A test that looks into the tables."""

    def ask(self, query: str, *values) -> list[tuple]:
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            result = connection.execute(sqlalchemy.text(query), *values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def told(self, *entries) -> None:
        self.ledger.record(SOURCE, entries, (), (), NOW)

    def spans(self) -> list[tuple]:
        """List resource, begin and end (seconds after NOW, None while it lasts) and state of all intervals."""
        return [(row[1], *((None if at == FOREVER else (at - micros(0)) / 1_000_000) for at in row[3:5]), row[5])
                for row in self.ask(INTERVALS)]


class FoldTest(LivesCase):
    def test_facts_become_intervals(self):
        """What a life was told in several batches is one life; the journal is empty then."""
        self.told(telling('m1', fact('building', 0), fact('available', 5, 'v1', resource_type='volume')))
        self.told(telling('m2', fact('active', 10)))
        self.assertEqual(self.ledger.fold(), 2)
        self.assertEqual(self.spans(), [('r1', 0, 10, 'building'), ('r1', 10, None, 'active'),
                                        ('v1', 5, None, 'available')])
        self.assertEqual(self.ledger.fold(), 0)
        self.told(telling('m3', fact('deleted', 30)))
        self.assertEqual(self.ledger.fold(), 1)
        self.assertEqual(self.spans()[:2], [('r1', 0, 10, 'building'), ('r1', 10, 30, 'active')])
        self.assertEqual(self.count('journal'), 0)

    def test_ids_tell_resources_apart_to_the_last_detail(self):
        """Types and ids are compared exactly, and one id may be that of several types."""
        ids = ['a', 'A', 'á', 'a ', '\N{GRINNING FACE}', 'x' * 255, 'x' * 254]
        self.told(*(telling(f'm{place}{kind}', fact('on', place, name, resource_type=kind))
                    for place, name in enumerate(ids) for kind in ('zone', 'Zone')))
        self.ledger.fold()
        self.told(*(telling(f'n{place}{kind}', fact('off', 100 + place, name, resource_type=kind))
                    for place, name in enumerate(ids) for kind in ('zone', 'Zone')))
        self.ledger.fold()
        found = Counter((row[0], row[1], row[5]) for row in self.ask(INTERVALS))
        self.assertEqual(found, Counter((kind, name, state) for kind in ('zone', 'Zone') for name in ids
                                        for state in ('on', 'off')))

    def test_one_message_may_tell_of_many_resources(self):
        """A step may tell of any number of resources."""
        number = 1500
        self.told(telling('m1', *(fact('active', 1, f'r{place}') for place in range(number))))
        self.assertEqual(self.ledger.fold(), 1)
        self.assertEqual(len(self.spans()), number)

    def test_a_resource_is_what_its_last_interval_says(self):
        """State, owner and name are the present ones; an ended one is deleted since then; unknown is empty."""
        self.told(telling('m1', fact('building', 0, attributes={'name': 'one'}), fact('active', 9, project_id='p2'),
                          fact('active', 0, 'gone'), fact('deleted', 7, 'gone'),
                          fact('deleted', 3, 'unseen', project_id=None)))
        self.ledger.fold()
        self.assertEqual([row[1:7] for row in self.ask(RESOURCES)],
                         [('gone', None, 'p1', 'u1', 'deleted', micros(7)),
                          ('r1', 'one', 'p2', 'u1', 'active', micros(9)),
                          ('unseen', None, None, None, '', None)])

    def test_what_a_service_writes_fits_the_columns(self):
        """What no database would take is left out or cut, never in the way of the others; sizes are kept whole."""
        place = {'host': 'h\0ost\ud800' + 'x' * 300, 'availability_zone': ''}
        self.told(telling('m1', fact('active', size={'flavor': 12, 'note': 'a\0\ud800'}, place=place,
                                     attributes={'name': ['no', 'text']})))
        self.ledger.fold()
        ((*_, flavor, size, host, zone),) = self.ask(INTERVALS)
        self.assertEqual((flavor, json.loads(size), host, zone),
                         ('12', {'flavor': 12, 'note': 'a\0\ud800'}, 'host' + 'x' * 251, ''))
        self.assertEqual(self.ask(RESOURCES)[0][2], "['no', 'text']")

    def test_a_step_is_bounded(self):
        """The oldest rows are taken up to a size, and one whatever its size."""
        for number in range(5):
            self.told(telling(f'm{number}', fact('active', number, f'r{number}')))
        ((size,), *_) = self.ask('SELECT size FROM journal ORDER BY id')
        self.assertEqual(self.ledger.fold(3 * size), 3)
        self.assertEqual([row[0] for row in self.spans()], ['r0', 'r1', 'r2'])
        self.assertEqual([self.ledger.fold(1) for _ in range(3)], [1, 1, 0])

    def test_an_interval_that_begins_as_before_keeps_its_row(self):
        """A later part refers to rows: a late fact changes, adds and removes only what differs."""
        self.told(telling('m1', fact('building', 0), fact('active', 10), fact('stopped', 50), fact('active', 60)))
        self.ledger.fold()
        before = {row[3]: row[2] for row in self.ask(INTERVALS)}
        self.told(telling('m2', fact('paused', 20)), telling('m3', fact('stopped', 60, event_type='z')))
        with self.written() as counts:
            self.ledger.fold()
        self.assertEqual(self.spans(), [('r1', 0, 10, 'building'), ('r1', 10, 20, 'active'), ('r1', 20, 50, 'paused'),
                                        ('r1', 50, None, 'stopped')])
        after = {row[3]: row[2] for row in self.ask(INTERVALS)}
        self.assertEqual({at: after[at] for at in map(micros, (0, 10, 50))},
                         {at: before[at] for at in map(micros, (0, 10, 50))})
        self.assertNotIn(after[micros(20)], before.values())
        self.assertEqual(counts, {'DELETE FROM state_interval': 1, 'UPDATE state_interval': 2,
                                  'INSERT INTO state_interval': 1, 'UPDATE evidence': 1, 'UPDATE resource': 1,
                                  'DELETE FROM journal': 1})

    def test_what_is_unchanged_is_not_written(self):
        """Duplicates cost a look; of what only confirms, the evidence is kept."""
        audit = fact('active', 5, kind='observation', every=3900)
        self.told(telling('m1', fact('active', 0), audit), telling('m2', fact('active', 0, 'r2')))
        self.ledger.fold()
        self.ledger.record('cloud/replayed', [telling('m1', fact('active', 0), audit)], (), (), NOW)
        with self.written() as counts:
            self.assertEqual(self.ledger.fold(), 1)
        self.assertEqual(counts, {'DELETE FROM journal': 1})
        self.told(telling('m3', audit._replace(time=micros(3600), timestamp=micros(3600))))
        with self.written() as counts:
            self.ledger.fold()
        self.assertEqual(counts, {'UPDATE evidence': 1, 'DELETE FROM journal': 1})

    def test_a_crash_in_the_middle_is_as_if_nothing_had_happened(self):
        """When the commit fails, the journal is whole, and folding again gives the life."""
        self.told(telling('m1', fact('active', 0)))
        with broken('commit', lambda connection: fail(exception.DBConnectionError())), self.assertRaises(Unavailable):
            self.ledger.fold()
        self.assertEqual([self.count(table) for table in ('journal', 'resource', 'evidence', 'state_interval')],
                         [1, 0, 0, 0])
        self.assertEqual(self.ledger.fold(), 1)
        self.assertEqual(self.spans(), [('r1', 0, None, 'active')])

    def test_what_cannot_be_folded_is_not_lost(self):
        """A bug that shows with one resource is raised, and takes nothing from the journal."""
        self.told(telling('m1', fact('active', 0)))
        self.told(telling('m2', fact('active', 0, 'r2')))
        self.ask("""UPDATE journal SET body = '[["m2", [["instance", "r2"]]]]' WHERE id = 2""")
        with self.assertRaises(TypeError):
            self.ledger.fold()
        self.assertEqual([self.count(table) for table in ('journal', 'resource')], [2, 0])

    @contextmanager
    def written(self):
        """Count the rows that statements were executed for, by what they do, but for the turn that is taken."""
        counts = {}

        def note(connection, cursor, statement, parameters, context, executemany):
            words = statement.split()
            verb = ' '.join(words[:2] if words[0] == 'UPDATE' else words[:3])
            if words[0] in ('INSERT', 'UPDATE', 'DELETE') and verb != 'UPDATE beginning':
                counts[verb] = counts.get(verb, 0) + (len(parameters) if executemany else 1)

        with broken('before_cursor_execute', note):
            yield counts


class CatchUpTest(LivesCase):
    def test_all_that_was_journalled_is_folded(self):
        """Nothing is left after it, however many steps it takes."""
        for number in range(250):
            self.told(telling(f'm{number}', fact('active', number, f'r{number % 7}')))
        self.ledger.catch_up()
        self.assertEqual([self.count(table) for table in ('journal', 'resource')], [0, 7])
        self.ledger.catch_up()

    def test_what_comes_meanwhile_can_wait(self):
        """Catching up ends although the collectors are faster."""
        class Busy(Ledger):
            def fold(self, size=0):
                self.record(SOURCE, [telling(f'new{number}', fact('stopped', 2)) for number in [next(numbers)]], (), (),
                            NOW)
                return super().fold(1)

        numbers = count()
        self.told(telling('m1', fact('active', 0)))
        self.told(telling('m2', fact('active', 1)))
        busy = Busy(self.url)
        self.addCleanup(busy.close)
        busy.catch_up()
        self.assertEqual(self.spans(), [('r1', 0, None, 'active')])
        self.assertEqual(self.count('journal'), 2)


class BeginningTest(LivesCase):
    def test_a_ledger_begins_once(self):
        """The first time that is given is kept, to the microsecond, whoever asks later."""
        at = NOW + timedelta(microseconds=1)
        self.assertEqual(self.ledger.begin(at), at)
        self.assertEqual(self.ledger.begin(NOW), at)
        self.assertEqual(self.open().begin(NOW + timedelta(days=1)), at)

    def test_processes_that_start_at_once_agree(self):
        """Of several that set the beginning at the same time one does."""
        url = self.url.removesuffix('?timeout=0.1')
        began = []
        ledgers = [Ledger(url) for _ in range(4)]
        threads = [threading.Thread(target=lambda ledger=ledger, day=day: began.append(
            ledger.begin(NOW + timedelta(days=day)))) for day, ledger in enumerate(ledgers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for ledger in ledgers:
            ledger.close()
        self.assertEqual(began, [self.ledger.begin(NOW)] * 4)


STATES = ('building', 'active', 'stopped', 'deleted')
FACTS = st.builds(
    lambda state, at, sent, kind, name, **fields: fact(
        None if kind in ('change', 'witness') else state, at, name, kind=kind, timestamp=micros(at + sent),
        every=60 if kind == 'observation' else 0, **fields),
    st.sampled_from(STATES), st.integers(0, 300), st.sampled_from([0, 0.5, 70]),
    st.sampled_from(['transition', 'observation', 'change', 'witness']), st.sampled_from(['r1', 'r2']),
    project_id=st.sampled_from(['p1', 'p2', None]), size=st.sampled_from([{}, {'flavor': 'm1'}, {'flavor': 'm2'}]),
    created=st.sampled_from([None, micros(0)]), created_state=st.just('building'),
    launched=st.sampled_from([None, micros(5), micros(100.5)]), launched_state=st.just('active'),
    ended=st.sampled_from([None, None, micros(250)]))
MESSAGES = st.lists(st.lists(FACTS, min_size=1, max_size=2), min_size=1, max_size=10)


class SetTest(LivesCase):
    """A life is a function of the set of facts."""

    numbers = count()

    def setUp(self):
        super().setUp()
        self.other = self.open()

    @settings(max_examples=60, deadline=None)
    @given(MESSAGES, st.data())
    def test_no_order_split_or_repetition_matters(self, messages, data):
        """Whoever folds what, whenever and how often: the tables are those of one fold from scratch."""
        number = next(self.numbers)
        named = [(f'{number}-{place}', facts) for place, facts in enumerate(messages)]
        self.record(f'once{number}', named, 'once')
        self.ledger.catch_up()
        left = data.draw(st.permutations(named + data.draw(st.lists(st.sampled_from(named), max_size=4))))
        for batch in range(len(left)):
            size = data.draw(st.integers(1, 4))
            self.record(f'often{number}-{batch}', left[:size], 'often')
            left = left[size:]
            data.draw(st.sampled_from([self.ledger, self.other])).fold(data.draw(st.sampled_from([1, 1 << 19])))
            if not left:
                break
        self.other.catch_up()
        for query, own in (INTERVALS, (0, 2)), (RESOURCES, (0,)):
            rows = self.ask(query)
            once, often = ([tuple(value for place, value in enumerate(row) if place not in own)
                            for row in rows if row[0] == f'{kind}{number}'] for kind in ('once', 'often'))
            self.assertTrue(once or query is INTERVALS)
            self.assertEqual(often, once)

    def record(self, source, messages, kind):
        number = messages[0][0].split('-')[0]
        self.ledger.record(source, [telling(message_id, *(told._replace(resource_type=f'{kind}{number}')
                                                          for told in facts))
                                    for message_id, facts in messages], (), (), NOW)


class SharingTest(LivesCase):
    def test_what_was_worked_out_from_an_older_state_is_not_written(self):
        """Of two who worked out the same step one writes."""
        self.told(telling('m1', fact('active', 0)))
        steps = []
        for _ in range(2):
            with self.ledger._engine.begin() as connection:
                steps.append(lives.load(connection, 1))
        for loaded, written in zip(steps, (True, False), strict=True):
            with self.ledger._engine.begin() as connection:
                self.assertEqual(lives.write(connection, loaded, lives.work_out(loaded)), written)
        self.assertEqual((self.count('journal'), self.spans()), (0, [('r1', 0, None, 'active')]))

    def test_one_folds_at_a_time(self):
        """Who comes second waits, and goes on from what the first one left."""
        for number, state in enumerate(('building', 'active', 'stopped')):
            self.told(telling(f'm{number}', fact(state, number)))
        self.ledger.fold(1)
        first, second = (Ledger(self.url.removesuffix('?timeout=0.1')) for _ in range(2))
        folded = []
        thread = threading.Thread(target=lambda: folded.append(second.fold(1)))
        with first._engine.begin() as connection:
            loaded = lives.load(connection, 1)
            self.assertTrue(lives.write(connection, loaded, lives.work_out(loaded)))
            thread.start()
            thread.join(0.3)
            self.assertEqual(folded, [])
        thread.join()
        first.close()
        second.close()
        self.assertEqual((folded, self.count('journal')), ([1], 0))
        self.assertEqual(self.spans(), [('r1', 0, 1, 'building'), ('r1', 1, 2, 'active'), ('r1', 2, None, 'stopped')])

    def test_processes_record_and_fold_at_once(self):
        """Several processes that record and fold on one ledger leave what one would have left."""
        url = self.url.removesuffix('?timeout=0.1')
        workers = [subprocess.Popen([sys.executable, '-c', 'from tests.unit.test_lives import work; '
                                     f'work({url!r}, {offset})'], cwd=ROOT) for offset in range(3)]
        self.assertEqual([worker.wait() for worker in workers], [0, 0, 0])
        self.ledger.catch_up()
        found = [(row[1], *row[3:6]) for row in self.ask(INTERVALS)]
        expected = []
        for name in sorted(f'r{number}' for number in range(8)):
            evidence = intervals.Evidence()
            for message_id, told in life(name):
                evidence.add(message_id, told)
            expected += [(name, span.begin, FOREVER if span.end is None else span.end, span.state)
                         for span in intervals.fold(evidence).spans]
        self.assertEqual(found, expected)
        self.assertEqual(len(list(self.ledger.intervals(Scope(NOW)))), len(expected))


def life(name: str) -> list[tuple[str, object]]:
    """List what is told of a resource, as messages with one fact each."""
    return [(f'{name}-{place}', fact(STATES[place % 3], 10 * place, name)) for place in range(30)]


def work(url: str, offset: int) -> None:
    """Record every third message, twice, and fold now and then."""
    ledger = Ledger(url)
    messages = [message for number in range(8) for message in life(f'r{number}')]
    messages.sort(key=lambda message: hash(message[1].time * (offset + 1)) % 1009)
    for start in range(0, len(messages), 12):
        ledger.record(f'cloud/{offset}', [telling(*message) for message in messages[start:start + 12:3]], (), (), NOW)
        ledger.record(SOURCE, [telling(*message) for message in messages[start:start + 12]], (), (), NOW)
        ledger.fold(2000)
    ledger.close()


if __name__ == '__main__':
    unittest.main()
