# SPDX-License-Identifier: Apache-2.0
"""What the tests of publishers share: samples, events, targets, a configuration of Ceilometer's."""

import os
import tempfile
import unittest
from datetime import datetime
from typing import Any

from ceilometer import service
from ceilometer.event.models import Event, Trait
from ceilometer.sample import Sample

from ceilometer_paas.config.pipeline import Target
from ceilometer_paas.publish.load import Publisher, load_publishers


def conf(test: unittest.TestCase, text: str = '') -> Any:
    """Read a ceilometer.conf with this text."""
    directory = tempfile.TemporaryDirectory()
    test.addCleanup(directory.cleanup)
    path = os.path.join(directory.name, 'ceilometer.conf')
    with open(path, 'w') as file:
        file.write(text)
    return service.prepare_service(argv=['ceilometer-paas'], config_files=[path])


def target(url: str, line: int = 7, content: str = 'samples') -> Target:
    return Target(name=f'sink: {url.partition("://")[0]}', sink='sink', url=url, patterns=(('*',),),
                  file='paas_pipeline.yaml', line=line, content=content)


def publisher(test: unittest.TestCase, url: str, text: str = '', content: str = 'samples') -> Publisher:
    """Load the one publisher of a URL."""
    one, = load_publishers([target(url, content=content)], conf(test, text))
    return one


def samples(count: int, name: str = 'memory', resource_id: str | None = None, **fields: Any) -> list[Sample]:
    """Make samples with the ids 0, 1, ... and, unless one is given, with resources of their own."""
    values = {'type': 'gauge', 'unit': 'MiB', 'user_id': 'u' * 32, 'project_id': 'p' * 32,
              'timestamp': '2026-11-22T09:00:00+00:00', 'resource_metadata': {'host': 'compute-1', 'note': 'é\n'}}
    return [Sample(name, **{'volume': number, 'resource_id': resource_id or f'resource-{number}', 'id': str(number),
                            **values, **fields})
            for number in range(count)]


def ids(given: Any) -> list[str]:
    return [sample.id for sample in given]


def events(count: int, event_type: str = 'compute.instance.create.end', **traits: Any) -> list[Event]:
    """Make events with the ids 0, 1, ... and, unless traits say otherwise, of resources of their own."""
    when = datetime.fromisoformat('2026-11-22T09:00:00.250000')
    return [Event(str(number), event_type, when,
                  [Trait(name, Trait.TEXT_TYPE, value) for name, value in
                   {'resource_id': f'resource-{number}', 'note': 'é\n', **traits}.items()]
                  + [Trait('launched_at', Trait.DATETIME_TYPE, when), Trait('vcpus', Trait.INT_TYPE, number)], {})
            for number in range(count)]
