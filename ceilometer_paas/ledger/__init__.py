# SPDX-License-Identifier: Apache-2.0
"""The durable record: which messages were seen, what is still to be published, what was quarantined and why."""
