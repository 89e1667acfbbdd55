# SPDX-License-Identifier: Apache-2.0
"""What commands share: opening the ledger and files, values of options, cells of listings, and long listings."""

import argparse
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from decimal import Decimal
from typing import IO, Any

import yaml
from cliff import columns, lister
from cliff.formatters import json_format, table

from ceilometer_paas import times
from ceilometer_paas.config import options
from ceilometer_paas.ledger.store import Ledger


@contextmanager
def open_ledger(settings: options.Settings) -> Iterator[Ledger]:
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
def open_lives(conf: Any, now: datetime) -> Iterator[tuple[Ledger, datetime]]:
    """Open the ledger, and fold what has been journalled: a question sees all that was collected.

    :returns: the ledger, and its beginning; a question does not make it begin
    :raises ConfigError: as :func:`open_ledger`
    :raises Unavailable: as :func:`open_ledger`
    """
    settings = options.settings(conf)
    with open_ledger(settings) as ledger:
        ledger.catch_up()
        yield ledger, settings.begin or ledger.began() or now


def kept_open(stack: ExitStack, rows: Iterable[Any]) -> Iterator[Any]:
    """Close what rows are read from only after the last of them."""
    with stack:
        yield from rows


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


def moment(text: str) -> datetime:
    """Read an option that is a time: ISO 8601; a date is its midnight, and what has no zone is in UTC."""
    try:
        return times.parse_point(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is no time, such as 2026-03-10 or 2026-03-10T08:00') from None


def add_scope(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which resources are meant."""
    parser.add_argument('--resource-type', metavar='TYPE', help='only resources of this type')
    parser.add_argument('--resource', metavar='ID', help='only resources with this id')
    parser.add_argument('--project', metavar='ID', help='only what this project owned then')


def ordered(begin: datetime | None, end: datetime | None) -> None:
    """Refuse a period that ends before it has begun.

    :raises ValueError: it does
    """
    if begin is not None and end is not None and begin >= end:
        raise ValueError(f'--begin {shown_time(begin)} is not before --end {shown_time(end)}')


def passed(option: str, time: datetime, now: datetime) -> None:
    """Refuse a time that has not come yet.

    :raises ValueError: it has not
    """
    if time > now:
        raise ValueError(f'{option} {shown_time(time)} is in the future')


def shown_time(time: datetime | None) -> str | None:
    """Write a time, if there is one, to the microsecond and with its offset."""
    return None if time is None else time.isoformat(timespec='microseconds')


class _Joined(list[Any]):
    """A list that CSV and plain values, which know no lists, show in one cell."""

    def __init__(self, values: Iterable[Any], separator: str) -> None:
        super().__init__(values)
        self._separator = separator

    def __str__(self) -> str:
        return self._separator.join(map(_words, self))


class _Named(dict[str, Any]):
    """An object that CSV and plain values, which know none, show in one cell."""

    def __str__(self) -> str:
        text = ' '.join(f'{name}={value}' for name, value in self.items())
        return ''.join(character if character.isprintable() else ' ' for character in text)


yaml.SafeDumper.add_representer(_Joined, yaml.SafeDumper.represent_list)
yaml.SafeDumper.add_representer(_Named, yaml.SafeDumper.represent_dict)
yaml.SafeDumper.add_representer(Decimal, lambda dumper, value: dumper.represent_scalar(
    f'tag:yaml.org,2002:{"float" if "." in str(value) else "int"}', str(value)))
table.TableFormatter.ALIGNMENTS[Decimal] = 'r'


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


class Size(columns.FormattableColumn):  # type: ignore[misc]
    """An object of words and numbers: as it is in JSON and YAML, else ``name=value`` with blanks between them."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        super().__init__(_Named(value))

    def human_readable(self) -> str:
        """Write the names and values on one line."""
        return str(self._value)


class _JsonRows(json_format.JSONFormatter):  # type: ignore[misc]
    """Writes JSON a row at a time, each on a line; decimal numbers exactly."""

    def emit_list(self, column_names: Sequence[str], data: Iterable[Sequence[Any]], stdout: IO[str],
                  parsed_args: argparse.Namespace) -> None:
        """Write an array of objects."""
        names = list(map(json.dumps, column_names))
        between, pause = '', '' if parsed_args.noindent else '\n  '
        stdout.write('[')
        for row in data:
            cells = ', '.join(f'{name}: {_json(cell)}' for name, cell in zip(names, row, strict=True))
            stdout.write(f'{between}{pause}{{{cells}}}')
            between = ', ' if parsed_args.noindent else ','
        stdout.write(']\n' if parsed_args.noindent or not between else '\n]\n')


def _json(cell: Any) -> str:
    value = cell.machine_readable() if isinstance(cell, columns.FormattableColumn) else cell
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


class LongLister(lister.Lister):  # type: ignore[misc]
    """A listing whose rows are written one by one in JSON, too, as they are in CSV and plain values."""

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str],
                       data: Iterable[Sequence[Any]]) -> int:
        """Write the rows."""
        if parsed_args.formatter == 'json':
            self.formatter = _JsonRows()
        status: int = super().produce_output(parsed_args, column_names, data)
        return status


Columns = tuple[tuple[str, ...], list[tuple[Any, ...]]]
"""What a listing gives: the names of its columns, and its rows."""

Stream = tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]
"""What a long listing gives: the names of its columns, and its rows, which are read while they are written."""
