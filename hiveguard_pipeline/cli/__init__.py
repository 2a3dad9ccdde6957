"""The `hiveguard` command: one module a noun, imported when it is used.

Data goes to stdout, all else to stderr. It ends 0 on success, 1 on failure with one line, 2 on wrong usage.
"""
