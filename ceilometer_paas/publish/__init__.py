# SPDX-License-Identifier: Apache-2.0
"""Parcels -> Ceilometer samples -> publishers, every failure noticed.

What comes in are the readings that the ledger keeps; what goes out are samples, by Ceilometer's own publisher classes.
Those that swallow their failures have a subclass here, found in the namespace ``ceilometer_paas.publisher`` before
Ceilometer's ``ceilometer.sample.publisher`` is asked. Such a class differs from a stock publisher in one way:

``publish_samples(samples)``
    returns when every sample has arrived, except those that it returns as ``(sample, reason)`` because they will never
    be taken; raises :class:`~ceilometer_paas.errors.Refused` when one of several will never be taken and it cannot tell
    which, and then it should have sent nothing; raises anything else when it does not know that all arrived.
"""
