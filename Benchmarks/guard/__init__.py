"""The guard against regressions: counts that a busy machine does not change, beside those that were accepted. `scripts/guard` runs it."""
