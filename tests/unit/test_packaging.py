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

from ceilometer_paas.config import options

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

    def test_what_the_options_name_by_default_is_installed(self) -> None:
        setup = configparser.ConfigParser()
        setup.read(ROOT / 'setup.cfg')
        shipped = setup['files']['data_files'].strip()
        self.assertEqual('etc/ceilometer_paas = etc/ceilometer_paas/*', shipped, 'pbr takes all that is below')
        default = {option.dest: option.default for option in options.OPTS}
        names = [default['sources_file'], default['pipeline_cfg_file'],
                 default['event_definitions_cfg_file'].removeprefix('ceilometer_paas/'),
                 *(name.removeprefix('ceilometer_paas/') for option, names in default.items()
                   if option.endswith('_definitions_dirs') for name in names if not name.startswith('/'))]
        self.assertEqual(5, len(names))
        self.assertEqual([], [name for name in names if not (ROOT / 'etc/ceilometer_paas' / name).exists()])

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
