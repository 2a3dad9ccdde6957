"""A process never has the SQLite file open through two SQLite libraries.

Closing one drops the other's locks, and data is lost.
"""

import re
from pathlib import Path

from tests.dagster_location.fresh import mapped_files, run_python

WORK = """
import sys
from pathlib import Path
from hiveguard_pipeline.cli.main import main

def command(*words):
    sys.argv = ["hiveguard", *words]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, words

Path("votes.csv").write_text(
    "external_id,solver_id,answer\\n" + "".join(f"i{i},s{s},a\\n" for i in range(20) for s in range(16))
)
command("datasets", "create", "animals")
command("votes", "import", "votes.csv", "--dataset", "animals", "--create-items")
command("run")
for fmt in ("csv", "jsonl", "json", "parquet"):
    command("labels", "export", "--fmt", fmt, "--output", f"labels.{fmt}")
command("datasets", "items", "animals", "--fmt", "csv")
command("verify")
print(Path("/proc/self/maps").read_text())
"""


def test_a_process_has_one_sqlite_library(tmp_path: Path) -> None:
    done = run_python(WORK, cwd=tmp_path, environment={"HIVEGUARD_HOME": str(tmp_path / "home")})
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 21
    mapped = mapped_files(done.stdout)
    assert any("_sqlite3" in path for path in mapped), "Python's own module is the one in use"
    assert len({path for path in mapped if re.search(r"libsqlite3[^/]*\.so", path)}) <= 1
    assert [path for path in mapped if re.search(r"adbc|duckdb|apsw|sqlean|sqlcipher|gdal", path, re.I)] == []
