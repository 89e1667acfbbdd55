# SPDX-License-Identifier: Apache-2.0
"""What commands share: opening the ledger and files, numbers with a bound, and columns that are lists."""

import argparse
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import yaml
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


@contextmanager
def reading(path: str, opened: IO[bytes] | None = None) -> Iterator[IO[bytes]]:
    """Open a file; what is wrong with it, now or while it is read, is told with its name.

    :raises OSError: it cannot be read, or is damaged
    """
    try:
        with opened or open(path, 'rb') as stream:
            yield stream
    except BrokenPipeError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise OSError(f'{path} cannot be read: {getattr(error, "strerror", None) or error}') from None


def at_least(kind: Callable[[str], Any], least: float) -> Callable[[str], Any]:
    """Make the type of an option that is a number."""
    def number(text: str) -> Any:
        value = kind(text)
        if not least <= value < float('inf'):
            raise argparse.ArgumentTypeError(f'{text} is not a number from {least} up')
        return value
    number.__name__ = kind.__name__  # argparse names it where the text is no number at all
    return number


class _Joined(list[Any]):
    """A list that CSV and plain values, which know no lists, show in one cell."""

    def __init__(self, values: Iterable[Any], separator: str) -> None:
        super().__init__(values)
        self._separator = separator

    def __str__(self) -> str:
        return self._separator.join(map(_words, self))


yaml.SafeDumper.add_representer(_Joined, yaml.SafeDumper.represent_list)


def _words(value: Any) -> str:
    """Write a word, or an object's values."""
    return value if isinstance(value, str) else ' '.join(str(one) for one in value.values() if one not in (None, ''))


class Words(columns.FormattableColumn):  # type: ignore[misc]
    """A list of words: a list in JSON and YAML, separated by commas elsewhere."""

    def human_readable(self) -> str:
        """Write the words on one line."""
        return ', '.join(self._value)

    def machine_readable(self) -> list[Any]:
        """Give the words."""
        return _Joined(self._value, ',')


class Lines(columns.FormattableColumn):  # type: ignore[misc]
    """A list of words or objects: as they are in JSON and YAML, a line each in a table, else with semicolons."""

    def human_readable(self) -> str:
        """Write the words, or the objects' values, a line each."""
        return '\n'.join(map(_words, self._value))

    def machine_readable(self) -> list[Any]:
        """Give the words or objects."""
        return _Joined(self._value, '; ')


Columns = tuple[tuple[str, ...], list[tuple[Any, ...]]]
"""What a listing gives: the names of its columns, and its rows."""
