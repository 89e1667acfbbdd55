# SPDX-License-Identifier: Apache-2.0
"""The ledger of lives: facts that are to be folded, resources, and since when each was in which state.

What exists is left alone, as in the first revision.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, 'sqlite')
TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql')
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT, 'mysql')
ID = sa.String(255)
OPTIONS: dict[str, Any] = {'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8mb4', 'mysql_collate': 'utf8mb4_nopad_bin',
                           'if_not_exists': True}


def upgrade() -> None:
    """Create the tables, and the one row of the beginning."""
    beginning = op.create_table(
        'beginning',
        sa.Column('id', sa.Integer, primary_key=True, autoincrement=False),
        sa.Column('begins_at', sa.BigInteger),
        sa.Column('folds', sa.BigInteger, nullable=False), **OPTIONS)
    if not op.get_bind().scalar(sa.text('SELECT count(*) FROM beginning')):
        op.bulk_insert(beginning, [{'id': 1, 'begins_at': None, 'folds': 0}])
    op.create_table(
        'journal',
        sa.Column('id', BIG_ID, primary_key=True),
        sa.Column('source_id', sa.Integer, nullable=False),
        sa.Column('collected_at', TIME, nullable=False),
        sa.Column('size', sa.Integer, nullable=False),
        sa.Column('body', LONG_TEXT, nullable=False),
        sqlite_autoincrement=True, **OPTIONS)
    op.create_table(
        'resource',
        sa.Column('id', BIG_ID, primary_key=True),
        sa.Column('resource_type', ID, nullable=False),
        sa.Column('resource_id', ID, nullable=False),
        sa.Column('name', ID),
        sa.Column('project_id', ID),
        sa.Column('user_id', ID),
        sa.Column('state', ID, nullable=False),
        sa.Column('since', sa.BigInteger),
        sa.Column('known_start', sa.Boolean, nullable=False),
        sa.Column('parent_type', ID),
        sa.Column('parent_id', ID),
        sa.Column('ended_at', sa.BigInteger),
        sa.UniqueConstraint('resource_type', 'resource_id', name='uniq_resource0resource_type0resource_id'),
        sqlite_autoincrement=True, **OPTIONS)
    op.create_table(
        'evidence',
        sa.Column('resource_no', BIG_ID, primary_key=True, autoincrement=False),
        sa.Column('body', LONG_TEXT, nullable=False), **OPTIONS)
    op.create_table(
        'state_interval',
        sa.Column('id', BIG_ID, primary_key=True),
        sa.Column('resource_no', sa.BigInteger, nullable=False),
        sa.Column('begins_at', sa.BigInteger, nullable=False),
        sa.Column('ends_at', sa.BigInteger, nullable=False),
        sa.Column('state', ID, nullable=False),
        sa.Column('project_id', ID),
        sa.Column('user_id', ID),
        sa.Column('flavor', ID),
        sa.Column('size', LONG_TEXT, nullable=False),
        sa.Column('host', ID),
        sa.Column('availability_zone', ID),
        sa.UniqueConstraint('resource_no', 'begins_at', name='uniq_state_interval0resource_no0begins_at'),
        sqlite_autoincrement=True, **OPTIONS)
    for table, *columns in (('resource', 'project_id', 'resource_type', 'resource_id'),
                            ('resource', 'parent_type', 'parent_id', 'id'),
                            ('state_interval', 'project_id', 'ends_at'),
                            ('state_interval', 'ends_at', 'begins_at', 'resource_no')):
        op.create_index('_'.join((table, *columns, 'idx')), table, columns, if_not_exists=True)
