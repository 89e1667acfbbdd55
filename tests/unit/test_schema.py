# SPDX-License-Identifier: Apache-2.0
import os
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from contextlib import closing
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateTable

from ceilometer_paas.errors import ConfigError, Unavailable
from ceilometer_paas.ledger import engine, schema
from ceilometer_paas.ledger.store import Ledger
from tests.ledgers import NOW, entry, fact, telling

ROOT = Path(__file__).parents[2]


class UpgradeTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def upgrade(self, *path: str) -> sqlalchemy.Engine:
        """Upgrade the database in a file of the directory."""
        made = engine.create(f'sqlite:///{self.directory.joinpath(*path)}?timeout=0.1')
        self.addCleanup(made.dispose)
        schema.upgrade(made)
        return made

    def test_the_migrations_lead_to_the_tables(self):
        """What the revisions make is what the code expects."""
        with self.upgrade('ledger.sqlite').begin() as connection:
            self.assertEqual(compare_metadata(MigrationContext.configure(connection), schema.metadata), [])

    def test_the_migrations_make_each_table_as_the_code_says_it(self):
        """Autoincrement, clustering and keys are the same, which a comparison of columns does not tell."""
        def tables(made: sqlalchemy.Engine) -> dict[str, str]:
            with made.begin() as connection:
                rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
            return {name: ' '.join(sql.split()) for name, sql in rows if name in schema.metadata.tables}

        direct = engine.create(f'sqlite:///{self.directory}/direct.sqlite')
        self.addCleanup(direct.dispose)
        schema.metadata.create_all(direct)
        self.assertEqual(tables(self.upgrade('ledger.sqlite')), tables(direct))

    def test_the_migrations_make_each_index_as_the_code_says_it(self):
        """Names and order of columns are the same, which a comparison of columns does not tell."""
        def indexes(made: sqlalchemy.Engine) -> list[tuple[str, str]]:
            with made.begin() as connection:
                return connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'index' "
                                                  'AND sql IS NOT NULL ORDER BY name').all()

        direct = engine.create(f'sqlite:///{self.directory}/direct.sqlite')
        self.addCleanup(direct.dispose)
        schema.metadata.create_all(direct)
        self.assertTrue(indexes(direct))
        self.assertEqual(indexes(self.upgrade('ledger.sqlite')), indexes(direct))

    def test_each_revision_keeps_what_there_was(self):
        """A ledger of the first release has all its rows after the upgrade, and is used on."""
        file = self.directory / 'ledger.sqlite'
        made = engine.create(f'sqlite:///{file}')
        config = schema._config()
        with made.begin() as connection:
            config.attributes['connection'] = connection
            command.upgrade(config, '0001')
        made.dispose()
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.executescript("""
                INSERT INTO source VALUES (1, 'cloud/nova');
                INSERT INTO message VALUES (1, 1, 'm1', 1773129600);
                INSERT INTO target VALUES (1, 'file', NULL, NULL);
                INSERT INTO outbox VALUES (1, 1, 11, '[["m1",[]]]');
                INSERT INTO delivery VALUES (1, 1);
                INSERT INTO quarantine VALUES (1, 1, 'q', 'decode.bad_field', 'no', '{}', 0, 'd',
                                               '2026-03-10 08:00:00.000000', '2026-03-10 08:00:00.000000', 1);
            """)
            before = self.rows(connection)
            self.upgrade('ledger.sqlite')
            self.assertEqual({table: rows for table, rows in self.rows(connection).items() if table in before}, before)
        self.assertEqual(sorted(map(len, before.values())), [1] * 6)
        ledger = Ledger(f'sqlite:///{file}')
        self.addCleanup(ledger.close)
        self.assertEqual(ledger.record('cloud/nova', [entry('m1'), telling('m2', fact('active'))], (), (), NOW), {'m1'})
        self.assertEqual((ledger.fold(), ledger.begin(NOW)), (1, NOW))

    @staticmethod
    def rows(connection: sqlite3.Connection) -> dict[str, list[tuple]]:
        names = [name for name, in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f'SELECT * FROM {name}').fetchall() for name in names
                if name in schema.metadata.tables}

    def test_a_revision_that_broke_off_is_begun_again(self):
        """Some tables may be there already: MariaDB commits each by itself."""
        made = self.upgrade('ledger.sqlite')
        for left in 'DROP TABLE state_interval', 'DROP INDEX state_interval_project_id_ends_at_idx', 'SELECT 1':
            with self.subTest(left):
                with made.begin() as connection:
                    connection.exec_driver_sql(left)
                    connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
                schema.upgrade(made)
                with made.begin() as connection:
                    self.assertEqual(compare_metadata(MigrationContext.configure(connection), schema.metadata), [])
                    self.assertEqual(connection.exec_driver_sql('SELECT count(*) FROM beginning').scalar(), 1)

    def test_the_directory_is_made(self):
        """The state directory need not exist; strangers cannot look into one that is made."""
        self.upgrade('deep', 'down', 'ledger.sqlite')
        self.assertTrue(self.directory.joinpath('deep', 'down', 'ledger.sqlite').is_file())
        self.assertEqual(self.directory.joinpath('deep', 'down').stat().st_mode & 0o007, 0)

    def test_upgrading_again_changes_nothing(self):
        """A ledger that is up to date opens while another process writes: nothing is written to it."""
        made = self.upgrade('ledger.sqlite')
        with closing(sqlite3.connect(self.directory / 'ledger.sqlite', isolation_level=None)) as other:
            other.execute('BEGIN IMMEDIATE')
            before = other.execute('PRAGMA data_version').fetchone()
            schema.upgrade(made)
            self.assertEqual(before, other.execute('PRAGMA data_version').fetchone())

    def test_several_processes_may_start_at_once(self):
        """The first makes the tables, the others find them."""
        code = ('from ceilometer_paas.ledger.store import Ledger; ledger = Ledger(f"sqlite:///ledger.sqlite"); '
                'input(); ledger.upgrade(); print(ledger.backlog())')
        started = [subprocess.Popen([sys.executable, '-c', code], cwd=self.directory, text=True, stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, env=os.environ | {'PYTHONPATH': str(ROOT)})
                   for _ in range(4)]
        for process in started:
            process.stdin.write('\n')
            process.stdin.flush()
        self.assertEqual([process.communicate()[0] for process in started], ['{}\n'] * 4)

    def test_a_newer_schema_is_refused_with_both_revisions(self):
        """A ledger that a newer program wrote is left alone."""
        with self.upgrade('ledger.sqlite').begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with self.assertRaisesRegex(ConfigError, 'revision 9999, .* up to 0003; install the newer program'):
            self.upgrade('ledger.sqlite')

    def test_a_place_without_a_database_is_refused(self):
        """A file that is no database, a directory, and a path through a file are an operator's to mend."""
        (self.directory / 'notes').write_text('not a database, but longer than the header of one: ' * 20)
        (self.directory / 'folder').mkdir()
        with self.assertLogs('oslo_db'), self.assertRaisesRegex(ConfigError, 'set up: file is not a database'):
            self.upgrade('notes')
        with self.assertRaisesRegex(ConfigError, 'cannot be set up: unable to open database file'):
            self.upgrade('folder')
        with self.assertRaisesRegex(ConfigError, 'notes/below does not exist and cannot be made .Not a directory.; '):
            self.upgrade('notes', 'below', 'ledger.sqlite')

    def test_a_locked_database_is_unavailable(self):
        """While another process makes the tables for long, the upgrade can only be tried again."""
        with closing(sqlite3.connect(self.directory / 'ledger.sqlite', isolation_level=None)) as other:
            other.execute('PRAGMA journal_mode = WAL')
            other.execute('BEGIN IMMEDIATE')
            with self.assertRaisesRegex(Unavailable, 'database is locked'):
                self.upgrade('ledger.sqlite')


class ServerTest(unittest.TestCase):
    """What PostgreSQL and MariaDB would be told."""

    def test_mariadb_compares_ids_exactly(self):
        """No collation of MariaDB's makes two ids equal that are not, in any table."""
        for table in schema.metadata.tables.values():
            with self.subTest(table.name):
                self.assertIn('COLLATE utf8mb4_nopad_bin', str(CreateTable(table).compile(dialect=mysql.dialect())))

    def test_mariadb_keeps_long_bodies_and_short_moments(self):
        """A body may be longer than 64 KiB, and a time has microseconds."""
        made = str(CreateTable(schema.quarantine).compile(dialect=mysql.dialect()))
        self.assertIn('body LONGTEXT', made)
        self.assertIn('first_at DATETIME(6)', made)

    def test_servers_number_the_rows_that_are_found_by_number(self):
        """Ids are given by the server, and are large enough for a life of messages."""
        for table in (schema.message, schema.outbox, schema.quarantine, schema.journal, schema.resource,
                      schema.state_interval):
            with self.subTest(table.name):
                self.assertIn('id BIGSERIAL', str(CreateTable(table).compile(dialect=postgresql.dialect())))
                self.assertIn('id BIGINT NOT NULL AUTO_INCREMENT',
                              str(CreateTable(table).compile(dialect=mysql.dialect())))


if __name__ == '__main__':
    unittest.main()
