# SPDX-License-Identifier: Apache-2.0
"""Everything this package refuses or fails at.

::

    PaasError
    |-- ConfigError   an operator's mistake: file, line, what is wrong, what would be right
    |-- Refused       permanent: the same input will be refused again; carries a stable code
    `-- Unavailable   transient: the same input may succeed later

Permanent or transient is a property of the error. What becomes of it (quarantine and acknowledgement, or holding on
and trying again) is decided by whoever catches it: :mod:`ceilometer_paas.collect` on the way in,
:mod:`ceilometer_paas.deliver` on the way out.

Codes are stable: once published, a code keeps its name and its meaning.
"""

from collections.abc import Iterable
from dataclasses import dataclass

REFUSALS = {
    'decode.not_an_object': 'The message is not a JSON object.',
    'decode.undecodable': 'oslo.messaging could not read the body and the broker dead-lettered it.',
    'decode.too_large': 'The message is larger than [paas] max_message_size.',
    'decode.too_deep': 'The message is nested more deeply than 100 levels.',
    'decode.too_many': 'The message carries more than [paas] max_metrics metrics.',
    'decode.no_message_id': 'The message has no message_id.',
    'decode.bad_message_id': 'The message_id is not a printable string of 1 to 255 characters.',
    'decode.no_event_type': 'The message has no event_type.',
    'decode.bad_event_type': 'The event_type is not a printable string of 1 to 255 characters.',
    'decode.no_timestamp': 'The message has no timestamp.',
    'decode.bad_timestamp': 'The timestamp is not an ISO 8601 date and time.',
    'decode.no_payload': 'The message has no payload.',
    'decode.bad_payload': 'The payload is not a JSON object.',
    'decode.no_field': 'A field that the PaaS Event Format requires is missing; the reason names it.',
    'decode.bad_field': 'A field is present but not as the PaaS Event Format describes it; the reason names it.',
    'decode.bad_type': 'A metric_type is none of gauge, cumulative and delta.',
    'decode.not_finite': 'A metric_value is not a finite number.',
    'decode.negative_delta': 'A metric of type delta has a negative metric_value.',
    'translate.no_volume': 'A definition matched, but none of the volumes that it names is in the message.',
    'translate.bad_volume': 'A volume is not a number.',
    'translate.not_finite': 'A volume is not finite.',
    'translate.negative_delta': 'A meter of type delta has a negative volume.',
    'translate.no_resource_id': 'The path of resource_id finds nothing.',
    'translate.bad_id': 'A resource, project or user id is not a printable string of 1 to 255 characters.',
    'translate.bad_name': 'A meter name or unit that a definition takes from the message is not a string.',
    'translate.bad_type': 'A meter type taken from the message is none of gauge, cumulative and delta.',
    'translate.bad_timestamp': 'The path of timestamp finds something that is not an ISO 8601 date and time.',
    'translate.too_many': 'One message gives more than [paas] max_metrics samples.',
    'translate.failed': 'A definition (a path, a lookup, a trait plug-in) failed on this message.',
    'observe.no_resource_id': 'The path of a resource id or type finds nothing.',
    'observe.no_state': 'An event that tells a state tells none: its path finds nothing.',
    'observe.bad_state': 'A state is not a printable string of 1 to 255 characters.',
    'observe.bad_id': 'A resource, project or user id, or a resource type, is not a printable string of 1 to 255 '
                      'characters.',
    'observe.bad_size': 'A size is neither a string nor a number, or too long.',
    'observe.bad_timestamp': 'A time in the payload (creation, launch, end) is not an ISO 8601 date and time.',
    'observe.in_future': 'A time is further ahead of the agent\'s clock than [paas] max_future.',
    'observe.failed': 'A lifecycle definition (a path, a trait plug-in) failed on this message.',
    'source.not_mapped': 'The message speaks of a metric type that is not mapped to the queue it came from.',
    'event.failed': 'An event definition (a path, a trait\'s type, a trait plug-in) failed on this message.',
    'sample.bad_field': 'A field of a sample that Ceilometer published to paas:// is a list or an object.',
    'sample.bad_volume': 'The volume of a sample that Ceilometer published to paas:// is not a finite number.',
    'collect.too_large': 'The samples, facts and event of one message take more than 4 MiB in the ledger.',
    'fold.too_much': 'What is known of one resource would take more than 1 MiB in the ledger.',
    'fold.failed': 'This package failed to fold what was told of a resource; the log has the traceback.',
    'publish.failed': 'This package failed to make samples or an event of what it recorded; the log has the traceback.',
    'publish.refused': 'A publisher refused this sample or event for ever.',
    'internal.failed': 'This package failed on the message; the log has the traceback.',
}
"""Code -> meaning of every reason for which a message or a sample is quarantined."""

IGNORED = {
    'ignored.no_definition': 'No definition matches the event: a shared exchange carries much that is not ours.',
}
"""Code -> meaning of every reason for which a message is acknowledged and forgotten."""


class PaasError(Exception):
    """The root of everything that this package raises on purpose."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake of an operator.

    :ivar file: path of the file as the operator knows it
    :ivar line: its line, counted from 1; 0 when the mistake has no line
    :ivar text: what is wrong, and what would be right
    """

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f'{self.file}:{self.line}: {self.text}' if self.line else f'{self.file}: {self.text}'


class ConfigError(PaasError):
    """What an operator wrote cannot be used; every mistake found is reported, a line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__('\n'.join(map(str, self.problems)))


class Refused(PaasError):
    """A message or a sample that will be refused again, however often it is tried.

    :param code: one of :data:`REFUSALS`
    :param reason: one line for a person: which field, which value
    """

    def __init__(self, code: str, reason: str = '') -> None:
        if code not in REFUSALS:
            raise LookupError(f'{code!r} is not a registered refusal code')
        self.code = code
        self.reason = reason or REFUSALS[code]
        super().__init__(f'{code}: {self.reason}')


def shown(value: object) -> str:
    """Show a person a value from a message: short, printable, and of a list or an object only that it is one."""
    if isinstance(value, (dict, list)):
        return 'an object' if isinstance(value, dict) else 'a list'
    if isinstance(value, int) and abs(value) >= 1 << 200:
        return 'a huge number'
    text = ascii(value)
    return text if len(text) <= 80 else f'{text[:77]}...'


MAX_REASON = 500
"""Characters of a reason that are kept."""


def printable(reason: str) -> str:
    """Make a reason fit for a database and a terminal: one line, printable, of bounded length."""
    text = ''.join(character if character.isprintable() else ' ' for character in reason)
    return text if len(text) <= MAX_REASON else text[:MAX_REASON - 3] + '...'


class Unavailable(PaasError):
    """A ledger, a broker or a publisher that cannot be reached now: the same call may succeed later."""
