# SPDX-License-Identifier: Apache-2.0
"""The ledger's tables, and an engine -> a database that has them.

::

    source --< message     what was seen
    source --< outbox      what was recorded, a row for each batch
                 `--< delivery >-- target     to whom it still has to be published
    source --< quarantine  what was set aside
    source --< journal     facts that are still to be folded, a row for each batch
    resource --- evidence  what is known of each resource: all that its facts said
            `--< resource  whose lives are parts of its own
            `--< state_interval                what follows from it: since when it was in which state
    beginning              its one row is changed by whoever folds or settles, so that one does at a time
    settled                until when everything is stated, and in periods of which length
    target --- position    how far each publisher was told of it
    resource --- restating       what was stated, if it is otherwise now, until it is compared
            `--< restated  what is to be stated otherwise than it was
    recounted              the same, of how many resources a project had

There are no foreign keys: they would cost a look-up for each message, and every row is written by one module.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from oslo_db import exception
from sqlalchemy import exc
from sqlalchemy.dialects import mysql

from ceilometer_paas.ledger.engine import is_damaged, is_transient, problem, reason, unavailable

MIGRATIONS = Path(__file__).parent / 'migrations'

_ALEMBIC = threading.Lock()
"""Alembic keeps what it works on in a module, so that the threads of a process upgrade one after another."""

_ATTEMPTS = 20
_PAUSE = 0.25
"""Seconds between two attempts: creating the tables takes a server less than one."""


class Utc(sa.TypeDecorator[datetime]):
    """An aware time, stored as UTC to the microsecond."""

    impl = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql')
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


BigId = sa.BigInteger().with_variant(sa.Integer, 'sqlite')  # SQLite numbers rows by itself only as INTEGER
LongText = sa.Text().with_variant(mysql.LONGTEXT, 'mysql')
Id = sa.String(255)
Name = sa.String(512)

# Ids differ in case, accents and trailing spaces: MariaDB's other collations would take some for equal.
_MARIADB: dict[str, Any] = {'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8mb4', 'mysql_collate': 'utf8mb4_nopad_bin'}

metadata = sa.MetaData()

source = sa.Table(
    'source', metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('name', Name, nullable=False),
    sa.UniqueConstraint('name', name='uniq_source0name'),
    **_MARIADB)

message = sa.Table(
    'message', metadata,
    sa.Column('id', BigId, primary_key=True),
    sa.Column('source_id', sa.Integer, nullable=False),
    sa.Column('message_id', Id, nullable=False),
    sa.Column('seen_at', sa.BigInteger, nullable=False),
    sa.UniqueConstraint('source_id', 'message_id', name='uniq_message0source_id0message_id'),
    **_MARIADB)

# An id that was used once is never used again: whoever still holds it must not mark off another batch.
outbox = sa.Table(
    'outbox', metadata,
    sa.Column('id', BigId, primary_key=True),
    sa.Column('source_id', sa.Integer, nullable=False),
    sa.Column('size', sa.Integer, nullable=False),
    sa.Column('body', LongText, nullable=False),
    sqlite_autoincrement=True, **_MARIADB)

target = sa.Table(
    'target', metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('name', Name, nullable=False),
    sa.Column('holder', Name),
    sa.Column('leased_until', Utc),
    sa.UniqueConstraint('name', name='uniq_target0name'),
    **_MARIADB)

delivery = sa.Table(
    'delivery', metadata,
    sa.Column('target_id', sa.Integer, primary_key=True, autoincrement=False),
    sa.Column('outbox_id', BigId, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False, **_MARIADB)

quarantine = sa.Table(
    'quarantine', metadata,
    sa.Column('id', BigId, primary_key=True),
    sa.Column('source_id', sa.Integer, nullable=False),
    sa.Column('origin', Name, nullable=False),
    sa.Column('code', sa.String(64), nullable=False),
    sa.Column('reason', sa.Text, nullable=False),
    sa.Column('body', LongText, nullable=False),
    sa.Column('truncated', sa.Boolean, nullable=False),
    sa.Column('digest', sa.String(64), nullable=False),
    sa.Column('first_at', Utc, nullable=False),
    sa.Column('last_at', Utc, nullable=False),
    sa.Column('count', sa.Integer, nullable=False),
    sa.UniqueConstraint('source_id', 'digest', name='uniq_quarantine0source_id0digest'),
    sqlite_autoincrement=True, **_MARIADB)

# The times of lives are microseconds since 1970 in UTC.
beginning = sa.Table(
    'beginning', metadata,
    sa.Column('id', sa.Integer, primary_key=True, autoincrement=False),
    sa.Column('begins_at', sa.BigInteger),
    sa.Column('folds', sa.BigInteger, nullable=False),
    **_MARIADB)

journal = sa.Table(
    'journal', metadata,
    sa.Column('id', BigId, primary_key=True),
    sa.Column('source_id', sa.Integer, nullable=False),
    sa.Column('collected_at', Utc, nullable=False),
    sa.Column('size', sa.Integer, nullable=False),
    sa.Column('body', LongText, nullable=False),
    sqlite_autoincrement=True, **_MARIADB)

# A parent is named by type and id, because its children may be known before it is. That a resource ended is told here
# by its own facts; its state and intervals may have ended before, with its parent.
resource = sa.Table(
    'resource', metadata,
    sa.Column('id', BigId, primary_key=True),
    sa.Column('resource_type', Id, nullable=False),
    sa.Column('resource_id', Id, nullable=False),
    sa.Column('name', Id),
    sa.Column('project_id', Id),
    sa.Column('user_id', Id),
    sa.Column('state', Id, nullable=False),
    sa.Column('since', sa.BigInteger),
    sa.Column('known_start', sa.Boolean, nullable=False),
    sa.Column('parent_type', Id),
    sa.Column('parent_id', Id),
    sa.Column('ended_at', sa.BigInteger),
    sa.UniqueConstraint('resource_type', 'resource_id', name='uniq_resource0resource_type0resource_id'),
    sa.Index('resource_project_id_resource_type_resource_id_idx', 'project_id', 'resource_type', 'resource_id'),
    sa.Index('resource_parent_type_parent_id_id_idx', 'parent_type', 'parent_id', 'id'),
    sqlite_autoincrement=True, **_MARIADB)

# Long, and needed by nobody who asks: whoever goes through resources does not have to go through it.
evidence = sa.Table(
    'evidence', metadata,
    sa.Column('resource_no', BigId, primary_key=True, autoincrement=False),
    sa.Column('body', LongText, nullable=False),
    **_MARIADB)

state_interval = sa.Table(
    'state_interval', metadata,
    sa.Column('id', BigId, primary_key=True),
    sa.Column('resource_no', sa.BigInteger, nullable=False),
    sa.Column('begins_at', sa.BigInteger, nullable=False),
    sa.Column('ends_at', sa.BigInteger, nullable=False),
    sa.Column('state', Id, nullable=False),
    sa.Column('project_id', Id),
    sa.Column('user_id', Id),
    sa.Column('flavor', Id),
    sa.Column('size', LongText, nullable=False),
    sa.Column('host', Id),
    sa.Column('availability_zone', Id),
    sa.UniqueConstraint('resource_no', 'begins_at', name='uniq_state_interval0resource_no0begins_at'),
    sa.Index('state_interval_project_id_ends_at_idx', 'project_id', 'ends_at'),
    sa.Index('state_interval_ends_at_begins_at_resource_no_idx', 'ends_at', 'begins_at', 'resource_no'),
    sa.Index('state_interval_resource_no_ends_at_idx', 'resource_no', 'ends_at'),
    sqlite_autoincrement=True, **_MARIADB)

settled = sa.Table(
    'settled', metadata,
    sa.Column('begins_at', sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column('seconds', sa.Integer, nullable=False),
    sa.Column('until', sa.BigInteger, nullable=False),
    **_MARIADB)

position = sa.Table(
    'position', metadata,
    sa.Column('target_id', sa.Integer, primary_key=True, autoincrement=False),
    sa.Column('since', sa.BigInteger, nullable=False),
    sa.Column('until', sa.BigInteger, nullable=False),
    sa.Column('resource_no', sa.BigInteger, nullable=False),
    sa.Column('project_id', Id),
    sa.Column('restated', sa.BigInteger, nullable=False),
    sa.Column('recounted', sa.BigInteger, nullable=False),
    **_MARIADB)

restating = sa.Table(
    'restating', metadata,
    sa.Column('resource_no', BigId, primary_key=True, autoincrement=False),
    sa.Column('body', LongText, nullable=False),
    **_MARIADB)

# A row that is stated anew gets a new number, so that whoever goes by the numbers comes by it again.
restated = sa.Table(
    'restated', metadata,
    sa.Column('number', BigId, primary_key=True),
    sa.Column('begins_at', sa.BigInteger, nullable=False),
    sa.Column('resource_no', sa.BigInteger, nullable=False),
    sa.Column('marks', sa.Integer, nullable=False),
    sa.Column('revision', sa.Integer, nullable=False),
    sa.UniqueConstraint('resource_no', 'begins_at', name='uniq_restated0resource_no0begins_at'),
    sqlite_autoincrement=True, **_MARIADB)

recounted = sa.Table(
    'recounted', metadata,
    sa.Column('number', BigId, primary_key=True),
    sa.Column('begins_at', sa.BigInteger, nullable=False),
    sa.Column('project_id', Id, nullable=False),
    sa.Column('resource_type', Id, nullable=False),
    sa.Column('revision', sa.Integer, nullable=False),
    sa.UniqueConstraint('project_id', 'begins_at', 'resource_type',
                        name='uniq_recounted0project_id0begins_at0resource_type'),
    sqlite_autoincrement=True, **_MARIADB)

STATES = ('absent', 'behind', 'current')
"""What a ledger's tables can be: not there yet, those of an earlier version, or those of this one."""

FOREVER = (1 << 63) - 1
"""``ends_at`` of an interval that lasts."""


def insert(connection: sa.Connection, table: sa.Table, **values: Any) -> int:
    """Insert a row; its number."""
    key = connection.execute(table.insert(), values).inserted_primary_key
    assert key is not None
    number: int = key[0]
    return number


def id_of(connection: sa.Connection, table: sa.Table, name: str) -> int:
    """Look up, or give, the number of a source or a target; it is never another one."""
    known: int | None = connection.scalar(sa.select(table.c.id).where(table.c.name == name))
    return insert(connection, table, name=name) if known is None else known


def distinct(connection: sa.Connection, column: sa.Column[str]) -> list[str]:
    """List the values of a column with an index, of which there are few: the index leads from each to the next."""
    found: list[str] = []
    while (value := connection.scalar(sa.select(sa.func.min(column))
                                      .where(column > (found[-1] if found else '')))) is not None:
        found.append(value)
    return found


def upgrade(engine: sa.Engine) -> None:
    """Create the tables, or bring them up to date; several processes may do so at once.

    :raises ConfigError: there can be no database where the URL points, or a newer program wrote it
    :raises Unavailable: the database cannot be reached
    """
    if engine.dialect.name == 'sqlite':
        _make_directory(_path(engine).parent)
    with _classified():
        _upgrade(engine, _config())


def check(engine: sa.Engine) -> str:
    """Look whether :func:`upgrade` could do its work, and change nothing.

    :returns: one of :data:`STATES`
    :raises ConfigError: as :func:`upgrade`
    :raises Unavailable: as :func:`upgrade`
    """
    if engine.dialect.name == 'sqlite' and not _path(engine).exists():
        above = next(path for path in _path(engine).parents if path.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            raise problem(f'{_path(engine)} does not exist, and this user cannot write in {above}; '
                          'make the directory, and let the user of the agent write there')
        return 'absent'
    with _classified():
        return _state(engine, ScriptDirectory.from_config(_config()))


def _path(engine: sa.Engine) -> Path:
    return Path(str(engine.url.database)).absolute()


def _config() -> Config:
    config = Config()
    config.set_main_option('script_location', str(MIGRATIONS).replace('%', '%%'))
    return config


@contextmanager
def _classified() -> Iterator[None]:
    """Tell what an operator must mend from what may pass."""
    try:
        yield
    except (exception.DBError, exc.SQLAlchemyError) as error:
        if _needs_operator(error):
            raise problem(f'the ledger cannot be set up: {reason(error)}') from error
        raise unavailable(error) from error


def _upgrade(engine: sa.Engine, config: Config) -> None:
    for attempt in range(_ATTEMPTS):
        if _state(engine, ScriptDirectory.from_config(config)) == 'current':
            return
        try:
            with _ALEMBIC, engine.begin() as connection:
                config.attributes['connection'] = connection
                command.upgrade(config, 'head')
        except (exception.DBError, exc.SQLAlchemyError, CommandError):
            # Another process may be at it: SQLite lets it finish first, a server lets both collide.
            if attempt + 1 == _ATTEMPTS or engine.dialect.name == 'sqlite':
                raise
            time.sleep(_PAUSE)
        else:
            return


def _state(engine: sa.Engine, scripts: ScriptDirectory) -> str:
    """Tell what is left to be done.

    :raises ConfigError: the database's revision is unknown
    """
    with engine.execution_options(reading=True).connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    known = [script.revision for script in scripts.walk_revisions()]  # the newest first
    if current is not None and current not in known:
        raise problem(f'the ledger\'s schema is at revision {current}, and this program knows revisions up to '
                      f'{known[0]}; install the newer program that wrote it, or name a database of the ledger\'s own')
    return 'absent' if current is None else 'current' if current == known[0] else 'behind'


def _needs_operator(error: BaseException) -> bool:
    return (not is_transient(error) or is_damaged(error) or isinstance(error, exception.DBNonExistentDatabase)
            or 'readonly database' in reason(error))


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)  # what customers use is nobody else's business
    except OSError as error:
        raise problem(f'the directory {path} does not exist and cannot be made ({error.strerror}); '
                      'make it, and let the user of the agent write there') from None
