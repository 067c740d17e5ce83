"""What the benchmarks compare with: other libraries doing the same work, as functions without arguments, by name."""
