"""The benchmarks of Hark. Benchmarks/README.md says what they measure; `scripts/bench` runs them."""
