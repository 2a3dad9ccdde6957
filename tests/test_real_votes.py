"""The main job on real crowd votes: every item stands where a plain reading of the rules puts it."""

import csv
import io
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.definitions import build_defs
from hiveguard_pipeline.exports import export_labels
from hiveguard_pipeline.intake import import_votes
from hiveguard_pipeline.rules.policy import ONE, Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.rules.oracle import Item

SETS = ("sp_amt", "cf_amt", "music", "d_possent", "snow_rte", "s4_dog", "barzan", "adult3", "hitspam_cf")


def plainly_read(file: Path) -> dict[str, tuple[str, str | None, int | None, int]]:
    """State, label, confidence in millionths and applied votes of each item, one vote at a time."""
    items: dict[str, Item] = {}
    seen: set[tuple[str, str]] = set()
    codes: dict[str, int] = {}
    with file.open(newline="") as rows:
        for number, row in enumerate(csv.DictReader(rows), start=1):
            item = items.setdefault(row["external_id"], Item(Policy()))
            if (row["external_id"], row["solver_id"]) not in seen:
                seen.add((row["external_id"], row["solver_id"]))
                item.vote(number, codes.setdefault(row["answer"], len(codes)))
    words = {code: word for word, code in codes.items()}
    found = {}
    for name, item in items.items():
        item.apply()
        label = None if item.now.label is None else words[item.now.label]
        confidence = item.now.confidence
        found[name] = (
            item.now.state,
            label,
            None if confidence is None else int(confidence * ONE),
            item.applied,
        )
    return found


@pytest.mark.parametrize("name", SETS)
def test_real_votes_end_where_a_plain_reading_of_the_rules_puts_them(
    database: Database, shared_votes: Path, name: str
) -> None:
    create_dataset(database, name, Policy())
    file = shared_votes / name / "votes.csv"
    import_votes(database, name, file, create_items=True)
    apply_votes(database, name, run_id="real")
    with database.read() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT external_id, state, label, confidence, vote_count + revalidation_vote_count"
                " FROM item_status"
            )
        ).all()
    assert {row[0]: tuple(row[1:]) for row in rows} == plainly_read(file)
    assert verify(database, name).findings == []
    assert import_votes(database, name, file).already_known == sum(1 for _ in file.open()) - 1


def test_the_main_job_exports_the_same_bytes_from_both_databases(
    shared_votes: Path, new_postgres: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(new_postgres)
    header, *rows = (shared_votes / "sp_amt" / "votes.csv").read_text().splitlines()
    timed = tmp_path / "votes.csv"
    timed.write_text(
        f"{header},created_at\n"
        + "".join(
            f"{row},2026-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z\n"
            for number, row in enumerate(rows)
        )
    )
    exported = []
    for url in (f"sqlite:///{tmp_path / 'hiveguard.db'}", new_postgres()):
        monkeypatch.setenv("HIVEGUARD_DATABASE_URL", url)
        monkeypatch.setenv("HIVEGUARD_EXPORT_ROOT", str(tmp_path / f"exports-{len(exported)}"))
        database = open_database(url)
        create_dataset(database, "sp_amt", Policy())
        import_votes(database, "sp_amt", timed, create_items=True)
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("datasets", ["sp_amt"])
            job = build_defs().resolve_job_def("nightly_labels_job")
            assert job.execute_in_process(instance=instance, partition_key="sp_amt").success
        whole = {}
        for fmt in ("csv", "jsonl", "json", "parquet"):
            stream = io.BytesIO()
            export_labels(database, stream, fmt)
            whole[fmt] = stream.getvalue()
        graduated = {
            path.name: path.read_bytes() for path in tmp_path.glob(f"exports-{len(exported)}/*/*/labels.*")
        }
        assert len(graduated) == 4
        exported.append((whole, graduated))
    assert exported[0] == exported[1]
