# SPDX-License-Identifier: Apache-2.0
"""What the package itself knows -> tables of the documentation: a Sphinx extension.

``.. refusal-codes::`` lists every code of :mod:`ceilometer_paas.errors`; ``.. shipped-meters::`` every meter that the
installed definitions give, with the events that it comes from.
"""

import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive

from ceilometer_paas import errors

METERS = pathlib.Path(__file__).parents[2] / 'etc/ceilometer_paas/meters.d'


def table(head: Sequence[str], rows: Iterable[Sequence[nodes.Node]], widths: Sequence[int]) -> nodes.table:
    """Build a table; every cell is one inline node."""
    def line(cells: Iterable[nodes.Node]) -> nodes.row:
        return nodes.row('', *(nodes.entry('', nodes.paragraph('', '', cell)) for cell in cells))

    group = nodes.tgroup('', *(nodes.colspec(colwidth=width) for width in widths),
                         nodes.thead('', line(map(nodes.Text, head))),
                         nodes.tbody('', *map(line, rows)), cols=len(head))
    return nodes.table('', group)


def literal(text: object) -> nodes.literal:
    return nodes.literal('', str(text))


class RefusalCodes(Directive):
    """A row for each code."""

    def run(self) -> list[nodes.Node]:
        rows = [(literal(code), nodes.Text(meaning)) for code, meaning in errors.REFUSALS.items()]
        return [table(('Code', 'Meaning'), rows, (30, 80))]


class ShippedMeters(Directive):
    """A table for each file of definitions, a row for each meter."""

    def run(self) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for path in sorted(METERS.glob('*.yaml')):
            self.state.document.settings.record_dependencies.add(str(path))
            rows = ([literal(part) for part in (*meter, ' '.join(events))] for meter, events in meters(path).items())
            found += [nodes.paragraph('', '', literal(path.name)),
                      table(('Meter', 'Type', 'Unit', 'Events'), rows, (30, 10, 12, 60))]
        return found


def meters(path: pathlib.Path) -> dict[tuple[str, str, str], list[str]]:
    """Give the events of each meter: name, type and unit -> patterns, without the regular expressions' backslashes."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for definition in yaml.safe_load(path.read_text())['metric']:
        patterns = definition['event_type']
        events = found.setdefault((definition['name'], definition['type'], definition['unit']), [])
        events += [event.replace('\\.', '.') for event in ([patterns] if isinstance(patterns, str) else patterns)]
    return found


def setup(app: Any) -> dict[str, bool]:
    app.add_directive('refusal-codes', RefusalCodes)
    app.add_directive('shipped-meters', ShippedMeters)
    return {'parallel_read_safe': True}
