# SPDX-License-Identifier: Apache-2.0
"""A path as a meter definition writes it, in -> what finds its values in a message, out.

A message has the form that Ceilometer gives it: ``ctxt``, ``publisher_id``, ``event_type``, ``payload`` and
``metadata`` (``message_id`` and ``timestamp``). Paths that only name keys, as nearly all do, become direct look-ups;
every other one is left to Ceilometer's own JSONPath. What is found is the same.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ceilometer import declarative
from ceilometer.event.trait_plugins import TimedeltaPlugin
from jsonpath_rw import jsonpath
from jsonpath_rw_ext import _filter

from ceilometer_paas import times
from ceilometer_paas.errors import Refused
from ceilometer_paas.model import Notification

Message = Mapping[str, Any]
Getter = Callable[[Message], Any]
Keys = tuple[str, ...]
_Fail = Callable[[Exception], NoReturn]

_OBJECTS = frozenset({'ctxt', 'metadata', 'payload'})
_KEYS = _OBJECTS | {'event_type', 'publisher_id'}

_KEY = r"(?:(?!true|false|where)[A-Za-z_][A-Za-z0-9_@-]*|'[A-Za-z0-9_.:@-]+')"
_PLAIN = re.compile(rf'(\$\.)?({_KEY}(?:\.{_KEY})*)')
_EACH_KEY = re.compile(_KEY)


def as_message(notification: Notification) -> Message:
    """Give a notification the form in which Ceilometer hands it to definitions."""
    return {
        'ctxt': notification.context,
        'publisher_id': notification.publisher_id,
        'event_type': notification.event_type,
        'payload': notification.payload,
        'metadata': {'message_id': notification.message_id, 'timestamp': notification.timestamp},
    }


class Definition(declarative.Definition):  # type: ignore[misc]
    """Ceilometer's, but a path that only names keys is read without its parser.

    The parser works out its whole grammar again for each path, which takes 15 ms.
    """

    def make_getter(self, fields: str) -> Any:
        """Prepare what finds a path's matches; alternatives come as ``(path)|(path)``."""
        texts = fields[1:-1].split(')|(') if fields.startswith('(') else [fields]
        found = [_PLAIN.fullmatch(text) for text in texts]
        trees = [_tree(match) for match in found if match]
        if len(trees) < len(texts):
            return super().make_getter(fields)
        # Ceilometer's converter of events makes its definitions anew, and finds what is in this cache.
        getter = self.GETTERS_CACHE[fields] = functools.reduce(jsonpath.Union, trees).find
        return getter


def _tree(plain: re.Match[str]) -> Any:
    keys = [jsonpath.Fields(key.strip("'")) for key in _EACH_KEY.findall(plain[2])]
    return functools.reduce(jsonpath.Child, [jsonpath.Root(), *keys] if plain[1] else keys)


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """What finds a path's values; both getters refuse whatever a plug-in or JSONPath raises.

    :ivar first: message -> the first value that is not None, else None
    :ivar every: message -> all values in order, None among them
    :ivar constant: proved to find the same in every message: a number, or a word that no path can follow
    :ivar conditional: finding nothing is meant, not a mistake: the path has a filter or a ``where``, or its plug-in is
        a condition
    """

    first: Getter
    every: Callable[[Message], list[Any]]
    constant: bool
    conditional: bool


def compile_path(definition: Definition, failure: str = 'translate.failed') -> Path:
    """Prepare one of a definition's paths.

    :param failure: the code with which it refuses a message on which it fails
    """
    if not callable(definition.getter):
        number = definition.getter
        return Path(lambda message: number, lambda message: [number], constant=True, conditional=False)
    tree, plugin = definition.getter.__self__, definition.plugin
    fail = functools.partial(_fail, failure, definition.name)
    choices = _choices(tree, at_root=True)
    if choices is None:
        first = _parse(definition, fail, every=False)
    elif plugin is None:
        first = _first(choices)
    else:
        first = _convert(plugin, choices, fail)
    literal = plugin is None and choices is not None and all(keys and keys[0] not in _KEYS for keys in choices)
    filtered = any(isinstance(node, (_filter.Filter, jsonpath.Where)) for node in _nodes(tree))
    return Path(first, _parse(definition, fail, every=True), constant=literal,
                conditional=filtered or getattr(plugin, 'conditional', False))


def _choices(node: Any, *, at_root: bool) -> list[Keys] | None:
    """Write a JSONPath as the chains of keys that it follows in turn; None if it is more than that."""
    if isinstance(node, jsonpath.Root) and at_root:
        return [()]
    if isinstance(node, jsonpath.Fields) and '*' not in node.fields:
        return [(field,) for field in node.fields]
    if isinstance(node, jsonpath.Union):
        left, right = _choices(node.left, at_root=at_root), _choices(node.right, at_root=at_root)
        return None if left is None or right is None else left + right
    if isinstance(node, jsonpath.Child):
        left, right = _choices(node.left, at_root=at_root), _choices(node.right, at_root=False)
        return None if left is None or right is None else [head + tail for head in left for tail in right]
    return None


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for part in vars(node).values():
        if isinstance(part, jsonpath.JSONPath):
            yield from _nodes(part)


def _getter(keys: Keys) -> Getter:
    """Follow one chain of keys; what is no object has none."""
    if len(keys) == 2 and keys[0] in _OBJECTS:
        head, key = keys
        return lambda message: message[head].get(key)

    def walk(message: Message) -> Any:
        value: Any = message
        for key in keys:
            if not isinstance(value, dict):
                return None
            value = value.get(key)
        return value
    return walk


def _first(choices: Sequence[Keys]) -> Getter:
    getters = [_getter(keys) for keys in choices]
    if len(getters) == 1:
        return getters[0]
    return lambda message: next((value for get in getters if (value := get(message)) is not None), None)


def _convert(plugin: Any, choices: Sequence[Keys], fail: _Fail) -> Getter:
    """Hand what plain paths find to the trait plug-in, as Ceilometer does."""
    sources = [('.'.join(keys), _getter(keys)) for keys in choices]
    convert = _timedelta(plugin) if type(plugin) is TimedeltaPlugin else plugin.trait_values

    def first(message: Message) -> Any:
        matches = [(name, value) for name, get in sources if (value := get(message)) is not None]
        try:
            return next((value for value in convert(matches) if value is not None), None)
        except Exception as error:  # noqa: BLE001 - a trait plug-in is foreign code and may raise anything
            fail(error)
    return first


def _timedelta(plugin: TimedeltaPlugin) -> Callable[[list[tuple[str, Any]]], list[Any]]:
    """Do as Ceilometer's plug-in does, but read the times in a twentieth of the time where they allow it."""
    def convert(matches: list[tuple[str, Any]]) -> list[Any]:
        try:
            (_, start), (_, end) = matches
            return [abs((times.parse(end) - times.parse(start)).total_seconds())]
        except ValueError:
            values: list[Any] = plugin.trait_values(matches)
            return values
    return convert


def _parse(definition: Definition, fail: _Fail, *, every: bool) -> Getter:
    """Leave the path to Ceilometer."""
    def parse(message: Message) -> Any:
        try:
            return definition.parse(message, every)
        except Exception as error:  # noqa: BLE001 - JSONPath and trait plug-ins are foreign code and may raise anything
            fail(error)
    return parse


def _fail(code: str, name: str, error: Exception) -> NoReturn:
    text = ' '.join(str(error).split())
    raise Refused(code, f'{name}: {type(error).__name__}: {text[:200]}') from error
