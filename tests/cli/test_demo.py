"""`hiveguard demo`: a simulated crowd end to end, the same each time."""

import csv
from pathlib import Path

from tests.cli.conftest import Terminal


def test_the_demo_twice_is_the_same_funnel(home: Terminal) -> None:
    first = home.process("demo", "--items", "60")
    again = home("demo", "--items", "60")

    def shown(text: str, begins: str) -> list[str]:
        return [line for line in text.splitlines() if line.startswith(begins)]

    table = shown(first.stdout, "demo-")
    assert len(table) == 3
    assert shown(again.stdout, "demo-") == table
    assert len(shown(first.stdout, "verified: ")) == 3
    assert shown(again.stdout, "verified: ") == shown(first.stdout, "verified: ")
    for line in shown(first.stdout, "export: "):
        assert (Path(line.removeprefix("export: ")) / "labels.parquet").is_file()
    (dashboard,) = shown(first.stdout, "dashboard: ")
    assert "hiveguard users create NAME --role admin`" in dashboard
    assert "hiveguard serve`" in dashboard
    assert " 0 of them new" in again.stderr
    assert " 0 of them new" not in first.stderr


def test_the_demos_files_can_be_written_and_imported(home: Terminal) -> None:
    for folder in ("one", "two"):
        assert home("demo", "--items", "30", "--seed", "5", "--write", folder).stdout == ""
    names = ("demo-images", "demo-texts", "demo-sounds")
    for name in names:
        for file in ("items.csv", "votes.csv", "truth.csv"):
            path = home.folder / "one" / name / file
            assert path.read_bytes() == (home.folder / "two" / name / file).read_bytes()
            assert list(csv.DictReader(path.open()))
    home("datasets", "create", "texts", "--modality", "text", "--classes", "negative,neutral,positive")
    (items,) = home.rows("items", "import", "one/demo-texts/items.csv", "--dataset", "texts")
    (votes,) = home.rows("votes", "import", "one/demo-texts/votes.csv", "--dataset", "texts")
    assert (items["created"], votes["quarantined"]) == (30, 0)
    assert not Path(home.environment["HIVEGUARD_HOME"], "dagster").joinpath("history").exists()
