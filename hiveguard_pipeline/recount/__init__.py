"""A full recount of votes of any size, here or on Apache Spark, into Parquet and back into the database.

`fold` is the one definition of what a recount is; both engines feed it, and executors need no more than
it and the rules. Nothing is imported here, for their sake.
"""
