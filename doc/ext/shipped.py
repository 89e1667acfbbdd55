# SPDX-License-Identifier: Apache-2.0
"""Files of definitions that the package ships -> what the documentation's tables say of them."""

import pathlib
from typing import Any

import yaml

ETC = pathlib.Path(__file__).parents[2] / 'etc/ceilometer_paas'

_TOLD = {
    'state': 'events that tell a new state',
    'observed': 'events that tell the state of the moment',
    'sets': 'events that change the owner or the size alone',
}
_WITNESS = 'events that tell creation, launch and end alone'


def files(kind: str) -> list[pathlib.Path]:
    """Name the files of ``meters`` or ``lifecycles``."""
    return sorted(ETC.glob(f'{kind}.d/*.yaml'))


def meters(path: pathlib.Path) -> dict[tuple[str, str, str], list[str]]:
    """Give the events of each meter: name, type and unit -> patterns, without the regular expressions' backslashes."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for definition in yaml.safe_load(path.read_text())['metric']:
        events = found.setdefault((definition['name'], definition['type'], definition['unit']), [])
        events += [event.replace('\\.', '.') for event in _patterns(definition)]
    return found


def lifecycles(path: pathlib.Path) -> dict[tuple[str, str], list[str]]:
    """Give what is said of each type of resource: the type and what it is -> states, a meter or patterns of events.

    What all definitions of a type say is put together, and each word given once. Events that are ignored are left out.
    """
    found: dict[tuple[str, str], dict[str, None]] = {}
    for definition in yaml.safe_load(path.read_text())['lifecycle']:
        def add(what: str, words: Any, of: str = definition['resource_type']) -> None:
            if words:
                found.setdefault((of, what), {}).update(dict.fromkeys(words))

        add('states', definition.get('states'))
        for meter, counted in definition.get('meters', {}).items():
            excepted = isinstance(counted, dict)
            add(f'{meter} counts{" all but" if excepted else ""}', counted['all_but'] if excepted else counted)
        add('states that count as the one before', definition.get('as_before'))
        add('meter of the status', [definition['status']['meter']] if 'status' in definition else ())
        add('meter of the quantity', [definition['quantity']] if 'quantity' in definition else ())
        for event in definition['events']:
            if 'ignored' not in event:
                add(next((what for key, what in _TOLD.items() if key in event), _WITNESS), _patterns(event))
    last = [*_TOLD.values(), _WITNESS]
    types = list(dict.fromkeys(resource_type for resource_type, _ in found))
    return {key: list(found[key]) for key in sorted(found, key=lambda key: (
        types.index(key[0]), last.index(key[1]) if key[1] in last else -1))}


def codes(path: pathlib.Path) -> dict[str, dict[int, str]]:
    """Give the states of each status meter by their codes, in order."""
    stated = [definition['status'] for definition in yaml.safe_load(path.read_text())['lifecycle']
              if 'status' in definition]
    return {status['meter']: {code: state for state, code in sorted(status['codes'].items(), key=lambda item: item[1])}
            for status in stated}


def _patterns(definition: dict[str, Any]) -> list[str]:
    patterns = definition['event_type']
    return [patterns] if isinstance(patterns, str) else patterns
