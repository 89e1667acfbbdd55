# SPDX-License-Identifier: Apache-2.0
"""One bus message as oslo.messaging hands it over -> a :class:`~.model.Notification`, or a refusal.

Two formats: ``oslo``, a service's own notification, of which the identity and the time must be good; and
``paas-event``, a notification whose payload follows the PaaS Event Format (ceilometer-specs, Juno), which is taken
whole or refused whole, and whose ``metrics`` become readings without any definition. Samples of Ceilometer's own, which
come by no bus, are brought to the same form.
"""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from ceilometer_paas import times
from ceilometer_paas.errors import Refused, shown
from ceilometer_paas.model import Amount, Envelope, Notification, Reading, is_finite, is_id

MAX_DEPTH = 100
"""Levels to which a message may be nested: what is read, written and read again must not fail for its depth."""

METRIC_TYPES = frozenset({'gauge', 'cumulative', 'delta'})
RECORD_TYPES = frozenset({'event', 'quantity'})

_NESTED = frozenset({dict, list})
_ENVELOPE_VERSION, _ENVELOPE_MESSAGE = 'oslo.version', 'oslo.message'
_CONTEXT = '_context_'
_SAMPLE_TEXTS = ('name', 'type', 'unit', 'user_id', 'user_name', 'project_id', 'project_name', 'resource_id',
                 'timestamp', 'source')
_OPTIONAL_TEXTS = ('display_name', 'instance_type', 'availability_zone', 'region', 'state', 'state_description')


class Decoder:
    """Decodes the messages of one queue.

    :param message_format: ``oslo`` or ``paas-event``
    :param max_message_size: bytes of a body that are accepted at most
    :param max_metrics: entries of ``metrics`` that are accepted at most
    """

    def __init__(self, message_format: str, max_message_size: int, max_metrics: int) -> None:
        self._max_message_size = max_message_size
        self._max_metrics = max_metrics
        self._is_event = message_format == 'paas-event'

    def __call__(self, envelope: Envelope) -> Notification:
        """Decode one message.

        :raises Refused: with a ``decode.*`` code
        """
        message = envelope.message
        if envelope.size > self._max_message_size:
            raise Refused('decode.too_large', f'{envelope.size} bytes; {self._max_message_size} are accepted')
        if not isinstance(message, Mapping):
            raise Refused('decode.not_an_object', f'the message is {shown(message)}')
        if _is_deep(message):
            raise Refused('decode.too_deep')
        event_type = _identity(message, 'event_type')
        message_id = _identity(message, 'message_id')
        try:
            timestamp = times.parse(message['timestamp']).isoformat()
        except KeyError:
            raise Refused('decode.no_timestamp') from None
        except ValueError:
            code = 'decode.no_timestamp' if message['timestamp'] is None else 'decode.bad_timestamp'
            raise Refused(code, f'timestamp: {shown(message["timestamp"])}') from None
        payload = message.get('payload')
        if not isinstance(payload, Mapping):
            raise Refused('decode.no_payload' if payload is None else 'decode.bad_payload',
                          f'payload: {shown(payload)}')
        publisher_id = message.get('publisher_id')
        if not isinstance(publisher_id, str):
            publisher_id = None
        priority = message.get('priority')
        readings = self._event(payload, event_type, publisher_id) if self._is_event else ()
        return Notification(message_id, event_type, timestamp, publisher_id, envelope.context, payload, readings,
                            priority.lower() if isinstance(priority, str) else '')

    def _event(self, payload: Mapping[str, Any], event_type: str, publisher_id: str | None) -> tuple[Reading, ...]:
        """Check a payload against the PaaS Event Format and give its metrics as readings."""
        for field in ('project_id', 'service_id', 'service_type', 'instance_id'):
            if not is_id(_required(payload, field)):
                _bad(payload, field, 'is not a printable string of 1 to 255 characters')
        for field in ('version', 'instance_type_id'):
            value = _required(payload, field)
            if not (is_id(value) or _is_number(value)):
                _bad(payload, field, 'is neither a string nor a number')
        if payload.get('user_id') is not None and not is_id(payload['user_id']):
            _bad(payload, 'user_id', 'is not a printable string of 1 to 255 characters')
        for field in _OPTIONAL_TEXTS:
            if payload.get(field) is not None and not isinstance(payload[field], str):
                _bad(payload, field, 'is not a string')
        beginning, ending = _time(payload, 'audit_period_beginning'), _time(payload, 'audit_period_ending')
        if ending < beginning:
            _bad(payload, 'audit_period_ending', 'is before audit_period_beginning')
        metrics = payload.get('metrics')
        if metrics is None:
            metrics = []
        elif not isinstance(metrics, list):
            _bad(payload, 'metrics', 'is not a list')
        if len(metrics) > self._max_metrics:
            raise Refused('decode.too_many', f'{len(metrics)} metrics; {self._max_metrics} are accepted')
        record_type = payload.get('record_type')
        if record_type is None:
            record_type = 'quantity' if metrics else 'event'
        elif not isinstance(record_type, str) or record_type not in RECORD_TYPES:
            _bad(payload, 'record_type', 'is neither event nor quantity')
        if record_type == 'quantity' and not metrics:
            raise Refused('decode.no_field', 'metrics: missing, and record_type is quantity')
        if record_type == 'event' and event_type.rpartition('.')[2] == 'exists' and not payload.get('state'):
            raise Refused('decode.no_field', 'state: missing, and the event is one of existence')
        if not metrics:
            return ()
        metadata = {key: value for key, value in payload.items() if key != 'metrics'}
        metadata['event_type'] = event_type
        metadata['host'] = publisher_id
        amounts = tuple(_amount(index, metric) for index, metric in enumerate(metrics))
        return (Reading(payload['instance_id'], payload['project_id'], payload.get('user_id'), beginning.isoformat(),
                        metadata, amounts),)


def decode_sample(envelope: Envelope) -> Notification:
    """Decode what Ceilometer's own pipeline publishes: the fields of a sample, by their names.

    Its id is that of the message; source and the names of its user and its project are kept behind it in the amount.

    :raises Refused: with a ``sample.*`` code
    """
    sample = envelope.message
    for field in _SAMPLE_TEXTS:
        if isinstance(sample[field], (list, dict)):
            raise Refused('sample.bad_field', f'{field}: {shown(sample[field])}')
    volume = sample['volume']
    if isinstance(volume, str):  # Ceilometer takes text that is a number for one
        try:
            volume = float(volume)
        except ValueError:
            raise Refused('sample.bad_volume', f'{sample["name"]}: {shown(volume)}') from None
    if not _is_number(volume) or not is_finite(volume):
        raise Refused('sample.bad_volume', f'{sample["name"]}: {shown(volume)}')
    amount: Any = (sample['name'], sample['type'], sample['unit'], volume, sample['id'], sample['source'],
                   sample['user_name'], sample['project_name'])
    reading = Reading(sample['resource_id'], sample['project_id'], sample['user_id'], sample['timestamp'],
                      sample['resource_metadata'], (amount,))
    return Notification(sample['id'], sample['name'], sample['timestamp'], None, envelope.context, sample, (reading,))


def open_envelope(body: str | bytes) -> Envelope:
    """Read a message body as it lies on the bus: bare (v1) or in oslo.messaging's 2.0 envelope.

    :raises Refused: ``decode.undecodable``: not JSON, not UTF-8, an unreadable inner message or an unknown version
    """
    try:
        message = json.loads(body)
        if isinstance(message, dict) and _ENVELOPE_VERSION in message and _ENVELOPE_MESSAGE in message:
            if str(message[_ENVELOPE_VERSION]).partition('.')[0] != '2':
                raise Refused('decode.undecodable', f'envelope version {shown(message[_ENVELOPE_VERSION])}')
            message = json.loads(message[_ENVELOPE_MESSAGE])
    except (ValueError, TypeError, RecursionError) as error:
        raise Refused('decode.undecodable', str(error)) from None
    return split_context(message, len(body))


def split_context(message: Any, size: int) -> Envelope:
    """Separate a notification from its request context, as oslo.messaging does.

    :param size: bytes of the body on the bus
    """
    if not isinstance(message, dict):
        return Envelope({}, message, size)
    context = {key[len(_CONTEXT):]: value for key, value in message.items() if key.startswith(_CONTEXT)}
    return Envelope(context, {key: value for key, value in message.items() if not key.startswith(_CONTEXT)}, size)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)
                 if type(inner) in _NESTED]
        if not level:
            return False
    return True


def _identity(message: Mapping[str, Any], field: str) -> str:
    value = message.get(field)
    if is_id(value):
        return value
    raise Refused(f'decode.no_{field}' if value is None else f'decode.bad_{field}', f'{field}: {shown(value)}')


def _required(payload: Mapping[str, Any], field: str) -> Any:
    value = payload.get(field)
    if value is None:
        raise Refused('decode.no_field', f'{field}: missing')
    return value


def _time(payload: Mapping[str, Any], field: str) -> Any:
    try:
        return times.parse(_required(payload, field))
    except ValueError:
        _bad(payload, field, 'is not an ISO 8601 date and time')


def _amount(index: int, metric: Any) -> Amount:
    where = f'metrics[{index}]'
    if not isinstance(metric, Mapping):
        raise Refused('decode.bad_field', f'{where}: is not an object: {shown(metric)}')
    for field in ('metric_name', 'metric_type', 'metric_value'):
        if metric.get(field) is None:
            raise Refused('decode.no_field', f'{where}.{field}: missing')
    name, kind, value = metric['metric_name'], metric['metric_type'], metric['metric_value']
    if not is_id(name):
        _bad(metric, 'metric_name', 'is not a printable string of 1 to 255 characters', where)
    if not isinstance(kind, str) or kind not in METRIC_TYPES:
        raise Refused('decode.bad_type', f'{where}.metric_type: {shown(kind)}')
    if not _is_number(value):
        _bad(metric, 'metric_value', 'is not a number', where)
    if not is_finite(value):
        raise Refused('decode.not_finite', f'{where}.metric_value: {shown(value)}')
    if kind == 'delta' and value < 0:
        raise Refused('decode.negative_delta', f'{where}.metric_value: {shown(value)}')
    unit = metric.get('metric_units')
    if unit is not None and not isinstance(unit, str):
        _bad(metric, 'metric_units', 'is not a string', where)
    return Amount(name, kind, unit or '', value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _bad(values: Mapping[str, Any], field: str, what: str, where: str = '') -> NoReturn:
    raise Refused('decode.bad_field', f'{where}{"." if where else ""}{field}: {what}: {shown(values[field])}')
