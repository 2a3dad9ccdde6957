"""Figures of datasets, solvers and agreement; and the pages of admins."""

import threading
import time
from pathlib import Path

import pytest

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.events import INSTANCE, Act, record_events
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.web import csrf
from hiveguard_pipeline.web.pages import admin, figures
from hiveguard_pipeline.web.pages.counted import FIGURES
from hiveguard_pipeline.web.pages.figures import FigureCache
from hiveguard_pipeline.web.users import list_users
from tests.dagster_location.crowd import put_votes
from tests.web.pages.visitor import PASSWORD, Page, Visitor

HERE = "/ui/datasets/animals"


def test_a_figure_is_counted_once_for_all_who_ask_at_once() -> None:
    cache, counted = FigureCache(str), []

    def count() -> int:
        counted.append(threading.get_ident())
        time.sleep(0.05)
        return len(counted)

    found: list[int] = []
    askers = [threading.Thread(target=lambda: found.append(cache.get("key", count).value)) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert found == [1] * 8
    assert cache.get("key", count, 0.0).value == 1, "not again within seconds"
    cache.drop("key")
    assert cache.get("key", count).value == 2


def test_a_figure_that_fails_is_no_figure_and_is_tried_again() -> None:
    cache = FigureCache(str)
    with pytest.raises(ZeroDivisionError):
        cache.get("key", lambda: 1 // 0)
    assert cache.peek("key") is None
    assert cache.get("key", lambda: 7).value == 7


def test_of_a_slow_figure_the_one_before_is_told_while_it_is_counted_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(figures, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(figures, "SLOW_SECONDS", 0.05)
    cache, go, counted = FigureCache(str), threading.Event(), threading.Event()
    values = iter((1, 2, 3))

    def slow() -> int:
        time.sleep(0.06)
        go.wait(10)
        counted.set()
        return next(values)

    go.set()
    assert cache.get_soon("key", slow, 0.0).value == 1, "there is none before the first"
    go.clear()
    counted.clear()
    assert [cache.get_soon("key", slow, 0.0).value for _ in range(3)] == [1, 1, 1]
    go.set()
    assert counted.wait(10)
    deadline = time.monotonic() + 10
    while cache.get_soon("key", slow, 60.0).value == 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert cache.get_soon("key", slow, 60.0).value == 2, "counted once for the three who asked"
    quick = iter((1, 2))
    assert cache.get_soon("quick", lambda: next(quick), 0.0).value == 1
    assert cache.get_soon("quick", lambda: next(quick), 0.0).value == 2, "a quick one is counted at once"


def test_what_cannot_be_counted_anew_is_in_the_log_without_the_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(figures, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(figures, "SLOW_SECONDS", 0.0)
    cache = FigureCache(Database("postgresql://hive:s3cret@nowhere/votes").without_secrets)
    assert cache.get("key", lambda: 1).value == 1

    def failing() -> int:
        raise ValueError("no way in with s3cret")

    assert cache.get_soon("key", failing, 0.0).value == 1
    cache._beside.shutdown()
    (record,) = caplog.records
    assert "figure key could not be counted" in record.getMessage()
    assert "ValueError: no way in with ***" in record.getMessage()
    assert "s3cret" not in caplog.text


def test_a_datasets_page_comes_before_its_figures_and_has_them_once_they_are_counted(
    visitor: Visitor, animals: Dataset
) -> None:
    vic = visitor.signed_in_as("vic", "viewer")
    places = [found["data-part"] for tag, found in vic.page(HERE).tags if "data-part" in found]
    assert len(places) == len(FIGURES)
    for place in places:
        part = vic.get(place).text
        assert "<html" not in part
        assert "Counted" in part
    page = vic.page(HERE)
    assert not [found for _, found in page.tags if "data-part" in found]
    text = " ".join(page.text.split())
    for told in (
        "5 items, 3 of them in the pool",
        "1 flagged for review",
        "There is no export yet",
        "34 received",
    ):
        assert told in text, told
    whole = vic.page(f"{HERE}/figures/funnel")
    assert "5 items" in " ".join(whole.text.split()), "without the script it is a page of its own"
    assert "1 flagged for review" in " ".join(vic.page("/ui/").text.split())


def test_a_figure_counted_again_is_newer(
    visitor: Visitor, animals: Dataset, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    vic = visitor.signed_in_as("vic", "viewer")
    assert "34 received" in vic.page(f"{HERE}/figures/votes").text
    put_votes(database, animals, {"fresh": "a"})
    assert "34 received" in vic.page(f"{HERE}/figures/votes").text
    monkeypatch.setattr(figures, "LEAST_SECONDS", 0.0)
    assert "35 received" in vic.page(f"{HERE}/figures/votes?fresh=true").text


def test_agreement_and_solvers_are_shown_flagged_first_and_sorted_by_what_is_asked(
    visitor: Visitor, database: Database
) -> None:
    dataset = create_dataset(database, "crowd", Policy(), classes=("a", "b"))
    put_votes(database, dataset, {f"item-{n}": "aaab" if n % 2 else "bbba" for n in range(40)})
    apply_votes(database, "crowd", run_id="run")
    vic = visitor.signed_in_as("vic", "viewer")
    assert "Measure" in vic.page("/ui/datasets/crowd/agreement").text
    agreement = " ".join(vic.page("/ui/datasets/crowd/agreement?count=true").text.split())
    assert "Fleiss' kappa" in agreement
    assert "what the others on its item say" in agreement
    assert "Measure the solvers" in vic.page("/ui/datasets/crowd/solvers").text
    text = " ".join(vic.page("/ui/datasets/crowd/solvers?count=true").text.split())
    assert "of 4 stand out" in text
    down = vic.page("/ui/datasets/crowd/solvers?by=solver_id&down=true").text
    assert down.index("solver-3") < down.index("solver-0")
    up = vic.page("/ui/datasets/crowd/solvers?by=consensus_agreement").text
    assert up.index("solver-3") < up.index("solver-0"), "who disagrees comes first"


def test_figures_of_structured_answers_are_theirs_and_say_what_there_is_not(
    visitor: Visitor, database: Database
) -> None:
    cars = create_dataset(database, "cars", Policy(), task_type="bbox", classes=("car",))
    box = '{"boxes":[{"bbox":[1.0,1.0,9.0,9.0],"label":"car"}]}'
    with database.write() as connection:
        item = t.item_uuid("cars", "one")
        connection.execute(
            t.items.insert().values(
                item_id=item, dataset_id=cars.dataset_id, external_id="one", data_ref="https://example.com/one",
                modality="image", created_at="2026-11-01T00:00:00.000000Z",
            )
        )  # fmt: skip
        connection.execute(
            t.votes.insert(), [{"item_id": item, "solver_id": f"s{n}", "answer": box} for n in range(3)]
        )
    apply_votes(database, "cars", run_id="run")
    vic = visitor.signed_in_as("vic", "viewer")
    assert "by F1, over 3 votes" in vic.page("/ui/datasets/cars/agreement?count=true").text
    assert "No forecast" in vic.page("/ui/datasets/cars/figures/forecast").text
    assert "mean f1" in vic.page("/ui/datasets/cars/solvers?count=true").text


def test_an_admin_keeps_users_and_a_mistake_is_said_on_the_page(visitor: Visitor, database: Database) -> None:
    ada = visitor.signed_in_as("ada", "admin")
    ada.post("/ui/users", name="ben", role="viewer", password=PASSWORD)
    ada.post("/ui/users/ben", act="role", role="reviewer")
    ben = visitor.signed_in_as("ben")
    assert ben.get("/ui/")
    ada.post("/ui/users/ben", act="disable")
    ben.get("/ui/", 303)
    ada.post("/ui/users/ben", act="enable")
    for fields, said in (
        ({"name": "ben", "role": "viewer", "password": PASSWORD}, "there is a user ben already"),
        ({"name": "eve", "role": "viewer", "password": "short"}, "a password has"),
    ):
        assert said in ada.post("/ui/users", 400, **fields).text
    assert "only admin" in ada.post("/ui/users/ada", 400, act="disable").text
    assert "there is no user" in ada.post("/ui/users/nobody", 400, act="disable").text
    ada.post("/ui/users/ben", 422, act="promote")
    with database.read() as connection:
        assert [(user.name, user.role, user.disabled_at) for user in list_users(connection)] == [
            ("ada", "admin", None),
            ("ben", "reviewer", None),
        ]


def test_an_admin_makes_and_ends_keys_and_a_key_is_shown_once(visitor: Visitor, animals: Dataset) -> None:
    ada = visitor.signed_in_as("ada", "admin")
    assert "no key yet" in ada.page("/ui/keys").text
    shown = ada.client.post(
        "/ui/keys",
        data={"csrf": csrf.token_for(ada.token), "name": "a <b>", "scopes": ["export"], "dataset": "animals"},
    )
    assert shown.status_code == 200
    (key,) = [
        word for word in Page(shown.text).text.split() if word.startswith("hg_") and not word.endswith("…")
    ]
    with_key = {"Authorization": f"Bearer {key}"}
    assert visitor.client.get("/datasets/animals", headers=with_key).status_code == 200
    listed = ada.get("/ui/keys").text
    assert key not in listed
    assert "a &lt;b&gt;" in listed
    ada.post("/ui/keys/1")
    assert "revoked" in ada.page("/ui/keys").text
    assert "scopes" in ada.post("/ui/keys", 400, name="none").text
    ada.post("/ui/keys/77", 404)


def test_the_audit_is_paged_newest_first_and_filtered(
    visitor: Visitor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = visitor.signed_in_as("ada", "admin")
    with database.write() as connection:
        record_events(
            connection, INSTANCE, [Act(f"actor-{n % 3}", "thing.do", f"thing {n}", "why") for n in range(250)]
        )
    monkeypatch.setattr(admin, "_LOOKED_AT", 60)
    for query, wanted in (("", 250), ("&actor=actor-1", 83), ("&action=thing.do", 250), ("&actor=nobody", 0)):
        seen, path = [], f"/ui/audit?{query}"
        for _ in range(30):
            page = ada.page(path)
            cells = ada.get(path).text.split("<td>thing ")[1:]
            seen += [int(cell.split("<")[0]) for cell in cells]
            following = [link["href"] for link in page.all("a") if link.get("rel") == "next"]
            if not following:
                break
            path = following[0]
        assert seen == sorted(seen, reverse=True)
        assert len(seen) == wanted, query


def test_wheels_carry_templates_and_static_files() -> None:
    import tomllib

    root = Path(__file__).parents[3]
    carried = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    package = root / "hiveguard_pipeline"
    matched = {path for pattern in carried["hiveguard_pipeline"] for path in package.glob(pattern)}
    needed = {
        path for folder in ("templates", "static") for path in (package / "web" / "pages" / folder).iterdir()
    }
    assert needed
    assert needed <= matched
