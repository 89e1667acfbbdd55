# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: the connection of :func:`ceilometer_paas.ledger.schema.upgrade` -> its revisions, applied."""

from alembic import context

context.configure(connection=context.config.attributes['connection'])
with context.begin_transaction():
    context.run_migrations()
