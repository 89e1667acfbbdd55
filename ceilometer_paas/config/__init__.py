# SPDX-License-Identifier: Apache-2.0
"""The operator's files -> validated, frozen objects."""
