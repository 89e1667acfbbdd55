# SPDX-License-Identifier: Apache-2.0
"""The ledger: what was seen, what is to be published and to whom, and what was set aside.

What exists is left alone: MariaDB commits each statement by itself, so a revision that broke off is begun again.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, 'sqlite')
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT, 'mysql')
TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql')
OPTIONS: dict[str, Any] = {'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8mb4', 'mysql_collate': 'utf8mb4_nopad_bin',
                           'if_not_exists': True}


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        'source',
        sa.Column('id', sa.Integer, primary_key=True),
        sa.Column('name', sa.String(512), nullable=False),
        sa.UniqueConstraint('name', name='uniq_source0name'), **OPTIONS)
    op.create_table(
        'message',
        sa.Column('id', BIG_ID, primary_key=True),
        sa.Column('source_id', sa.Integer, nullable=False),
        sa.Column('message_id', sa.String(255), nullable=False),
        sa.Column('seen_at', sa.BigInteger, nullable=False),
        sa.UniqueConstraint('source_id', 'message_id', name='uniq_message0source_id0message_id'), **OPTIONS)
    op.create_table(
        'outbox',
        sa.Column('id', BIG_ID, primary_key=True),
        sa.Column('source_id', sa.Integer, nullable=False),
        sa.Column('size', sa.Integer, nullable=False),
        sa.Column('body', LONG_TEXT, nullable=False),
        sqlite_autoincrement=True, **OPTIONS)
    op.create_table(
        'target',
        sa.Column('id', sa.Integer, primary_key=True),
        sa.Column('name', sa.String(512), nullable=False),
        sa.Column('holder', sa.String(512)),
        sa.Column('leased_until', TIME),
        sa.UniqueConstraint('name', name='uniq_target0name'), **OPTIONS)
    op.create_table(
        'delivery',
        sa.Column('target_id', sa.Integer, primary_key=True, autoincrement=False),
        sa.Column('outbox_id', BIG_ID, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False, **OPTIONS)
    op.create_table(
        'quarantine',
        sa.Column('id', BIG_ID, primary_key=True),
        sa.Column('source_id', sa.Integer, nullable=False),
        sa.Column('origin', sa.String(512), nullable=False),
        sa.Column('code', sa.String(64), nullable=False),
        sa.Column('reason', sa.Text, nullable=False),
        sa.Column('body', LONG_TEXT, nullable=False),
        sa.Column('truncated', sa.Boolean, nullable=False),
        sa.Column('digest', sa.String(64), nullable=False),
        sa.Column('first_at', TIME, nullable=False),
        sa.Column('last_at', TIME, nullable=False),
        sa.Column('count', sa.Integer, nullable=False),
        sa.UniqueConstraint('source_id', 'digest', name='uniq_quarantine0source_id0digest'),
        sqlite_autoincrement=True, **OPTIONS)
