# SPDX-License-Identifier: Apache-2.0
"""The ``ceilometer-paas`` commands, one module a noun."""
