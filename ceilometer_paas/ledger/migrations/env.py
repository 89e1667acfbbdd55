# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: the connection of :func:`ceilometer_paas.ledger.schema.upgrade` -> its revisions, applied."""

from alembic import context

# The revision is one row, and never two. MariaDB commits each step by itself: who began together with another process
# would else write down the first revision when the other has already gone on to the next.
ONE_ROW = ('CREATE TABLE IF NOT EXISTS alembic_version '
           '(version_num VARCHAR(32) NOT NULL PRIMARY KEY, one INTEGER NOT NULL DEFAULT 1 UNIQUE)')

connection = context.config.attributes['connection']
connection.exec_driver_sql(ONE_ROW)
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
