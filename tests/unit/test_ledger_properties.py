# SPDX-License-Identifier: Apache-2.0
"""Whatever happens in whatever order: every message is in exactly one place, and none is lost or doubled."""

import tempfile
import unittest
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import sqlalchemy
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from oslo_db import exception
from sqlalchemy import event

from ceilometer_paas.deliver import Deliverer
from ceilometer_paas.errors import Unavailable
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.model import sample_id
from ceilometer_paas.publish import samples
from tests.ledgers import NOTHING, NOW, entry, ids_in, refusal

SOURCES = st.sampled_from(['cloud/nova', 'cloud/trove'])
IDS = st.lists(st.sampled_from(['a', 'A', 'a ', 'á', '"', '\\', 'm1', 'm2', 'm3', 'm4']), min_size=1, max_size=6)
TARGETS = st.sampled_from(['file', 'bus'])
METER = 'instance'


class Publisher:
    """A publisher with a fate: it works, fails, dies after it has published, or refuses every other sample."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fate = 'works'
        self.published = set()
        self.refused = set()

    def supports(self, name):
        return True

    def __call__(self, batch):
        if self.fate == 'fails':
            raise Unavailable('down')
        refused = batch[::2] if self.fate == 'refuses' else []
        self.published.update(sample.id for sample in batch if sample not in refused)
        self.refused.update(sample.id for sample in refused)
        if self.fate == 'dies':
            raise Unavailable('died')
        return [(sample, 'no') for sample in refused]


class LedgerMachine(RuleBasedStateMachine):
    """A collector and two deliverers that work on a ledger, and crash."""

    def __init__(self):
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.url = f'sqlite:///{Path(self.directory.name, "ledger.sqlite")}'
        self.ledger = Ledger(self.url)
        self.ledger.upgrade()
        self.publishers = {name: Publisher(name) for name in ('file', 'bus')}
        self.seen = set()
        self.recorded = {'file': set(), 'bus': set()}
        self.refusals = Counter()
        self.now = NOW

    def teardown(self):
        for name, publisher in self.publishers.items():
            publisher.fate = 'works'
            rows = self.ledger.quarantine_list(code='publish.refused', origin=name)
            assert self.ledger.quarantine_release_samples([row.id for row in rows]) == len(rows)
            self.deliverer(name).drain()
            assert publisher.published == self.recorded[name]
        assert self.ledger.backlog() == {}
        self.ledger.close()
        self.directory.cleanup()

    def deliverer(self, target):
        return Deliverer(self.ledger, self.publishers[target], NOTHING, holder='me', clock=lambda: self.now,
                         max_backoff=1, parcels=2)

    @rule(source=SOURCES, ids=IDS, to=st.sets(TARGETS))
    def record(self, source, ids, to):
        """A batch is recorded: what was seen is told, the rest waits for its targets."""
        known = {message_id for message_id in ids if (source, message_id) in self.seen or ids.count(message_id) > 1}
        new = {message_id for message_id in ids if (source, message_id) not in self.seen}
        assert self.ledger.record(source, list(map(entry, ids)), (), sorted(to), self.now) == known
        self.seen.update((source, message_id) for message_id in new)
        for target in to:
            self.recorded[target].update(sample_id(source, message_id, METER, 'r1', 0) for message_id in new)

    @rule(source=SOURCES, ids=IDS, to=st.sets(TARGETS))
    def record_crashes(self, source, ids, to):
        """A collector that dies before the commit has changed nothing."""
        self.ledger.record(source, (), (), sorted(to), self.now)  # the names are known
        listener = sqlalchemy.Engine, 'commit', die
        event.listen(*listener)
        try:
            with suppress(Unavailable):
                self.ledger.record(source, list(map(entry, ids)), [refusal('{}')], sorted(to), self.now)
        finally:
            event.remove(*listener)

    @rule(source=SOURCES, bodies=st.lists(st.sampled_from(['1', '2', '3']), min_size=1, max_size=4))
    def quarantine(self, source, bodies):
        """The same body of the same source is one row that counts."""
        self.ledger.record(source, (), list(map(refusal, bodies)), (), self.now)
        self.refusals.update((source, body) for body in bodies)

    @rule(name=TARGETS, fate=st.sampled_from(['works', 'fails', 'dies', 'refuses']))
    def deliver(self, name, fate):
        """A publisher meets its fate."""
        self.publishers[name].fate = fate
        with suppress(Unavailable):
            self.deliverer(name).step(self.now)

    @rule(name=TARGETS)
    def release(self, name):
        """An operator releases what a publisher refused."""
        rows = self.ledger.quarantine_list(origin=name)
        self.ledger.quarantine_release_samples([row.id for row in rows])

    @rule()
    def restart(self):
        """The process dies and comes back a minute later."""
        self.ledger.close()
        self.ledger = Ledger(self.url)
        self.ledger.upgrade()
        self.now += timedelta(minutes=1)

    @invariant()
    def every_message_is_somewhere(self):
        """What was recorded for a target waits, is set aside, or was published; nothing else does."""
        for target, publisher in self.publishers.items():
            parcels = self.ledger.pending(target)
            waiting = [sample.id for parcel in parcels for sample in samples.build(parcel)]
            aside = [ids_in([f'[{row.body}]'])[0] for row in self.ledger.quarantine_load(
                row.id for row in self.ledger.quarantine_list(origin=target))]
            places = Counter(waiting + aside)
            assert all(number == 1 for number in places.values()), places
            assert set(places) | publisher.published == self.recorded[target]
            assert self.ledger.backlog().get(target, 0) == len(parcels)

    @invariant()
    def refusals_are_counted(self):
        """The quarantine counts each body as often as it was refused."""
        rows = self.ledger.quarantine_load(row.id for row in self.ledger.quarantine_list(origin='paas.nova'))
        assert {(row.source, row.body): row.count for row in rows} == dict(self.refusals)


def die(connection) -> None:
    raise exception.DBConnectionError()


LedgerTest = LedgerMachine.TestCase
LedgerTest.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)

if __name__ == '__main__':
    unittest.main()
