"""Ours beside what else one would use, in one run, as ratios. `python -m benchmarks`, or `make bench`."""
