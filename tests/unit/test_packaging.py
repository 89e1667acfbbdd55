# SPDX-License-Identifier: Apache-2.0
"""What setup.cfg and requirements.txt promise of the package."""

import ast
import configparser
import importlib
import importlib.metadata
import pathlib
import re
import sys
import unittest
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]


class PackagingTest(unittest.TestCase):

    def test_every_entry_point_leads_somewhere(self) -> None:
        setup = configparser.ConfigParser()
        setup.read(ROOT / 'setup.cfg')
        points = [line.partition('=') for group in setup['entry_points'].values() for line in group.split('\n') if line]
        self.assertGreater(len(points), 10)
        for name, _, value in points:
            with self.subTest(name.strip()):
                point = importlib.metadata.EntryPoint(name.strip(), value.strip(), group='')
                self.assertTrue(callable(point.load()))

    def test_what_is_imported_is_required(self) -> None:
        required = {_normal(line) for line in (ROOT / 'requirements.txt').read_text().splitlines()
                    if line and line[0] != '#'}
        distributions = importlib.metadata.packages_distributions()
        for module in sorted(set(_imports(ROOT / 'ceilometer_paas'))):
            with self.subTest(module):
                self.assertTrue(required.intersection(map(_normal, distributions[module])))


def _normal(requirement: str) -> str:
    return re.sub('[-_.]+', '-', re.split('[<>=! ]', requirement)[0]).lower()


def _imports(tree: pathlib.Path) -> Iterator[str]:
    """Name the foreign top-level packages that a tree imports."""
    for path in tree.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            names = ([alias.name for alias in node.names] if isinstance(node, ast.Import) else
                     [node.module or ''] if isinstance(node, ast.ImportFrom) else [])
            yield from (top for top in (name.partition('.')[0] for name in names)
                        if top not in sys.stdlib_module_names and top != tree.name)
