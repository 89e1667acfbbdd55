# SPDX-License-Identifier: Apache-2.0
"""Everything in one run: ``python -m bench``."""

from bench import throughput, translation

translation.main()
throughput.main()
