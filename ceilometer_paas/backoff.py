# SPDX-License-Identifier: Apache-2.0
"""What may be unavailable -> tried again until it is there, or until the process stops."""

import threading
from collections.abc import Callable

import tenacity

from ceilometer_paas.errors import Unavailable

FIRST = 0.5
"""Seconds of the first wait; each further one is twice as long."""

JITTER = 0.1
"""Seconds by which a wait is longer at most, so that several processes do not come back in step."""


def until(stop: threading.Event, max_wait: float,
          before_sleep: Callable[[tenacity.RetryCallState], None]) -> tenacity.Retrying:
    """Build what calls something again for as long as it raises :exc:`Unavailable`.

    When `stop` is set, :exc:`tenacity.RetryError` is raised instead of another try; a wait ends at once.

    :param max_wait: seconds between two tries at most
    :param before_sleep: is told of each failure that is followed by another try
    """
    return tenacity.Retrying(retry=tenacity.retry_if_exception_type(Unavailable),
                             wait=tenacity.wait_exponential(multiplier=FIRST, max=max_wait) +
                             tenacity.wait_random(0, JITTER),
                             stop=tenacity.stop_when_event_set(stop), sleep=tenacity.sleep_using_event(stop),
                             before_sleep=before_sleep)
