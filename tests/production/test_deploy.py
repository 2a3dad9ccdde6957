"""The files of `deploy/`: read by the programs that they are for, and at one with each other and the code."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml

from hiveguard_pipeline.home import DAGSTER_YAML
from tests.production.services import BIN, DEPLOY, ROOT, exec_start

UNITS = ("code-server", "daemon", "webserver")
SHELL_SCRIPTS = ("entrypoint.sh", "postgres/roles.sh")
EXAMPLE = DEPLOY / "systemd" / "environment.example"
SECRETS = {"DAGSTER_PG_PASSWORD", "PGPASSWORD"}


def tool(name: str, where: str) -> str:
    """A program that a linting test needs; the test is skipped where it is not installed."""
    found = shutil.which(name, path=f"{BIN}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed ({where} names it)")
    return found


def run(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=120, check=False, **options
    )


def passes(*command: object, **options: Any) -> str:
    done = run(*command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(*path: str) -> Any:
    return yaml.safe_load(DEPLOY.joinpath(*path).read_text())


def environment_of(*documents: Any) -> set[str]:
    """The variables that Dagster's YAML files take from the environment ({env: NAME})."""
    names: set[str] = set()
    for document in documents:
        if isinstance(document, dict):
            if set(document) == {"env"}:
                names.add(document["env"])
            names |= environment_of(*document.values())
        elif isinstance(document, list):
            names |= environment_of(*document)
    return names


def assignments(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)  # type: ignore[misc]


def test_dagster_starts_on_the_settings_of_production(
    new_postgres: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sa.make_url(new_postgres(empty=True))
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    environment = {
        "DAGSTER_HOME": str(tmp_path),
        # The server of the tests has a socket alone: without a host, libpq asks PGHOST.
        "PGHOST": str(url.query["host"]),
        "DAGSTER_PG_HOST": "",
        "DAGSTER_PG_PORT": "5432",
        "DAGSTER_PG_USER": str(url.username),
        "DAGSTER_PG_PASSWORD": "sw0rdfish",
        "DAGSTER_PG_DB": str(url.database),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        names = [type(part).__name__ for part in (instance.run_launcher, instance.compute_log_manager)]
        assert names == ["DefaultRunLauncher", "NoOpComputeLogManager"]
        assert type(instance.run_storage).__name__ == "PostgresRunStorage"
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert [(limit["key"], limit["limit"]) for limit in queue.tag_concurrency_limits] == [
            ("hiveguard/dataset", 1)
        ]
        assert instance.get_runs_count() == 0
    told = passes(BIN / "dagster", "instance", "info", env={**os.environ, **environment}, cwd=tmp_path)
    assert "PostgresRunStorage" in told
    assert "sw0rdfish" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["dagster.yaml"]


def test_dagster_reads_the_workspace_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    monkeypatch.setenv("HIVEGUARD_CODE_SERVER_HOST", "code.example.com")
    monkeypatch.setenv("HIVEGUARD_CODE_SERVER_PORT", "4321")
    (origin,) = location_origins_from_yaml_paths([str(DEPLOY / "workspace.yaml")])
    assert origin.location_name == "hiveguard_pipeline"
    assert (origin.host, origin.port) == ("code.example.com", 4321)  # type: ignore[attr-defined]


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Where two documents say something else; what only one of them says is no difference."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for key in one.keys() & other.keys()
            for found in differences(one[key], other[key], f"{at}/{key}")
        ]
    return [] if one == other else [f"{at}: {one!r} and {other!r}"]


def test_the_settings_at_home_and_in_production_do_not_contradict_each_other() -> None:
    assert differences(yaml.safe_load(DAGSTER_YAML), read("dagster.yaml")) == []


def test_the_documentation_repeats_no_settings() -> None:
    for path in (ROOT / "docs").glob("*.md"):
        assert "tag_concurrency_limits:" not in path.read_text(), path
    assert "deploy/dagster.yaml" in (ROOT / "docs" / "postgres.md").read_text()


def test_kubernetes_and_dagster_yaml_have_one_queue_and_one_driver() -> None:
    values, settings = read("kubernetes", "values.yaml"), read("dagster.yaml")
    queue = values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue["tagConcurrencyLimits"] == settings["concurrency"]["runs"]["tag_concurrency_limits"]
    assert (
        values["postgresql"]["postgresqlScheme"] == settings["storage"]["postgres"]["postgres_db"]["scheme"]
    )
    for name in ("nux", "run_retries"):
        assert values["additionalInstanceConfig"][name] == settings[name]
    locked = (ROOT / "requirements.lock").read_text()
    (version,) = re.findall(r"^dagster==([\d.]+)", locked, re.MULTILINE)
    assert f"--version {version} " in (DEPLOY / "kubernetes" / "values.yaml").read_text()


def test_launchers_are_of_the_same_release() -> None:
    def pinned(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([\w.]+)", path.read_text(), re.MULTILINE))

    ours, launchers = pinned(ROOT / "requirements.lock"), pinned(DEPLOY / "launchers.lock")
    assert {"dagster-k8s", "dagster-docker"} <= launchers.keys()
    shared = ours.keys() & launchers.keys()
    assert "dagster" in shared
    assert {name: ours[name] for name in shared} == {name: launchers[name] for name in shared}


def test_the_grants_are_those_of_the_documentation() -> None:
    found = re.search(r"```sql grants\n(.*?)```", (ROOT / "docs" / "postgres.md").read_text(), re.DOTALL)
    assert found is not None
    lines = (DEPLOY / "postgres" / "grants.sql").read_text().splitlines(keepends=True)
    assert "".join(line for line in lines if not line.startswith("--")) == found[1]


def test_the_image_copies_what_is_there_and_is_let_through() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    let_through = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    assert sorted(copied) == sorted(let_through)
    tracked = passes("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for source in copied:
        assert any(name == source or name.startswith(f"{source}/") for name in tracked), source


def test_the_image_runs_as_nobody_in_particular_and_installs_by_hash() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["10001"]
    installs = re.findall(r"pip install (.*?)(?=\n[A-Z]|\n\n|\Z)", dockerfile, re.DOTALL)
    assert len(installs) == 3
    for arguments in installs:
        assert "--no-deps" in arguments
        assert "--require-hashes" in arguments or arguments.rstrip().endswith(" .")


def test_the_dockerfile_pleases_hadolint() -> None:
    passes(tool("hadolint", "pyproject.toml"), DEPLOY / "Dockerfile")


def test_the_yaml_files_please_yamllint() -> None:
    passes(tool("yamllint", "pyproject.toml"), "--strict", "--config-file", DEPLOY / "yamllint.yaml", DEPLOY)


def test_the_scripts_please_shellcheck() -> None:
    passes(tool("shellcheck", "tests/debian-packages.txt"), *(DEPLOY / name for name in SHELL_SCRIPTS))


def test_the_compose_file_keeps_to_the_compose_specification() -> None:
    checker = tool("check-jsonschema", "pyproject.toml")
    passes(checker, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def compose() -> list[str]:
    """The compose command of this machine: Docker's plugin, or Debian's docker-compose."""
    docker = shutil.which("docker")
    if docker and run(docker, "compose", "version").returncode == 0:
        return [docker, "compose"]
    return [tool("docker-compose", "tests/debian-packages.txt")]


def test_docker_compose_reads_the_compose_file() -> None:
    told = yaml.safe_load(passes(*compose(), "--file", DEPLOY / "compose.yaml", "config"))
    services = told["services"]
    assert set(services) == {"postgres", "init", "grants", "code-server", "daemon", "webserver"}
    waits = {name: set(service.get("depends_on", {})) for name, service in services.items()}
    assert waits == {
        "postgres": set(),
        "init": {"postgres"},
        "grants": {"init"},
        "code-server": {"grants"},
        "daemon": {"code-server"},
        "webserver": {"code-server"},
    }
    for name, service in services.items():
        assert service["restart"] == ("no" if name in ("init", "grants") else "unless-stopped")
    images = {service["image"] for name, service in services.items() if name not in ("postgres", "grants")}
    assert len(images) == 1


def test_the_compose_file_holds_no_secret() -> None:
    document = read("compose.yaml")
    named = set(document["secrets"])
    for name, service in document["services"].items():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable:
                assert variable.endswith("_FILE"), (name, variable)
                assert value.removeprefix("/run/secrets/") in service["secrets"], (name, variable)
            if "URL" in variable:
                assert sa.make_url(value).password is None, (name, variable)
        assert set(service.get("secrets", [])) <= named
    for secret, origin in document["secrets"].items():
        assert origin == {"file": f"${{HIVEGUARD_SECRETS:-./secrets}}/{secret}"}
        assert secret in (DEPLOY / "postgres" / "roles.sh").read_text() or secret == "postgres_password"


@pytest.mark.parametrize("service", ["code-server", "daemon", "webserver"])
def test_compose_and_systemd_give_dagster_all_that_it_asks_for(service: str) -> None:
    wanted = environment_of(read("dagster.yaml"), read("workspace.yaml"))
    assert len(wanted) == 7
    environment = read("compose.yaml")["services"][service]["environment"]
    assert wanted <= {name.removesuffix("_FILE") for name in environment}
    assert wanted <= assignments(EXAMPLE.read_text()).keys() | SECRETS


def test_a_unit_starts_what_is_installed() -> None:
    environment = assignments(EXAMPLE.read_text())
    for name in UNITS:
        program, *arguments = exec_start(name, environment, DEPLOY)
        assert os.access(program, os.X_OK), program
        words = next(at for at, argument in enumerate(arguments) if argument.startswith("--"))
        help_text = passes(program, *arguments[:words], "--help")
        for argument in arguments:
            assert not argument.startswith("--") or argument in help_text, (name, argument)


def test_systemd_reads_the_units(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze", "tests/debian-packages.txt")
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text().replace("/opt/hiveguard/venv/bin", str(BIN))
        (tmp_path / path.name).write_text(text)
    units = sorted(path for path in tmp_path.iterdir() if path.suffix in (".service", ".target"))
    assert len(units) == len(UNITS) + 1
    done = run(analyze, "verify", *units)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_entrypoint_reads_secrets_from_files_and_starts_the_program(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('it\'s $HOME `id` "x"\n')
    program = (
        sys.executable,
        "-c",
        "import os; print(os.environ['PGPASSWORD'], 'PGPASSWORD_FILE' in os.environ)",
    )
    environment = {"PATH": os.environ["PATH"], "PGPASSWORD_FILE": str(secret)}
    assert passes(DEPLOY / "entrypoint.sh", *program, env=environment) == 'it\'s $HOME `id` "x" False\n'


def test_the_entrypoint_says_which_secret_is_missing(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DAGSTER_PG_PASSWORD_FILE": str(tmp_path / "none")}
    done = run(DEPLOY / "entrypoint.sh", "true", env=environment)
    assert done.returncode == 1
    assert f"DAGSTER_PG_PASSWORD_FILE names {tmp_path / 'none'}" in done.stderr


def test_no_file_of_the_folder_is_forgotten() -> None:
    told = (ROOT / "docs" / "deploy.md").read_text()
    for path in sorted(DEPLOY.rglob("*")):
        # The units are named by their folder, what begins with a dot is for git.
        if path.is_file() and path.suffix != ".service" and not path.name.startswith("."):
            assert path.name in told, f"docs/deploy.md does not say what {path.relative_to(ROOT)} is for"
