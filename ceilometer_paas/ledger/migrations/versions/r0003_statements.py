# SPDX-License-Identifier: Apache-2.0
"""Statements: what is settled, how far each publisher was told, and what is stated otherwise than it was.

What exists is left alone, as in the first revision.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, 'sqlite')
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT, 'mysql')
ID = sa.String(255)
OPTIONS: dict[str, Any] = {'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8mb4', 'mysql_collate': 'utf8mb4_nopad_bin',
                           'if_not_exists': True}


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        'settled',
        sa.Column('begins_at', sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column('seconds', sa.Integer, nullable=False),
        sa.Column('until', sa.BigInteger, nullable=False), **OPTIONS)
    op.create_table(
        'position',
        sa.Column('target_id', sa.Integer, primary_key=True, autoincrement=False),
        sa.Column('since', sa.BigInteger, nullable=False),
        sa.Column('until', sa.BigInteger, nullable=False),
        sa.Column('resource_no', sa.BigInteger, nullable=False),
        sa.Column('project_id', ID),
        sa.Column('restated', sa.BigInteger, nullable=False),
        sa.Column('recounted', sa.BigInteger, nullable=False), **OPTIONS)
    op.create_table(
        'restating',
        sa.Column('resource_no', BIG_ID, primary_key=True, autoincrement=False),
        sa.Column('body', LONG_TEXT, nullable=False), **OPTIONS)
    op.create_table(
        'restated',
        sa.Column('number', BIG_ID, primary_key=True),
        sa.Column('begins_at', sa.BigInteger, nullable=False),
        sa.Column('resource_no', sa.BigInteger, nullable=False),
        sa.Column('marks', sa.Integer, nullable=False),
        sa.Column('revision', sa.Integer, nullable=False),
        sa.UniqueConstraint('resource_no', 'begins_at', name='uniq_restated0resource_no0begins_at'),
        sqlite_autoincrement=True, **OPTIONS)
    op.create_table(
        'recounted',
        sa.Column('number', BIG_ID, primary_key=True),
        sa.Column('begins_at', sa.BigInteger, nullable=False),
        sa.Column('project_id', ID, nullable=False),
        sa.Column('resource_type', ID, nullable=False),
        sa.Column('revision', sa.Integer, nullable=False),
        sa.UniqueConstraint('project_id', 'begins_at', 'resource_type',
                            name='uniq_recounted0project_id0begins_at0resource_type'),
        sqlite_autoincrement=True, **OPTIONS)
    op.create_index('state_interval_resource_no_ends_at_idx', 'state_interval', ['resource_no', 'ends_at'],
                    if_not_exists=True)
