"""The dashboard in a real browser: the system's Chromium, by Playwright, on loopback alone."""

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.review import decide
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.web.users import create_user
from hiveguard_pipeline.workflow import add_people, advance, lease_next, parse_stages, set_workflow
from tests.dagster_location.crowd import CROWD, FLAGGED, put_votes
from tests.web.pages.visitor import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

QUEUED = 120
CLEARED = 1_000
"""Flagged items that are decided with the page loaded once."""


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium with a profile of its own."""
    chromium = shutil.which("chromium")
    if chromium is None:
        said = "no Chromium here: apt-get install chromium (make debian)"
        if "true" in (os.environ.get("CI"), os.environ.get("HIVEGUARD_CI")):
            pytest.fail(said)
        pytest.skip(said)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A store with users, a queue of classes, and structured items whose pictures and texts are there."""
    folder = tmp_path_factory.mktemp("browser")
    database = open_database(f"sqlite:///{folder / 'hiveguard.db'}")
    for name, role in (("ada", "admin"), ("rex", "reviewer"), ("sue", "reviewer")):
        create_user(database, name, role, PASSWORD, actor="test")
    for name in ("animals", "keys", "crowd"):
        dataset = create_dataset(database, name, Policy(), classes=("a", "b", "c"))
        many = CLEARED if name == "keys" else QUEUED
        put_votes(database, dataset, CROWD | {f"item-{n:03d}": FLAGGED for n in range(many)})
        apply_votes(database, name, run_id="run-1")
    _boxes(database, folder)
    _spans(database)
    _two_experts(database)
    return database


@pytest.fixture(scope="module")
def address(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server as a user starts it."""
    folder = tmp_path_factory.mktemp("home")
    environment = os.environ | {
        "HIVEGUARD_HOME": str(folder),
        "HIVEGUARD_DATABASE_URL": str(database.url),
        "HIVEGUARD_DATA_DIR": str(Path(str(database.url.database)).parent),
    }
    command = [str(Path(sys.executable).with_name("hiveguard")), "serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        said = server.stderr.readline()
        assert "serves on http://" in said, said + server.stderr.read()
        yield said.split("serves on ")[1].split()[0]
        server.terminate()


@pytest.fixture
def page(browser: "Browser", address: str) -> "Iterator[Page]":
    """A window with no cookies. Whatever is not on loopback is refused, as without a network."""
    context = browser.new_context(viewport=DESKTOP, base_url=address)  # type: ignore[arg-type]
    context.route(lambda url: not url.startswith(address), lambda route: route.abort())
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None
    )
    yield page
    context.close()
    assert faults == []


def sign_in(page: "Page", name: str = "rex", path: str = "/ui/") -> None:
    page.goto(path)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{path}")


def status(page: "Page", text: str) -> None:
    page.locator("[data-status]", has_text=text).wait_for()


def shown(page: "Page") -> str:
    """The item that waits for a decision."""
    page.locator("#review:not(.is-busy)").wait_for()
    return str(page.locator("#review .name").inner_text())


def newest(database: Database, dataset: str, external_id: str) -> tuple[str, str, str, str]:
    assert verify(database, dataset).findings == []
    with database.read() as connection:
        row = connection.execute(
            sa.select(t.reviews)
            .where(t.reviews.c.item_id == t.item_uuid(dataset, external_id))
            .order_by(t.reviews.c.review_id.desc())
        ).first()
    assert row is not None
    return row.decision, row.label, row.reviewer, row.reason


def test_sign_in_filter_confirm_relabel_undo_sign_out(page: "Page", database: Database) -> None:
    sign_in(page)
    page.get_by_role("link", name="animals").click()
    page.get_by_role("link", name="Items").click()
    page.get_by_label("State").select_option("needs_review")
    page.get_by_label("Name").fill("item-00")
    page.get_by_role("button", name="Filter").click()
    assert page.locator("tbody tr").count() == 10
    page.get_by_role("link", name="Review").click()
    page.locator("[data-choice]").first.wait_for()
    first = shown(page)
    page.get_by_role("button", name="Confirm").click()
    status(page, f"{first}: confirm")
    second = shown(page)
    assert second != first
    page.locator('[data-choice="b"]').click()
    status(page, f"{second}: relabel to b")
    page.get_by_role("button", name="Undo").click()
    status(page, f"{second}: undone")
    assert shown(page) == second
    assert newest(database, "animals", first) == ("confirm", "a", "rex", "the label is right")
    assert newest(database, "animals", second)[0] == "undo"
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/ui/sign-in")
    page.goto("/ui/datasets/animals/review")
    assert "/ui/sign-in" in page.url


def test_a_queue_is_cleared_by_keys_alone_with_one_page_load(page: "Page", database: Database) -> None:
    sign_in(page, path="/ui/datasets/keys/review")
    page.locator("[data-choice]").first.wait_for()
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    keys = page.keyboard
    keys.press("?")
    assert page.get_by_role("dialog").is_visible()
    keys.press("Escape")
    keys.press("r")
    keys.type("seen large")
    keys.press("Enter")
    first = shown(page)
    keys.press("c")
    status(page, f"{first}: confirm")
    second = shown(page)
    keys.press("2")
    status(page, f"{second}: relabel to b")
    third = shown(page)
    keys.press("l")
    keys.type("c")
    keys.press("Enter")
    status(page, f"{third}: relabel to c")
    fourth = shown(page)
    keys.press("d")
    status(page, f"{fourth}: discard")
    keys.press("u")
    status(page, f"{fourth}: undone")
    fifth = shown(page)
    assert fifth == fourth
    keys.press("s")
    status(page, "skipped")
    for _ in range(CLEARED + 1):
        if not page.locator("#review").is_visible():
            break
        now = shown(page)
        keys.press("c")
        status(page, f"{now}: confirm")
        page.wait_for_function(
            "() => { const form = document.querySelector('#review');"
            " return form.hidden || !form.classList.contains('is-busy'); }"
        )
    status(page, "Nothing is left to decide here")
    page.wait_for_function("() => document.querySelector('[data-left]').textContent === '0'")
    assert loads == []
    with database.read() as connection:
        states = connection.execute(
            sa.text(
                "SELECT state, count(*) FROM item_status s JOIN datasets d ON d.dataset_id = s.dataset_id"
                " WHERE d.name = 'keys' GROUP BY state"
            )
        ).all()
    assert dict(map(tuple, states)) == {"graduated": 1, "in_revalidation": 2 + CLEARED, "unlabeled": 2}
    assert newest(database, "keys", third) == ("relabel", "c", "rex", "seen large")
    assert newest(database, "keys", fourth) == ("confirm", "a", "rex", "seen large"), (
        "the skipped one came again"
    )
    assert float(page.locator("[data-median]").inner_text()) >= 0


def test_of_two_reviewers_the_second_is_told_who_decided_what_and_goes_on(
    page: "Page", browser: "Browser", address: str, database: Database
) -> None:
    sign_in(page, path="/ui/datasets/crowd/review")
    page.locator("[data-choice]").first.wait_for()
    item = shown(page)
    decide(database, item, "relabel", label="b", reviewer="sue", reason="was faster", dataset_name="crowd")
    page.keyboard.press("d")
    status(page, "relabel by sue")
    assert shown(page) != item
    assert newest(database, "crowd", item) == ("relabel", "b", "sue", "was faster")
    page.keyboard.press("u")
    status(page, "nothing to undo")


def test_two_experts_answer_tasks_by_keys(page: "Page", browser: "Browser", database: Database) -> None:
    keys = page.keyboard
    for name, key in (("rex", "1"), ("sue", "1")):
        sign_in(page, name, "/ui/datasets/double/tasks")
        page.get_by_role("button", name="Take a task").click()
        for _ in range(2):
            page.get_by_text("What is it?").wait_for()
            assert page.locator(".answers").count() == 0
            before = page.locator("[name=lease]").input_value()
            keys.press("r")
            keys.type("seen d1")  # what is typed into a field is no key
            keys.press("Escape")
            keys.press(key)
            page.wait_for_function("old => document.querySelector('[name=lease]')?.value !== old", arg=before)
        page.get_by_text("nothing to ask you").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/ui/sign-in")
    with database.read() as connection:
        found = connection.execute(
            sa.select(t.stage_answers.c.solver_id, t.stage_answers.c.answer, t.stage_answers.c.reason)
        ).all()
    assert sorted(map(tuple, found)) == [("rex", "a", "seen d1")] * 2 + [("sue", "a", "seen d1")] * 2
    assert newest(database, "double", "one")[:2] == ("accept", "a")
    sign_in(page, "ada", "/ui/datasets/double/tasks")
    page.get_by_role("button", name="Take a task").click()
    page.get_by_text("asked as the crowd").wait_for()
    page.get_by_label("Another answer").fill("b")
    keys.press("Enter")
    page.get_by_text("Your answer is recorded.").wait_for()
    with database.read() as connection:
        voted = connection.execute(sa.select(t.votes.c.answer).where(t.votes.c.solver_id == "ada")).scalars()
        assert list(voted) == ["b"], "Enter in the field sends what was typed, not the first class"


def test_without_scripts_a_form_decides(browser: "Browser", address: str, database: Database) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=address, viewport=PHONE)  # type: ignore[arg-type]
    page = context.new_page()
    sign_in(page, path="/ui/datasets/crowd/review")
    item = shown(page)
    page.get_by_role("radio").nth(2).check()
    page.get_by_role("button", name="Relabel").click()
    assert shown(page) != item
    assert newest(database, "crowd", item)[:3] == ("relabel", "c", "rex")
    page.get_by_role("button", name="Undo").click()
    assert shown(page) == item
    page.get_by_role("link", name="Skip", exact=True).click()
    assert shown(page) != item
    context.close()


def test_boxes_lie_on_the_picture_and_spans_in_the_text(page: "Page") -> None:
    sign_in(page, path="/ui/datasets/cars/review")
    page.locator("[data-choice]").first.wait_for()
    picture, box = page.locator("#review img"), page.locator("#review .boxes rect")
    page.wait_for_function("() => document.querySelector('#review img').naturalWidth === 200")
    whole, drawn = picture.bounding_box(), box.bounding_box()
    assert whole is not None
    assert drawn is not None
    scale = whole["width"] / 200
    assert abs(drawn["x"] - whole["x"] - 50 * scale) <= 3
    assert abs(drawn["y"] - whole["y"] - 20 * scale) <= 3
    assert abs(drawn["width"] - 100 * scale) <= 5
    page.goto("/ui/datasets/names/review")
    page.locator("[data-choice]").first.wait_for()
    assert page.locator("#review mark").inner_text().startswith("Ann")


def test_a_picture_that_cannot_be_loaded_has_a_placeholder(page: "Page") -> None:
    sign_in(page, path="/ui/datasets/animals/review")
    page.locator("[data-choice]").first.wait_for()
    page.locator("#review .missing").wait_for()
    assert "https://example.com/" in page.locator("#review .missing").inner_text()
    assert not page.locator("#review img").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_page_passes_axe_and_fits_its_width(
    browser: "Browser", address: str, database: Database, size: dict[str, int], scheme: Any
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport=size, color_scheme=scheme, base_url=address)  # type: ignore[arg-type]
    context.route(lambda url: not url.startswith(address), lambda route: route.abort())
    page = context.new_page()
    page.goto("/ui/sign-in")
    found = _violations(Axe(), page)
    sign_in(page, "ada")
    item = t.item_uuid("animals", "moving")
    lease_next(database, solver="ada", dataset_name="double")
    for path in (
        "/ui/",
        "/ui/datasets/animals",
        "/ui/datasets/animals/items?state=odd",
        f"/ui/datasets/animals/items/{item}",
        f"/ui/datasets/cars/items/{t.item_uuid('cars', 'one')}",
        f"/ui/datasets/names/items/{t.item_uuid('names', 'one')}",
        "/ui/datasets/animals/review",
        "/ui/datasets/animals/review?after=999999999.x",
        "/ui/datasets/double/tasks",
        "/ui/datasets/animals/agreement",
        "/ui/datasets/animals/solvers",
        "/ui/audit",
        "/ui/users",
        "/ui/keys",
        "/ui/nothing",
    ):
        page.goto(path)
        page.wait_for_function("() => !document.querySelector('[data-part], [data-reload]')")
        assert ("/tasks" in path) == (page.get_by_text("What is it?").count() == 1)
        found += _violations(Axe(), page)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], f"{path} is {width} wide"
    context.close()
    assert found == []


def _violations(axe: Any, page: "Page") -> list[str]:
    answer = axe.run(page).response
    assert answer["passes"], "axe looked at something"
    return [
        f"{page.url}: {rule['id']}: {[node['html'][:150] for node in rule['nodes'][:3]]}"
        for rule in answer["violations"]
    ]


def _two_experts(database: Database) -> None:
    """A workflow in which two experts look at what the crowd is not sure of."""
    dataset = create_dataset(database, "double", Policy(), classes=("a", "b", "c"))
    put_votes(database, dataset, {"one": FLAGGED, "two": FLAGGED, "new": "", "newer": ""})
    add_people(database, "double", "experts", ["rex", "sue"], actor="ada")
    stages = [
        {"name": "first", "who": "crowd", "on_pass": "done", "on_fail": "review"},
        {"name": "review", "who": "experts", "answers": "2", "on_pass": "done", "on_fail": "first"},
    ]
    set_workflow(database, "double", parse_stages(stages), actor="ada", reason="a test")
    apply_votes(database, "double", run_id="run-1")
    advance(database, "double", run_id="run-1")


def _boxes(database: Database, folder: Path) -> None:
    (folder / "one.png").write_bytes(_png(200, 100))
    cars = create_dataset(database, "cars", Policy(), task_type="bbox", classes=("car", "truck"))
    box = json.dumps({"boxes": [{"bbox": [50, 20, 100, 60], "label": "car"}]})
    _one(database, cars, "one.png", [box, box, *['{"boxes":[]}'] * 4])


def _spans(database: Database) -> None:
    names = create_dataset(database, "names", Policy(), task_type="ner", classes=("PER",))
    span = json.dumps({"spans": [{"start": 0, "end": 3, "label": "PER"}]})
    _one(database, names, "one.txt", [span, span, *['{"spans":[]}'] * 4], "Ann met Bob.")


def _one(
    database: Database, dataset: Dataset, ref: str, answers: list[str], content: str | None = None
) -> None:
    item = t.item_uuid(dataset.name, "one")
    with database.write() as connection:
        connection.execute(
            t.items.insert().values(
                item_id=item,
                dataset_id=dataset.dataset_id,
                external_id="one",
                data_ref=ref,
                modality=dataset.modality,
                created_at="2026-11-01T00:00:00.000000Z",
            )
        )
        if content is not None:
            connection.execute(t.item_details.insert().values(item_id=item, content=content))
        connection.execute(
            t.votes.insert(),
            [{"item_id": item, "solver_id": f"s{n}", "answer": answer} for n, answer in enumerate(answers)],
        )
    apply_votes(database, dataset.name, run_id="run-1")


def _png(width: int, height: int) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x88" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
