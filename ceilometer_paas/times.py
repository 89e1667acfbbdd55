# SPDX-License-Identifier: Apache-2.0
"""Text -> aware times: every form of timestamp that OpenStack's services put on the bus.

Seen on the wire: ``2026-11-22 09:27:45.374445`` (oslo notifier), ``2026-11-22T09:14:57.110238`` (Designate),
``2026-03-10T08:17:25Z`` (Trove, Nova versioned), ``2026-03-10 08:17:25+00:00`` (Nova created_at). A time without a zone
is UTC, as in oslo.utils.
"""

import datetime

import iso8601

UTC = datetime.UTC

_LONGEST = 64  # Python takes any number of decimals, and times are kept to be recognised


def parse(text: object) -> datetime.datetime:
    """Read an ISO 8601 date and time; the offset stays as written, and is UTC where none is written.

    :raises ValueError: it is not a string, or not a date and time
    """
    if not isinstance(text, str) or not 16 <= len(text) <= _LONGEST:
        raise ValueError(f'{text!r} is not a date and time')
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        try:
            time = iso8601.parse_date(text)
        except iso8601.ParseError as error:
            raise ValueError(str(error)) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def parse_utc(text: object) -> datetime.datetime:
    """Read an ISO 8601 date and time as UTC.

    :raises ValueError: as :func:`parse`, and for a time that UTC cannot express (year 0 or 10000)
    """
    try:
        return parse(text).astimezone(UTC)
    except OverflowError:
        raise ValueError(f'{text!r} is out of range') from None


def parse_point(text: str) -> datetime.datetime:
    """Read what a person writes for a time, as UTC: as :func:`parse_utc`, and a date alone is its midnight.

    :raises ValueError: as :func:`parse_utc`
    """
    return parse_utc(text if len(text) > 10 else f'{text}T00:00')


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


def to_micros(time: datetime.datetime) -> int:
    """Count the microseconds from 1970 in UTC to an aware time."""
    return (time - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime.datetime:
    """Give the time, in UTC, that is so many microseconds after 1970.

    :raises OverflowError: it is not between the years 1 and 9999
    """
    return _EPOCH + micros * _MICROSECOND
