# SPDX-License-Identifier: Apache-2.0
"""What the ledger keeps of events -> Ceilometer events; a refused event -> the text from which it can be made again."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ceilometer.event.models import Event, Trait

from ceilometer_paas.model import Parcel

_dumps = json.JSONEncoder(separators=(',', ':')).encode


def build(parcel: Parcel) -> list[Event]:
    """Make the events of a parcel, in the order in which they were recorded."""
    return [_event(fields) for _, fields in json.loads(parcel.body)]


def name(event: Event) -> str:
    """Give that by which the pipeline chooses."""
    event_type: str = event.event_type
    return event_type


def refused_body(event: Event) -> str:
    """Write a refused event as it stood in its parcel: JSON ``[message_id, event]``."""
    return _dumps([event.message_id, event.serialize()])


def _event(fields: Mapping[str, Any]) -> Event:
    traits = [Trait(name, kind, datetime.fromisoformat(value) if kind == Trait.DATETIME_TYPE else value)
              for name, kind, value in fields['traits']]
    return Event(fields['message_id'], fields['event_type'], datetime.fromisoformat(fields['generated']), traits,
                 fields['raw'])
