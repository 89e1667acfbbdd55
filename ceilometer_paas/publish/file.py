# SPDX-License-Identifier: Apache-2.0
"""Samples, or events -> lines of a file.

Ceilometer's publisher hides a full disk and an unwritable file (logging's handlers report errors nowhere), goes on
writing into a file that was deleted, and takes a URL without a path, or with limits that are no numbers, for nothing.
"""

import json
import logging
import os
import stat
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

from ceilometer.event.models import Event
from ceilometer.publisher import file
from ceilometer.sample import Sample

from ceilometer_paas.errors import Unavailable


class FilePublisher(file.FilePublisher):  # type: ignore[misc]
    """``file:///path?json&max_bytes=&backup_count=``: a line a sample or event.

    :raises ValueError: the URL cannot be right
    :raises OSError: the file cannot be opened
    """

    def __init__(self, conf: Any, parsed_url: urllib.parse.SplitResult) -> None:
        if parsed_url.netloc:
            raise ValueError(f'{parsed_url.netloc!r} stands where a host would; a path has three slashes: file:///...')
        if not parsed_url.path:
            raise ValueError('the URL needs a path: file:///var/lib/...')
        options = dict(urllib.parse.parse_qsl(parsed_url.query))
        for name in ('max_bytes', 'backup_count'):
            if not options.get(name, '0').isdecimal():
                raise ValueError(f'{name} is a number')
        is_new = not os.path.lexists(parsed_url.path)
        super().__init__(conf, parsed_url)
        self._file: Any = self.publisher_logger.handlers[0]  # a RotatingFileHandler
        self._file.handleError = _raise
        self._file.close()  # it could be written, that is enough for now: whoever only checks may be another user
        if is_new:
            os.unlink(self._file.baseFilename)

    def publish_samples(self, samples: list[Sample]) -> None:
        """Append a line for each sample; they are on the disk, not only in memory, when it returns.

        :raises OSError: they cannot be written
        :raises Unavailable: the file was deleted meanwhile
        """
        self._append(sample.as_dict() for sample in samples)

    def publish_events(self, events: list[Event]) -> None:
        """Append a line for each event, as :meth:`publish_samples` does."""
        self._append((event.as_dict() for event in events), str)  # as Ceilometer writes their times

    def _append(self, items: Iterable[Any], otherwise: Callable[[Any], str] | None = None) -> None:
        """Append a line for each item.

        :param otherwise: writes what JSON does not know
        """
        lines = [json.dumps(item, default=otherwise) if self.output_json else str(item) for item in items]
        try:
            self._reopen()
            # One write for all, unless the file is to be turned over at the very line that is too much.
            for text in lines if self._file.maxBytes else ['\n'.join(lines)]:
                self.publisher_logger.info(text)
            self._sync()
        except Exception:
            self._file.close()  # and with it what is left in its buffer: it would come out behind the next try
            raise

    def _reopen(self) -> None:
        """Follow the path if its file was moved or deleted, and close a line that was left half written.

        A failure leaves one, or another process that was killed while it held the lease.
        """
        if self._file.stream is not None and not _is_at(self._file.stream.fileno(), self._file.baseFilename):
            self._file.close()
        if self._file.stream is None:
            self._file.stream = self._file._open()
        if _is_torn(self._file.baseFilename):
            self._file.stream.write('\n')

    def _sync(self) -> None:
        number = self._file.stream.fileno()
        if stat.S_ISREG(os.fstat(number).st_mode):
            os.fsync(number)
            if not os.fstat(number).st_nlink:
                raise Unavailable(f'{self._file.baseFilename} was deleted while it was written')


def _raise(record: logging.LogRecord) -> None:
    """Let out what a handler is about to hide; it is called while that is being handled."""
    raise


def _is_at(number: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(number), os.stat(path))
    except FileNotFoundError:
        return False


def _is_torn(path: str) -> bool:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return False
    with open(path, 'rb') as content:
        content.seek(-1, os.SEEK_END)
        return content.read() != b'\n'
