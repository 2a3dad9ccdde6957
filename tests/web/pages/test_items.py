"""The table of items and an item's page: filters, paging, what is shown, and what a data_ref may be."""

import itertools
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.web.pages import item_listing
from hiveguard_pipeline.web.pages.item_listing import Listed, Wanted, list_items
from hiveguard_pipeline.web.pages.marks import pieces, shown_answer
from hiveguard_pipeline.web.pages.media import file_of, place_of
from tests.dagster_location.crowd import CROWD, FLAGGED, put_votes
from tests.web.pages.visitor import Visitor, visitor_of

HERE = "/ui/datasets/animals/items"


@pytest.fixture
def many(database: Database, dataset: Dataset) -> list[dict[str, object]]:
    """330 items; all of them in item_id order, as a query without paging has them."""
    votes = {f"{name}-{n:03d}": answers for n in range(66) for name, answers in CROWD.items()}
    put_votes(database, dataset, votes)
    apply_votes(database, dataset.name, run_id="run")
    with database.read() as connection:
        rows = connection.execute(
            sa.text("SELECT item_id, external_id, state, label, confidence FROM item_status ORDER BY item_id")
        )
        return [dict(row) | {"item_id": str(row["item_id"])} for row in rows.mappings()]


def walked(database: Database, dataset: Dataset, wanted: Wanted) -> list[str]:
    """The item_ids of all pages."""
    found, after = [], None
    with database.read() as connection:
        for _ in range(100):
            listed: Listed = list_items(connection, dataset, wanted, after, seconds=0.0)
            assert len(listed.rows) <= item_listing.PAGE
            found += [row["item_id"] for row in listed.rows]
            after = listed.after
            if after is None:
                return found
    raise AssertionError("the pages do not end")


def test_pages_together_are_what_passes_the_filter_each_item_once(
    database: Database, dataset: Dataset, many: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_listing, "_FIRST_WINDOW", 20)
    monkeypatch.setattr(item_listing, "_LARGEST_WINDOW", 40)
    assert walked(database, dataset, Wanted()) == [row["item_id"] for row in many]
    for wanted, passes in (
        (Wanted(state="needs_review"), lambda row: row["state"] == "needs_review"),
        (Wanted(label="a"), lambda row: row["label"] == "a"),
        (Wanted(low=516_667, high=816_667), lambda row: 516_667 <= (row["confidence"] or 0) <= 816_667),
        (Wanted(state="graduated", low=1), lambda row: row["state"] == "graduated"),
        (Wanted(search="sh-00"), lambda row: "sh-00" in row["external_id"]),
        (Wanted(state="gold"), lambda row: False),
        (Wanted(search="%"), lambda row: False),
        (Wanted(search="_"), lambda row: False),
        (Wanted(search="FRESH"), lambda row: False),
        (Wanted(label="' OR 1=1 --"), lambda row: False),
    ):
        expected = [row["item_id"] for row in many if passes(row)]
        assert walked(database, dataset, wanted) == expected, wanted


def test_an_item_of_that_very_name_or_id_comes_first(
    database: Database, dataset: Dataset, many: list[dict[str, object]]
) -> None:
    put_votes(database, dataset, {"fresh": "a"})
    item_id = t.item_uuid("animals", "fresh")
    found = walked(database, dataset, Wanted(search="fresh"))
    assert found[0] == item_id
    assert len(found) == len(set(found)) == 67
    assert walked(database, dataset, Wanted(search=item_id.upper()))[0] == item_id
    assert walked(database, dataset, Wanted(search="fresh", state="graduated")) == []


def test_a_filter_that_little_passes_says_how_far_it_came(
    visitor: Visitor, many: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_listing, "_FIRST_WINDOW", 20)
    monkeypatch.setattr(item_listing, "SECONDS", 0.0)
    monkeypatch.setattr(list_items, "__defaults__", (None, 0.0))
    page = visitor.signed_in_as("vic", "viewer").page(f"{HERE}?state=gold")
    assert "None among the 20 items" in page.text
    assert "Look further" in page.text


def test_the_table_shows_how_items_stand_and_says_what_is_wrong_in_a_filter(
    visitor: Visitor, animals: Dataset
) -> None:
    vic = visitor.signed_in_as("vic", "viewer")
    rows = [" ".join(row.split()) for row in vic.get(HERE).text.split("<tr>")]
    (flagged,) = [row for row in rows if ">flagged</a>" in row]
    assert "0.516667" in flagged
    assert "flagged</td>" in flagged
    (moving,) = [row for row in rows if ">moving</a>" in row]
    assert "in the pool" in moving
    assert '<td class="number">1</td>' in moving, "a vote waits"
    page = vic.page(f"{HERE}?state=odd&low=much&high=2&after=nothing")
    assert "odd is no state" in page.text
    assert "confidence must be a number" in page.text
    assert "confidence must lie between 0 and 1" in page.text
    assert ">graduated</a>" in vic.get(f"{HERE}?low=0.85&high=1").text
    assert ">flagged</a>" not in vic.get(f"{HERE}?low=0.85&high=1").text


def test_an_items_page_has_its_votes_its_path_its_runs_and_its_reviews(
    database: Database, animals: Dataset, tmp_path: Path
) -> None:
    visitor = visitor_of(database, tmp_path / "home", HIVEGUARD_DAGSTER_URL="https://dagster.example/")
    rex = visitor.signed_in_as("rex")
    item = t.item_uuid("animals", "flagged")
    form = rex.page(f"/ui/datasets/animals/review?item={item}")
    rex.post(
        "/ui/datasets/animals/review",
        item_id=item,
        expected=form.value("expected"),
        decision="relabel",
        label="b",
        own_reason="stripes",
    )
    page = rex.page(f"{HERE}/{item}")
    text = " ".join(page.text.split())
    assert page.links().count("https://dagster.example/runs/run-1") == 2, "the two batches of the run"
    for told in ("0.666667", "0.516667", "relabel", "stripes", "solver-5", "first pass", "re-validation"):
        assert told in text, told
    assert len(page.all("circle")) == 3
    assert page.all("img")[0]["src"] == "https://example.com/flagged.jpg"
    assert page.all("img")[0]["referrerpolicy"] == "no-referrer"
    rex.get(f"{HERE}/{t.item_uuid('animals', 'nothing')}", 404)
    rex.get(f"{HERE}/no-id", 404)
    rex.get(f"/ui/datasets/other/items/{item}", 404)


def settings(folder: Path, data: Path | None = None) -> Settings:
    environment = {"HIVEGUARD_HOME": str(folder)} | ({"HIVEGUARD_DATA_DIR": str(data)} if data else {})
    return Settings.from_environment(environment)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data, with what lies around it."""
    around = tmp_path_factory.mktemp("around")
    folder = around / "data"
    (folder / "in").mkdir(parents=True)
    for name in ("a.png", "in/b.wav", "in/c.txt", "page.html", "drawing.svg", "noend"):
        (folder / name).write_bytes(b"content of " + name.encode())
    (around / "secret.png").write_bytes(b"secret")
    (around / "data-beside").mkdir()
    (around / "data-beside" / "secret.png").write_bytes(b"secret")
    (folder / "link.png").symlink_to(around / "secret.png")
    (folder / "up").symlink_to(around)
    (folder / "own.png").symlink_to(folder / "a.png")
    return folder


OUTSIDE = [
    "../secret.png",
    "in/../../secret.png",
    "./../secret.png",
    "link.png",
    "up/secret.png",
    "../data-beside/secret.png",
    "/etc/passwd",
    "/etc/hostname.txt",
    "file:///etc/passwd",
    "file://elsewhere/a.png",
    "file:///%2e%2e/secret.png",
    "..%2fsecret.png",
    "%2e%2e/secret.png",
    "..\\secret.png",
    "a.png\0.txt",
    "page.html",
    "drawing.svg",
    "noend",
    "in",
    "",
    ".",
    "//host/a.png",
]


def test_files_are_those_inside_the_folder_and_of_a_harmless_kind(data: Path, tmp_path: Path) -> None:
    own = settings(tmp_path, data)
    for name in (
        "a.png",
        "in/b.wav",
        "in/../a.png",
        "own.png",
        str(data / "a.png"),
        (data / "a.png").as_uri(),
    ):
        path = file_of(own, name)
        assert path is not None, name
        assert path.is_relative_to(data)
    for name in (*OUTSIDE, str(data.parent / "secret.png"), (data.parent / "secret.png").as_uri()):
        assert file_of(own, name) is None, name
        assert file_of(settings(tmp_path), name) is None, name


@given(st.text() | st.sampled_from(OUTSIDE) | st.from_regex(r"[a-z]{1,10}:(//)?\S{0,20}", fullmatch=True))
def test_a_browser_is_given_http_our_own_address_or_nothing(data: Path, ref: str) -> None:
    place = place_of(settings(data.parent, data), ref, "/own")
    assert place.address is None or place.address in ("/own", ref)
    if place.address == ref and ref != "/own":
        assert ref.lower().startswith(("http://", "https://"))
    assert (place.address is None) == bool(place.why_not)


@pytest.mark.parametrize(
    "ref",
    ["javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)",
     "data:text/html,<script>alert(1)</script>", "vbscript:x", "ftp://host/a.png", "s3://bucket/a.png",
     "https:///nohost.png", "https:\\\\evil.example", "http://[broken", "blob:https://x/y"],
)  # fmt: skip
def test_other_schemes_are_text_only(data: Path, tmp_path: Path, ref: str) -> None:
    assert place_of(settings(tmp_path, data), ref, "/own").address is None


def test_files_are_served_to_who_is_signed_in_by_item_and_never_as_pages(
    database: Database, animals: Dataset, data: Path, tmp_path: Path
) -> None:
    visitor = visitor_of(database, tmp_path / "home", HIVEGUARD_DATA_DIR=data)
    vic = visitor.signed_in_as("vic", "viewer")
    item = t.item_uuid("animals", "flagged")

    def refer(ref: str, modality: str = "image") -> None:
        with database.write() as connection:
            connection.execute(
                t.items.update().where(t.items.c.item_id == item).values(data_ref=ref, modality=modality)
            )

    refer("a.png")
    address = f"{HERE}/{item}/data"
    assert vic.page(f"{HERE}/{item}").all("img")[0]["src"] == address
    served = vic.get(address)
    assert served.content == b"content of a.png"
    assert served.headers["content-type"] == "image/png"
    assert "sandbox" in served.headers["content-security-policy"]
    visitor.get(address, 303)
    assert vic.get(address, 206, headers={"Range": "bytes=0-6"}).content == b"content"
    for ref in OUTSIDE:
        if "\0" not in ref:
            refer(ref)
            assert vic.client.get(address).status_code == 404, ref
            assert "secret" not in vic.client.get(address).text
            assert not vic.page(f"{HERE}/{item}").all("img"), ref
    refer("in/c.txt", "text")
    assert "content of in/c.txt" in vic.page(f"{HERE}/{item}").text
    refer("in/b.wav", "audio")
    assert vic.page(f"{HERE}/{item}").all("audio")[0]["src"] == address


@given(
    st.text(max_size=40), st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20), st.sampled_from("ABC")))
)
def test_a_text_cut_at_its_spans_is_the_text_and_each_piece_knows_its_spans(
    content: str, given_spans: list[tuple[int, int, str]]
) -> None:
    spans = [(start, start + width, name) for start, width, name in given_spans]
    found = pieces(content, spans, {"A": 0, "B": 1, "C": 2})
    assert "".join(piece.text for piece in found) == content
    ends = list(itertools.accumulate(len(piece.text) for piece in found))
    for piece, end in zip(found, ends, strict=True):
        first = end - len(piece.text)
        assert set(piece.names) == {name for start, stop, name in spans if start <= first and stop >= end}


def test_boxes_without_a_known_size_are_drawn_in_what_holds_them_all() -> None:
    shown = shown_answer(
        '{"boxes":[{"bbox":[10,20,30,40],"label":"car"},{"bbox":[0,0,100,10],"label":"bus"}]}'
    )
    assert shown is not None
    assert shown.width >= 100
    assert shown.height >= 60
    assert shown.summary == "2 boxes: bus, car"
    assert shown_answer("no json") is None
    sized = shown_answer('{"boxes":[]}', (640, 480))
    assert sized is not None
    assert (sized.width, sized.height, sized.summary) == (640, 480, "0 boxes")


def test_flagged_is_what_flagged_votes_make(animals: Dataset, visitor: Visitor) -> None:
    """The crowd of these tests is what they take it for."""
    assert FLAGGED in CROWD.values()
    page = visitor.signed_in_as("vic", "viewer").page(f"{HERE}?state=needs_review")
    assert [link for link in page.links() if t.item_uuid("animals", "flagged") in link]
