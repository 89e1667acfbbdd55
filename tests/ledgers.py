# SPDX-License-Identifier: Apache-2.0
"""A ledger in a directory of its own, and what is put into it."""

import json
import tempfile
import unittest
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.model import Amount, Entry, Quarantined, Reading, dump_readings

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
SOURCE = 'cloud/nova'


class LedgerCase(unittest.TestCase):
    """A test with a ledger in a SQLite file, which waits 0.1 s for locks."""

    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = Path(directory.name, 'ledger.sqlite')
        self.url = f'sqlite:///{self.file}?timeout=0.1'
        self.ledger = self.open()

    def open(self) -> Ledger:
        """Open the ledger once more, as another process would."""
        ledger = Ledger(self.url)
        self.addCleanup(ledger.close)
        ledger.upgrade()
        return ledger


def entry(message_id: str, *meters: str) -> Entry:
    """Make an entry with a reading of one meter, by default ``instance``."""
    amounts = tuple(Amount(meter, 'gauge', 'instance', 1) for meter in meters or ('instance',))
    reading = Reading('r1', 'p1', 'u1', '2026-03-10T07:00:00+00:00', {'flavor': 'm1'}, amounts)
    return Entry(message_id, dump_readings((reading,)))


def refusal(body: str, code: str = 'decode.no_timestamp', origin: str = 'paas.nova', reason: str = 'no') -> Quarantined:
    """Make what is to be quarantined."""
    return Quarantined(origin, code, reason, body)


def published(ledger: Ledger, target: str, parcels: int = 100, size: int = 1 << 30) -> list[str]:
    """List the ids of the messages that wait for a target."""
    return ids_in(parcel.body for parcel in ledger.pending(target, parcels, size))


def ids_in(bodies: Iterable[str]) -> list[str]:
    """List the message ids in bodies of parcels."""
    return [message_id for body in bodies for message_id, _ in json.loads(body)]
