"""The sensor and its asset: idle without a server, patient with one that is away, and no run for nothing."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from hiveguard_pipeline.definitions import defs
from hiveguard_pipeline.labelstudio.projects import mark_of
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset, now_text
from sensors import label_studio
from sensors.attempts import PastRun
from sensors.label_studio import Away, decide, label_studio_sensor, parse
from tests.cli.conftest import Terminal
from tests.labelstudio.running import RunningServer, choice
from tests.labelstudio.test_real_server import GetPerson, images, make, task_ids, votes
from tests.production.services import free_port


class Ticks:
    """The sensor with its cursor from tick to tick, on a clock that can be set ahead."""

    def __init__(self, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instance, self.cursor, self.ahead = instance, None, 0.0
        clock = SimpleNamespace(time=lambda: time.time() + self.ahead)
        monkeypatch.setattr(label_studio, "time", clock)

    def __call__(self) -> tuple[list[dg.RunRequest], str]:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        found: Any = label_studio_sensor(context, store=StoreResource())
        if isinstance(found, dg.SkipReason):
            return [], str(found.skip_message)
        self.cursor = found.cursor
        said = found.skip_reason
        return list(found.run_requests or []), str(
            said.skip_message if isinstance(said, dg.SkipReason) else said
        )


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ticks]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ticks(instance, monkeypatch)


def bind(database: Database, name: str, url: str) -> None:
    with database.write() as connection:
        dataset = get_dataset(connection, name)
        assert mark_of(dataset)
        connection.execute(
            t.label_studio_projects.insert().values(
                dataset_id=dataset.dataset_id, url=url, project_id=1, created_at=now_text()
            )
        )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_sensor_is_idle_without_a_server_and_leaves_one_alone_that_is_away(
    environment: dict[str, str],
    dataset: Any,
    database: Database,
    ticks: Ticks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ticks() == ([], "HIVEGUARD_LABEL_STUDIO_URL is not set")
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("HIVEGUARD_LABEL_STUDIO_URL", url)
    assert ticks() == ([], "HIVEGUARD_LABEL_STUDIO_TOKEN is not set")
    monkeypatch.setenv("HIVEGUARD_LABEL_STUDIO_TOKEN", "0" * 40)
    assert "no dataset has a project" in ticks()[1]
    bind(database, "animals", url)
    for wait in (60, 120, 240):
        requests, said = ticks()
        assert (requests, "no connection" in said, f"Asked again in {wait} s" in said) == ([], True, True)
        assert "the server was away; it is asked again in" in ticks()[1]  # nothing was asked
        ticks.ahead += wait - 2
        assert "the server was away" in ticks()[1]
        ticks.ahead += 3
    assert "0" * 40 not in said


def test_a_server_that_stays_away_is_asked_once_an_hour() -> None:
    away = Away()
    for _ in range(20):
        away = away.again(1000.0)
    assert away.until == 1000.0 + 3600.0
    assert [parse(text) for text in (None, "", "x", "[1]", "{}", '[2, "a"]')] == [Away()] * 6
    assert parse("[2, 5.5]") == Away(2, 5.5)


def test_what_failed_is_tried_three_times_until_something_changes() -> None:
    failed, done = PastRun(False, 1000.0), PastRun(True, 1000.0)
    assert decide([], 0, 1000.0).attempt == 1
    assert decide([done], 0, 1000.0).reason == "nothing has changed"
    assert decide([failed], 0, 1010.0).attempt is None
    assert decide([failed], 0, 1031.0).attempt == 2
    assert decide([failed] * 2, 0, 1200.0).attempt == 3
    assert "when something changes" in decide([failed] * 3, 0, 9999.0).reason
    assert decide([failed], 1, 9999.0).reason == "a run is under way"


@pytest.mark.slow
@pytest.mark.xdist_group("label-studio")
def test_what_changed_there_is_brought_here_by_a_run(
    server: RunningServer,
    person: GetPerson,
    user: Terminal,
    ticks: Ticks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in user.environment.items():
        if name.startswith("HIVEGUARD_"):
            monkeypatch.setenv(name, value)
    make(user, "synced", images("abc"), "--classes", "cat,dog")
    project = user.rows("label-studio", "push", "--dataset", "synced", "--from", "all")[0]["project_id"]
    ids = task_ids(server, project)
    ticks.instance.add_dynamic_partitions("datasets", ["synced"])
    job = defs.resolve_job_def("label_studio_job")

    def run(request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            instance=ticks.instance,
            partition_key=request.partition_key,
            tags={"dagster/partition": str(request.partition_key), **request.tags},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )

    (first,), _ = ticks()
    assert ticks()[0][0].run_key == first.run_key
    assert run(first).success
    assert ticks() == ([], "synced: nothing has changed")
    person("ada").answer(ids["a"], choice("cat"))
    (second,), _ = ticks()
    done = run(second)
    assert done.success
    (made,) = done.asset_materializations_for_node("label_studio_sync")
    assert (made.metadata["votes"].value, made.metadata["tasks_sent"].value) == (1, 0)
    assert made.metadata["project"].value == f"{server.url}/projects/{project}"
    assert votes(user, "synced") == {("a", f"label-studio:{person('ada').email}", "cat")}
    assert ticks() == ([], "synced: nothing has changed")
    assert server.token not in str([event.message for event in done.all_events])
