"""Third vote to label through a running `dg dev`, one item after the other."""

import json
import time

from benchmarks.measured.services import dg_dev, new_items, vote_to_label

ITEMS = 8

if __name__ == "__main__":
    database, items = new_items(ITEMS)
    with dg_dev():
        seconds = []
        for item in items:
            seconds.append(vote_to_label(database, item))
            time.sleep(1.3)
    # The first one waits for the services to start.
    print(json.dumps({"seconds": seconds[1:]}))
