# SPDX-License-Identifier: Apache-2.0
"""What was published, and how long resources were in which state -> the tables of the demonstration. Pure.

Projects are shown by names, which come as a mapping from their ids.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ceilometer_paas.cli import usage
from ceilometer_paas.cli.common import Columns, Size
from ceilometer_paas.ledger.usage import Usage

Sample = Mapping[str, Any]
"""A line of the file publisher's, read."""

Names = Mapping[str, str]

_NONE: Sample = {'volume': 0, 'resource_metadata': {'states': {}, 'flavors': {}}}


def newest(samples: Iterable[Sample]) -> list[Sample]:
    """Keep of each sample what was published last: what is restated bears the id that it had."""
    return list({sample['id']: sample for sample in samples}.values())


def is_of_lives(sample: Sample) -> bool:
    """Tell whether a sample states something of a life, or was made of one message."""
    return 'revision' in sample['resource_metadata']


class _Metered(NamedTuple):
    samples: list[float]
    resources: set[str]


def summary(samples: Iterable[Sample], names: Names) -> Columns:
    """Sum samples up by project and meter: the total of a delta, the newest volume of all else."""
    metered: dict[tuple[str, ...], _Metered] = defaultdict(lambda: _Metered([], set()))
    for sample in sorted(samples, key=lambda sample: str(sample['timestamp'])):
        of = metered[_project(sample, names), sample['name'], sample['type'], sample['unit']]
        of.samples.append(sample['volume'])
        of.resources.add(sample['resource_id'])
    rows = []
    for (project, name, kind, unit), of in sorted(metered.items()):
        volume, what = (sum(of.samples), 'total') if kind == 'delta' else (of.samples[-1], 'last')
        volume = int(volume) if volume == int(volume) else round(volume, 3)
        rows.append((project, name, len(of.samples), len(of.resources), volume, what, unit))
    return ('project', 'meter', 'samples', 'resources', 'volume', 'is', 'unit'), rows


@dataclass(slots=True)
class _Up:
    resources: set[str] = field(default_factory=set)
    micros: int = 0


def uptime(of_lives: Iterable[Sample], names: Names) -> Columns:
    """Sum up, by project, meter and flavor, for how long resources were up."""
    found: dict[tuple[str, ...], _Up] = defaultdict(_Up)
    for sample in of_lives:
        if sample['type'] == 'delta':
            of = found[_project(sample, names), sample['name'], sample['resource_metadata']['size'].get('flavor', '')]
            of.resources.add(sample['resource_id'])
            of.micros += round(sample['volume'] * 1_000_000)
    return ('project', 'meter', 'flavor', 'resources', 'seconds', 'hours'), [
        (*key, len(of.resources), usage.seconds(of.micros), round(usage.seconds(of.micros) / 3600, 2))
        for key, of in sorted(found.items())]


def quantities(of_lives: Iterable[Sample], names: Names, day: tuple[datetime, datetime]) -> Columns:
    """Tell how many resources projects had at the end of a day, and at most and at least in it.

    Of a period in which a project had none nothing is published.
    """
    found: dict[tuple[str, ...], dict[datetime, Sample]] = defaultdict(dict)
    for sample in of_lives:
        if 'highest' in sample['resource_metadata']:
            found[_project(sample, names), sample['name']][datetime.fromisoformat(sample['timestamp'])] = sample
    rows: list[tuple[Any, ...]] = []
    begin, end = day
    for key, samples in sorted(found.items()):
        counts = [sample['resource_metadata'] for sample in samples.values()]
        known = sum(map(_length, counts), timedelta())
        last = samples.get(end, _NONE)
        rows.append((*key, last['volume'], max(one['highest'] for one in counts),
                     min(one['lowest'] for one in counts) if known == end - begin else 0,
                     *(Size(last['resource_metadata'][name]) for name in ('states', 'flavors'))))
    return ('project', 'meter', 'number', 'highest', 'lowest', 'states', 'flavors'), rows


def _length(metadata: Mapping[str, Any]) -> timedelta:
    begin, end = (datetime.fromisoformat(metadata['period'][name]) for name in ('begin', 'end'))
    return end - begin


def lived(used: Iterable[Usage], names: Names) -> Columns:
    """Show how long resources were in which state."""
    rows = [(names.get(project, project), *rest) for project, *rest in map(usage.cells, used)]
    return ('project', 'type', 'state', 'seconds'), sorted(rows)


def _project(sample: Sample, names: Names) -> str:
    """Name the project of a sample."""
    return names.get(sample['project_id'], sample['project_id'] or '')
