# SPDX-License-Identifier: Apache-2.0
"""``check``: everything that an operator wrote, before an agent reads it."""

import argparse
import contextlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from cliff import command

from ceilometer_paas import transport
from ceilometer_paas.config import doors, meters, options
from ceilometer_paas.config.lifecycles import Lifecycle
from ceilometer_paas.config.load import Configuration, load
from ceilometer_paas.config.sources import Endpoint, Sources
from ceilometer_paas.errors import ConfigError, Unavailable
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.publish.load import load_publishers


class Check(command.Command):  # type: ignore[misc]
    """Check ceilometer.conf and every file that it names, and say what in them has no effect.

    Mistakes go to stderr, a line each, and the exit status is 1. Nothing is changed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('--connect', action='store_true',
                            help='also connect to each endpoint, and say which cannot be reached')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Check.

        :raises ConfigError: ceilometer.conf cannot be read
        """
        conf, failed = self.app.conf, []
        try:
            config = load(conf, load_publishers)
        except ConfigError as error:
            failed.append(str(error))
        else:
            failed += self._look(config, parsed_args.connect)
        failed += map(str, doors.mistakes(conf))
        failed += unusable_ledger(conf)
        for line in failed:
            print(line, file=self.app.stderr)
        if not failed:
            print(f'ok: {len(config.sources.endpoints)} endpoints, {len(config.sources.queues)} queues, '
                  f'{len(config.meters)} meter definitions, {len(config.lifecycles)} lifecycle definitions, '
                  f'{len(config.targets) + len(config.event_targets)} publishers', file=self.app.stdout)
        return 1 if failed else 0

    def _look(self, config: Configuration, connect: bool) -> Iterator[str]:
        """Print what there is to say of a configuration without mistakes; give the endpoints that cannot be reached."""
        for note in notes(config):
            print(f'note: {note}', file=self.app.stdout)
        for endpoint in config.sources.endpoints.values() if connect else ():
            why = self._connect(endpoint, config)
            if why:
                yield f'endpoint {endpoint.name}: cannot be reached: {why}'
            else:
                print(f'endpoint {endpoint.name}: reachable', file=self.app.stdout)

    def _connect(self, endpoint: Endpoint, config: Configuration) -> str:
        """Say why an endpoint cannot be reached; nothing if it can."""
        opened = transport.open_transport(config.conf, endpoint.url)
        try:
            transport.probe(opened)
        except Unavailable as error:
            return str(error)
        finally:
            opened.cleanup()
        return ''


def unusable_ledger(conf: Any) -> Iterator[str]:
    """Say why the ledger cannot be opened."""
    try:
        connection = options.settings(conf).ledger_connection
    except (AttributeError, ValueError):  # an option is wrong, and that is said already
        return
    try:
        with contextlib.closing(Ledger(connection)) as ledger:
            ledger.check()
    except (ConfigError, Unavailable) as error:
        yield str(error)


def notes(config: Configuration) -> Iterator[str]:
    """Say what is valid, and yet may not be what was meant."""
    sources = config.sources
    twice = meters.overlap(config.meters, config.conf)
    if twice:
        yield f'Ceilometer\'s own notification agent, where it runs, publishes these too: {", ".join(twice)}'
    yield from doors.notes(config.conf, sources, twice)
    for meter in config.meters:
        if not sources.queues_of(meter.name):
            yield f'{meter.file}:{meter.line}: {meter.name} is inactive: no metric type of the source map covers it'
    yield from _notes_on_lifecycles(config)
    given = {meter.name for meter in config.meters}.union(
        *(one.meter_names(one.type_name) for one in config.lifecycles))
    read = {queue.name for queue in sources.queues.values() if queue.format == 'oslo'}
    for pattern, queues in sources.metric_types.items():
        if read.issuperset(queues) and not any(fnmatchcase(name, pattern) for name in given):
            yield f'no definition gives the metric type {pattern}, which is mapped to {", ".join(queues)}'


def _notes_on_lifecycles(config: Configuration) -> Iterator[str]:
    """Say of which lives something is not kept or not stated, by the first definition of each resource type."""
    said = set()
    for one in config.lifecycles:
        of = one.type_name or 'resources of any type'
        for why in _why_inactive(one, one.type_name, config.sources), *_missing(one, config):
            if why and (of, why) not in said:
                said.add((of, why))
                yield f'{one.file}:{one.line}: the lifecycle of {of} {why}'


def _why_inactive(lifecycle: Lifecycle, resource_type: str, sources: Sources) -> str:
    """Say why a definition is not used for resources of a type; nothing if it is.

    :param resource_type: empty if only messages can tell, those that name their type
    """
    names = lifecycle.meter_names(resource_type)
    mapped = {name: queues for name in names if (queues := sources.queues_of(name))}
    reads = {queue.name for queue in sources.queues.values() if queue.format == lifecycle.format}
    if not names:
        return 'is inactive: no definition of it names a meter'
    if not reads:
        return f'is inactive: no queue of the source map has the format {lifecycle.format}'
    if resource_type and not mapped:
        return f'is inactive: no metric type of the source map covers {", ".join(names)}'
    if resource_type and not reads.intersection(*mapped.values()):
        return (f'is inactive: no queue of the format {lifecycle.format} is given each of {", ".join(mapped)} by the '
                'source map')
    return ''


def _missing(lifecycle: Lifecycle, config: Configuration) -> Iterator[str]:
    """Say what is missing of a lifecycle of a known type that is kept."""
    of, sources = lifecycle.type_name, config.sources
    if not of or _why_inactive(lifecycle, of, sources):
        return
    names = lifecycle.meter_names(of)
    for name in names:
        if not sources.queues_of(name):
            yield f'does without {name}: no metric type of the source map covers it'
    for queue in (queue.name for queue in sources.queues.values() if queue.format == lifecycle.format):
        given = [name for name in names if queue in sources.queues_of(name)]
        lacking = [name for name in names if sources.queues_of(name) and name not in given]
        if given and lacking:
            yield f'is refused from queue {queue}: the source map gives it {given[0]}, but not {", ".join(lacking)}'
    if lifecycle.parent:
        whole = lifecycle.parent.resource_type
        akin = ([one for one in config.lifecycles if one.type_name == whole]
                or [one for one in config.lifecycles if not one.type_name])
        if all(_why_inactive(one, whole, sources) for one in akin):
            yield f'is kept without that of {whole}, with which it ends: map the meters of that, too'
