"""The database: tables and migrations, bulk in and out, the ledger's transaction.

What belongs here: statements, locks and transactions on what the design's section 3 lists. What does not:
decisions (rules), files (intake, exports) and anything of Dagster.
"""
