# SPDX-License-Identifier: Apache-2.0
"""What the documentation says of files that are not generated from the code."""

import importlib.util
import itertools
import pathlib
import re
import shlex
import textwrap
import unittest
from types import ModuleType

import yaml

from ceilometer_paas.config import reader
from ceilometer_paas.config.lifecycles import Lifecycle, load_lifecycles
from tests.files import Files, said
from tests.workspace import WorkspaceTestCase

ROOT = pathlib.Path(__file__).parents[2]
LIFECYCLES = sorted((ROOT / 'etc/ceilometer_paas/lifecycles.d').glob('*.yaml'))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding='utf-8')


def blocks(text: str, language: str) -> list[str]:
    """Give the code blocks of a page that are in a language."""
    found = re.findall(rf'^\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)', text, re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def catalogue() -> ModuleType:
    """Give the module from which the documentation lists what is shipped."""
    spec = importlib.util.spec_from_file_location('shipped', ROOT / 'doc/ext/shipped.py')
    shipped = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shipped)
    return shipped


def shipped_lifecycles() -> tuple[Lifecycle, ...]:
    problems = reader.Problems()
    loaded = load_lifecycles([str(LIFECYCLES[0].parent)], problems)
    problems.check()
    return loaded


class DocsTest(unittest.TestCase):

    def test_what_ci_runs_is_the_test_command_of_the_readme(self) -> None:
        command = read('.ci/run').splitlines()[-1]
        self.assertIn('tox', command)
        self.assertIn(f'\n    {command}\n', read('README.rst'))

    def test_every_shipped_exchange_is_among_the_services(self) -> None:
        sources = yaml.safe_load(read('etc/ceilometer_paas/sources.yaml'))
        services = read('doc/source/user.rst')
        for name, queue in sources['queues'].items():
            with self.subTest(name):
                self.assertIn(f'``{queue["exchange"]}``', services)

    def test_every_environment_of_tox_is_explained(self) -> None:
        environments = re.findall(r'^\[testenv:(\w+)\]', read('tox.ini'), re.MULTILINE)
        self.assertIn('functional', environments)
        explained = read('CONTRIBUTING.rst')
        for name in environments:
            with self.subTest(name):
                self.assertIn(f'``tox -e {name}``', explained)


class LifecyclesTest(unittest.TestCase):

    def test_every_example_of_a_lifecycle_is_one(self) -> None:
        examples = [block for block in blocks(read('doc/source/configuration.rst'), 'yaml')
                    if block.startswith('lifecycle:')]
        self.assertEqual(2, len(examples))
        files = Files(self)
        for example in examples:
            with self.subTest(example.splitlines()[1]):
                files.write('example.yaml', example)
                problems = reader.Problems()
                self.assertEqual(1, len(load_lifecycles([files.directory], problems)))
                self.assertEqual([], said(problems))

    def test_every_key_that_a_shipped_lifecycle_has_is_explained(self) -> None:
        explained = read('doc/source/configuration.rst')
        for path in LIFECYCLES:
            for lifecycle in yaml.safe_load(path.read_text(encoding='utf-8'))['lifecycle']:
                for key in {*lifecycle, *lifecycle.get('launched', ()), *itertools.chain(*lifecycle['events'])}:
                    self.assertIn(f'``{key}', explained)
        self.assertIn('``{all_but:', explained)

    def test_every_service_with_lives_is_said_what_it_does_not_tell(self) -> None:
        page = read('doc/source/lives.rst').partition('\nWhat events cannot tell\n===')[2]
        titles = re.findall(r'^(.+)\n-+$', page, re.MULTILINE)
        names = {path.stem.capitalize() for path in LIFECYCLES} - {'Paas_event'}
        self.assertEqual(names | {'A service of your own'}, set(titles))

    def test_the_list_of_shipped_lifecycles_has_what_is_loaded(self) -> None:
        shipped, loaded = catalogue(), shipped_lifecycles()
        self.assertEqual(LIFECYCLES, shipped.files('lifecycles'))
        for path in LIFECYCLES:
            listed: dict[str, set[str]] = {}
            for (resource_type, what), words in shipped.lifecycles(path).items():
                kind = 'events' if 'events' in what else what
                listed.setdefault(f'{resource_type} {kind}', set()).update(words)
            known: dict[str, set[str]] = {}
            for one in (one for one in loaded if one.file == str(path)):
                of = one.type_name or '$.payload.service_type'
                for kind, words in (
                        ('states', one.states), ('states that count as the one before', one.as_before),
                        ('meter of the status', [one.status.meter]), ('meter of the quantity', [one.quantity]),
                        *((f'{name} counts{" all but" if counted.all_but else ""}', counted.states)
                          for name, counted in one.meters.items()),
                        ('events', (pattern.pattern for event in one.events if event.kind != 'ignored'
                                    for pattern in event.event_types))):
                    known.setdefault(f'{of} {kind}', set()).update(words)
            with self.subTest(path.name):
                self.assertEqual({key: words for key, words in known.items() if words}, listed)

    def test_the_list_of_codes_has_what_is_loaded_in_order(self) -> None:
        listed = {meter: codes for path in LIFECYCLES for meter, codes in catalogue().codes(path).items()}
        self.assertEqual({one.status.meter: {code: state for state, code in one.status.codes.items()}
                          for one in shipped_lifecycles()}, listed)
        self.assertEqual([(meter, sorted(codes)) for meter, codes in listed.items()],
                         [(meter, list(codes)) for meter, codes in listed.items()])


class LivesTest(WorkspaceTestCase):

    def test_the_ledger_of_the_demonstration_answers_as_the_page_says(self) -> None:
        """Who changes what the demonstration says, or how, copies the new answers into the page."""
        examples = [block.strip().partition('\n') for block in blocks(read('doc/source/lives.rst'), 'console')]
        self.assertEqual(4, len(examples))
        place = self.directory / 'demo'
        status, _, err = self.run_command('demo', '--dir', str(place), '-f', 'json')
        self.assertEqual(0, status, err)
        self.directory = place
        for command, _, answer in examples:
            with self.subTest(command):
                self.assertEqual((0, f'{answer}\n', ''), self.run_command(*shlex.split(command)[2:]))
