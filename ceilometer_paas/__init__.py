# SPDX-License-Identifier: Apache-2.0
"""Billing-grade usage metering of OpenStack's platform services, as a plug-in package of Ceilometer."""
