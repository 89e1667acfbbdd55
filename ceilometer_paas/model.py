# SPDX-License-Identifier: Apache-2.0
"""The nouns that travel between the rooms: immutable values, and the one rule by which a sample's id is derived.

Times are aware and in UTC unless a field says otherwise. Ids are strings.
"""

import hashlib
import json
import math
import re
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

_dumps = json.JSONEncoder(separators=(',', ':'), check_circular=False).encode  # what came by a bus has no circles
_NAMESPACE = uuid.UUID('b1d0e6cf-3b0a-5f55-9f0c-2d6a0d1c8a4e').bytes


SECRET = 'token|password|secret|credential|catalog'
SECRET_KEY = re.compile(SECRET, re.IGNORECASE)
"""Finds a key of a request's context whose value is kept nowhere."""

DELETED = 'deleted'
"""The state in which a life ends, whatever the service calls it."""


class Envelope(NamedTuple):
    """One message as the bus hands it over, before anything is known of it.

    :ivar context: the request context (the ``_context_*`` keys without their prefix)
    :ivar message: the notification, its oslo envelope removed; anything that JSON can express
    :ivar size: bytes of the body on the bus
    """

    context: Mapping[str, Any]
    message: Any
    size: int


class Amount(NamedTuple):
    """How much of one meter was used.

    :ivar name: the meter's name
    :ivar type: ``gauge``, ``cumulative`` or ``delta``
    :ivar unit: the volume's unit; empty where the service names none
    :ivar volume: a finite number; never negative for a delta
    """

    name: str
    type: str
    unit: str
    volume: int | float


class Reading(NamedTuple):
    """What one notification says of one resource at one time.

    Amounts that share everything else share a reading, so that it is carried and written once.

    :ivar timestamp: ISO 8601 with offset, as Ceilometer writes a sample's timestamp
    :ivar metadata: a sample's resource_metadata
    :ivar amounts: at least one
    """

    resource_id: str
    project_id: str | None
    user_id: str | None
    timestamp: str
    metadata: Mapping[str, Any]
    amounts: tuple[Amount, ...]


class Notification(NamedTuple):
    """A message whose identity and time are known to be good.

    :ivar timestamp: when the service sent it, ISO 8601 with offset (UTC where the service writes none)
    :ivar context: the request context, as in Ceilometer's ``ctxt``
    :ivar readings: what a message in the PaaS Event Format says by itself, without any definition
    :ivar priority: in small letters, ``info``; empty where the service writes none
    """

    message_id: str
    event_type: str
    timestamp: str
    publisher_id: str | None
    context: Mapping[str, Any]
    payload: Mapping[str, Any]
    readings: tuple[Reading, ...] = ()
    priority: str = ''


class Fact(NamedTuple):
    """What one message says of one resource's life. Times are microseconds since 1970 in UTC.

    :ivar kind: ``transition`` (from ``time`` on it is so), ``observation`` (it was so at ``time``), ``change`` (of
        owner or size alone), or ``witness`` (only what it says of creation, launch and end counts)
    :ivar state: the service's own name; None for a change and a witness
    :ivar time: from when it holds
    :ivar timestamp: when the message was sent
    :ivar every: seconds; facts that say the same, and of which none is further than this from the next, count as one
        statement that lasted
    :ivar size: what a price may depend on (``flavor``, ``vcpus``, …); what is missing is unknown
    :ivar place: ``host`` and ``availability_zone``, where the message tells them; null is nowhere
    :ivar attributes: what else describes the resource: ``name``, ``image``, ``license``, ``metadata``, ``tags``; and
        ``parent``, ``<type>/<id>`` of the resource that it is part of
    :ivar created: when the resource was asked for, since when it is ``created_state``
    :ivar launched: when it last began to run, since when it is ``launched_state``; None if it has not run
    :ivar launched_state: empty if resources of this type tell no launch
    :ivar ended: when it ceased to exist
    :ivar shown: of what tells of launches, the state in which a witness or an observation shows it; else empty
    """

    resource_type: str
    resource_id: str
    kind: str
    event_type: str
    time: int
    timestamp: int
    state: str | None = None
    every: int = 0
    project_id: str | None = None
    user_id: str | None = None
    size: Mapping[str, Any] = {}
    place: Mapping[str, str | None] = {}
    attributes: Mapping[str, Any] = {}
    created: int | None = None
    created_state: str = ''
    launched: int | None = None
    launched_state: str = ''
    ended: int | None = None
    shown: str = ''


LASTING, TURNING = 1, 2
"""What a segment's beginning is: from it on something lasts; at it the state turned into another."""


class Segment(NamedTuple):
    """The part of an interval that lies in one period; what statements are about. Times are as a :class:`Fact`'s.

    :ivar end: equal to `begin` where a life ended, or where what was stated before is no more
    :ivar state: ``deleted`` where nothing is
    :ivar counts_as: the state by which it is decided which meters count it
    :ivar marks: :data:`LASTING`, :data:`TURNING` or both: what is to be stated of its beginning
    :ivar period: beginning and end
    :ivar revision: how often it was stated otherwise before
    """

    begin: int
    end: int
    state: str
    counts_as: str
    project_id: str | None
    user_id: str | None
    size: Mapping[str, Any]
    host: str | None
    availability_zone: str | None
    marks: int
    period: tuple[int, int]
    revision: int = 0


class Account(NamedTuple):
    """Segments of one resource, in order.

    :ivar name: the newest that is known
    """

    resource_type: str
    resource_id: str
    name: str | None
    segments: list[Segment]


class Count(NamedTuple):
    """How many resources of one type a project had in one period.

    :ivar number: at its end
    :ivar states: those by state
    :ivar flavors: those by flavor, as far as it is known
    :ivar period: beginning and end, microseconds
    :ivar revision: how often it was stated otherwise before
    """

    resource_type: str
    project_id: str
    number: int
    states: Mapping[str, int]
    flavors: Mapping[str, int]
    highest: int
    lowest: int
    period: tuple[int, int]
    revision: int = 0


class Statement(NamedTuple):
    """What is stated of one meter of one resource at one time; as it is stated again, it has the same id.

    :ivar type: ``delta`` or ``gauge``
    :ivar timestamp: microseconds since 1970 in UTC
    :ivar metadata: a sample's resource_metadata; the revision is in it
    """

    meter: str
    type: str
    unit: str
    volume: int | float
    resource_id: str
    project_id: str | None
    user_id: str | None
    timestamp: int
    metadata: Mapping[str, Any]


class Outcome(NamedTuple):
    """What became of one message; every message has exactly one.

    :ivar kind: ``recorded``, ``duplicate``, ``ignored``, ``quarantined`` or ``retried``
    :ivar code: why, for ``ignored`` and ``quarantined`` (:mod:`ceilometer_paas.errors`)
    :ivar reason: one line for a person
    """

    kind: str
    code: str = ''
    reason: str = ''

    def __str__(self) -> str:
        return f'{self.kind}({self.code})' if self.code else self.kind


RECORDED = Outcome('recorded')
DUPLICATE = Outcome('duplicate')
RETRIED = Outcome('retried')


class Entry(NamedTuple):
    """A message that is to be recorded.

    :ivar message_id: unique within its source
    :ivar readings: :func:`dump_readings` of its readings; ``[]`` if there are none
    :ivar facts: :func:`dump_facts` of its facts; empty if there are none
    :ivar event: the Ceilometer event that it is, as JSON; empty if it is none
    """

    message_id: str
    readings: str
    facts: str = ''
    event: str = ''


class Quarantined(NamedTuple):
    """A message or a sample that is set aside.

    :ivar origin: the queue it came from, or the publisher that refused it
    :ivar body: JSON from which it can be tried again
    """

    origin: str
    code: str
    reason: str
    body: str


class Parcel(NamedTuple):
    """What is still to be published to one publisher: the readings, or the events, of one recorded batch.

    :ivar id: rises in the order of recording
    :ivar source: ``<endpoint>/<exchange>``
    :ivar body: a JSON array of ``[message_id, readings]``, or of ``[message_id, event]``
    """

    id: int
    source: str
    body: str


def sample_id(source: str, message_id: str, name: str, resource_id: str, ordinal: int) -> str:
    """Derive a sample's id from what it says, so that a replay is recognised downstream.

    The id is the UUID (version 5, RFC 9562) of the five parts, joined by a separator that none of them can contain
    (ids are printable), in a namespace of this project.

    :param ordinal: the sample's place, from 0, among those of its message that are of the same meter and resource: a
        further definition that matches changes no other sample's id
    """
    return _uuid(f'{source}\x1f{message_id}\x1f{name}\x1f{resource_id}\x1f{ordinal}')


def statement_id(meter: str, resource_id: str, timestamp: int) -> str:
    """Derive a statement's id, as :func:`sample_id` does, from the three that never change when it is restated.

    :param timestamp: microseconds
    """
    return _uuid(f'{meter}\x1f{resource_id}\x1f{timestamp}')


def content_id(content: str, ordinal: int) -> str:
    """Derive the id of what has none of its own that lasts, as :func:`sample_id` does, from what it says.

    :param content: JSON in which the same content has one form
    :param ordinal: the place, from 0, among those that say the same at once
    """
    return _uuid(f'{content}\x1f{ordinal}')


def _uuid(text: str) -> str:
    digest = hashlib.sha1(_NAMESPACE + text.encode(), usedforsecurity=False).hexdigest()
    variant = '89ab'[int(digest[16], 16) & 3]
    return f'{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}'


def is_finite(value: int | float) -> bool:
    """Tell whether a number is one that a sample may have; JSON can write whole numbers that no float can hold."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_id(value: object) -> TypeGuard[str]:
    """Tell whether a value may be an id: a printable string of 1 to 255 characters.

    Keystone's are 32 hexadecimal digits, LDAP's 64, a resource's whatever its service chose.
    """
    return isinstance(value, str) and 0 < len(value) < 256 and value.isprintable()


def dump_facts(facts: tuple[Fact, ...]) -> str:
    """Write facts as compact ASCII JSON: an array of arrays, in the order of the fields."""
    return _dumps(facts)


def dump_readings(readings: tuple[Reading, ...]) -> str:
    """Write readings as compact ASCII JSON: an array of arrays, in the order of the fields."""
    return _dumps(readings)
