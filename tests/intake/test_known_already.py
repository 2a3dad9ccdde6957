"""A file imported twice changes nothing; a file that has grown brings only what is new in it."""

import json
import uuid
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.intake import VoteImport, import_votes
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import vote_counts
from hiveguard_pipeline.store.tables import item_uuid
from tests.store.voting import add_items

from .test_import_votes import HEADER, TIMED, lines, quarantine_of, taken, votes_of

FIELDS = TIMED.split(",")

WHOLE_ROWS = st.builds(
    ",".join,
    st.tuples(
        st.sampled_from(["a", "b", "nobody", ""]),
        st.sampled_from(["w1", "w2", ""]),
        st.sampled_from(["x", "y", " ", "z"]),
        st.sampled_from(["", "", "5", "5.0", "soon"]),
        st.sampled_from(["", "", "2026-01-01", "2026-01-01T00:00:00.000000Z", "never"]),
    ),
)
ROWS = WHOLE_ROWS | st.sampled_from(["a,w1", "a,w1,x,,,,", 'a,w1,"x",,', '"a",w2,"y\n",,', "\x00,,,,"])
FILES = st.lists(ROWS, max_size=12)
tried = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def new_dataset(database: Database) -> Dataset:
    dataset = create_dataset(database, f"d{uuid.uuid4().hex}", Policy(), classes=("x", "y"))
    add_items(database, dataset, "ab")
    return dataset


def stored(database: Database, dataset: Dataset) -> tuple[object, object]:
    """Votes and quarantine, without the import that brought a row."""
    return votes_of(database, dataset), Counter(quarantine_of(database, dataset))


def timed(row: str, with_times: bool) -> str:
    """A row as a file has it whose rows all have times, or none."""
    fields = row.split(",")
    if len(fields) == len(FIELDS):
        fields[-1] = (fields[-1] or "2026-01-01") if with_times else ""
    return ",".join(fields)


def imported(database: Database, dataset: Dataset, folder: Path, rows: list[str]) -> VoteImport:
    return taken(database, dataset, folder, lines(TIMED, rows), create_items=False)


@tried
@given(rows=FILES, more=FILES, with_times=st.booleans())
def test_any_file_twice_changes_nothing_and_grown_brings_what_it_brings_at_once(
    database: Database, tmp_path: Path, rows: list[str], more: list[str], with_times: bool
) -> None:
    rows, more = ([timed(row, with_times) for row in part] for part in (rows, more))
    grown, whole = new_dataset(database), new_dataset(database)
    first = imported(database, grown, tmp_path, rows)
    assert first.already_known == 0
    before = stored(database, grown)
    assert imported(database, grown, tmp_path, rows).already_known == first.read
    assert stored(database, grown) == before

    second = imported(database, grown, tmp_path, rows + more)
    at_once = imported(database, whole, tmp_path, rows + more)
    assert second.already_known == first.read, "only the new rows are judged"
    assert first.accepted + second.accepted == at_once.accepted
    assert stored(database, grown) == stored(database, whole)
    assert imported(database, grown, tmp_path, rows + more).already_known == at_once.read


@pytest.mark.parametrize("extra", ["5,", ",2026-01-01T00:00:00Z"], ids=["duration", "time"])
def test_a_later_row_that_says_more_than_the_vote_is_a_duplicate_and_not_known(
    database: Database, tmp_path: Path, extra: str
) -> None:
    dataset = new_dataset(database)
    imported(database, dataset, tmp_path, ["a,w1,x,,"])
    done = imported(database, dataset, tmp_path, [f"a,w1,x,{extra}"])
    assert (done.quarantined, done.reasons) == (1, {"duplicate_vote": 1})
    assert imported(database, dataset, tmp_path, [f"a,w1,x,{extra}"]).already_known == 1


def test_a_vote_of_the_challenge_server_is_known_and_another_answer_is_a_duplicate(
    database: Database, tmp_path: Path
) -> None:
    dataset = new_dataset(database)
    with database.write() as connection:
        connection.execute(
            sa.text("INSERT INTO votes (item_id, solver_id, answer) VALUES (:item, 'w1', 'x')"),
            {"item": item_uuid(dataset.name, "a")},
        )
    done = imported(database, dataset, tmp_path, ["a,w1,x,,", "a,w1,y,,", "a,w1,x,,"])
    assert (done.accepted, done.already_known, done.reasons) == (0, 1, {"duplicate_vote": 2})
    assert imported(database, dataset, tmp_path, ["a,w1,x,,", "a,w1,y,,", "a,w1,x,,"]).already_known == 3


def test_the_first_vote_of_a_solver_in_a_file_is_the_one_that_counts(
    database: Database, tmp_path: Path
) -> None:
    dataset = new_dataset(database)
    imported(database, dataset, tmp_path, ["a,w1,z,,", "a,w1,y,,", "b,w1,x,,", "a,w1,x,,", "a,w1,y,,"])
    assert votes_of(database, dataset) == [("a", "w1", "y"), ("b", "w1", "x")]
    assert quarantine_of(database, dataset) == [
        (2, "answer_not_in_classes"),
        (5, "duplicate_vote"),
        (6, "duplicate_vote"),
    ]


def test_another_file_with_the_same_rows_is_known_whatever_its_form(
    database: Database, tmp_path: Path
) -> None:
    dataset = new_dataset(database)
    rows = ["a,w1,x,5,2026-01-01", "b,w1,y,,"]
    imported(database, dataset, tmp_path, rows)
    objects = [json.dumps(dict(zip(FIELDS, row.split(","), strict=True))) for row in reversed(rows)]
    assert taken(database, dataset, tmp_path, "\n".join(objects), name="b.jsonl").already_known == 2
    by_id = [f"{item_uuid(dataset.name, 'a')},w1,x"]
    assert taken(database, dataset, tmp_path, lines("item_id,solver_id,answer", by_id)).already_known == 1


def test_the_same_file_brings_its_votes_to_another_dataset(database: Database, tmp_path: Path) -> None:
    for _ in range(2):
        dataset = new_dataset(database)
        assert imported(database, dataset, tmp_path, ["a,w1,x,,", "nobody,w1,x,,"]).already_known == 0


def test_votes_that_came_before_their_items_are_taken_when_the_items_are_there(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    """Forgetting --create-items, or importing votes before items, must not cost the votes."""
    content = lines(HEADER, ["late,w1,x", "late,w2,x"])
    assert taken(database, dataset, tmp_path, content, create_items=False).reasons == {"unknown_item": 2}
    done = taken(database, dataset, tmp_path, content, create_items=True)
    assert done.accepted == 2


def test_adult3_keeps_the_first_vote_of_each_solver_and_quarantines_the_rest(
    database: Database, dataset: Dataset, tmp_path: Path, shared_votes: Path
) -> None:
    path = shared_votes / "adult3" / "votes.csv"
    done = import_votes(database, dataset.name, path, create_items=True)
    assert (done.read, done.quarantined, done.already_known) == (44_373, 9_050, 0)
    assert done.reasons == {"duplicate_vote": 9_050}
    first: dict[tuple[str, str], str] = {}
    for line in path.read_text().splitlines()[1:]:
        item, solver, answer = line.split(",")
        first.setdefault((item, solver), answer)
    assert votes_of(database, dataset) == [(*key, answer) for key, answer in first.items()]

    again = import_votes(database, dataset.name, path, create_items=True)
    assert (again.accepted, again.quarantined, again.already_known) == (0, 0, 44_373)
    apply_votes(database, dataset.name, run_id="run")
    with database.read() as connection:
        counts = vote_counts(connection, dataset)
    assert counts["received"] == 44_373
    assert counts["received"] == counts["applied"] + counts["unprocessed"] + counts["quarantined"]
