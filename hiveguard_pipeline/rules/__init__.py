"""Pure decisions: arrays in, arrays out. No I/O, no clock, no chance of its own.

What belongs here reads like section 2 of the design: policies, first pass, batches, exits, selection
and the replay that proves a ledger. What does not: tables, files, Dagster.
"""
