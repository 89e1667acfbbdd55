# SPDX-License-Identifier: Apache-2.0
"""A ledger in a directory of its own, and what is put into it."""

import json
import tempfile
import unittest
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy

from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.model import Amount, Entry, Fact, Quarantined, Reading, dump_facts, dump_readings
from ceilometer_paas.reckon import Reckoner
from ceilometer_paas.times import to_micros

NOTHING = Reckoner((), lambda meter: frozenset())
"""States nothing: no type has a definition."""

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
SOURCE = 'cloud/nova'


class LedgerCase(unittest.TestCase):
    """A test with a ledger; unless :meth:`make` is replaced, in a SQLite file, which waits 0.1 s for locks."""

    def setUp(self) -> None:
        super().setUp()
        self.url = self.make()
        self.ledger = self.open()

    def make(self) -> str:
        """Make a place for a ledger: its URL."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = Path(directory.name, 'ledger.sqlite')
        return f'sqlite:///{self.file}?timeout=0.1'

    def open(self) -> Ledger:
        """Open the ledger once more, as another process would."""
        ledger = Ledger(self.url)
        self.addCleanup(ledger.close)
        ledger.upgrade()
        return ledger

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return connection.scalar(sqlalchemy.text(f'SELECT count(*) FROM {table}'))


def entry(message_id: str, *meters: str) -> Entry:
    """Make an entry with a reading of one meter, by default ``instance``."""
    amounts = tuple(Amount(meter, 'gauge', 'instance', 1) for meter in meters or ('instance',))
    reading = Reading('r1', 'p1', 'u1', '2026-03-10T07:00:00+00:00', {'flavor': 'm1'}, amounts)
    return Entry(message_id, dump_readings((reading,)))


def fact(state: str | None, at: float = 0, resource_id: str = 'r1', **fields) -> Fact:
    """Make a fact of an instance, a transition unless said otherwise.

    :param at: seconds after :data:`NOW`
    """
    time = micros(at)
    return Fact(**{'resource_type': 'instance', 'resource_id': resource_id, 'kind': 'transition', 'event_type': 'test',
                   'time': time, 'timestamp': time, 'state': state, 'project_id': 'p1', 'user_id': 'u1',
                   'size': {'flavor': 'm1'}} | fields)


def telling(message_id: str, *facts: Fact) -> Entry:
    """Make an entry with facts, and nothing to be published."""
    return Entry(message_id, '[]', dump_facts(facts))


def micros(at: float) -> int:
    """Count the microseconds from 1970 to so many seconds after :data:`NOW`."""
    return to_micros(NOW) + round(at * 1_000_000)


def refusal(body: str, code: str = 'decode.no_timestamp', origin: str = 'paas.nova', reason: str = 'no') -> Quarantined:
    """Make what is to be quarantined."""
    return Quarantined(origin, code, reason, body)


def published(ledger: Ledger, target: str, parcels: int = 100, size: int = 1 << 30) -> list[str]:
    """List the ids of the messages that wait for a target."""
    return ids_in(parcel.body for parcel in ledger.pending(target, parcels, size))


def ids_in(bodies: Iterable[str]) -> list[str]:
    """List the message ids in bodies of parcels."""
    return [message_id for body in bodies for message_id, _ in json.loads(body)]
