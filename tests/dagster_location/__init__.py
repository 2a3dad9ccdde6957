"""Tests of the code location: definitions, assets, checks, sensors, on real instances."""
