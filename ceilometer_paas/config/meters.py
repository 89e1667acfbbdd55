# SPDX-License-Identifier: Apache-2.0
"""Directories of meter definitions in Ceilometer's format -> :class:`Meter` objects, or every mistake in them.

What is accepted is what Ceilometer's ``MeterDefinition`` accepts, less what could never give a sample that is worth
anything. (That class is not instantiated, because each one makes a cache.)

Two rules differ from Ceilometer's: ``event_type`` must match the whole event type (there, ``trove.instance.exists``
also matches ``trove.instance.exists.failed``), and one directory may hold several definitions of one name (there, all
but one are skipped). ``[polling] identity_name_discovery`` has no effect: nothing here asks Keystone or a cache.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ceilometer.meter.notifications import MeterDefinition

from ceilometer_paas.config import definitions, reader
from ceilometer_paas.config.paths import Message, Path
from ceilometer_paas.errors import Refused
from ceilometer_paas.model import is_id

ATTRIBUTES = tuple(MeterDefinition.SAMPLE_ATTRIBUTES)
TYPES = ('gauge', 'delta', 'cumulative')

_CONSTANTS: Mapping[str, tuple[type, ...]] = {'volume': (int,), 'resource_id': ()}
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
    return _Loader(conf, problems).load(dirs)


def overlap(meters: Sequence[Meter], conf: Any) -> tuple[str, ...]:
    """Name the meters that Ceilometer's notification agent would publish too, from its own definitions."""
    stock: set[str] = set()
    for directory in conf.meter.meter_definitions_dirs:
        for file in definitions.files(directory):
            root = reader.read_yaml(file, reader.Problems())
            metric = root.get('metric') if isinstance(root, reader.Map) else None
            stock.update(str(cfg.get('name')) for cfg in metric or () if isinstance(cfg, reader.Map))
    return tuple(sorted(stock & {meter.name for meter in meters}))


class _Loader:
    """Builds meters, and notes what is wrong."""

    def __init__(self, conf: Any, problems: reader.Problems) -> None:
        self._conf = conf
        self._problems = problems
        self._read = definitions.Definitions(problems, key='metric', name='name', kind='meter definition',
                                             failure='translate.failed')

    def load(self, dirs: Sequence[str]) -> tuple[Meter, ...]:
        return self._read.load(dirs, self._meter)

    def _meter(self, cfg: reader.Map) -> Meter | None:
        before = len(self._problems)
        reader.check_keys(cfg, self._problems, required=_REQUIRED, optional=_OPTIONAL, what='a meter definition')
        wrong = functools.partial(self._read.wrong, cfg)
        for key in _REQUIRED:
            if key in cfg and not cfg[key]:
                wrong(key, f'{key} is {reader.shown(cfg[key])}; Ceilometer takes that for missing')
        lookup = frozenset(self._read.words(cfg, 'lookup'))
        for word in lookup.difference(ATTRIBUTES):
            wrong('lookup', f'{reader.shown(word)} cannot be looked up; known: {", ".join(ATTRIBUTES)}')
        if cfg.get('name') and not is_id(cfg['name']):
            wrong('name', 'a name is 1 to 255 printable characters')
        if cfg.get('type') and cfg['type'] not in TYPES and 'type' not in lookup:
            wrong('type', f'{reader.shown(cfg["type"])} is no type; known: {", ".join(TYPES)}')
        event_types = tuple(self._read.patterns(cfg))
        paths = {name: path for name in ATTRIBUTES if cfg.get(name) and (path := self._path(cfg, name))}
        metadata = self._metadata(cfg)
        user_metadata = self._user_metadata(cfg)
        if lookup and 'name' in paths and paths['name'].constant:
            wrong('name', 'with lookup the name must be a path: there is one sample for each name found')
        if len(self._problems) > before:
            return None
        return Meter(cfg['name'], event_types, paths, metadata, user_metadata, lookup, cfg, cfg.file, cfg.line)

    def _path(self, cfg: reader.Map, name: str) -> Path | None:
        return self._read.path(cfg, name, cfg[name], _CONSTANTS.get(name, (str,)))

    def _metadata(self, cfg: reader.Map) -> dict[str, Path]:
        metadata = cfg.get('metadata', reader.Map())
        if isinstance(metadata, reader.Map):
            return {name: path for name, value in metadata.items()
                    if (path := self._read.path(metadata, name, value, (str,)))}
        self._read.wrong(cfg, 'metadata', 'metadata is a mapping of names to paths')
        return {}

    def _user_metadata(self, cfg: reader.Map) -> UserMetadata | None:
        path = self._path(cfg, 'user_metadata') if cfg.get('user_metadata') else None
        if path is None:
            return None
        return UserMetadata(path, tuple(self._conf.reserved_metadata_namespace),
                            tuple(self._conf.reserved_metadata_keys), self._conf.reserved_metadata_length)
