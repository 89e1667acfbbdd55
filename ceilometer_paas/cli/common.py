# SPDX-License-Identifier: Apache-2.0
"""What commands share: opening the ledger, and columns that are lists."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cliff import columns

from ceilometer_paas.config.options import Settings
from ceilometer_paas.ledger.store import Ledger


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger, its schema brought up to date.

    :raises ConfigError: its connection cannot be right
    :raises Unavailable: it cannot be reached
    """
    ledger = Ledger(settings.ledger_connection)
    try:
        ledger.upgrade()
        yield ledger
    finally:
        ledger.close()


class Words(columns.FormattableColumn):  # type: ignore[misc]
    """A list of words: a list in JSON and YAML, separated by commas elsewhere."""

    def human_readable(self) -> str:
        """Write the words on one line."""
        return ', '.join(self._value)


class Lines(columns.FormattableColumn):  # type: ignore[misc]
    """A list of words or objects: as they are in JSON and YAML, a line each elsewhere."""

    def human_readable(self) -> str:
        """Write the words, or the objects' values, a line each."""
        return '\n'.join(one if isinstance(one, str) else
                         ' '.join(str(value) for value in one.values() if value not in (None, ''))
                         for one in self._value)


Columns = tuple[tuple[str, ...], list[tuple[Any, ...]]]
"""What a listing gives: the names of its columns, and its rows."""
