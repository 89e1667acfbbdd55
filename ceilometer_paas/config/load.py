# SPDX-License-Identifier: Apache-2.0
"""``ceilometer.conf`` and the files that it names -> one validated configuration, or every mistake in any of them."""

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ceilometer import pipeline

from ceilometer_paas.config import doors, lifecycles, meters, options
from ceilometer_paas.config.event_definitions import load_event_definitions
from ceilometer_paas.config.pipeline import Target, load_event_pipeline, load_pipeline
from ceilometer_paas.config.reader import Map, Problems, did_you_mean, find, not_found, shown
from ceilometer_paas.config.sources import Sources, load_sources
from ceilometer_paas.errors import ConfigError

_CONF = 'ceilometer.conf'
_SAID = re.compile(r"detail='([^']*)'.* is not valid: (.*)", re.DOTALL)  # how oslo.config says that a value is wrong


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything an operator wrote, read once; nothing above this floor reads a file or an option.

    :ivar conf: for Ceilometer's and oslo.messaging's own classes
    :ivar settings: not shown, for the ledger's password
    :ivar targets: in the order of the pipeline
    :ivar events: definitions of events, as Ceilometer's converter takes them; none unless events are published
    :ivar event_targets: in the order of Ceilometer's pipeline of events; none unless events are published
    """

    conf: Any
    settings: options.Settings = field(repr=False)
    sources: Sources
    meters: tuple[meters.Meter, ...]
    lifecycles: tuple[lifecycles.Lifecycle, ...]
    targets: tuple[Target, ...]
    events: tuple[Map, ...] = ()
    event_targets: tuple[Target, ...] = ()


def load(conf: Any, try_targets: Callable[[Sequence[Target], Any], object] | None = None) -> Configuration:
    """Read the configuration.

    :param conf: as ``ceilometer.service.prepare_service`` gives it
    :param try_targets: finds, as :exc:`~ceilometer_paas.errors.ConfigError`, the mistakes in targets that this room
        does not know of
    :raises ConfigError: with the mistakes of all files
    """
    problems = Problems()
    _check_options(conf, problems)
    sources_path = _find_file(conf, 'sources_file', problems)
    sources = load_sources(sources_path, conf, problems) if sources_path else None
    of_meters = meters.load_meters(_find_directories(conf, 'meter_definitions_dirs', problems), conf, problems)
    of_lives = lifecycles.load_lifecycles(_find_directories(conf, 'lifecycle_definitions_dirs', problems), problems)
    pipeline_path = _find_file(conf, 'pipeline_cfg_file', problems)
    targets = load_pipeline(pipeline_path, problems) if pipeline_path else ()
    events, event_targets = _load_events(conf, targets, problems)
    loadable = doors.check(conf, targets, problems)
    if sources is not None and _value(conf, 'sample_endpoint'):
        doors.check_endpoint(conf, sources, problems)
    if try_targets is not None:
        try:
            try_targets((*loadable, *event_targets), conf)
        except ConfigError as error:
            problems.extend(error.problems)
    problems.check()
    assert sources is not None
    return Configuration(conf, options.settings(conf), sources, meters=of_meters, lifecycles=of_lives, targets=targets,
                         events=events, event_targets=event_targets)


def _load_events(conf: Any, targets: Sequence[Target],
                 problems: Problems) -> tuple[tuple[Map, ...], tuple[Target, ...]]:
    """Read what concerns events, if they are published: their definitions, and where they go."""
    if not _value(conf, 'publish_events'):
        return (), ()
    path = _find_file(conf, 'event_definitions_cfg_file', problems)
    definitions = load_event_definitions(path, problems) if path else ()
    name = conf.event_pipeline_cfg_file
    path = find(conf, name) or os.path.join(os.path.dirname(pipeline.__file__), 'data', name)  # as Ceilometer does
    if not os.path.exists(path):
        problems.add(_CONF, 0, f'[DEFAULT] event_pipeline_cfg_file = {name}: {not_found(name)}')
        return definitions, ()
    event_targets = load_event_pipeline(path, problems)
    taken = {target.name for target in targets}
    for target in event_targets:
        if target.name in taken:
            problems.add(target.file, target.line, f'{target.name} is what a publisher of samples is called, too; '
                                                   'give the sink another name')
    return definitions, event_targets


def _check_options(conf: Any, problems: Problems) -> None:
    """Read every option, because oslo.config stops at the first that is wrong."""
    options.register(conf)
    for option in options.OPTS:
        try:
            value = conf[options.GROUP][option.dest]
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError('it is a finite number')
        except AttributeError:  # what oslo.config raises for a value with the name of an option that there is not
            problems.add(_CONF, 0, f'[{options.GROUP}] {option.dest}: $ begins the name of another option, and there '
                                   'is none of that name; write $$ for a dollar sign')
        except ValueError as error:
            said = _SAID.search(str(error))
            file, why = said.groups() if said else (_CONF, str(error))
            problems.add(file, 0, f'[{options.GROUP}] {option.dest}: {why}')
    for file, line, name in options.unknown(conf):
        meant = did_you_mean(name, [option.dest for option in options.OPTS]) or 'the documentation lists them'
        problems.add(file, line, f'[{options.GROUP}] has no option {shown(name)}; {meant}')
    state_path = _value(conf, 'state_path')
    if state_path is not None and not os.path.isabs(state_path):
        problems.add(_CONF, 0, f'[{options.GROUP}] state_path is {shown(state_path)}; it is a path that begins with /')


def _value(conf: Any, option: str) -> Any:
    """Read an option of names; one that cannot be read is noted already."""
    try:
        return conf[options.GROUP][option]
    except (AttributeError, ValueError):
        return None


def _find_file(conf: Any, option: str, problems: Problems) -> str | None:
    name = _value(conf, option)
    path = None if name is None else find(conf, name)
    if name is not None and path is None:
        problems.add(_CONF, 0, f'{option} = {name}: {not_found(name)}; copy the one that comes with the package and '
                               f'edit it, or set [{options.GROUP}] {option}')
    return path


def _find_directories(conf: Any, option: str, problems: Problems) -> list[str]:
    """Find the directories of definitions that an option names; of those in its default, one suffices."""
    default = next(opt.default for opt in options.OPTS if opt.dest == option)
    found = {name: find(conf, name) for name in _value(conf, option) or ()}
    for name, path in found.items():
        if path is not None and not os.path.isdir(path):
            problems.add(_CONF, 0, f'{option} = {name}: {path} is a file; name its directory')
        elif path is None and (name not in default or not any(found.values())):
            problems.add(_CONF, 0, f'{option} = {name}: {not_found(name)}; '
                                   f'make the directory, or set [{options.GROUP}] {option}')
    return [path for path in found.values() if path is not None and os.path.isdir(path)]
