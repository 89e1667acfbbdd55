# SPDX-License-Identifier: Apache-2.0
"""Targets of the pipelines -> publishers that take samples or events, and say which of them they refuse for ever."""

import json
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, NoReturn

from oslo_utils import netutils

from ceilometer_paas.config.pipeline import Target
from ceilometer_paas.errors import ConfigError, Problem, Refused, Unavailable

NAMESPACES: Mapping[str, Sequence[str]] = {
    'samples': ('ceilometer_paas.publisher', 'ceilometer.sample.publisher'),
    'events': ('ceilometer_paas.event.publisher', 'ceilometer.event.publisher'),
}
"""Content -> where the class of a URL's scheme is looked for, in this order."""

_REASON_LENGTH = 500
_QUERY = re.compile(r'(?<=\S)\?\S+')
_ANSWERS = (OSError, json.JSONDecodeError, UnicodeDecodeError)
"""What sending, and reading the answer, raise; some of requests' errors are ValueErrors besides."""
_CONTENT = (TypeError, ValueError, ArithmeticError, RecursionError)
"""What serialising raises over an item: too large a number, a lone surrogate, too deep a structure."""

Item = Any
"""A Ceilometer sample, or an event."""

Refusal = tuple[Item, str]


class Publisher:
    """One target of a pipeline: gives items to its publisher, and turns whatever happens into two answers.

    It is at-least-once: after :class:`~ceilometer_paas.errors.Unavailable` some of the items may have arrived. They
    bear the same ids when they come again.

    :param conduit: what publishes: a class of Ceilometer's or of ours, as :mod:`ceilometer_paas.publish` describes it
    :ivar name: the target's, as the ledger knows it
    :ivar supports: tells whether the pipeline sends a meter, or a type of event, here
    """

    def __init__(self, target: Target, conduit: Any) -> None:
        self.name = target.name
        self.supports: Callable[[str], bool] = target.supports
        self._publish: Callable[[list[Item]], Sequence[Refusal] | None] = getattr(
            conduit, f'publish_{target.content}')
        self._clean = _cleaner(target.url)

    def __call__(self, items: Sequence[Item]) -> list[Refusal]:
        """Publish samples, or events.

        A batch that is refused is halved until the bad items are alone: with k bad ones among n there are
        O(k log n) calls, and the others are published.

        :return: the items that will never be taken, each with the reason
        :raises Unavailable: not all of the others have arrived, or it is not known that they have
        """
        refused: list[Refusal] = []
        waiting = [items]
        while waiting:
            batch = waiting.pop()
            if not batch:
                continue
            try:
                refused += self._try(batch)
            except Refused as refusal:
                if len(batch) == 1:
                    refused.append((batch[0], refusal.reason))
                else:
                    middle = len(batch) // 2
                    waiting += batch[middle:], batch[:middle]
        return refused

    def _try(self, batch: Sequence[Item]) -> Sequence[Refusal]:
        try:
            return self._publish(list(batch)) or ()
        except Refused as error:
            raise Refused(error.code, self._clean(error.reason)) from None
        except (Unavailable, *_ANSWERS) as error:
            self._unavailable(error)
        except _CONTENT as error:
            raise Refused('publish.refused', self._clean(_describe(error))) from None
        except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises, the items have not arrived
            self._unavailable(error)

    def _unavailable(self, error: Exception) -> NoReturn:
        # Not chained: a traceback would show the text that is cleaned here.
        raise Unavailable(f'{self.name}: {self._clean(_describe(error))}') from None


def load_publishers(targets: Sequence[Target], conf: Any) -> list[Publisher]:
    """Load the publisher of every target.

    Nothing is connected: a server that is down is no mistake of whoever wrote its URL.

    :param conf: Ceilometer's configuration, for its classes
    :raises ConfigError: publishers that can never work, a line each
    """
    publishers: list[Publisher] = []
    problems: list[Problem] = []
    for target in targets:
        try:
            publishers.append(Publisher(target, _conduit(target, conf)))
        except ConfigError as error:
            problems += error.problems
        except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises, there is no publisher
            text = _cleaner(target.url)(_describe(error))
            problems.append(Problem(target.file, target.line, f'publisher {target.name} cannot be loaded: {text}'))
    if problems:
        raise ConfigError(problems)
    return publishers


def _conduit(target: Target, conf: Any) -> Any:
    parsed, namespaces = netutils.urlsplit(target.url), NAMESPACES[target.content]
    if parsed.scheme == 'udp' and not parsed.hostname:  # Ceilometer's would send to nowhere, and not notice
        raise ValueError('the URL needs a host: udp://host:4952')
    for namespace in namespaces:
        for entry_point in entry_points(group=namespace, name=parsed.scheme):
            return entry_point.load()(conf, parsed)
    known = {name for namespace in namespaces for name in entry_points(group=namespace).names}
    raise ValueError(f'there is no publisher {parsed.scheme!r} of {target.content}; '
                     f'there are {", ".join(sorted(known))}')


def _describe(error: Exception) -> str:
    """Say what an exception means to a person; the bare ValueErrors and our own speak for themselves."""
    text = str(error)
    return text if text and type(error) in (ValueError, Unavailable) else f'{type(error).__name__}: {text}'


def _cleaner(url: str) -> Callable[[str], str]:
    """Make what brings a text to one short line, without a URL's passwords and without the query of any URL in it."""
    login, _, _ = url.partition('://')[2].rpartition('@')
    passwords = {login.partition(':')[2], *re.findall(':([^:@]+)@', url)}  # of several hosts each may have one
    hidden = {form for password in passwords if password for form in (password, urllib.parse.unquote(password))}

    def clean(text: str) -> str:
        for secret in sorted(hidden, key=len, reverse=True):
            text = text.replace(secret, '***')
        return ' '.join(_QUERY.sub('?***', text).split())[:_REASON_LENGTH]

    return clean
