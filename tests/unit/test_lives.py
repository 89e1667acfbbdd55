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
from unittest import mock

import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_db import exception

from ceilometer_paas.errors import Unavailable
from ceilometer_paas.ledger import folding, intervals, lives
from ceilometer_paas.ledger.evidence import Evidence, News
from ceilometer_paas.ledger.schema import FOREVER
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.ledger.usage import Scope
from ceilometer_paas.model import Fact
from tests import lives as lived
from tests.ledgers import NOW, SOURCE, LedgerCase, fact, micros, telling
from tests.unit.test_store import broken, fail

ROOT = Path(__file__).parents[2]

INTERVALS = ('SELECT r.resource_type, r.resource_id, i.id, i.begins_at, i.ends_at, i.state, i.project_id, i.user_id, '
             'i.flavor, i.size, i.host, i.availability_zone FROM state_interval i JOIN resource r ON r.id = '
             'i.resource_no ORDER BY 1, 2, 4')
RESOURCES = ('SELECT resource_type, resource_id, name, project_id, user_id, state, since, known_start, ended_at, '
             'parent_id, body FROM resource JOIN evidence ON resource_no = id ORDER BY 1, 2')


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
                                  'INSERT INTO state_interval': 1, 'DELETE FROM evidence': 1,
                                  'INSERT INTO evidence': 1, 'UPDATE resource': 1, 'DELETE FROM journal': 1})

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
        self.assertEqual(counts, {'DELETE FROM evidence': 1, 'INSERT INTO evidence': 1, 'DELETE FROM journal': 1})

    def test_a_crash_in_the_middle_is_as_if_nothing_had_happened(self):
        """When the commit fails, the journal is whole, and folding again gives the life."""
        self.told(telling('m1', fact('active', 0)))
        with broken('commit', lambda connection: fail(exception.DBConnectionError())), self.assertRaises(Unavailable):
            self.ledger.fold()
        self.assertEqual([self.count(table) for table in ('journal', 'resource', 'evidence', 'state_interval')],
                         [1, 0, 0, 0])
        self.assertEqual(self.ledger.fold(), 1)
        self.assertEqual(self.spans(), [('r1', 0, None, 'active')])

    def test_what_cannot_be_folded_is_quarantined_and_folded_when_it_is_released(self):
        """A bug that shows with one resource keeps nobody else's life back, and its facts are not lost."""
        self.told(telling('m1', fact('active', 0)), telling('m2', fact('active', 0, 'r2')))

        self.told(telling('m3', fact('stopped', 5, attributes={'name': 'r1'})))
        with mock.patch.object(folding.intervals, 'fold', wraps=intervals.fold) as fold, self.assertLogs(
                'ceilometer_paas.ledger.folding', 'ERROR'):
            fold.side_effect = [ZeroDivisionError('by nought'), mock.DEFAULT]
            self.assertEqual(self.ledger.fold(), 3)
        self.assertEqual(self.spans(), [('r2', 0, None, 'active')])
        (row,) = self.ledger.quarantine_list()
        self.assertEqual((row.source, row.origin, row.code, row.reason, row.is_facts, row.first_at),
                         (SOURCE, 'instance/r1', 'fold.failed', 'ZeroDivisionError: by nought', True, NOW))
        self.assertEqual(self.ledger.fold(), 0)
        self.assertEqual(self.ledger.quarantine_release_facts([row.id], NOW), 1)
        self.ledger.catch_up()
        self.assertEqual(self.spans(), [('r1', 0, 5, 'active'), ('r1', 5, None, 'stopped'), ('r2', 0, None, 'active')])
        self.assertEqual(self.ledger.quarantine_list(), [])

    def test_one_resource_has_a_bound(self):
        """What would be too much for one resource is set aside; what was known of it stays, and others go on."""
        self.told(telling('m1', fact('active', 0)))
        self.ledger.fold()
        self.told(telling('m2', *(fact(f's{number}', 1 + number) for number in range(9000))))
        self.told(telling('m3', fact('active', 0, 'r2')))
        self.ledger.catch_up()
        self.assertEqual(self.spans(), [('r1', 0, None, 'active'), ('r2', 0, None, 'active')])
        (row,) = self.ledger.quarantine_list()
        self.assertEqual((row.origin, row.code), ('instance/r1', 'fold.too_much'))

    def test_a_row_that_cannot_be_read_is_not_lost(self):
        """A row of the journal that this program did not write is an error, and stays."""
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


def child(state: str | None, at: float = 0, resource_id: str = 'c1', parent: str = 'r1', **fields) -> Fact:
    """Make a fact of a resource that is part of an instance."""
    return fact(state, at, resource_id, resource_type='part', attributes={'parent': f'instance/{parent}'}, **fields)


class ChildrenTest(LivesCase):
    """A life that is part of another ends at the latest when that one ends."""

    numbers = count()

    def fold(self, *facts: Fact) -> None:
        """Fold facts that are told by one message."""
        self.told(telling(f'm{next(self.numbers)}', *facts))
        self.ledger.catch_up()

    def children(self) -> list[tuple]:
        """List the intervals of all children."""
        return [row[1:] for row in self.spans() if row[0].startswith('c')]

    def test_children_end_with_their_parent(self):
        """In whatever order both are told, at once or one after another."""
        orders = [[['born'], ['part'], ['gone']], [['gone'], ['part'], ['born']], [['part'], ['gone'], ['born']],
                  [['part', 'gone', 'born']], [['gone', 'part']], [['part'], ['gone', 'part']],
                  [['born'], ['part', 'gone']]]
        for number, order in enumerate(orders):
            about = {'born': fact('active', 0, f'r{number}'), 'gone': fact('deleted', 60, f'r{number}'),
                     'part': child('on', 10, f'c{number}', f'r{number}')}
            for told in order:
                self.fold(*(about[name] for name in told))
        self.assertEqual(self.children(), [(10, 60, 'on')] * len(orders))
        self.assertEqual({row[5:7] for row in self.ask(RESOURCES) if row[0] == 'part'}, {('deleted', micros(60))})

    def test_a_child_that_ended_before_its_parent_ended_then(self):
        """And not when its parent did, whichever of both is told by a state or by a time."""
        for number, (own, parents) in enumerate([({'state': 'deleted'}, {'state': 'deleted'}),
                                                 ({'state': 'deleted'}, {'state': 'on', 'ended': micros(60)}),
                                                 ({'state': 'on', 'ended': micros(30)}, {'state': 'deleted'})]):
            self.fold(child('on', 10, f'c{number}', f'r{number}'), fact(at=60, resource_id=f'r{number}', **parents))
            self.fold(child(at=30, resource_id=f'c{number}', parent=f'r{number}', **own))
        self.assertEqual(self.children(), [(10, 30, 'on')] * 3)

    def test_nothing_of_a_child_is_after_its_parents_end(self):
        """It has no interval if it was made later, and what was then another state is none."""
        self.fold(child('on', 10), child('off', 70), fact('deleted', 60))
        self.fold(child('on', 60, 'c2'))
        self.assertEqual(self.spans(), [('c1', 10, 60, 'on')])
        self.assertEqual([row[5:7] for row in self.ask(RESOURCES) if row[1] == 'c2'], [('', None)])

    def test_another_end_of_a_parent_is_another_end_of_its_children(self):
        """Earlier or, as a time that a message tells outweighs a state, later; a duplicate changes nothing."""
        self.fold(child('on', 10), child('on', 50, 'c2'), child('on', 20, 'c3', 'r2'), fact('deleted', 60))
        self.fold(fact('deleted', 40))
        self.assertEqual(self.children(), [(10, 40, 'on'), (20, None, 'on')])
        rows = self.ask(INTERVALS), self.ask(RESOURCES)
        self.fold(fact('deleted', 40), fact('deleted', 60))
        self.assertEqual((self.ask(INTERVALS), self.ask(RESOURCES)), rows)
        self.fold(fact(None, 80, kind='witness', ended=micros(55.5)))
        self.assertEqual(self.children(), [(10, 55.5, 'on'), (50, 55.5, 'on'), (20, None, 'on')])

    def test_the_newest_parent_counts(self):
        """A child that moves to another parent ends with that."""
        self.fold(fact('deleted', 60), fact('deleted', 80, 'r2'), fact('active', 0, 'r3'))
        self.fold(child('on', 10), child('on', 10, 'c2', 'r3'))
        self.fold(child(None, 20, parent='r2', kind='witness'), child(None, 20, 'c2', 'r3', kind='witness'),
                  child(None, 15, 'c2', kind='witness'))
        self.assertEqual(self.children(), [(10, 80, 'on'), (10, None, 'on')])
        self.fold(fact('deleted', 90, 'r3'))
        self.assertEqual(self.children(), [(10, 80, 'on'), (10, 90, 'on')])

    def test_names_of_parents_are_exact(self):
        """Ids may have slashes, differ in case only, or be as long as any; the type counts, too."""
        ids = ['a/b', 'A/b', 'a', '/', 'x' * 255, 'x' * 254]
        self.fold(*(child('on', 10, f'c{place}', name) for place, name in enumerate(ids)))
        self.fold(fact('deleted', 20, 'b', resource_type='instance/a'), fact('deleted', 30, ids[0], resource_type='I'))
        self.assertEqual(self.children(), [(10, None, 'on')] * len(ids))
        for place, name in enumerate(ids):
            self.fold(fact('deleted', 60 + place, name))
        self.assertEqual(self.children(), [(10, 60 + place, 'on') for place in range(len(ids))])

    def test_many_children_are_folded_in_bounded_steps(self):
        """However many they are; a question sees them all, what comes meanwhile can wait, and a crash loses none."""
        number = 2 * lives._CHILDREN + 3
        self.fold(*(child('on', 10, f'c{place}', f'r{place % 2}') for place in range(number)))
        self.told(telling('end', fact('deleted', 60), fact('deleted', 60, 'r0')))
        self.assertEqual(self.ledger.fold(), 1)
        self.told(telling('new', fact('active', 0, 'r9')))
        self.assertEqual(self.children(), [(10, None, 'on')] * number)
        self.ledger.fold()
        self.assertEqual(Counter(self.children()), {(10, 60, 'on'): lives._CHILDREN,
                                                    (10, None, 'on'): number - lives._CHILDREN})
        with broken('commit', lambda connection: fail(exception.DBConnectionError())), self.assertRaises(Unavailable):
            self.ledger.fold()
        self.assertEqual([self.ledger.fold() for _ in range(4)], [1, 1, 1, 0])
        self.assertEqual(self.children(), [(10, 60, 'on')] * number)
        self.assertIn(('r9', 0, None, 'active'), self.spans())

    def test_who_asks_before_all_children_are_folded_waits_for_them(self):
        """Catching up means them, too, though what was journalled before has been taken."""
        self.fold(child('on', 10))
        self.told(telling('end', fact('deleted', 60)))
        self.ledger.fold()
        self.open().catch_up()
        self.assertEqual(self.children(), [(10, 60, 'on')])

    def test_who_asks_while_more_comes_waits_for_children_too(self):
        """What is journalled after the end of a parent, and is taken with it, does not come between."""
        class Busy(Ledger):
            def fold(self, size=1 << 19):
                self.record(SOURCE, [telling('more', fact('active', 0, 'r2'))], (), (), NOW)
                return super().fold(size)

        self.fold(child('on', 10))
        self.told(telling('end', fact('deleted', 60)))
        busy = Busy(self.url)
        self.addCleanup(busy.close)
        busy.catch_up()
        self.assertEqual(self.children(), [(10, 60, 'on')])

    def test_resources_without_parents_cost_nothing_more(self):
        """Nothing is looked up for those that neither are part of another nor ended in this step."""
        def asked(*facts: Fact) -> list[str]:
            self.told(telling(f'm{next(self.numbers)}', *facts))
            beginnings = {'SELECT resource.resource_id, resource.ended_at': 'ends', 'SELECT min(': 'types',
                          'SELECT resource.resource_type, resource.resource_id, resource.id': 'children'}
            found = []
            with broken('before_cursor_execute', lambda connection, cursor, statement, *_: found.extend(
                    word for beginning, word in beginnings.items() if statement.startswith(beginning))):
                self.ledger.catch_up()
            return found

        self.assertEqual(asked(fact('active', 0), fact('active', 0, 'r2'), fact('active', 1)), [])
        self.assertEqual(asked(fact('deleted', 60, 'r2')), ['types'])
        self.assertEqual(asked(child('on', 10), child('on', 10, 'c2', 'r2')), ['ends'])
        self.assertEqual(asked(fact('deleted', 60), fact('deleted', 60, 'v', resource_type='volume')),
                         ['types', 'types', 'children', 'ends'])
        self.assertEqual(asked(fact('deleted', 60), fact('deleted', 70, 'r2')), [])
        self.assertEqual(asked(fact('deleted', 60, 'w', resource_type='volume')), ['types', 'types'])


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
    lambda state, at, sent, kind, name, parent, **fields: fact(
        None if kind in ('change', 'witness') else state, at, name, kind=kind, timestamp=micros(at + sent),
        every=60 if kind == 'observation' else 0, attributes={'parent': parent} if name[0] == 'c' else {}, **fields),
    st.sampled_from(STATES), st.integers(0, 300), st.sampled_from([0, 0.5, 70]),
    st.sampled_from(['transition', 'observation', 'change', 'witness']), st.sampled_from(['r1', 'r2', 'c1', 'c2']),
    st.sampled_from(['r1', 'r1', 'r2']),
    project_id=st.sampled_from(['p1', 'p2', None]), size=st.sampled_from([{}, {'flavor': 'm1'}, {'flavor': 'm2'}]),
    created=st.sampled_from([None, micros(0)]), created_state=st.just('building'),
    launched=st.sampled_from([None, micros(5), micros(100.5)]), launched_state=st.just('active'),
    ended=st.sampled_from([None, None, micros(250)]))
MESSAGES = st.lists(st.lists(FACTS, min_size=1, max_size=2), min_size=1, max_size=12)


class SetTest(LivesCase):
    """A life is a function of the set of facts, and of those of what it is part of."""

    numbers = count()

    def setUp(self):
        super().setUp()
        self.other = self.open()
        self.enterContext(mock.patch.object(lives, '_CHILDREN', 1))

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
            once, often = ([tuple(str(value).replace(f'{kind}{number}/', '') for place, value in enumerate(row)
                                  if place not in own)
                            for row in rows if row[0] == f'{kind}{number}'] for kind in ('once', 'often'))
            self.assertTrue(once or query is INTERVALS)
            self.assertEqual(often, once)

    def record(self, source, messages, kind):
        number = messages[0][0].split('-')[0]
        kind = f'{kind}{number}'
        self.ledger.record(source, [telling(message_id, *(told._replace(
            resource_type=kind, attributes={name: f'{kind}/{value}' for name, value in told.attributes.items()})
            for told in facts)) for message_id, facts in messages], (), (), NOW)


class GoesOnTest(unittest.TestCase):
    """Where a life is not folded anew, folding it would find what it was."""

    @settings(max_examples=150, deadline=None)
    @given(st.one_of(lived.servers(), lived.services()), st.randoms(use_true_random=False), st.booleans())
    def test_what_is_left_out_would_change_nothing(self, one, random, in_order):
        events = [item for item in one.told if item[1].kind != 'observation' and random.random() < 0.7]
        audits = [item for item in one.told if item[1].kind == 'observation'][:60]
        told = random.sample([*events, *audits], len(events) + len(audits))
        self.check(sorted(told, key=lambda item: item[1].timestamp) if in_order else told)

    @settings(max_examples=300, deadline=None)
    @given(st.lists(lived.anything(), max_size=12))
    def test_whatever_is_told(self, told):
        self.check(told)

    def test_an_hourly_audit_of_what_goes_on_is_left_out(self):
        audits = [(f'm{hour}', fact('active', 3600 * hour, kind='observation', every=3900)) for hour in range(1, 25)]
        self.assertEqual(self.check([('m0', fact('active', 0)), *audits]), 23)

    def check(self, told) -> int:
        """Fold after each fact; how many of them could have been left out."""
        known, before, left_out = Evidence(), intervals.fold(Evidence()), 0
        for message_id, one in told:
            news = known.add(message_id, one)
            kept = {row[0]: (0, row) for row in folding.rows_of(before.spans)}
            life = intervals.fold(known)
            if news is News.NOTHING:
                self.assertEqual(life, before)
            elif news is News.AGAIN and folding._goes_on([(message_id, one)], kept):
                self.assertEqual(life, before)
                left_out += 1
            before = life
        return left_out


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
                self.assertEqual(lives.write(connection, loaded, folding.work_out(loaded)), written)
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
            self.assertTrue(lives.write(connection, loaded, folding.work_out(loaded)))
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
