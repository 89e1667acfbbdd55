# SPDX-License-Identifier: Apache-2.0
"""A file of definitions -> the archive policies and resource types that Gnocchi must have for it, and their creation.

The file is in the format of Ceilometer's ``gnocchi_resources.yaml``. Ceilometer's publisher creates the policies that
stand in it, but no types; ``ceilometer-upgrade`` knows those of Ceilometer's own file alone.
"""

import copy
import re
import urllib.parse
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ceilometer import gnocchi_client, keystone_client
from ceilometer.publisher import gnocchi
from gnocchiclient import exceptions
from keystoneauth1 import exceptions as keystone_exceptions
from stevedore import extension

from ceilometer_paas.config.reader import Map, Problems, Seq, find, not_found, read_yaml
from ceilometer_paas.errors import ConfigError, Problem, Unavailable

DEFAULT_FILE = 'ceilometer_paas/gnocchi_resources.yaml'
"""Where there is one in /etc, that; else the one that the package installed: never Ceilometer's, of the same name."""

COMMAND = 'ceilometer-paas gnocchi upgrade'
"""What creates what is missing."""

_STRING = {'type': 'string', 'min_length': 0, 'max_length': 255, 'required': False}
_UNITS = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}
_CLOCK = re.compile(r'(\d+):(\d\d):(\d\d)')
_AMOUNT = re.compile(r'(\d+(?:\.\d+)?)\s*([smhdw])')


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a file says.

    :ivar resources: a definition of Ceilometer's class each: a type, its metrics and attributes
    :ivar policies: archive policies, as Gnocchi's API takes them
    """

    file: str
    resources: Sequence[Any]
    policies: Sequence[Mapping[str, Any]]


def load_definitions(conf: Any, name: str, policy: str | None = None) -> Definitions:
    """Read a file of definitions.

    :param name: relative, it is looked up as the files that our options name
    :param policy: archive policy of all metrics, whatever stands in the file
    :raises ValueError: there is no such file
    :raises ConfigError: mistakes in it
    """
    path = find(conf, name)
    if path is None:
        raise ValueError(f'{name}: {not_found(name)}')
    problems = Problems()
    root = read_yaml(path, problems)
    problems.check()
    if not isinstance(root, Map) or not isinstance(root.get('resources'), Seq):
        raise ConfigError([Problem(path, 0, 'there is no list of resources, as Ceilometer\'s file has one')])
    policies = root.get('archive_policies', Seq())
    for one in policies:
        if not isinstance(one, Map) or not {'name', 'definition'} <= one.keys():
            problems.add(path, root.lines['archive_policies'], 'an archive policy has a name and a definition')
    resources = list(_resources(root, policy, problems))
    problems.check()
    return Definitions(path, resources, policies)


def _resources(root: Map, policy: str | None, problems: Problems) -> Iterator[Any]:
    """Make a definition of each resource; what is wrong with one is a problem."""
    plugins = extension.ExtensionManager(namespace='ceilometer.event.trait_plugin')
    default = root.get('archive_policy_default', 'ceilometer-low')  # as Ceilometer has it
    resources = root['resources']
    for resource, line in zip(resources, resources.lines, strict=True):
        try:
            yield gnocchi.ResourcesDefinition(resource, default, policy, plugins)
        except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises, the definition is of no use
            problems.add(root.file, line, f'the resource cannot be used: {getattr(error, "brief_message", error)}')


def named_in(url: urllib.parse.SplitResult) -> tuple[str, str | None]:
    """Tell which file, and which archive policy for all metrics, the URL of a publisher names."""
    options = urllib.parse.parse_qs(url.query)
    return options.get('resources_definition_file', [DEFAULT_FILE])[-1], options.get('archive_policy', [None])[-1]


def check_credentials(conf: Any) -> None:
    """Check what can be checked before Keystone and Gnocchi are asked.

    :raises ValueError: there are no credentials
    """
    section = conf.gnocchi.auth_section
    if keystone_client.get_session(conf, group=section).auth is None:
        raise ValueError(f'credentials are missing: [{section}] has no auth_type')


def upgrade(conf: Any, definitions: Sequence[Definitions]) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Create what Gnocchi lacks; what it has is neither changed nor deleted.

    :return: kind, name and what was done (``created``, ``updated`` or ``unchanged``) of each archive policy and
        resource type; and what there is otherwise than the files want it
    :raises ValueError: there are no credentials
    :raises Unavailable: Gnocchi, or the Keystone before it, cannot be reached or refuses
    """
    notes: list[str] = []
    with _asked(conf) as client:
        done = [('archive policy', name, _upgrade_policy(client, policy, notes))
                for name, policy in _policies(definitions).items()]
        done += [('resource type', name, _upgrade_type(client, name, attributes))
                 for name, attributes in _types(definitions).items()]
        there = {policy['name'] for policy in client.archive_policy.list()}
    return done, notes + list(_missing_policies(there, definitions))


def lacking(conf: Any, definitions: Sequence[Definitions]) -> tuple[list[str], list[str]]:
    """Look what :func:`upgrade` would do, and change nothing.

    :return: what Gnocchi lacks; and what it has otherwise than the files want it
    :raises ValueError: as :func:`upgrade`
    :raises Unavailable: as :func:`upgrade`
    """
    with _asked(conf) as client:
        there = {policy['name']: policy for policy in client.archive_policy.list()}
        types = {one['name']: one['attributes'] for one in client.resource_type.list()}
    missing: list[str] = []
    notes: list[str] = []
    policies = _policies(definitions)
    for name, policy in policies.items():
        if name in there:
            notes += _differences(policy, there[name])
        else:
            missing.append(f'archive policy {name}')
    for name, attributes in _types(definitions).items():
        lacks = [attribute for attribute in attributes if attribute not in types.get(name, ())]
        if name not in types:
            missing.append(f'resource type {name}')
        elif lacks:
            missing.append(f'{", ".join(lacks)} of resource type {name}')
    return missing, notes + list(_missing_policies({*there, *policies}, definitions))


@contextmanager
def _asked(conf: Any) -> Iterator[Any]:
    """Give a client of Gnocchi.

    :raises ValueError: there are no credentials
    :raises Unavailable: Gnocchi, or the Keystone before it, cannot be reached or refuses
    """
    check_credentials(conf)
    try:
        client = gnocchi_client.get_gnocchiclient(conf)
        client.api.connect_retries = 0  # a person waits, and would see each of them in the log
        yield client
    except (exceptions.ClientException, keystone_exceptions.ClientException) as error:
        raise Unavailable(said(error)) from None


def said(error: Any) -> str:
    """Say in one line what Gnocchi, or its client, has against something."""
    message, code = getattr(error, 'message', None) or type(error).__name__, getattr(error, 'code', None)
    if isinstance(message, dict):
        message = f'{message.get("cause")}: {message.get("reason") or message.get("detail")}'
    text = ' '.join(str(message).split())
    return f'Gnocchi: {text} (HTTP {code})' if code else f'Gnocchi: {type(error).__name__}: {text}'


def _policies(definitions: Iterable[Definitions]) -> dict[str, Mapping[str, Any]]:
    """Gather the archive policies that stand in the files."""
    return {policy['name']: policy for one in definitions for policy in one.policies}


def _types(definitions: Iterable[Definitions]) -> dict[str, list[str]]:
    """Gather the attributes of each type; several definitions, and files, may speak of one."""
    types: dict[str, dict[str, None]] = {}
    for resource in (resource for one in definitions for resource in one.resources):
        types.setdefault(resource.cfg['resource_type'], {}).update(dict.fromkeys(resource.cfg.get('attributes', {})))
    return {name: list(attributes) for name, attributes in types.items()}


def _upgrade_policy(client: Any, policy: Mapping[str, Any], notes: list[str]) -> str:
    try:
        client.archive_policy.create(policy)
    except exceptions.ArchivePolicyAlreadyExists:
        notes += _differences(policy, client.archive_policy.get(policy['name']))
        return 'unchanged'
    return 'created'


def _upgrade_type(client: Any, name: str, attributes: Iterable[str]) -> str:
    """Create a type as ``ceilometer-upgrade`` would, if it knows it; give an existing one the attributes it lacks."""
    known = _ceilometers_types().get(name, {})
    try:
        client.resource_type.create({'name': name, 'attributes': dict.fromkeys(attributes, _STRING) | known})
    except exceptions.ResourceTypeAlreadyExists:
        there = client.resource_type.get(name)['attributes']
        missing = [{'op': 'add', 'path': f'/attributes/{attribute}',
                    'value': {**known.get(attribute, _STRING), 'required': False}}
                   for attribute in attributes if attribute not in there]
        if not missing:
            return 'unchanged'
        client.resource_type.update(name, missing)
        return 'updated'
    return 'created'


def _ceilometers_types() -> dict[str, dict[str, Any]]:
    """Give the attributes of the types that ``ceilometer-upgrade`` makes, by what it does to make them."""
    types: dict[str, dict[str, Any]] = copy.deepcopy(gnocchi_client.resources_initial)
    for step in gnocchi_client.resources_update_operations:
        attributes = types.setdefault(step['resource_type'], {})
        for change in step['data']:
            if 'attributes' in change:
                attributes.update(change['attributes'])
            elif change['op'] == 'add':
                attributes[change['path'].rpartition('/')[2]] = {
                    key: value for key, value in change['value'].items() if key != 'options'}
    return types


def _differences(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[str]:
    """Say what an archive policy that exists does not do of what is wanted."""
    methods = [method for method in wanted.get('aggregation_methods', ())
               if method[:1].isalnum() and method not in there['aggregation_methods']]
    if methods:
        yield f'archive policy {wanted["name"]} does not aggregate by {", ".join(methods)}'
    granularities = {_seconds(one['granularity']) for one in there['definition']}
    lacking = [str(one['granularity']) for one in wanted['definition']
               if _seconds(one['granularity']) not in granularities]
    if lacking:
        yield f'archive policy {wanted["name"]} has no granularity of {", ".join(lacking)}'
    hours, wanted_hours = _back_window(there), _back_window(wanted)
    if hours < wanted_hours:
        yield (f'archive policy {wanted["name"]} has a back_window of {hours:g} hours, not {wanted_hours:g}: '
               'of what is stated later Gnocchi drops the measures without a word')


def _back_window(policy: Mapping[str, Any]) -> float:
    """Give, in hours, how much older than the newest measure of a metric others are still taken."""
    return int(policy.get('back_window', 0)) * max(_seconds(one['granularity']) for one in policy['definition']) / 3600


def _seconds(span: Any) -> float:
    """Read a span as Gnocchi takes it (``5``, ``1 hour``) and gives it (``1:00:00``, ``30 days, 0:00:00``)."""
    if isinstance(span, (int, float)):
        return span
    clock = _CLOCK.search(span)
    hours, minutes, seconds = map(int, clock.groups()) if clock else (0, 0, 0)
    return (sum(float(number) * _UNITS[unit] for number, unit in _AMOUNT.findall(span)) +
            hours * 3600 + minutes * 60 + seconds)


def _missing_policies(there: Collection[str], definitions: Iterable[Definitions]) -> Iterator[str]:
    """Name the policies that metrics use, and that neither stand in a file nor exist."""
    used = {metric['archive_policy_name'] for one in definitions for resource in one.resources
            for metric in resource.metrics.values()}
    for name in sorted(used.difference(there)):
        yield f'there is no archive policy {name}, which metrics use; create it'
