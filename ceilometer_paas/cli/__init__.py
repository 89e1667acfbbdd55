# SPDX-License-Identifier: Apache-2.0
"""The ``ceilometer-paas`` commands, one module a noun."""

import warnings

# Ceilometer's service module imports eventlet by way of oslo.service; nothing here uses it.
warnings.filterwarnings('ignore', message=r'\s*Eventlet is deprecated')
