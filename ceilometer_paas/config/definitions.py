# SPDX-License-Identifier: Apache-2.0
"""Directories of definitions in YAML, in -> definitions, and the paths, words and patterns in them, or every mistake.

What the definitions of meters and of lifecycles have in common.
"""

import contextlib
import glob
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from ceilometer.declarative import DefinitionException
from stevedore import extension

from ceilometer_paas.config import reader
from ceilometer_paas.config.paths import Definition, Path, compile_path

_ENDS = "'NoneType' object has no attribute 'lineno'"
_T = TypeVar('_T')


def files(directory: str) -> list[str]:
    """Name the ``*.yaml`` of a directory, in the order of their names."""
    return sorted(glob.glob(os.path.join(glob.escape(directory), '*.yaml')))


class Definitions:
    """Reads one kind of definitions, and notes what is wrong.

    :param key: the one key of a file, with a list of definitions
    :param name: the key by which a definition is known
    :param kind: what a definition is called: 'meter definition'
    :param failure: the code of a message on which one of their paths fails
    """

    def __init__(self, problems: reader.Problems, *, key: str, name: str, kind: str, failure: str) -> None:
        self._problems = problems
        self._key, self._name, self._kind = key, name, kind
        self._failure = failure
        self._plugins = extension.ExtensionManager('ceilometer.event.trait_plugin')

    def load(self, dirs: Sequence[str], build: Callable[[reader.Map], _T | None]) -> tuple[_T, ...]:
        """Build what the directories define, in the order of the directories, file names and definitions.

        :param dirs: a name that is defined in an earlier one replaces all definitions of that name in later ones
        :param build: None for a definition that is wrong
        """
        built: list[tuple[Any, _T]] = []
        for directory in dirs:
            taken = [name for name, _ in built]
            for cfg in self._read(directory):
                one = build(cfg)
                if one is not None and cfg[self._name] not in taken:
                    built.append((cfg[self._name], one))
        return tuple(one for _, one in built)

    def _read(self, directory: str) -> Iterator[reader.Map]:
        for file in files(directory):
            root = reader.read_map(file, self._problems, required=(self._key,), what=f'a file of {self._kind}s')
            if root is None or self._key not in root:
                continue
            definitions = root[self._key]
            if not isinstance(definitions, reader.Seq) or not definitions:
                self.wrong(root, self._key, f'{self._key!r} is a list of {self._kind}s, at least one')
                continue
            for cfg, line in zip(definitions, definitions.lines, strict=True):
                if isinstance(cfg, reader.Map):
                    yield cfg
                else:
                    self._problems.add(file, line, f'a {self._kind} is a mapping, not {reader.shown(cfg)}')

    def wrong(self, cfg: reader.Map, key: object, text: str) -> None:
        """Note a mistake in what a key has."""
        self._problems.add(cfg.file, cfg.lines.get(key, cfg.line), text)

    def words(self, cfg: reader.Map, key: str) -> list[str]:
        """Read a word or a list of words; empty if there is no such key."""
        words = [cfg[key]] if isinstance(cfg.get(key), str) else cfg.get(key, [])
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
        self.wrong(cfg, key, f'{key} is a word or a list of words')
        return []

    def patterns(self, cfg: reader.Map) -> Iterator[re.Pattern[str]]:
        """Read ``event_type``: regular expressions."""
        for word in self.words(cfg, 'event_type'):
            try:
                yield re.compile(word)
            except re.error as error:
                self.wrong(cfg, 'event_type', f'{reader.shown(word)} is not a regular expression: {error}')

    def path(self, cfg: reader.Map, key: str, value: Any, constants: tuple[type, ...] = (), *,
             also: tuple[str, ...] = ()) -> Path | None:
        """Read a path: JSONPath, a list of them, or either with a trait plug-in.

        :param key: where it stands in `cfg`
        :param value: the path
        :param constants: what may stand in its stead: a whole number (int), a word that no path can follow (str)
        :param also: further keys that a path with a plug-in may have; whoever asks has looked at them
        """
        if isinstance(value, reader.Map) and not self._has_fields(value, also):
            return None
        fields = value['fields'] if isinstance(value, reader.Map) else value
        texts = fields if isinstance(fields, list) and fields else [fields]
        if not (all(isinstance(text, str) for text in texts) or (type(fields) is int and int in constants)):
            self.wrong(cfg, key, f'{reader.shown(fields)} is not a path; quote it if it is one')
            return None
        path = self._compile(cfg, key, value)
        if path and path.constant and type(fields) not in constants:
            self.wrong(cfg, key, f'no message has {reader.shown(fields)}; a path begins as in $.payload.id')
        return path

    def _compile(self, cfg: reader.Map, key: str, value: Any) -> Path | None:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # jsonpath_rw_ext prints each `sub` that it reads
                return compile_path(Definition(key, value, self._plugins), self._failure)
        except DefinitionException as error:
            # jsonpath_rw fails in this way to say that the text ends too early.
            self.wrong(cfg, key, error.brief_message.replace(_ENDS, 'it ends too early'))
        except Exception as error:  # noqa: BLE001 - a trait plug-in's constructor is foreign code and may raise anything
            self.wrong(cfg, key, f'the plug-in does not take these parameters: {error}')
        return None

    def _has_fields(self, value: reader.Map, also: tuple[str, ...]) -> bool:
        """Tell whether a path's fields and plug-in, if it has one, are described as Ceilometer reads them."""
        if not reader.check_keys(value, self._problems, required=('fields',), optional=('plugin', *also),
                                 what='a path'):
            return False
        plugin = value.get('plugin', '')
        if isinstance(plugin, reader.Map):
            return reader.check_keys(plugin, self._problems, required=('name',), optional=('parameters',),
                                     what='a plug-in')
        if not isinstance(plugin, str):
            self.wrong(value, 'plugin', 'plugin is a name, or a mapping with the keys name and parameters')
        return isinstance(plugin, str)
