# SPDX-License-Identifier: Apache-2.0
"""YAML -> maps and lists that know their lines, and every mistake in it as a :class:`~ceilometer_paas.errors.Problem`.

A secret may stand anywhere in what an operator writes. So a message quotes no value but through :func:`shown`.
"""

import difflib
import os
import re
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from typing import Any, TypeGuard

import yaml

from ceilometer_paas import errors
from ceilometer_paas.model import is_id

_LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)  # libyaml's, ten times as fast, where PyYAML was built with it
_TAG = 'tag:yaml.org,2002:'
_KINDS = {yaml.ScalarNode: ('str', 'int', 'float', 'bool', 'null', 'timestamp', 'merge'), yaml.SequenceNode: ('seq',),
          yaml.MappingNode: ('map',)}
_SECRET = re.compile(r'(?<=://).*@', re.DOTALL)


class Map(dict[Any, Any]):
    """A YAML mapping.

    :ivar file: path of the file
    :ivar line: where it begins, counted from 1
    :ivar lines: key -> the line of the key; that of the anchored mapping for a key merged by ``<<``
    """

    def __init__(self, file: str = '', line: int = 0) -> None:
        super().__init__()
        self.file = file
        self.line = line
        self.lines: dict[Any, int] = {}


class Seq(list[Any]):
    """A YAML sequence.

    :ivar file: path of the file
    :ivar line: where it begins, counted from 1
    :ivar lines: the line of each item
    """

    def __init__(self, file: str = '', line: int = 0) -> None:
        super().__init__()
        self.file = file
        self.line = line
        self.lines: list[int] = []


class Problems:
    """The mistakes found so far; true if there are any."""

    def __init__(self) -> None:
        self._found: list[errors.Problem] = []

    def add(self, file: str, line: int, text: str) -> None:
        """Note a mistake.

        :param line: counted from 1; 0 if it has none
        :param text: what is wrong; what would be right
        """
        self._found.append(errors.Problem(file, line, text))

    def extend(self, other: Iterable[errors.Problem]) -> None:
        """Note mistakes that were collected elsewhere."""
        self._found.extend(other)

    def check(self) -> None:
        """Go on only if there are none.

        :raises ConfigError: with every mistake noted
        """
        if self._found:
            raise errors.ConfigError(self._found)

    def __iter__(self) -> Iterator[errors.Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def read_yaml(path: str, problems: Problems) -> Any:
    """Read a file's one document: a :class:`Map`, a :class:`Seq`, a scalar, or None for an empty file.

    What cannot be read or parsed, and a key that stands twice, is a problem, and the document None.
    """
    before = len(problems)
    try:
        with open(path, encoding='utf-8-sig') as stream:
            node = yaml.compose(stream.read(), Loader=_LOADER)
        if node is None:
            return None
        _check_nodes(node, path, problems)
        return None if len(problems) > before else _Builder(path).construct_document(node)
    except OSError as error:
        problems.add(path, 0, f'cannot be read: {error.strerror}')
    except UnicodeDecodeError as error:
        problems.add(path, 1 + error.object[:error.start].count(b'\n'), 'is not UTF-8; save it as UTF-8')
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        text = ', '.join(part for part in (error.context, error.problem) if part)
        problems.add(path, mark.line + 1 if mark else 0, f'is not YAML: {mask(text)}')
    except yaml.reader.ReaderError as error:
        problems.add(path, 0, f'is not YAML: {error.reason}')
    return None


def read_map(path: str, problems: Problems, *, required: Collection[str], what: str) -> Map | None:
    """Read a file that must be a mapping; None if it is none. Keys that lack or are unknown are problems."""
    before = len(problems)
    root = read_yaml(path, problems)
    if isinstance(root, Map):
        check_keys(root, problems, required=required, what=what)
        return root
    if len(problems) == before:
        problems.add(path, 1, f'{what} is a mapping with the keys {_listed(required)}')
    return None


def check_keys(value: Map, problems: Problems, *, required: Collection[str] = (), optional: Collection[str] = (),
               what: str) -> bool:
    """Tell whether a mapping has all required keys and no unknown ones; each that is not so is a problem.

    :param what: what the mapping describes, with its article: 'a queue'
    """
    known = [*required, *optional]
    before = len(problems)
    for key in value:
        if key not in known:
            problems.add(value.file, value.lines[key],
                         f'{what} has no key {shown(key)}; {did_you_mean(key, known) or f"known: {_listed(known)}"}')
    for key in required:
        if key not in value:
            problems.add(value.file, value.line, f'{what} needs the key {key!r}')
    return len(problems) == before


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Ask whether the nearest of the known words was meant; empty if none is near."""
    near = difflib.get_close_matches(str(word), list(known), 1)
    return f'did you mean {near[0]!r}?' if near else ''


NAME = 'printable text of 1 to 255 characters, without blanks around it'
"""What :func:`is_name` asks for, to be shown."""


def is_name(value: object) -> TypeGuard[str]:
    """Tell whether a value may name something: as :func:`~ceilometer_paas.model.is_id`, without blanks around it."""
    return is_id(value) and value == str(value).strip()


def shown(value: object) -> str:
    """Quote a value for a message: masked, and cut to 60 characters."""
    text = mask(repr(value))
    return text if len(text) <= 60 else text[:57] + '...'


def mask(text: str) -> str:
    """Take the user and the password out of a URL."""
    return _SECRET.sub('***@', text)


def find(conf: Any, name: str) -> str | None:
    """Find a file or directory that an option names; None if there is none.

    A relative name is looked up as oslo.config looks up files (beside ``ceilometer.conf``, then in ``/etc/ceilometer``
    and ``/etc``), again in ``ceilometer_paas`` there, and among the files that the package installed, with or without
    a ``ceilometer_paas/`` of its own.

    :param conf: an oslo.config configuration whose files have been read
    """
    if not name:
        return None
    if os.path.isabs(name):
        return name if os.path.exists(name) else None
    found: str | None = conf.find_file(name) or conf.find_file(os.path.join('ceilometer_paas', name))
    candidates = (os.path.join(root, name) for prefix in prefixes() for root in (prefix, os.path.dirname(prefix)))
    return found or next(filter(os.path.exists, candidates), None)


def not_found(name: str) -> str:
    """Say that :func:`find` finds nothing, and where it looks."""
    if os.path.isabs(name):
        return 'does not exist'
    places = ['the directory of ceilometer.conf', '/etc/ceilometer', '/etc/ceilometer_paas', *prefixes()]
    return f'not found; looked in {", ".join(places)}'


def prefixes() -> list[str]:
    """Name the directories into which the package's files are installed: a virtual environment has one, Debian two."""
    roots = dict.fromkeys((sys.prefix, sysconfig.get_path('data')))
    return [os.path.join(root, 'etc', 'ceilometer_paas') for root in roots]


def _listed(words: Iterable[str]) -> str:
    return ', '.join(words)


def _check_nodes(root: yaml.Node, path: str, problems: Problems) -> None:
    """Find foreign tags and keys that stand twice; before ``<<`` is resolved: a merged key may be overridden."""
    waiting, visited = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if node.tag.removeprefix(_TAG) not in _KINDS[type(node)]:
            problems.add(path, node.start_mark.line + 1, f'the tag {mask(node.tag)} is not used here; leave it out')
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                waiting += key, value
            _check_keys_of_node(node, path, problems)


def _check_keys_of_node(node: yaml.MappingNode, path: str, problems: Problems) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            problems.add(path, line, 'a key is a list or a mapping; write a word')
        elif (key.tag, key.value) in lines:
            first = lines[key.tag, key.value]
            problems.add(path, line, f'the key {shown(key.value)} stands already on line {first}; keep one of them')
        else:
            lines[key.tag, key.value] = line


class _Builder(yaml.constructor.SafeConstructor):
    """Nodes -> values, as PyYAML's safe loader builds them, with their lines."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build a node; PyYAML raises whatever comes up where a text does not fit its tag."""
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, ValueError):
            text = f'{shown(node.value)} is no {node.tag.rpartition(":")[2]}; quote it if it is text'
            raise yaml.constructor.ConstructorError(None, None, text, node.start_mark) from None

    def build_map(self, node: yaml.MappingNode) -> Iterator[Map]:
        """Build a mapping; in two steps, so that an alias may name what surrounds it."""
        built = Map(self.file, node.start_mark.line + 1)
        yield built
        self.flatten_mapping(node)
        for key_node, value_node in node.value:
            key = self.construct_object(key_node)
            built[key] = self.construct_object(value_node)
            built.lines[key] = key_node.start_mark.line + 1

    def build_seq(self, node: yaml.SequenceNode) -> Iterator[Seq]:
        """Build a sequence."""
        built = Seq(self.file, node.start_mark.line + 1)
        yield built
        for item_node in node.value:
            built.append(self.construct_object(item_node))
            built.lines.append(item_node.start_mark.line + 1)


_Builder.add_constructor(_TAG + 'map', _Builder.build_map)  # type: ignore[type-var]
_Builder.add_constructor(_TAG + 'seq', _Builder.build_seq)  # type: ignore[type-var]
