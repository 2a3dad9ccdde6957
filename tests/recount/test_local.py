"""The local engine: the same result from a file in any order as from either database, or none at all."""

from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq  # noqa: TID253
import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports import export_votes
from hiveguard_pipeline.recount import local
from hiveguard_pipeline.recount.job import Request, recount_votes
from hiveguard_pipeline.recount.local import parts_of_files, recount_here
from hiveguard_pipeline.recount.output import MANIFEST, Result, Source
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.schema import open_database
from tests.recount.crowd import STAMP, fill, rows, serialised, shuffled, votes_file, votes_table


def recounted(votes: str, output: Path) -> dict[str, bytes]:
    recount_here(parts_of_files(votes, STAMP), Source(votes), STAMP, str(output))
    return serialised(str(output), ignoring=())


def of_database(database: Database, dataset: Dataset, output: Path) -> None:
    request = Request("local", "run", dataset_name=dataset.name, output=str(output))
    recount_votes(request, database, lambda *_: None, lambda _: None)


def test_the_order_of_a_file_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    votes = votes_table()
    expected = recounted(votes_file(tmp_path, votes), tmp_path / "expected")
    mixed = votes_file(tmp_path, shuffled(votes), "mixed.parquet")
    assert recounted(mixed, tmp_path / "mixed") == expected
    monkeypatch.setattr(local, "VOTES_A_BUCKET", 300)
    assert recounted(mixed, tmp_path / "buckets") == expected


def test_a_folder_of_files_is_read_whole(tmp_path: Path) -> None:
    votes = votes_table()
    expected = recounted(votes_file(tmp_path, votes), tmp_path / "expected")
    (tmp_path / "folder").mkdir()
    for number in range(5):
        votes_file(tmp_path / "folder", votes.slice(number * 1_000, 1_000), f"part-{number}.parquet")
    (tmp_path / "folder" / "_SUCCESS").touch()
    assert recounted(f"file://{tmp_path / 'folder'}", tmp_path / "out") == expected


def test_ids_of_one_beginning_end_in_one_bucket_and_the_result_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    votes = votes_table()
    named = pa.compute.binary_join_element_wise("the same beginning ", votes["item_id"], "")
    votes = votes.set_column(0, "item_id", named)
    expected = recounted(votes_file(tmp_path, votes), tmp_path / "expected")
    monkeypatch.setattr(local, "VOTES_A_BUCKET", 300)
    assert recounted(votes_file(tmp_path, votes), tmp_path / "buckets") == expected


def test_both_databases_and_their_export_give_the_same_bytes(
    tmp_path: Path, two_stores: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "ITEMS_AT_ONCE", 7)
    found = []
    for kind, url in two_stores.items():
        database = open_database(url)
        dataset = create_dataset(database, "animals", Policy())
        fill(database, dataset)
        of_database(database, dataset, tmp_path / kind)
        found.append(serialised(str(tmp_path / kind)))
        with (tmp_path / f"{kind}.parquet").open("wb") as stream:
            export_votes(database, stream, "parquet", "animals")
        request = Request(
            "local", "x", "animals", str(tmp_path / f"{kind}.parquet"), str(tmp_path / f"{kind}-of-file")
        )
        recount_votes(request, database, lambda *_: None, lambda _: None)
        found.append(serialised(str(tmp_path / f"{kind}-of-file")))
    assert found[0] == found[1] == found[2] == found[3]
    states = {row["state"] for row in rows(str(tmp_path / "sqlite"), "states")}
    assert states == {"unlabeled", "in_revalidation", "needs_review", "graduated"}
    gold = Result(str(tmp_path / "sqlite")).manifest
    assert (gold.dataset, gold.policy_id, gold.rows["states"]) == ("animals", 1, 59)


def test_times_and_numbers_of_other_types_are_taken(tmp_path: Path) -> None:
    votes = votes_table()
    expected = recounted(votes_file(tmp_path, votes), tmp_path / "expected")
    naive = votes.set_column(3, "created_at", votes["created_at"].cast(pa.timestamp("us")))
    text = pa.array([f"{time.isoformat()}Z" for time in naive["created_at"].to_pylist()])
    for number, other in enumerate((naive, votes.set_column(3, "created_at", text))):
        other = other.set_column(1, "vote_id", other["vote_id"].cast(pa.int32()))
        path = votes_file(tmp_path, other, f"{number}.parquet")
        assert recounted(path, tmp_path / f"{number}") == expected


def test_a_taken_folder_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    votes = votes_file(tmp_path, votes_table())
    recounted(votes, tmp_path / "out")
    before = sorted(path for path in (tmp_path / "out").rglob("*"))
    with pytest.raises(BadInputError, match="holds something already"):
        recounted(votes, tmp_path / "out")
    assert sorted((tmp_path / "out").rglob("*")) == before
    with pytest.raises(BadInputError, match="holds something already"):
        recounted(votes, Path(votes))


def test_a_recount_that_fails_leaves_nothing(tmp_path: Path) -> None:
    votes = votes_table()
    twice = votes_file(tmp_path, pa.concat_tables([votes, votes.slice(70, 1)]))
    with pytest.raises(BadInputError, match="comes twice"):
        recounted(twice, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_votes_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("item_id,vote_id\n")
    for name, reason in (("text.parquet", "Parquet"), ("absent.parquet", "absent.parquet")):
        with pytest.raises(BadInputError, match=reason):
            recounted(str(tmp_path / name), tmp_path / "out")
    for column in ("vote_id", "answer"):
        path = votes_file(tmp_path, votes_table().drop_columns([column]))
        with pytest.raises(BadInputError, match=f"no column {column}"):
            recounted(path, tmp_path / "out")
    wrong = votes_table().set_column(3, "created_at", pa.array(["yesterday"] * 5_000))
    with pytest.raises(BadInputError, match="created_at is no timestamp"):
        recounted(votes_file(tmp_path, wrong), tmp_path / "out")
    with pytest.raises(BadInputError, match="nothing://here"):
        recounted("nothing://here", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_result_is_whole_or_it_is_none(tmp_path: Path) -> None:
    votes = votes_file(tmp_path, votes_table())
    recounted(votes, tmp_path / "out")
    (part,) = (tmp_path / "out" / "ledger").iterdir()
    pq.write_table(pq.read_table(part).slice(1), part)
    with pytest.raises(BadInputError, match="its manifest says"):
        Result(str(tmp_path / "out")).table("ledger")
    (tmp_path / "out" / MANIFEST).unlink()
    with pytest.raises(BadInputError, match="no finished recount"):
        Result(str(tmp_path / "out"))


def test_no_votes_are_an_empty_result(tmp_path: Path, database: Database, dataset: Dataset) -> None:
    of_database(database, dataset, tmp_path / "out")
    assert recounted(votes_file(tmp_path, votes_table().slice(0, 0)), tmp_path / "file")
    for output in ("out", "file"):
        manifest = Result(str(tmp_path / output)).manifest
        assert (manifest.votes, manifest.horizon, manifest.states) == (0, 0, {})
        assert rows(str(tmp_path / output), "labels") == []


def test_random_sizes_of_windows_and_buckets_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(3)
    path = votes_file(tmp_path, shuffled(votes_table()))
    expected = recounted(path, tmp_path / "expected")
    for attempt in range(3):
        monkeypatch.setattr(local, "VOTES_A_BUCKET", random.randint(50, 3_000))
        assert recounted(path, tmp_path / f"{attempt}") == expected
