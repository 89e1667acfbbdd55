# SPDX-License-Identifier: Apache-2.0
"""What the tests of publishers share: samples, targets, a configuration of Ceilometer's."""

import os
import tempfile
import unittest
from typing import Any

from ceilometer import service
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


def target(url: str, line: int = 7) -> Target:
    return Target(name=f'sink: {url.partition("://")[0]}', sink='sink', url=url, patterns=(('*',),),
                  file='paas_pipeline.yaml', line=line)


def publisher(test: unittest.TestCase, url: str, text: str = '') -> Publisher:
    """Load the one publisher of a URL."""
    one, = load_publishers([target(url)], conf(test, text))
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
