# SPDX-License-Identifier: Apache-2.0
"""A file in the format of Ceilometer's ``event_definitions.yaml``, in -> its definitions, or every mistake, out.

A definition says which traits the events of some types have: an event is made by the last definition that matches.
"""

from collections.abc import Iterator

from ceilometer_paas.config.definitions import Definitions
from ceilometer_paas.config.reader import Map, Problems, Seq, check_keys, read_yaml, shown

TYPES = ('text', 'int', 'float', 'datetime')
_KIND = 'event definition'


def load_event_definitions(path: str, problems: Problems) -> tuple[Map, ...]:
    """Read definitions, as Ceilometer's converter takes them; what is wrong with them is a problem."""
    before = len(problems)
    root = read_yaml(path, problems)
    if not isinstance(root, Seq) or not root:
        if len(problems) == before:
            problems.add(path, 1, f'a file of {_KIND}s is a list of them, at least one')
        return ()
    return tuple(_Reader(problems).read(root))


class _Reader:
    """Definitions, and every mistake on the way; of what is merged by ``<<``, once."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._definitions = Definitions(problems, key='', name='event_type', kind=_KIND, failure='event.failed')
        self._checked: set[tuple[int, object]] = set()

    def read(self, root: Seq) -> Iterator[Map]:
        for one, line in zip(root, root.lines, strict=True):
            if not isinstance(one, Map):
                self._problems.add(root.file, line, f'an {_KIND} is a mapping, not {shown(one)}')
                continue
            check_keys(one, self._problems, required=('event_type', 'traits'), what=f'an {_KIND}')
            if 'event_type' in one and not self._definitions.words(one, 'event_type') and one['event_type'] in ('', []):
                self._definitions.wrong(one, 'event_type', 'event_type names no type of event')
            if isinstance(one.get('traits'), Map):
                self._check_traits(one['traits'])
            elif 'traits' in one:
                self._definitions.wrong(one, 'traits', 'traits is a mapping of names to paths')
            yield one

    def _check_traits(self, traits: Map) -> None:
        for name, value in traits.items():
            place = traits.lines[name], name
            if place in self._checked:
                continue
            self._checked.add(place)
            if not isinstance(name, str):
                self._definitions.wrong(traits, name, f'{shown(name)} is no name of a trait; quote it')
                continue
            kind = value.get('type', TYPES[0]) if isinstance(value, Map) else TYPES[0]
            if kind not in TYPES:
                self._problems.add(traits.file, value.lines['type'],
                                   f'a trait has no type {shown(kind)}; known: {", ".join(TYPES)}')
            self._definitions.path(traits, name, value, (int, str), also=('type',))
