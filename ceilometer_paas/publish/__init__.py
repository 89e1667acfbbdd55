# SPDX-License-Identifier: Apache-2.0
"""Samples -> publishers; every failure is reported, none is swallowed."""
