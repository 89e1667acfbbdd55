# SPDX-License-Identifier: Apache-2.0
"""The trait plug-in ``paas_when``: what a path found, in -> the value, if the message is one that counts, out.

Services send one event type for what counts and for what does not: Magnum's ``magnum.cluster.update`` is the request as
well as its success, Nova's ``exists`` also speaks of the dead. This is a plug-in in Ceilometer's own sense (namespace
``ceilometer.event.trait_plugin``), so definitions that use it work in Ceilometer's agent too, where this package is
installed::

    volume:
      fields: [$.payload.state, $.payload.memory_mb]
      plugin: {name: paas_when, parameters: {path: payload.state, not_among: [deleted]}}
"""

from typing import Any

from ceilometer.event.trait_plugins import TraitPluginBase


class When(TraitPluginBase):  # type: ignore[misc]
    """Gives the values of the other fields, or a number, if the field at ``path`` is (not) among some values.

    A field that is absent is among none.

    :param path: the path of the tested field without its ``$.``; it must be one of ``fields``
    :param among: the values that count
    :param not_among: the values that do not count
    :param value: what to give; by default the values of the other fields
    :raises ValueError: neither or both of ``among`` and ``not_among``, or what is not a list
    """

    support_return_all_values = False
    conditional = True

    def __init__(self, path: str, among: list[Any] | None = None, not_among: list[Any] | None = None,
                 value: Any = None) -> None:
        super().__init__()
        values = not_among if among is None else among
        if not isinstance(values, list) or (among is not None and not_among is not None):
            raise ValueError('paas_when takes one list, among or not_among')
        self.path = path
        self.counts = among is not None
        self.values = values
        self.value = value

    def trait_values(self, match_list: list[tuple[str, Any]]) -> list[Any]:
        """Give the values of a message that counts, none of one that does not."""
        tested = next((value for path, value in match_list if path == self.path), None)
        if (tested in self.values) is not self.counts:
            return []
        if self.value is not None:
            return [self.value]
        return [value for path, value in match_list if path != self.path]
