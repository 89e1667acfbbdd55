# SPDX-License-Identifier: Apache-2.0
"""The way in, written once: decode -> translate, observe, convert -> record.

Envelopes come in, one outcome for each goes out. A batch is one ledger transaction. When the call returns, everything
in the batch has its outcome durably; when it raises, nothing of the batch has been recorded, or all of it has and a
second call finds duplicates.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from ceilometer_paas import times
from ceilometer_paas.config.sources import Queue
from ceilometer_paas.errors import Refused, printable
from ceilometer_paas.model import (
    DUPLICATE,
    RECORDED,
    RETRIED,
    SECRET,
    SECRET_KEY,
    Entry,
    Envelope,
    Fact,
    Notification,
    Outcome,
    Quarantined,
    Reading,
    dump_facts,
    dump_readings,
)

NO_DEFINITION = Outcome('ignored', 'ignored.no_definition')
MAX_ENTRY = 4 * 1024 * 1024
"""Characters that one message takes, so that no database refuses a row for its size (MariaDB: 16 MiB)."""

# In a message that could not be taken apart, whose quotes may be escaped once or twice, and whose end may be missing.
_SECRET_TEXT = re.compile(rf'(_context_\w*(?:{SECRET})\w*\\*"(?:\s|\\+[nrt])*:(?:\s|\\+[nrt])*\\*")[^"\\]+')


class Ledger(Protocol):
    """What collecting needs of the ledger; :meth:`ceilometer_paas.ledger.store.Ledger.record` has the meaning."""

    def record(self, source: str, entries: Sequence[Entry], quarantined: Sequence[Quarantined], to: Sequence[str],
               now: datetime, released: Sequence[int] = (), events_to: Sequence[str] = ()) -> set[str]: ...


class Collector:
    """The way in of one queue.

    :param targets: names of the publishers that get what is recorded
    :param convert: makes the event that a message is, as text; empty if it is none
    :param event_targets: names of the publishers that get the events
    :ivar counts: messages by outcome since the start; they add up to what was received
    """

    def __init__(self, queue: Queue, decode: Callable[[Envelope], Notification],
                 translate: Callable[[Notification, str], tuple[Reading, ...]],
                 observe: Callable[[Notification, str, int], tuple[Fact, ...]], *,
                 ledger: Ledger, targets: Sequence[str], convert: Callable[[Notification], str] | None = None,
                 event_targets: Sequence[str] = ()) -> None:
        self.queue = queue
        self.counts: Counter[str] = Counter()
        self._decode = decode
        self._translate = translate
        self._observe = observe
        self._ledger = ledger
        self._targets = tuple(targets)
        self._convert = convert
        self._event_targets = tuple(event_targets)

    def __call__(self, envelopes: Sequence[Envelope], now: datetime, released: Sequence[int] = ()) -> list[Outcome]:
        """Collect a batch.

        :param released: quarantine rows that end if the batch is recorded
        :raises Unavailable: the ledger cannot be reached; the same call may succeed later
        """
        outcomes: list[Outcome] = []
        entries: list[Entry] = []
        quarantined: list[Quarantined] = []
        places: dict[str, int] = {}
        micros = times.to_micros(now)
        for place, envelope in enumerate(envelopes):
            try:
                entry = self._read(envelope, micros)
            except Refused as refused:
                quarantined.append(self._set_aside(envelope, refused))
                outcomes.append(Outcome('quarantined', refused.code, refused.reason))
                continue
            if entry is None:
                outcomes.append(NO_DEFINITION)
            elif entry.message_id in places:
                outcomes.append(DUPLICATE)
            else:
                places[entry.message_id] = place
                entries.append(entry)
                outcomes.append(RECORDED)
        if entries or quarantined:
            seen = self._ledger.record(self.queue.source, entries, quarantined, self._targets, now,
                                       released if entries else (), self._event_targets)
            for message_id in seen:
                outcomes[places[message_id]] = DUPLICATE
        return self._count(outcomes, len(envelopes))

    def claims(self, envelope: Envelope, now: datetime) -> bool:
        """Tell whether this queue is one that speaks of what a message says, and may do so."""
        try:
            _, readings, facts = self._understand(envelope, times.to_micros(now))
        except Refused as refused:
            return refused.code != 'source.not_mapped' and not refused.code.startswith('decode.')
        return bool(readings or facts)

    def refuse(self, envelope: Envelope, refused: Refused, now: datetime) -> Outcome:
        """Quarantine one message without looking into it.

        :raises Unavailable: as :meth:`__call__`
        """
        self._ledger.record(self.queue.source, (), [self._set_aside(envelope, refused)], (), now)
        return self._count([Outcome('quarantined', refused.code, refused.reason)], 1)[0]

    def retried(self, number: int) -> list[Outcome]:
        """Count messages that go back to the broker, because the agent stops while the ledger cannot be reached."""
        return self._count([RETRIED] * number, number)

    def _read(self, envelope: Envelope, now: int) -> Entry | None:
        """Read what is to be recorded of a message; None if no definition speaks of it.

        :param now: microseconds
        """
        notification, readings, facts = self._understand(envelope, now)
        if not readings and not facts:
            return None
        entry = Entry(notification.message_id, dump_readings(readings), dump_facts(facts) if facts else '',
                      self._convert(notification) if self._convert else '')
        size = len(entry.readings) + len(entry.facts) + len(entry.event)
        if size > MAX_ENTRY:
            raise Refused('collect.too_large', f'{size} characters')
        return entry

    def _understand(self, envelope: Envelope, now: int) -> tuple[Notification, tuple[Reading, ...], tuple[Fact, ...]]:
        notification = self._decode(envelope)
        return (notification, self._translate(notification, self.queue.name),
                self._observe(notification, self.queue.name, now))

    def _set_aside(self, envelope: Envelope, refused: Refused) -> Quarantined:
        return Quarantined(self.queue.name, refused.code, printable(refused.reason),
                           dump_envelope(self.queue.name, envelope))

    def _count(self, outcomes: list[Outcome], received: int) -> list[Outcome]:
        if len(outcomes) != received:
            raise AssertionError(f'{received} messages, {len(outcomes)} outcomes')
        self.counts.update(map(str, outcomes))
        return outcomes


def dump_envelope(queue: str, envelope: Envelope) -> str:
    """Write an envelope as the JSON from which a release decodes it again; secrets of the request are left out.

    Of a message that is nested more deeply than JSON can be written, what tells which one it was remains.
    """
    context = {key: value for key, value in envelope.context.items() if not SECRET_KEY.search(key)}
    document = {'queue': queue, 'context': context, 'message': envelope.message, 'size': envelope.size}
    try:
        text = json.dumps(document, default=repr)
    except RecursionError:
        text = json.dumps({**document, 'context': {}, 'message': f'too deep to be kept: {_flat(envelope.message)}'})
    return _SECRET_TEXT.sub(r'\1***', text)


def load_envelope(body: str) -> tuple[str, Envelope]:
    """Read what :func:`dump_envelope` wrote: the queue's name and the envelope."""
    document: Mapping[str, Any] = json.loads(body)
    return document['queue'], Envelope(document['context'], document['message'], document['size'])


def _flat(message: Any) -> dict[str, Any]:
    """Give the fields of a message that hold no others."""
    fields = message.items() if isinstance(message, Mapping) else ()
    return {key: value for key, value in fields if not isinstance(value, (Mapping, list))}
