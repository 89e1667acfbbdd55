# SPDX-License-Identifier: Apache-2.0

import json
import os
import resource
import shutil
import tempfile
import unittest
from unittest import mock

from ceilometer_paas.errors import ConfigError, Unavailable
from tests import publishing


class TestFile(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.path = os.path.join(self.directory, 'samples')

    def publisher(self, options='?json'):
        return publishing.publisher(self, f'file://{self.path}{options}')

    def lines(self, path=None):
        with open(path or self.path) as file:
            return file.read().splitlines()

    def read(self, path=None):
        return [json.loads(line)['id'] for line in self.lines(path)]

    def test_lines(self):
        """Each sample is a line with all of its fields, also after a restart."""
        given = publishing.samples(3)
        self.assertEqual([], self.publisher()(given[:2]))
        self.assertEqual([], self.publisher()(given[2:]))
        self.assertEqual([sample.as_dict() for sample in given], [json.loads(line) for line in self.lines()])

    def test_without_json(self):
        """Without ?json a line is what Ceilometer writes there: a dict as Python shows it."""
        given = publishing.samples(2)
        self.publisher('')(given)
        self.assertEqual([str(sample.as_dict()) for sample in given], self.lines())

    def test_loading_leaves_nothing(self):
        """To load the publisher, as a check of the configuration does, creates no file."""
        self.publisher()
        self.assertEqual([], os.listdir(self.directory))

    def test_rotation(self):
        """max_bytes and backup_count work; no line is divided, none is missing."""
        publish = self.publisher('?json&max_bytes=1000&backup_count=9')
        for _ in range(2):
            publish(publishing.samples(5))
        names = sorted(os.listdir(self.directory), reverse=True)
        self.assertGreater(len(names), 2)
        self.assertEqual(list('0123401234'), [one for name in names
                                              for one in self.read(os.path.join(self.directory, name))])
        self.assertLess(max(os.path.getsize(os.path.join(self.directory, name)) for name in names), 1000)

    def test_full_disk(self):
        """A full disk is noticed."""
        publish = publishing.publisher(self, 'file:///dev/full?json')
        for _ in range(2):
            with self.assertRaisesRegex(Unavailable, 'No space left'):
                publish(publishing.samples(1))

    def test_half_a_line(self):
        """What a failure left half written stays a line of its own: every sample that arrives later can be read."""
        publish = self.publisher()
        publish(publishing.samples(1))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = os.path.getsize(self.path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size * 5 // 2, limits[1]))
        try:
            with self.assertRaisesRegex(Unavailable, 'File too large'):
                publish(publishing.samples(4))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        self.assertEqual(size * 5 // 2, os.path.getsize(self.path))
        for again in publish, self.publisher():
            again(publishing.samples(4))
            self.assertEqual(list('0123'), [json.loads(line)['id'] for line in self.lines()[-4:]])

    def test_half_a_line_of_another(self):
        """What a process that was killed left half written is no part of the next line, whoever writes that."""
        publish = self.publisher()
        publish(publishing.samples(1))
        with open(self.path, 'a') as file:
            file.write('{"id": "half of')
        publish(publishing.samples(2))
        self.assertEqual(list('01'), [json.loads(line)['id'] for line in self.lines()[-2:]])

    def test_deleted_file(self):
        """After the file was deleted or moved, the path has a file again."""
        publish = self.publisher()
        for remove in os.unlink, lambda path: os.rename(path, path + '.1'):
            publish(publishing.samples(1))
            remove(self.path)
            publish(publishing.samples(2))
            self.assertEqual(['0', '1'], self.read()[-2:])

    def test_deleted_directory(self):
        """A directory that is gone is noticed; all is well again when it is back."""
        publish = self.publisher()
        publish(publishing.samples(1))
        shutil.rmtree(self.directory)
        with self.assertRaisesRegex(Unavailable, 'No such file'):
            publish(publishing.samples(2))
        os.mkdir(self.directory)
        publish(publishing.samples(2))
        self.assertEqual(['0', '1'], self.read())

    def test_deleted_meanwhile(self):
        """A file that is deleted between the first line and the last is noticed."""
        publish = self.publisher()
        with mock.patch('os.fsync', lambda number: os.unlink(self.path)), \
                self.assertRaisesRegex(Unavailable, 'deleted'):
            publish(publishing.samples(2))
        publish(publishing.samples(2))
        self.assertEqual(['0', '1'], self.read())

    def test_bad_sample(self):
        """A sample that cannot be written is refused alone, and no other is written twice."""
        given = publishing.samples(5)
        given[3].resource_metadata = {'x': {1, 2}}
        refused = self.publisher()(given)
        self.assertEqual(['3'], publishing.ids(sample for sample, reason in refused))
        self.assertEqual(list('0124'), self.read())

    def test_wrong_url(self):
        """A path that is missing, and limits that are no numbers, are said in one line, and nothing is logged."""
        for url, said in (('file://', 'the URL needs a path'), (f'file://{self.path}?max_bytes=1k', 'max_bytes is a')):
            with self.assertNoLogs(), self.assertRaisesRegex(ConfigError, said):
                publishing.publisher(self, url)
