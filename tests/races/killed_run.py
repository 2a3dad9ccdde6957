"""A run to be killed: says `go` when it begins, and `done` at its end."""

import sys

from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database

if __name__ == "__main__":
    database = open_database(sys.argv[1])
    print("go", flush=True)
    apply_votes(database, sys.argv[2], run_id="killed")
    print("done", flush=True)
