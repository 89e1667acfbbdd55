# SPDX-License-Identifier: Apache-2.0
"""Everything in one run: ``python -m bench``; options are those of the throughput bench."""

from bench import lives, statements, throughput, translation

translation.main()
lives.main([])
statements.main([])
throughput.main()
