# SPDX-License-Identifier: Apache-2.0
"""How the ledger's tables came to be, one revision after another."""
