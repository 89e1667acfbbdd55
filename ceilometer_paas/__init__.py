# SPDX-License-Identifier: Apache-2.0
"""Billing-grade usage metering of OpenStack's platform services, as a plug-in package of Ceilometer."""

import warnings

# Ceilometer's service module imports eventlet by way of oslo.service; nothing here uses it.
warnings.filterwarnings('ignore', message=r'\s*Eventlet is deprecated')
