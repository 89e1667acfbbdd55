# SPDX-License-Identifier: Apache-2.0
"""Directories of meter definitions in Ceilometer's format -> :class:`Meter` objects, or every mistake in them.

What is accepted is what Ceilometer's ``MeterDefinition`` accepts, less what could never give a sample that is worth
anything. (That class is not instantiated, because each one makes a cache.)

Two rules differ from Ceilometer's: ``event_type`` must match the whole event type (there, ``trove.instance.exists``
also matches ``trove.instance.exists.failed``), and one directory may hold several definitions of one name (there, all
but one are skipped). ``[polling] identity_name_discovery`` has no effect: nothing here asks Keystone or a cache.
"""

import contextlib
import glob
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ceilometer.declarative import DefinitionException
from ceilometer.meter.notifications import MeterDefinition
from stevedore import extension

from ceilometer_paas.config import reader
from ceilometer_paas.config.paths import Definition, Message, Path, compile_path
from ceilometer_paas.errors import Refused
from ceilometer_paas.model import is_id

ATTRIBUTES = tuple(MeterDefinition.SAMPLE_ATTRIBUTES)
TYPES = ('gauge', 'delta', 'cumulative')

_ENDS = "'NoneType' object has no attribute 'lineno'"
_REQUIRED = tuple(MeterDefinition.REQUIRED_FIELDS)
_OPTIONAL = (*(name for name in ATTRIBUTES if name not in _REQUIRED), 'metadata', 'user_metadata', 'lookup')


@dataclass(frozen=True, slots=True, eq=False)
class UserMetadata:
    """What a sample keeps of the metadata that a user gave a resource: the ``reserved_metadata_*`` options.

    :ivar path: finds the user's metadata
    :ivar prefixes: keys that begin so are kept, without the prefix
    :ivar keys: further keys that are kept
    :ivar limit: characters of a text that are kept
    """

    path: Path
    prefixes: tuple[str, ...]
    keys: tuple[str, ...]
    limit: int

    def __call__(self, message: Message, taken: Mapping[str, Any]) -> dict[str, Any]:
        """Select what is kept.

        :param taken: metadata of the sample, whose keys are not used again
        """
        given = self.path.first(message)
        if not given:
            return {}
        if not isinstance(given, dict):
            raise Refused('translate.failed', f'user_metadata is a {type(given).__name__}, not an object')
        chosen = [(key[len(prefix):], value) for prefix in self.prefixes
                  for key, value in given.items() if key.startswith(prefix)]
        chosen += [(key, given[key]) for key in self.keys if key in given]
        return {name: value[:self.limit] if isinstance(value, str) else value
                for key, value in chosen if (name := key.replace('.', '_')) not in taken}


@dataclass(frozen=True, slots=True, eq=False)
class Meter:
    """One valid definition.

    :ivar name: as written: the meter's name, or a path to it
    :ivar paths: attribute of a sample -> its path, for those that are defined
    :ivar metadata: name -> path
    :ivar lookup: attributes of which one message gives several, one for each sample
    :ivar cfg: the definition as written
    """

    name: str
    event_types: tuple[re.Pattern[str], ...]
    paths: Mapping[str, Path]
    metadata: Mapping[str, Path]
    user_metadata: UserMetadata | None
    lookup: frozenset[str]
    cfg: reader.Map
    file: str
    line: int

    def matches(self, event_type: str) -> bool:
        """Tell whether the definition speaks of a type of event."""
        return any(pattern.fullmatch(event_type) for pattern in self.event_types)


def load_meters(dirs: Sequence[str], conf: Any, problems: reader.Problems) -> tuple[Meter, ...]:
    """Read every ``*.yaml`` of some directories, in the order of the directories, file names and definitions.

    :param dirs: a name that is defined in an earlier one replaces all definitions of that name in later ones
    :param conf: oslo.config's, for the ``reserved_metadata_*`` options
    """
    loader = _Loader(conf, problems)
    meters: list[Meter] = []
    for directory in dirs:
        taken = {meter.name for meter in meters}
        for file in _files(directory):
            meters += (meter for meter in loader.load(file) if meter.name not in taken)
    return tuple(meters)


def overlap(meters: Sequence[Meter], conf: Any) -> tuple[str, ...]:
    """Name the meters that Ceilometer's notification agent would publish too, from its own definitions."""
    stock: set[str] = set()
    for directory in conf.meter.meter_definitions_dirs:
        for file in _files(directory):
            root = reader.read_yaml(file, reader.Problems())
            definitions = root.get('metric') if isinstance(root, reader.Map) else None
            stock.update(str(cfg.get('name')) for cfg in definitions or () if isinstance(cfg, reader.Map))
    return tuple(sorted(stock & {meter.name for meter in meters}))


def _files(directory: str) -> list[str]:
    return sorted(glob.glob(os.path.join(glob.escape(directory), '*.yaml')))


class _Loader:
    """Builds the meters of one file after the other, and notes what is wrong."""

    def __init__(self, conf: Any, problems: reader.Problems) -> None:
        self._conf = conf
        self._problems = problems
        self._plugins = extension.ExtensionManager('ceilometer.event.trait_plugin')

    def load(self, file: str) -> Iterator[Meter]:
        root = reader.read_map(file, self._problems, required=('metric',), what='a file of meter definitions')
        if root is None or 'metric' not in root:
            return
        definitions = root['metric']
        if not isinstance(definitions, reader.Seq):
            self._problems.add(file, root.lines['metric'], "'metric' is a list of meter definitions")
            return
        for cfg, line in zip(definitions, definitions.lines, strict=True):
            if not isinstance(cfg, reader.Map):
                self._problems.add(file, line, f'a meter definition is a mapping, not {reader.shown(cfg)}')
            elif meter := self._meter(cfg):
                yield meter

    def _meter(self, cfg: reader.Map) -> Meter | None:
        before = len(self._problems)
        reader.check_keys(cfg, self._problems, required=_REQUIRED, optional=_OPTIONAL, what='a meter definition')
        for key in _REQUIRED:
            if key in cfg and not cfg[key]:
                self._wrong(cfg, key, f'{key} is {reader.shown(cfg[key])}; Ceilometer takes that for missing')
        lookup = frozenset(self._words(cfg, 'lookup'))
        for word in lookup.difference(ATTRIBUTES):
            self._wrong(cfg, 'lookup', f'{reader.shown(word)} cannot be looked up; known: {", ".join(ATTRIBUTES)}')
        if cfg.get('name') and not is_id(cfg['name']):
            self._wrong(cfg, 'name', 'a name is 1 to 255 printable characters')
        if cfg.get('type') and cfg['type'] not in TYPES and 'type' not in lookup:
            self._wrong(cfg, 'type', f'{reader.shown(cfg["type"])} is no type; known: {", ".join(TYPES)}')
        event_types = tuple(self._patterns(cfg))
        paths = {name: path for name in ATTRIBUTES if cfg.get(name) and (path := self._path(cfg, name))}
        metadata = self._metadata(cfg)
        user_metadata = self._user_metadata(cfg)
        for key in ('volume', 'resource_id'):
            if key in paths and paths[key].constant and isinstance(cfg[key], str):
                self._wrong(cfg, key, f'no message has {reader.shown(cfg[key])}; a path begins as in $.payload.id')
        if lookup and 'name' in paths and paths['name'].constant:
            self._wrong(cfg, 'name', 'with lookup the name must be a path: there is one sample for each name found')
        if len(self._problems) > before:
            return None
        return Meter(cfg['name'], event_types, paths, metadata, user_metadata, lookup, cfg, cfg.file, cfg.line)

    def _words(self, cfg: reader.Map, key: str) -> list[str]:
        words = [cfg[key]] if isinstance(cfg.get(key), str) else cfg.get(key, [])
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
        self._wrong(cfg, key, f'{key} is a word or a list of words')
        return []

    def _patterns(self, cfg: reader.Map) -> Iterator[re.Pattern[str]]:
        for word in self._words(cfg, 'event_type'):
            try:
                yield re.compile(word)
            except re.error as error:
                self._wrong(cfg, 'event_type', f'{reader.shown(word)} is not a regular expression: {error}')

    def _metadata(self, cfg: reader.Map) -> dict[str, Path]:
        metadata = cfg.get('metadata', reader.Map())
        if isinstance(metadata, reader.Map):
            return {name: path for name in metadata if (path := self._path(metadata, name))}
        self._wrong(cfg, 'metadata', 'metadata is a mapping of names to paths')
        return {}

    def _user_metadata(self, cfg: reader.Map) -> UserMetadata | None:
        path = self._path(cfg, 'user_metadata') if cfg.get('user_metadata') else None
        if path is None:
            return None
        return UserMetadata(path, tuple(self._conf.reserved_metadata_namespace),
                            tuple(self._conf.reserved_metadata_keys), self._conf.reserved_metadata_length)

    def _path(self, cfg: reader.Map, name: str) -> Path | None:
        """Read a path: JSONPath, a list of them, or either with a trait plug-in; a volume may be a whole number."""
        value, fields = cfg[name], cfg[name]
        if isinstance(value, reader.Map):
            if not reader.check_keys(value, self._problems, required=('fields',), optional=('plugin',), what='a path'):
                return None
            if not self._is_plugin(value):
                return None
            fields = value['fields']
        texts = fields if isinstance(fields, list) and fields else [fields]
        if not (all(isinstance(text, str) for text in texts) or (name == 'volume' and type(fields) is int)):
            self._wrong(cfg, name, f'{reader.shown(fields)} is not a path; quote it if it is one')
            return None
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # jsonpath_rw_ext prints each `sub` that it reads
                return compile_path(Definition(name, value, self._plugins))
        except DefinitionException as error:
            # jsonpath_rw fails in this way to say that the text ends too early.
            self._wrong(cfg, name, error.brief_message.replace(_ENDS, 'it ends too early'))
        except Exception as error:  # noqa: BLE001 - a trait plug-in's constructor is foreign code and may raise anything
            self._wrong(cfg, name, f'the plug-in does not take these parameters: {error}')
        return None

    def _is_plugin(self, value: reader.Map) -> bool:
        """Tell whether a path's plug-in, if it has one, is described as Ceilometer reads it."""
        plugin = value.get('plugin', '')
        if isinstance(plugin, reader.Map):
            return reader.check_keys(plugin, self._problems, required=('name',), optional=('parameters',),
                                     what='a plug-in')
        if not isinstance(plugin, str):
            self._wrong(value, 'plugin', 'plugin is a name, or a mapping with the keys name and parameters')
        return isinstance(plugin, str)

    def _wrong(self, cfg: reader.Map, key: str, text: str) -> None:
        self._problems.add(cfg.file, cfg.lines.get(key, cfg.line), text)
