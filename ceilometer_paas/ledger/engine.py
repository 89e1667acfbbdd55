# SPDX-License-Identifier: Apache-2.0
"""A SQLAlchemy URL -> an engine that is fit for the ledger, and a driver's errors -> this package's own.

SQLite is set up for many small durable transactions by several processes of one host; PostgreSQL and MariaDB are left
to oslo.db, but for what a server's administrator may have set otherwise: the isolation of transactions, MariaDB's
character set, and whether it cuts what is too long.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy
from oslo_db import exception
from oslo_db.sqlalchemy import engines, exc_filters
from sqlalchemy import event, exc, pool

from ceilometer_paas.errors import ConfigError, Problem, Unavailable

OPTION = '[paas] ledger_connection'
BACKENDS = ('sqlite', 'postgresql', 'mysql')
"""Databases that a ledger can live in; mysql stands for MariaDB."""

EXPECTED = ('write sqlite:////path/to/file, postgresql+psycopg2://user:password@host/database or '
            'mysql+pymysql://user:password@host/database')

LOCK_TIMEOUT = 10.0
"""Seconds that a transaction waits for another process's, on SQLite."""

CONNECT_TIMEOUT = 10
"""Seconds after which PostgreSQL, or what answers in its place, cannot be reached; PyMySQL has the same by itself."""

_SQLITE_SETTINGS = (
    'PRAGMA journal_mode = WAL',
    'PRAGMA synchronous = FULL',
    'PRAGMA cache_size = -16384',  # KiB: messages are looked up at random among those of a month
    'PRAGMA wal_autocheckpoint = 4000',  # pages: what changes often is copied into the file less often
)
_SQL_MODE = 'TRADITIONAL'
"""Of MariaDB: a value that does not fit is an error."""

_ISOLATION = {
    False: 'READ COMMITTED',  # what another process has committed is seen, also by a transaction that waited for it
    True: 'REPEATABLE READ, READ ONLY',  # the answers to several questions fit together
}
"""Whether a transaction only reads -> the isolation it needs, in words that both servers know."""

_TRANSIENT = (exception.DBConnectionError, exception.DBDeadlock, exception.DBNonExistentDatabase, exc.OperationalError,
              exc.TimeoutError)


def create(connection: str) -> sqlalchemy.Engine:
    """Prepare an engine; nothing is connected yet.

    Transactions write unless the connection has the execution option ``reading``.

    :raises ConfigError: the URL cannot be read, or names a database or a driver that cannot be used
    """
    url = _read_url(connection)
    try:
        engine = _create_sqlite(url) if url.get_backend_name() == 'sqlite' else _create_server(url)
    except ImportError as error:
        raise problem(f'the Python module {error.name}, which {url.drivername}:// needs, is not installed') from None
    except (exc.ArgumentError, TypeError, ValueError):
        raise problem(f'an option in the URL cannot be used; {EXPECTED}') from None
    engine.hide_parameters = True  # the contents of messages stay out of tracebacks
    return engine


@contextmanager
def translated() -> Iterator[None]:
    """Turn a driver's transient errors into :exc:`Unavailable`; all others pass as they are."""
    try:
        yield
    except (exception.DBError, exc.SQLAlchemyError) as error:
        if not is_transient(error):
            raise
        raise unavailable(error) from error


@contextmanager
def begin(engine: sqlalchemy.Engine) -> Iterator[sqlalchemy.Connection]:
    """Run a transaction; its transient errors are :exc:`Unavailable`."""
    with translated(), engine.begin() as connection:
        yield connection


def unavailable(error: BaseException) -> Unavailable:
    """Say that the ledger cannot be used now, and why."""
    return Unavailable(f'the ledger: {reason(error)}')


def is_transient(error: BaseException) -> bool:
    """Tell whether the same transaction may succeed later.

    Such errors do not depend on the values: a lock, a lost connection, a full or read-only disk, a damaged file.
    """
    inner = getattr(error, 'inner_exception', None)
    return isinstance(error, _TRANSIENT) or isinstance(inner, exc.InternalError) or is_damaged(error)


def is_damaged(error: BaseException) -> bool:
    """Tell whether a SQLite file is no database, or no longer one."""
    inner = getattr(error, 'inner_exception', None)
    return type(getattr(inner, 'orig', None)) is sqlite3.DatabaseError  # sqlite3 uses the plain class for this only


def reason(error: BaseException) -> str:
    """Say in one line what a driver complained of, without statements, values and passwords."""
    inner = getattr(error, 'inner_exception', None) or error
    lines = str(getattr(inner, 'orig', None) or inner).strip().splitlines() or [type(inner).__name__]
    return lines[0][:200]


def problem(text: str) -> ConfigError:
    """Blame the option that names the ledger."""
    return ConfigError([Problem(OPTION, 0, text)])


def _read_url(connection: str) -> sqlalchemy.URL:
    """Read a URL.

    :raises ConfigError: as :func:`create`
    """
    try:
        url = sqlalchemy.make_url(connection)
        known = url.get_backend_name() in BACKENDS and not url.get_dialect().is_async
    except exc.NoSuchModuleError:
        known = False
    except (exc.ArgumentError, ValueError):  # their texts may hold the password
        raise problem(f'this is not a SQLAlchemy URL; {EXPECTED}') from None
    if not known:
        raise problem(f'{url.drivername}:// cannot hold a ledger; {EXPECTED}')
    if not url.database or ':memory:' in url.database or url.query.get('mode') == 'memory':
        raise problem(f'the URL names no file or database that lasts; {EXPECTED}')
    return url


def _create_sqlite(url: sqlalchemy.URL) -> sqlalchemy.Engine:
    """Keep one connection, which the threads of a process share by turns.

    oslo.db's own engine would open the file anew for each transaction, with an empty cache, and flush the whole
    write-ahead log each time that the last connection closes.
    """
    if 'timeout' not in url.query:
        url = url.update_query_dict({'timeout': str(LOCK_TIMEOUT)})
    engine = sqlalchemy.create_engine(url, poolclass=pool.QueuePool, pool_size=1, max_overflow=0)
    exc_filters.register_engine(engine)

    @event.listens_for(engine, 'connect')
    def set_up(connection: sqlite3.Connection, record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not where sqlite3 would begin them
        for setting in _SQLITE_SETTINGS:
            connection.execute(setting)
        [(_, _, record.info['path'])] = connection.execute('PRAGMA database_list')
        record.info['file'] = os.stat(record.info['path'])

    @event.listens_for(engine, 'begin')
    def begin(connection: sqlalchemy.Connection) -> None:
        _check_file(**connection.info)
        # A transaction that reads first and writes later would be refused, at once, when another wrote in between.
        reading = connection.get_execution_options().get('reading', False)
        connection.exec_driver_sql('BEGIN' if reading else 'BEGIN IMMEDIATE')

    return engine


def _check_file(path: str, file: os.stat_result) -> None:
    """Look whether a SQLite file still is where it was opened: what is written to one that is gone is lost.

    :raises Unavailable: it is not
    """
    with suppress(FileNotFoundError):
        if os.path.samestat(file, os.stat(path)):
            return
    raise Unavailable(f'the ledger: {path} was removed or replaced while it was open; put it back, or restart '
                      'the agent')


def _create_server(url: sqlalchemy.URL) -> sqlalchemy.Engine:
    if url.get_backend_name() == 'postgresql' and 'connect_timeout' not in url.query:
        url = url.update_query_dict({'connect_timeout': str(CONNECT_TIMEOUT)})
    if url.get_backend_name() == 'mysql' and 'charset' not in url.query:
        url = url.update_query_dict({'charset': 'utf8mb4'})  # oslo.db's default knows only 3-byte characters
    engine: sqlalchemy.Engine = engines.create_engine(url, max_retries=0, mysql_sql_mode=_SQL_MODE)

    @event.listens_for(engine, 'begin')
    def begin(connection: sqlalchemy.Connection) -> None:
        reading = connection.get_execution_options().get('reading', False)
        connection.exec_driver_sql(f'SET TRANSACTION ISOLATION LEVEL {_ISOLATION[reading]}')

    return engine
