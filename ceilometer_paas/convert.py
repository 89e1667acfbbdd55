# SPDX-License-Identifier: Apache-2.0
"""A :class:`~.model.Notification` -> the event that it is, by Ceilometer's own converter and our definitions.

What goes out is the text that the ledger keeps of an event, and of which :mod:`ceilometer_paas.publish` makes it again.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ceilometer.event.converter import NotificationEventsConverter
from stevedore import extension

from ceilometer_paas.config.paths import as_message
from ceilometer_paas.errors import Refused
from ceilometer_paas.model import SECRET_KEY, Notification

_dumps = json.JSONEncoder(separators=(',', ':')).encode


class Converter:
    """Makes events.

    :param conf: Ceilometer's configuration; ``[event] drop_unmatched_notifications`` and ``store_raw`` have effect
    :param definitions: in Ceilometer's format; the last that matches a notification makes its event
    """

    def __init__(self, conf: Any, definitions: Iterable[Mapping[str, Any]]) -> None:
        plugins = extension.ExtensionManager('ceilometer.event.trait_plugin')
        self._to_event = NotificationEventsConverter(conf, list(definitions), plugins).to_event

    def __call__(self, notification: Notification) -> str:
        """Make an event, as compact ASCII JSON; empty if Ceilometer drops it, because no definition matches.

        Secrets of the request are no part of an event, not even of its raw notification.

        :raises Refused: ``event.failed``
        """
        context = {key: value for key, value in notification.context.items() if not SECRET_KEY.search(key)}
        message = as_message(notification._replace(context=context))
        try:
            event = self._to_event(notification.priority, message)
            return '' if event is None else _dumps(event.serialize())
        except Exception as error:  # noqa: BLE001 - JSONPath and trait plug-ins are foreign code and may raise anything
            text = ' '.join(str(error).split())
            raise Refused('event.failed', f'{notification.event_type}: {type(error).__name__}: {text[:200]}') from error
