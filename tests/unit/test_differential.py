# SPDX-License-Identifier: Apache-2.0
"""Our translation beside Ceilometer's own classes, on the same definitions and the same messages."""

import copy
import functools
import math
import re
import unittest
from collections.abc import Iterator
from typing import Any

from ceilometer.meter.notifications import MeterDefinition
from ceilometer.sample import Sample
from hypothesis import given, settings
from hypothesis import strategies as st
from stevedore import extension

from ceilometer_paas.config.meters import Meter
from ceilometer_paas.errors import Refused
from ceilometer_paas.model import Notification, is_id
from ceilometer_paas.publish import samples
from tests import translation

FIELDS = ('name', 'type', 'unit', 'volume', 'resource_id', 'project_id', 'user_id', 'timestamp', 'resource_metadata')


@functools.cache
def plugins() -> extension.ExtensionManager:
    return extension.ExtensionManager('ceilometer.event.trait_plugin')


@functools.cache
def stock(meter: Meter) -> MeterDefinition:
    return MeterDefinition(meter.cfg, translation.conf(), plugins())


def stock_samples(meters: tuple[Meter, ...], notification: Notification) -> Iterator[Sample]:
    """Do what Ceilometer's endpoint does, with the definitions whose event type matches whole."""
    message = translation.stock_message(notification)
    for meter in meters:
        if any(re.fullmatch(pattern, message['event_type']) for pattern in patterns(meter)):
            for values in stock(meter).to_samples(message):
                yield Sample.from_notification(**values)


def patterns(meter: Meter) -> list[str]:
    written = meter.cfg['event_type']
    return [written] if isinstance(written, str) else written


def is_measure(sample: Sample) -> bool:
    """Tell a sample that Ceilometer's pipeline keeps from one without a volume."""
    return sample.volume is not None


def comparable(sample: Sample) -> dict[str, Any]:
    values = {field: getattr(sample, field) for field in FIELDS}
    for owner in ('project_id', 'user_id'):
        values[owner] = None if values[owner] == '' else values[owner]
    return values


def ordered(made: Iterator[Sample]) -> list[dict[str, Any]]:
    """Sort samples: definitions that share a reading come together, so that the order differs."""
    return sorted(map(comparable, made), key=lambda values: (str(values['name']), repr(values['resource_id'])))


def bad_volume(volume: Any) -> bool:
    return isinstance(volume, bool) or not isinstance(volume, (int, float))


def infinite(volume: Any) -> bool:
    try:
        return not bad_volume(volume) and not math.isfinite(volume)
    except OverflowError:
        return True


EXCUSES = {
    'translate.bad_volume': lambda sample: bad_volume(sample.volume),
    'translate.not_finite': lambda sample: infinite(sample.volume),
    'translate.negative_delta': lambda sample: sample.type == 'delta' and sample.volume < 0,
    'translate.no_resource_id': lambda sample: sample.resource_id in (None, ''),
    'translate.bad_id': lambda sample: not all(value in (None, '') or is_id(value) for value in (
        sample.resource_id, sample.project_id, sample.user_id)),
    'translate.bad_name': lambda sample: not is_id(sample.name) or not isinstance(sample.unit, str) or (
        '$' in sample.name + sample.unit),
}
"""Refusal -> what is wrong with a sample that Ceilometer makes all the same."""


class Differential(unittest.TestCase):

    maxDiff = None

    def meters(self) -> tuple[Meter, ...]:
        raise NotImplementedError

    def compare(self, notification: Notification) -> None:
        """Assert that both make the same samples, or that Ceilometer makes one that is worth nothing, or fails."""
        meters = self.meters()
        try:
            readings = translation.translator(meters)(notification, translation.QUEUE)
        except Refused as refusal:
            self.assert_excused(refusal, notification)
            return
        ours = samples.from_readings('a/b', notification.message_id, readings)
        theirs = filter(is_measure, stock_samples(meters, notification))
        self.assertEqual(ordered(iter(ours)), ordered(theirs))

    def assert_excused(self, refusal: Refused, notification: Notification) -> None:
        try:
            theirs = list(filter(is_measure, stock_samples(self.meters(), notification)))
        except Exception as error:  # noqa: BLE001 - whatever Ceilometer fails with is what we refuse
            self.assertIn(refusal.code, {*EXCUSES, 'translate.failed', 'translate.bad_timestamp'}, error)
            return
        if refusal.code in EXCUSES:
            self.assertTrue(any(map(EXCUSES[refusal.code], theirs)), f'{refusal}: {theirs}')
        elif refusal.code == 'translate.bad_timestamp':
            self.assertTrue(theirs, refusal)
        else:
            self.assertIn(refusal.code, {'translate.no_volume', 'translate.failed'})
            self.assertEqual(theirs, [], refusal)


class Stock(Differential):
    """Ceilometer's shipped meters.yaml."""

    def meters(self) -> tuple[Meter, ...]:
        return translation.meters(translation.stock_dir(translation.conf()))

    def test_every_notification_gives_the_same_samples(self):
        for name in translation.names():
            with self.subTest(name):
                self.compare(translation.notification(name))

    def test_every_definition_gives_a_sample(self):
        self.assertEqual(silent(self.meters()), set())

    def test_a_context_is_read_as_ceilometer_reads_it(self):
        body = translation.message('neutron/traffic_of_a_label')
        body['_context_user_id'] = {'user': 'an-odd-one'}
        del body['payload']['tenant_id']
        self.compare(translation.decode(body))


class Shipped(Differential):
    """Our own etc/ceilometer_paas/meters.d."""

    def meters(self) -> tuple[Meter, ...]:
        return translation.meters(translation.SHIPPED)

    def test_every_notification_gives_the_same_samples(self):
        for name in translation.names():
            with self.subTest(name):
                self.compare(translation.notification(name))

    def test_every_definition_gives_a_sample(self):
        self.assertEqual(silent(self.meters()), set())

    def test_every_event_type_of_every_definition_matches_a_notification(self):
        events = {translation.message(name)['event_type'] for name in translation.names()}
        unmatched = {pattern for meter in self.meters() for pattern in patterns(meter)
                     if not any(re.fullmatch(pattern, event) for event in events)}
        self.assertEqual(unmatched, set())


def silent(meters: tuple[Meter, ...]) -> set[tuple[str, int]]:
    """Name the definitions of which no test notification gives a sample."""
    given_notifications = [translation.notification(name) for name in translation.names()]
    return {(meter.name, meter.line) for meter in meters
            if not any(gives(meter, notification) for notification in given_notifications)}


def gives(meter: Meter, notification: Notification) -> bool:
    try:
        return bool(translation.translator((meter,))(notification, translation.QUEUE))
    except Refused:
        return False


VALUES = st.one_of(
    st.none(), st.just(''), st.text(max_size=3), st.booleans(), st.integers(-2, 9), st.floats(),
    st.just(10 ** 400), st.sampled_from(['2026-03-02T10:00:00', '2026-03-02', 'x' * 300]), st.just([]),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from(['a', 'value', 'name']), st.integers(0, 3)))


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """Take a test notification and drop or replace up to three values, however deep."""
    body = translation.message(draw(st.sampled_from(translation.names())))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = draw(st.sampled_from([body['payload'], body]))
        key = draw(st.sampled_from(sorted(place))) if place is body['payload'] and place else None
        if key is None:
            key = draw(st.sampled_from(['_context_user_id', '_context_user', '_context_project_id', 'publisher_id']))
            body[key] = draw(VALUES)
            continue
        while isinstance(place[key], (dict, list)) and place[key] and draw(st.booleans()):
            place = place[key]
            key = draw(st.sampled_from(sorted(place))) if isinstance(place, dict) else draw(
                st.integers(0, len(place) - 1))
        if draw(st.booleans()):
            place[key] = copy.copy(draw(VALUES))
        else:
            del place[key]
    return body


class Mutated(unittest.TestCase):
    """Messages that no service should send."""

    @settings(max_examples=400, deadline=None)
    @given(mutated())
    def test_a_broken_message_gives_what_ceilometer_finds_in_it_or_is_refused_for_cause(self, body):
        notification = translation.decode(body)
        Stock().compare(notification)
        Shipped().compare(notification)
