# SPDX-License-Identifier: Apache-2.0
"""A private Gnocchi for the whole test process: its API, its metricd, a database on the private PostgreSQL.

The first use starts it (some five seconds); it stops with the process. Its tests share it: each has resources, and
where it matters resource types and archive policies, of its own.
"""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import requests

from tests.functional.databases import POSTGRESQL

_SECONDS = 120
"""How long a program may take to start."""

_CONF = '''\
[DEFAULT]
coordination_url = file://{directory}/locks
[indexer]
url = {database}
[incoming]
driver = file
file_basepath = {directory}
[storage]
driver = file
file_basepath = {directory}
[api]
auth_mode = basic
[metricd]
workers = 1
metric_processing_delay = 1
'''
_API = '''\
import sys
import waitress
from gnocchi import opts, service
from gnocchi.rest import app
opts.set_defaults()
waitress.serve(app.load_app(service.prepare_service(['--config-file', sys.argv[1]])), host='127.0.0.1',
               port=int(sys.argv[2]))
'''


class Gnocchi:
    """Gnocchi 4 with its files in a temporary directory, on a free port of 127.0.0.1; whoever is "admin" may do all."""

    def __init__(self) -> None:
        self._directory, owner = Path(tempfile.mkdtemp(prefix='paas-gnocchi-')), os.getpid()
        self._processes: list[subprocess.Popen[bytes]] = []
        with socket.create_server(('127.0.0.1', 0)) as free:
            port = free.getsockname()[1]
        self.url = f'http://127.0.0.1:{port}'
        self._http = requests.Session()
        self._http.auth = ('admin', '')

        def tear_down() -> None:
            if os.getpid() == owner:  # not in a child that this process forked
                self._kill()

        # Whatever is registered later ends earlier: PostgreSQL, which is registered here, after Gnocchi.
        database = POSTGRESQL.database(types.SimpleNamespace(addCleanup=lambda *_: None))
        atexit.register(tear_down)
        POSTGRESQL.execute(f"ALTER DATABASE {database.rpartition('/')[2]} "
                           "SET default_transaction_isolation = 'read committed'")
        conf = self._directory / 'gnocchi.conf'
        conf.write_text(_CONF.format(directory=self._directory, database=database))
        if self._spawn('gnocchi-upgrade', '--config-file', conf).wait(_SECONDS):
            raise RuntimeError(self._log.read_text())
        self._spawn('gnocchi-metricd', '--config-file', conf)
        self._spawn(sys.executable, '-c', _API, conf, port)
        self._await()

    def conf(self) -> str:
        """Return what stands in ceilometer.conf for it."""
        return f'[service_credentials]\nauth_type = gnocchi-basic\nuser = admin\nendpoint = {self.url}\n'

    def get(self, path: str, **query: Any) -> Any:
        """Ask the API for something below ``/v1/``.

        :raises requests.HTTPError: it has no good answer
        """
        answer = self._http.get(f'{self.url}/v1/{path}', params=query, timeout=_SECONDS)
        answer.raise_for_status()
        return answer.json()

    def measures(self, resource_id: str, metric: str, aggregation: str = 'sum', **query: Any) -> dict[str, float]:
        """Read what is aggregated of a metric, all that was posted included: beginning -> value.

        :param query: such as granularity and resample, in seconds
        """
        found = self.get(f'resource/generic/{resource_id}/metric/{metric}/measures', aggregation=aggregation,
                         refresh='true', **query)
        return {timestamp: value for timestamp, _, value in found}

    @property
    def _log(self) -> Path:
        return self._directory / 'log'

    def _spawn(self, program: str, *arguments: Any) -> subprocess.Popen[bytes]:
        found = shutil.which(program, path=os.path.dirname(sys.executable))
        if found is None:
            raise RuntimeError(f'{program} is not installed: "tox -e functional" does it')
        with self._log.open('ab') as log:
            process = subprocess.Popen([found, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       cwd=self._directory, start_new_session=True)
        self._processes.append(process)
        return process

    def _await(self) -> None:
        """Wait until the API answers; it cannot tell its status before metricd has begun."""
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                self.get('status')
            except requests.RequestException:
                if time.monotonic() > deadline or any(process.poll() for process in self._processes):
                    raise RuntimeError(self._log.read_text()) from None
                time.sleep(0.1)
            else:
                return

    def _kill(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # metricd's own processes are of its group
            process.wait()
        shutil.rmtree(self._directory)


@functools.cache
def server() -> Gnocchi:
    """Give the one of this process; it is started when it is first asked for."""
    return Gnocchi()
