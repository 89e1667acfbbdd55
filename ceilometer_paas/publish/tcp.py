# SPDX-License-Identifier: Apache-2.0
"""Samples -> a TCP connection, acknowledged by the host at its other end.

Ceilometer's publisher logs a failure and goes on, and takes a message of which only the beginning was sent for sent.
TCP itself says no more than that the other host has the samples; whether the program there has read them, only a
protocol with answers can tell.
"""

import array
import fcntl
import os
import socket
import termios
import time
import urllib.parse
from typing import Any

from ceilometer.publisher import tcp
from ceilometer.sample import Sample

TIMEOUT = 10.0
"""Seconds that connecting, sending and being acknowledged may each take."""

_POLL = 0.001


class TcpPublisher(tcp.TCPPublisher):  # type: ignore[misc]
    """``tcp://host:port``: each sample as signed msgpack, behind its length.

    :raises ValueError: the URL cannot be right
    """

    def __init__(self, conf: Any, parsed_url: urllib.parse.SplitResult) -> None:
        if not parsed_url.hostname or '@' in parsed_url.netloc or parsed_url.port == 0:
            raise ValueError('the URL needs a host, may have a port, and has no user: tcp://host:4952')
        super().__init__(conf, parsed_url)

    def connect_socket(self) -> bool:
        """Prepare what Ceilometer's class sends by; it is connected when there is something to send."""
        self.socket = _Line(self.inet_addr)
        return True

    def publish_samples(self, samples: list[Sample]) -> None:
        """Send the samples.

        :raises OSError: they cannot be sent, or are not acknowledged
        """
        self.socket.clear()
        super().publish_samples(samples)
        self.socket.flush()


class _Line:
    """A connection that takes data without sending it: all is sent at once, or nothing, when it is flushed."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._data = bytearray()

    def clear(self) -> None:
        """Forget what was taken and not flushed."""
        self._data.clear()

    def send(self, data: bytes) -> None:
        """Take data."""
        self._data += data

    def flush(self) -> None:
        """Send what was taken, and wait until the other host has it.

        :raises OSError: that failed; the next flush connects anew
        """
        if self._socket is not None and _was_closed(self._socket):
            self._close()
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=TIMEOUT)
        try:
            self._socket.sendall(self._data)
            _wait(self._socket)
        except OSError:
            self._close()
            raise

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _was_closed(line: socket.socket) -> bool:
    """Tell whether the other end has closed a connection: what is sent into it then is lost without an error."""
    line.setblocking(False)
    try:
        return not line.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        line.settimeout(TIMEOUT)


def _wait(line: socket.socket) -> None:
    unacknowledged = array.array('i', [0])
    for _ in range(int(TIMEOUT / _POLL)):
        fcntl.ioctl(line, termios.TIOCOUTQ, unacknowledged)
        if not unacknowledged[0]:
            break
        time.sleep(_POLL)
    else:
        raise TimeoutError('the other end has not acknowledged what was sent')
    if error := line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))
