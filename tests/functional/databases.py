# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL and a private MariaDB for the whole test process, and a fresh database for each test.

The first use starts a server (some two seconds); it stops with the process. Everything of it lives in a temporary
directory and on a free port of 127.0.0.1; the servers that the distribution's packages set up are left alone. A plain
user can run them as well as root::

    class SomethingPromised(LedgerCase): ...
    class PostgresqlSomethingTest(databases.OnPostgresql, SomethingPromised): ...
    class MariadbSomethingTest(databases.OnMariadb, SomethingPromised): ...

pifpaf's drivers do not do: its PostgreSQL fails for root, its MariaDB takes any password, and neither can be killed and
started again.
"""

import atexit
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy

_SECONDS = 120
"""How long a server may take to start or to stop."""

_PLACES = '/usr/lib/postgresql/*/bin', '/usr/local/sbin', '/usr/sbin'
"""Where programs are that are not in $PATH."""


@dataclass(eq=False)
class Server:
    """A database server, set up when it is first asked for a database.

    What it has committed outlives ``kill -9``, but not the machine: nothing waits for the disk.

    :ivar account: whom root runs it as: the user that the package made
    :ivar system: the database that is always there
    :ivar drop: a statement that drops a database even while it is in use
    :ivar end: the signal on which it stops at once, but cleanly
    :ivar secret: what is written into the file ``secret``, for the first two commands
    :ivar install: a command that makes the files
    :ivar run: a command that is the server
    """

    scheme: str
    account: str
    system: str
    drop: str
    end: signal.Signals
    secret: str
    install: str
    run: str
    port: int = 0
    password: str = field(default_factory=lambda: secrets.token_hex(8))

    def database(self, test: unittest.TestCase) -> str:
        """Make a database for one test and return its URL; it is dropped when the test ends."""
        if not self.port:
            self._set_up()
        name = f'test_{secrets.token_hex(4)}'
        self.execute(f'CREATE DATABASE {name}')
        test.addCleanup(self.execute, self.drop.format(name))
        return self.url(name)

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return f'{self.scheme}://paas:{self.password}@127.0.0.1:{self.port}/{database}'

    def execute(self, statement: str) -> None:
        """Execute a statement by itself, with an administrator's rights."""
        engine = sqlalchemy.create_engine(self.url(self.system), poolclass=sqlalchemy.NullPool,
                                          isolation_level='AUTOCOMMIT')
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def start(self) -> None:
        """Start the server, and wait until it answers; after ``kill -9`` it may refuse to for a moment."""
        deadline = time.monotonic() + _SECONDS
        self._process = self._spawn(self.run)
        while True:
            try:
                return self.execute('SELECT 1')
            except sqlalchemy.exc.OperationalError:
                if time.monotonic() > deadline:
                    raise RuntimeError(self._log.read_text()) from None
            time.sleep(0.05)
            if self._process.poll() is not None:
                self._process = self._spawn(self.run)

    def stop(self, how: signal.Signals | None = None) -> None:
        """End the server by a signal, and wait until it has ended."""
        self._process.send_signal(how or self.end)
        self._process.wait(_SECONDS)

    def _set_up(self) -> None:
        self._directory, owner = Path(tempfile.mkdtemp(prefix='paas-')), os.getpid()
        self._log = self._directory / 'log'
        self._directory.joinpath('secret').write_text(self.secret.format(password=self.password))
        if os.geteuid() == 0:
            shutil.chown(self._directory, self.account)
        with socket.create_server(('127.0.0.1', 0)) as free:
            self.port = free.getsockname()[1]

        def tear_down() -> None:
            if os.getpid() == owner:  # not in a child that this process forked
                self.stop()
                shutil.rmtree(self._directory)

        if self._spawn(self.install).wait(_SECONDS):
            raise RuntimeError(self._log.read_text())
        self.start()
        atexit.register(tear_down)

    def _spawn(self, command: str) -> subprocess.Popen[bytes]:
        words = [word.format(directory=self._directory, port=self.port) for word in command.split()]
        places = [str(path) for pattern in _PLACES for path in sorted(Path('/').glob(pattern[1:]), reverse=True)]
        program = shutil.which(words[0], path=os.pathsep.join([*places, os.environ.get('PATH', os.defpath)]))
        if program is None:
            raise RuntimeError(f'{words[0]} is not installed: see bindep.txt')
        other = {'user': self.account, 'group': self.account, 'extra_groups': []} if os.geteuid() == 0 else {}
        with self._log.open('ab') as log:
            return subprocess.Popen([program, *words[1:]], cwd=self._directory, stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=log, **other)


POSTGRESQL = Server(
    scheme='postgresql+psycopg2', account='postgres', system='postgres', drop='DROP DATABASE {} WITH (FORCE)',
    end=signal.SIGINT, secret='{password}',
    install='initdb --pgdata={directory}/data --username=paas --pwfile={directory}/secret --auth=scram-sha-256 '
            '--encoding=UTF8 --locale=C --no-sync',
    run='postgres -D {directory}/data -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= '
        '-c shared_buffers=16MB -c fsync=off -c full_page_writes=off -c default_transaction_isolation=serializable')
"""Whoever says nothing else has serializable transactions: an administrator may want it so."""

MARIADB = Server(
    scheme='mysql+pymysql', account='mysql', system='mysql', drop='DROP DATABASE {}', end=signal.SIGTERM,
    secret="CREATE USER IF NOT EXISTS paas@127.0.0.1 IDENTIFIED BY '{password}';\n"
           'GRANT ALL ON *.* TO paas@127.0.0.1;\n',
    install='mariadb-install-db --no-defaults --datadir={directory}/data --skip-test-db',
    run='mariadbd --no-defaults --datadir={directory}/data --tmpdir={directory} '
        '--init-file={directory}/secret --port={port} --bind-address=127.0.0.1 '
        '--socket={directory}/socket --pid-file={directory}/pid --skip-name-resolve --skip-log-bin '
        '--innodb-buffer-pool-size=32M --innodb-flush-log-at-trx-commit=2 --loose-sync-frm=OFF '
        '--loose-innodb-flush-method=nosync --loose-innodb-snapshot-isolation=ON --character-set-server=latin1 '
        '--sql-mode=')
"""Whoever says nothing else has what does not fit cut, a few hundred characters, and what 11.6 made of isolation."""


class OnPostgresql:
    """Lets a :class:`tests.ledgers.LedgerCase` have its ledger on PostgreSQL."""

    server = POSTGRESQL

    def make(self) -> str:
        return self.server.database(self)


class OnMariadb(OnPostgresql):
    """Lets a :class:`tests.ledgers.LedgerCase` have its ledger on MariaDB."""

    server = MARIADB
