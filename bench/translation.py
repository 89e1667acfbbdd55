# SPDX-License-Identifier: Apache-2.0
"""Microseconds a notification, from the message to Sample objects with ids: ours beside Ceilometer's own classes.

Both read Ceilometer's shipped definitions and make equal samples, which is checked before anything is timed. They take
turns, and the best of the rounds counts: whatever else the machine does only makes a round longer.
"""

import timeit
from collections.abc import Callable
from typing import Any

from ceilometer.meter.notifications import ProcessMeterNotifications

from ceilometer_paas.publish import samples
from tests import translation

NOTIFICATIONS = ('nova/exists', 'trove/exists_window_longer_than_cadence', 'manila/create_end_still_says_creating',
                 'cinder/volume_attach_end', 'magnum/bay_metrics', 'nova/host_metrics')
ROUNDS = 5
SECONDS = 0.2
"""How long one contender's turn takes, about."""


def main() -> None:
    """Print the table."""
    definitions = translation.meters(translation.stock_dir(translation.conf()))
    endpoint = ProcessMeterNotifications(translation.conf(), None)
    translate = translation.translator(definitions)
    print(f'{"translation, µs a notification":42}{"samples":>8}{"Ceilometer":>12}{"ours":>8}{"times":>8}')
    for name in NOTIFICATIONS:
        notification = translation.notification(name)
        message = translation.stock_message(notification)

        def ours(notification: Any = notification) -> list[Any]:
            readings = translate(notification, translation.QUEUE)
            return samples.from_readings('cloud/nova', notification.message_id, readings)

        def theirs(message: Any = message) -> list[Any]:
            return list(endpoint.build_sample(message))

        made = ours()
        assert made and sorted(map(text, made)) == sorted(map(text, theirs())), name
        stock, own = best(theirs, ours)
        print(f'{name:42}{len(made):8}{stock:12.1f}{own:8.1f}{stock / own:8.1f}')


def text(sample: Any) -> str:
    """Write all of a sample but its id, which Ceilometer draws by lot."""
    return repr(sorted({**vars(sample), 'id': None}.items(), key=str))


def best(*contenders: Callable[[], Any]) -> list[float]:
    """Time contenders in turn: µs of each one's best round."""
    numbers = [max(1, int(SECONDS / timeit.timeit(contender, number=20) * 20)) for contender in contenders]
    rounds = [[timeit.timeit(contender, number=number) / number * 1e6
               for contender, number in zip(contenders, numbers, strict=True)] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


if __name__ == '__main__':
    main()
