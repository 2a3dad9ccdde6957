"""Tests of the `hiveguard` command, as a user runs it."""
