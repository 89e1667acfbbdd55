# SPDX-License-Identifier: Apache-2.0
"""What it costs, side by side with Ceilometer in the same run; nothing is asserted about time."""
