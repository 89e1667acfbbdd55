# SPDX-License-Identifier: Apache-2.0
"""Parcels -> Ceilometer samples or events -> publishers, every failure noticed.

What comes in are the readings and the events that the ledger keeps; what goes out are samples and events, by
Ceilometer's own publisher classes. Those that swallow their failures have a subclass here, found in the namespace
``ceilometer_paas.publisher`` before Ceilometer's ``ceilometer.sample.publisher`` is asked, or in
``ceilometer_paas.event.publisher`` before ``ceilometer.event.publisher``. Such a class differs from a stock publisher
in one way:

``publish_samples(samples)``, ``publish_events(events)``
    returns when all of them have arrived, except those that it returns as ``(item, reason)`` because they will never be
    taken; raises :class:`~ceilometer_paas.errors.Refused` when one of several will never be taken and it cannot tell
    which, and then it should have sent nothing; raises anything else when it does not know that all arrived.
"""
