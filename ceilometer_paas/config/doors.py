# SPDX-License-Identifier: Apache-2.0
"""Ceilometer's own configuration beside ours -> what of the two does not go together.

Ceilometer's notification agent has doors to this package: a pipeline (``[notification] pipelines``), a sample endpoint
(``[paas] sample_endpoint``) and a publisher (``paas://`` in Ceilometer's ``pipeline.yaml``). What is wrong with them is
a :class:`~ceilometer_paas.errors.Problem`: for every program (:func:`check`) where samples would go round, and only for
whoever asks (:func:`mistakes`) where Ceilometer's agent suffers from it and ours does not.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

from ceilometer import pipeline
from oslo_utils import netutils

from ceilometer_paas.config import broker, options
from ceilometer_paas.config.pipeline import Target
from ceilometer_paas.config.reader import Map, Problems, Seq, did_you_mean, read_yaml, shown
from ceilometer_paas.config.sources import Sources, shared_with_agent
from ceilometer_paas.errors import Problem

NAME = 'paas'
"""Our name in each of Ceilometer's namespaces, and the scheme of our publisher's URL."""

OLDEST = 27
"""The oldest release of Ceilometer that this package works with."""

_PIPELINES = 'ceilometer.notification.pipeline'
_DOORS = (_PIPELINES, 'ceilometer.sample.endpoint', 'ceilometer.sample.publisher')
_OPTION = '[notification] pipelines'
_BETWEEN = re.compile(r'[,;\s]+')


def check(conf: Any, targets: Sequence[Target], problems: Problems) -> list[Target]:
    """Refuse what would have samples go round, and a Ceilometer that is too old.

    :param targets: of ``paas_pipeline.yaml``
    :returns: those that are no doors of Ceilometer's, and can be loaded
    """
    problems.extend(old_ceilometer())
    ours = [target for target in targets if _is_ours(target.url)]
    for target in ours:
        problems.add(target.file, target.line, 'paas:// is for Ceilometer\'s own pipeline.yaml: from here samples '
                                               'would go back into the ledger; name where they are to end, such as '
                                               'gnocchi://')
    back = [target for target in targets if _leads_to_agent(conf, target.url)]
    place = publishes_to_us(conf) if back else None
    for target in back if place else ():
        problems.add(target.file, target.line, 'samples would go round: this leads to the bus of Ceilometer\'s '
                                               f'notification agent, and {place} from there to paas://; name here '
                                               'where they are to end, such as gnocchi://, or remove paas:// there')
    return [target for target in targets if target not in ours]


def check_endpoint(conf: Any, sources: Sources, problems: Problems) -> None:
    """Refuse a sample endpoint that no queue is for, or that could not tell of which queue a message is.

    What comes by two doors would count twice, were it taken as another queue's here.
    """
    shared = {queue.name for queue in shared_with_agent(sources, conf)}
    if not shared:
        problems.add('ceilometer.conf', 0, '[paas] sample_endpoint is set, and no queue of the source map would get '
                                           'copies of what Ceilometer\'s notification agent consumes; map one to its '
                                           'broker and topic, or remove the option')
    for metric_type, queues in sources.metric_types.items():
        if len(several := sorted(shared.intersection(queues))) > 1:
            problems.add('ceilometer.conf', 0, f'[paas] sample_endpoint is set, and the source map gives '
                                               f'{shown(metric_type)} to {", ".join(several)}, which cannot be told '
                                               'apart on Ceilometer\'s bus; give it to one of them, or remove the '
                                               'option')


def old_ceilometer() -> Iterator[Problem]:
    """Refuse a Ceilometer that is older than :data:`OLDEST`."""
    version = metadata.version('ceilometer')
    if int(version.partition('.')[0]) < OLDEST:
        yield Problem('ceilometer', 0, f'version {version} is installed, and {OLDEST} or newer is needed; run: '
                                       f'{sys.executable} -m pip install --upgrade "ceilometer>={OLDEST}"')


def mistakes(conf: Any) -> Iterator[Problem]:
    """Find what keeps Ceilometer's notification agent from doing what ``[notification] pipelines`` is to say.

    Ceilometer takes each line for one name. It logs one line of a name that it does not know, and runs on without it.
    """
    places = {value.strip('\'"'): (file, line)
              for file, line, name, value in options.written(conf, 'notification') if name == 'pipelines'}
    known = metadata.entry_points(group=_PIPELINES).names
    for name in _pipelines(conf):
        file, line = places.get(name.partition('\n')[0], ('ceilometer.conf', 0))
        words = [word for word in _BETWEEN.split(name) if word]
        if len(words) > 1:
            right = ', '.join(f'pipelines = {word}' for word in words)
            yield Problem(file, line, f'{_OPTION}: Ceilometer takes {shown(name)} for one name, which no pipeline has; '
                                      f'write a line for each: {right}')
        elif name == NAME and name not in known:
            yield Problem(file, line, f'{_OPTION}: there is no pipeline {NAME!r} in this environment; install '
                                      'ceilometer-paas where ceilometer-agent-notification runs')
        elif name not in known:
            meant = did_you_mean(name, known) or f'there are {", ".join(sorted(known))}'
            yield Problem(file, line, f'{_OPTION}: there is no pipeline {shown(name)}; {meant}')
    yield from _broken_doors()


def notes(conf: Any, sources: Sources, twice: Sequence[str]) -> Iterator[str]:
    """Say where what belongs to one door comes in by two.

    :param twice: the meters that Ceilometer's definitions give, and ours too
    """
    pipelines, settings = _pipelines(conf), conf[options.GROUP]
    shared = [queue.name for queue in shared_with_agent(sources, conf)] if settings.sample_endpoint else []
    if NAME in pipelines:
        yield (f'{_OPTION} has {NAME}: ceilometer-agent-notification consumes the mapped queues; '
               'ceilometer-agent-paas, where it runs too, shares them with it, and is not needed')
    if NAME in pipelines and 'meter' in pipelines and shared:
        yield (f'{_OPTION} has {NAME}, and [paas] sample_endpoint is set: what is sent to {", ".join(shared)} counts '
               'once, but is carried twice; keep one of the two')
    if settings.sample_endpoint and 'meter' not in pipelines:
        yield f'[paas] sample_endpoint has no effect: {_OPTION} lacks meter, which would load it'
    if settings.publish_events and 'event' in pipelines:
        yield (f'{_OPTION} has event, and [paas] publish_events is set: what both take becomes two events; '
               'keep one of the two')
    place = publishes_to_us(conf) if twice else None
    if place:
        yield (f'{place} publishes to paas:// what Ceilometer\'s definitions give, so that these are in the ledger '
               f'twice, by its definitions and by ours: {", ".join(twice)}; leave them out of one of the two')


def publishes_to_us(conf: Any) -> str | None:
    """Find where Ceilometer's pipeline publishes to ``paas://``, as file:line; what is wrong with it is its matter."""
    if not any('meter' in _BETWEEN.split(name) for name in _pipelines(conf)):
        return None
    try:
        path = _ceilometers_file(conf, conf.pipeline_cfg_file)
    except AttributeError:
        return None
    root = read_yaml(path, Problems())
    sinks = root.get('sinks') if isinstance(root, Map) else None
    for sink in sinks if isinstance(sinks, Seq) else ():
        publishers = sink.get('publishers') if isinstance(sink, Map) else None
        if isinstance(publishers, Seq):
            for url, line in zip(publishers, publishers.lines, strict=True):
                if _is_ours(url):
                    return f'{path}:{line}'
    return None


def _ceilometers_file(conf: Any, name: str) -> Any:
    """Find the file of a pipeline as Ceilometer does."""
    if os.path.exists(name):
        return name
    return conf.find_file(name) or os.path.join(os.path.dirname(pipeline.__file__), 'data', name)


def _pipelines(conf: Any) -> Sequence[str]:
    """Read the option; what cannot be read stops Ceilometer's agent, and not ours."""
    try:
        names: Sequence[str] = conf.notification.pipelines
    except AttributeError:
        return ()
    return names


def _is_ours(url: object) -> bool:
    """Tell whether a publisher is ours; Ceilometer completes a scheme without ``://``."""
    return isinstance(url, str) and url.partition('://')[0].lower() == NAME


def _leads_to_agent(conf: Any, url: str) -> bool:
    """Tell whether Ceilometer's notification agent takes up what a publisher sends.

    It takes the polling agent's messages for samples, which only ``paasbus://`` sends. What ``notifier://`` sends has
    another type of event, and no endpoint of Ceilometer's takes it.
    """
    parsed = netutils.urlsplit(url)
    if parsed.scheme != 'paasbus':
        return False
    try:
        bus, topics = broker.read_bus(parsed)
        here = broker.parse(conf, bus)
    except ValueError:  # a mistake that is told by whoever loads the publisher
        return False
    consumed = broker.agents_queues(conf)
    return (topics is None or any(f'{topic}.sample' in consumed for topic in topics)) and any(
        here.is_same(other) for other in broker.agents_brokers(conf))


def _broken_doors() -> Iterator[Problem]:
    """Find what this environment lacks of what ``setup.cfg`` names for Ceilometer."""
    mend = f'install the package again: {sys.executable} -m pip install --force-reinstall --no-deps ceilometer-paas'
    for group in _DOORS:
        found = metadata.entry_points(group=group, name=NAME)
        if not found:
            yield Problem('ceilometer-paas', 0, f'the entry point {NAME} of {group} is missing; {mend}')
        for point in found:
            try:
                point.load()
            except (ImportError, AttributeError) as error:
                yield Problem('ceilometer-paas', 0, f'the entry point {NAME} of {group} cannot be loaded: {error}; '
                                                    f'{mend}')
