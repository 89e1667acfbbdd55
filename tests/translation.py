# SPDX-License-Identifier: Apache-2.0
"""What tests of translation share: definitions, our own and Ceilometer's, and the notifications beside this file."""

import copy
import functools
import glob
import json
import os
from typing import Any

from ceilometer import service

from ceilometer_paas.config import reader
from ceilometer_paas.config.meters import Meter, load_meters
from ceilometer_paas.decode import Decoder, split_context
from ceilometer_paas.model import Notification
from ceilometer_paas.translate import Translator

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NOTIFICATIONS = os.path.join(ROOT, 'tests', 'notifications')
SHIPPED = os.path.join(ROOT, 'etc', 'ceilometer_paas', 'meters.d')
QUEUE = 'a-queue'


@functools.cache
def conf() -> Any:
    """Give a configuration in which everything is Ceilometer's default, the definitions those that it ships."""
    loaded = service.prepare_service(['tests'], config_files=[])
    loaded.set_override('meter_definitions_dirs', [stock_dir(loaded)], 'meter')
    return loaded


def stock_dir(loaded: Any) -> str:
    """Name the directory of the definitions that Ceilometer ships."""
    return next(path for path in loaded.meter.meter_definitions_dirs if path != '/etc/ceilometer/meters.d')


@functools.cache
def meters(directory: str) -> tuple[Meter, ...]:
    """Load a directory of good definitions."""
    problems = reader.Problems()
    loaded = load_meters([directory], conf(), problems)
    problems.check()
    return loaded


def translator(definitions: tuple[Meter, ...], max_metrics: int = 1000) -> Translator:
    """Give a translator for which every metric type comes from :data:`QUEUE`."""
    return Translator(definitions, lambda name: frozenset({QUEUE}), max_metrics)


def names() -> list[str]:
    """Name all test notifications: ``<service>/<what is odd about it>``."""
    paths = glob.glob(os.path.join(NOTIFICATIONS, '*', '*.json'))
    return sorted(os.path.relpath(path, NOTIFICATIONS).removesuffix('.json') for path in paths)


def message(name: str) -> dict[str, Any]:
    """Read a test notification as it lies on the bus; the copy is the caller's."""
    return copy.deepcopy(_read(name))


@functools.cache
def _read(name: str) -> dict[str, Any]:
    with open(os.path.join(NOTIFICATIONS, name + '.json'), encoding='utf-8') as file:
        read: dict[str, Any] = json.load(file)
    return read


def decode(body: Any, message_format: str = 'oslo', max_metrics: int = 1000) -> Notification:
    """Decode a message as a queue of the given format does."""
    return Decoder(message_format, 1 << 20, max_metrics)(split_context(body, 2000))


def notification(name: str) -> Notification:
    """Decode a test notification."""
    return decode(message(name))


def stock_message(given: Notification) -> dict[str, Any]:
    """Give a notification the form in which Ceilometer's endpoints get it."""
    return {'ctxt': given.context, 'publisher_id': given.publisher_id, 'event_type': given.event_type,
            'payload': given.payload, 'metadata': {'message_id': given.message_id, 'timestamp': given.timestamp}}
