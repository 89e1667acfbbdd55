# SPDX-License-Identifier: Apache-2.0
"""What the documentation says of files that are not generated from the code."""

import pathlib
import re
import unittest

import yaml

ROOT = pathlib.Path(__file__).parents[2]


class DocsTest(unittest.TestCase):

    def test_what_ci_runs_is_the_test_command_of_the_readme(self) -> None:
        command = (ROOT / '.ci/run').read_text().splitlines()[-1]
        self.assertIn('tox', command)
        self.assertIn(f'\n    {command}\n', (ROOT / 'README.rst').read_text())

    def test_every_shipped_exchange_is_among_the_services(self) -> None:
        sources = yaml.safe_load((ROOT / 'etc/ceilometer_paas/sources.yaml').read_text())
        services = (ROOT / 'doc/source/user.rst').read_text()
        for name, queue in sources['queues'].items():
            with self.subTest(name):
                self.assertIn(f'``{queue["exchange"]}``', services)

    def test_every_environment_of_tox_is_explained(self) -> None:
        environments = re.findall(r'^\[testenv:(\w+)\]', (ROOT / 'tox.ini').read_text(), re.MULTILINE)
        self.assertIn('functional', environments)
        explained = (ROOT / 'CONTRIBUTING.rst').read_text()
        for name in environments:
            with self.subTest(name):
                self.assertIn(f'``tox -e {name}``', explained)
