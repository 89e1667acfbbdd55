# SPDX-License-Identifier: Apache-2.0
import os
import tempfile
import unittest

import sqlalchemy

from ceilometer_paas.errors import ConfigError, Unavailable
from ceilometer_paas.ledger import engine


class UrlTest(unittest.TestCase):
    def test_an_unusable_url_is_blamed_on_its_option(self):
        """Each URL that no ledger can have is refused with what would be right, and without its password."""
        for url, complaint in (('', 'not a SQLAlchemy URL'),
                               ('ledger.sqlite', 'not a SQLAlchemy URL'),
                               ('mysql+pymysql://u:s3cret@host:port/db', 'not a SQLAlchemy URL'),
                               ('nosuch://u:s3cret@host/db', 'nosuch:// cannot hold a ledger'),
                               ('mariadb+pymysql://u:s3cret@host/db', r'mariadb\+pymysql:// cannot hold a ledger'),
                               ('sqlite+aiosqlite:////tmp/ledger', r'sqlite\+aiosqlite:// cannot hold a ledger'),
                               ('postgresql+nosuch://u:s3cret@host/db', r'postgresql\+nosuch:// cannot hold a ledger'),
                               ('postgresql+pg8000://u:s3cret@host/db', 'module pg8000'),
                               ('sqlite://', 'names no file or database that lasts'),
                               ('sqlite:///:memory:', 'names no file or database that lasts'),
                               ('postgresql+psycopg2://u:s3cret@host', 'names no file or database that lasts'),
                               ('sqlite:////tmp/ledger?timeout=soon', 'an option in the URL cannot be used')):
            with self.subTest(url), self.assertRaisesRegex(ConfigError, complaint) as caught:
                engine.create(url)
            (problem,) = caught.exception.problems
            self.assertEqual(problem.file, '[paas] ledger_connection')
            self.assertNotIn('s3cret', str(problem))

    def test_an_engine_is_made_without_connecting(self):
        """A server that is down is not noticed before the ledger is used."""
        for url in 'postgresql+psycopg2://u:p@127.0.0.1:1/db', 'mysql+pymysql://u:p@127.0.0.1:1/db':
            with self.subTest(url):
                self.assertEqual(engine.create(url).url.port, 1)

    def test_mariadb_is_spoken_to_in_full_unicode(self):
        """oslo.db's default character set lacks everything beyond the basic plane; one that is given is kept."""
        self.assertEqual(engine.create('mysql+pymysql://u:p@h/db').url.query['charset'], 'utf8mb4')
        self.assertEqual(engine.create('mysql+pymysql://u:p@h/db?charset=latin1').url.query['charset'], 'latin1')


    def test_postgresql_has_ten_seconds_to_answer(self):
        """Unless the URL says otherwise."""
        self.assertEqual(engine.create('postgresql+psycopg2://u:p@h/db').url.query['connect_timeout'], '10')
        self.assertEqual(engine.create('postgresql+psycopg2://u:p@h/db?connect_timeout=3').url.query['connect_timeout'],
                         '3')


class SqliteTest(unittest.TestCase):
    def test_nothing_is_written_to_a_file_that_is_gone(self):
        """What was committed to it would be lost without a word; if it comes back, all goes on."""
        path = self.engine.url.database
        with engine.begin(self.engine) as connection:
            connection.exec_driver_sql('CREATE TABLE one (id INTEGER)')
        os.rename(path, path + '.away')
        for _ in range(2):
            with self.assertRaisesRegex(Unavailable, 'ledger.sqlite was removed or replaced'), \
                    engine.begin(self.engine) as connection:
                connection.exec_driver_sql('INSERT INTO one VALUES (1)')
        self.assertFalse(os.path.exists(path))
        os.rename(path + '.away', path)
        with engine.begin(self.engine) as connection:
            self.assertEqual(0, connection.exec_driver_sql('SELECT count(*) FROM one').scalar())

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.engine = engine.create('sqlite:///' + os.path.join(directory.name, 'ledger.sqlite'))
        self.addCleanup(self.engine.dispose)

    def test_commits_are_durable(self):
        """Every connection writes ahead and waits for the disk."""
        for _ in range(2):
            with self.engine.begin() as connection:
                self.assertEqual(connection.exec_driver_sql('PRAGMA journal_mode').scalar(), 'wal')
                self.assertEqual(connection.exec_driver_sql('PRAGMA synchronous').scalar(), 2)
            self.engine.dispose()

    def test_the_connection_is_kept(self):
        """A transaction finds the connection of the one before it."""
        kept = set()
        for _ in range(3):
            with self.engine.begin() as connection:
                kept.add(id(connection.connection.dbapi_connection))
        self.assertEqual(len(kept), 1)

    def test_a_message_never_appears_in_an_error(self):
        """Values are hidden from the texts of errors."""
        with self.assertRaises(sqlalchemy.exc.OperationalError) as caught, self.engine.begin() as connection:
            connection.execute(sqlalchemy.text('SELECT * FROM nowhere WHERE a = :a AND (SELECT'), {'a': 's3cret'})
        self.assertNotIn('s3cret', str(caught.exception))


if __name__ == '__main__':
    unittest.main()
