# SPDX-License-Identifier: Apache-2.0
"""What the package itself knows -> tables of the documentation: a Sphinx extension.

``.. refusal-codes::`` lists every code of :mod:`ceilometer_paas.errors`; ``.. shipped-meters::`` every meter that the
shipped definitions give, with the events that it comes from; ``.. shipped-lifecycles::`` every type of resource whose
life they follow, with its states, meters and events; ``.. shipped-codes::`` every code of their status meters.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import shipped
from docutils import nodes
from docutils.parsers.rst import Directive

from ceilometer_paas import errors


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
        for path in shipped.files('meters'):
            self.state.document.settings.record_dependencies.add(str(path))
            rows = ([literal(part) for part in (*meter, ' '.join(events))]
                    for meter, events in shipped.meters(path).items())
            found += [nodes.paragraph('', '', literal(path.name)),
                      table(('Meter', 'Type', 'Unit', 'Events'), rows, (30, 10, 12, 60))]
        return found


class ShippedLifecycles(Directive):
    """A table for each file of definitions, some rows for each type of resource."""

    def run(self) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for path in shipped.files('lifecycles'):
            self.state.document.settings.record_dependencies.add(str(path))
            rows = ((literal(resource_type), nodes.Text(what), literal(' '.join(words)))
                    for (resource_type, what), words in shipped.lifecycles(path).items())
            found += [nodes.paragraph('', '', literal(path.name)),
                      table(('Resource type', 'What', 'Names'), rows, (20, 25, 65))]
        return found


class ShippedCodes(Directive):
    """A row for each status meter."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for path in shipped.files('lifecycles'):
            self.state.document.settings.record_dependencies.add(str(path))
            rows += [(literal(meter), literal(', '.join(f'{code} {state}' for code, state in codes.items())))
                     for meter, codes in shipped.codes(path).items()]
        return [table(('Meter', 'Codes'), rows, (30, 80))]


def setup(app: Any) -> dict[str, bool]:
    app.add_directive('refusal-codes', RefusalCodes)
    app.add_directive('shipped-meters', ShippedMeters)
    app.add_directive('shipped-lifecycles', ShippedLifecycles)
    app.add_directive('shipped-codes', ShippedCodes)
    return {'parallel_read_safe': True}
