"""The review queue by form and by script: what is shown next, what is decided, and who is told of whom."""

import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.review import decide
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import ItemStatus, find_item
from tests.dagster_location.crowd import FLAGGED, put_votes
from tests.web.pages.visitor import Visitor

HERE = "/ui/datasets/animals/review"


def now(database: Database, item: str = "flagged", dataset: str = "animals") -> ItemStatus:
    assert verify(database, dataset).findings == []
    with database.read() as connection:
        return find_item(connection, item, dataset)


def reviews(database: Database) -> list[tuple[str, str, str, str]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(t.reviews).order_by(t.reviews.c.review_id))
        return [(row.decision, row.label, row.reviewer, row.reason) for row in rows]


def tasks(visitor: Visitor, **query: object) -> list[dict[str, object]]:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return list(visitor.get(f"{HERE}/next?{asked}").json()["items"])


def test_a_form_decides_and_takes_back(visitor: Visitor, animals: Dataset, database: Database) -> None:
    rex = visitor.signed_in_as("rex")
    form = rex.page(HERE)
    fields = {name: form.value(name) for name in ("item_id", "expected", "cursor")}
    assert fields["item_id"] == t.item_uuid("animals", "flagged")
    done = rex.post(HERE, decision="relabel", choice="b", own_reason="a <b>bear</b>", **fields)
    assert done.headers["location"].startswith(HERE)
    assert (now(database).label, now(database).state) == ("b", "in_revalidation")
    after = rex.page(done.headers["location"])
    assert "relabel" in after.text
    undo = {name: after.value(name) for name in ("item_id", "expected")}
    back = rex.post(HERE, decision="undo", **undo)
    assert rex.page(back.headers["location"]).value("item_id") == fields["item_id"]
    assert (now(database).label, now(database).state) == ("a", "needs_review")
    assert reviews(database) == [
        ("relabel", "b", "rex", "a <b>bear</b>"),
        ("undo", "a", "rex", "decided by mistake"),
    ]


def test_a_form_sent_twice_decides_once(visitor: Visitor, animals: Dataset, database: Database) -> None:
    rex = visitor.signed_in_as("rex")
    form = rex.page(HERE)
    fields = {name: form.value(name) for name in ("item_id", "expected", "cursor")}
    rex.post(HERE, decision="confirm", **fields)
    said = rex.post(HERE, 409, decision="confirm", **fields)
    assert "has changed since it was shown" in said.text
    assert "confirm by rex" in said.text
    rex.post(HERE, 409, decision="discard", **fields)
    assert [decision for decision, *_ in reviews(database)] == ["confirm"]


def test_of_two_reviewers_the_second_is_told_and_nothing_is_overwritten(
    visitor: Visitor, animals: Dataset, database: Database
) -> None:
    rex, sue = visitor.signed_in_as("rex"), visitor.signed_in_as("sue")
    (first, *_), (second, *_) = tasks(rex), tasks(sue)
    sent = {"item_id": first["item_id"], "expected": first["expected"]}
    assert second["item_id"] == first["item_id"]
    made = rex.send(f"{HERE}/decisions", decision="relabel", label="b", reason="clear", **sent)
    assert (made["label"], made["state"]) == ("b", "in_revalidation")
    told = sue.send(f"{HERE}/decisions", 409, decision="discard", **sent)
    assert "relabel by rex" in told["problem"]
    assert sue.send(f"{HERE}/undo", 409, **sent)["problem"]
    assert reviews(database) == [("relabel", "b", "rex", "clear")]
    assert now(database).label == "b"
    assert first["item_id"] not in [task["item_id"] for task in tasks(sue)]
    undone = rex.send(f"{HERE}/undo", item_id=first["item_id"], expected=made["expected"])
    assert undone["state"] == "needs_review"


def test_an_item_that_a_run_has_changed_since_is_not_decided_on(
    visitor: Visitor, animals: Dataset, database: Database
) -> None:
    """Somebody else confirms, and a run applies the votes that waited: the screen shows what was."""
    rex = visitor.signed_in_as("rex")
    (task, *_) = tasks(rex)
    decide(database, str(task["item_id"]), "confirm", reviewer="cli", reason="looked")
    put_votes(database, animals, {"flagged": "aaa"})
    apply_votes(database, "animals", run_id="run-2")
    before = now(database)
    sent = {"item_id": task["item_id"], "expected": task["expected"]}
    assert "has changed" in rex.send(f"{HERE}/decisions", 409, decision="discard", **sent)["problem"]
    assert now(database) == before


def test_decisions_want_the_token_the_role_and_how_the_item_stood(
    visitor: Visitor, animals: Dataset, database: Database
) -> None:
    rex, vic = visitor.signed_in_as("rex"), visitor.signed_in_as("vic", "viewer")
    (task, *_) = tasks(rex)
    sent = {"item_id": task["item_id"], "expected": task["expected"], "decision": "discard"}
    address = f"{HERE}/decisions"
    assert visitor.send(address, 401, **sent)
    assert vic.send(address, 403, **sent)
    assert rex.send(address, 403, signed=False, **sent)
    rex.token, own = vic.token, rex.token
    assert rex.send(address, 403, **sent), "the token of another session"
    rex.token = own
    for wrong in (
        {"expected": ""},
        {"expected": None},
        {"decision": "undo"},
        {"item_id": 7},
        {"label": ["a"]},
    ):
        assert rex.send(address, 422, **(sent | wrong))
    for wrong in ({"expected": "1-0-needs_review"}, {"expected": "x" * 200}):
        assert rex.send(address, 409, **(sent | wrong))
    assert rex.send(address, 404, **(sent | {"item_id": "no id"}))["problem"]
    other = rex.client.post(
        address, json=sent, headers={"Sec-Fetch-Site": "cross-site", "Accept": "application/json"}
    )
    assert other.status_code == 403
    assert reviews(database) == []


def test_the_queue_is_walked_by_cursor_least_confident_first_and_without_what_is_decided(
    visitor: Visitor, dataset: Dataset, database: Database
) -> None:
    put_votes(database, dataset, {f"item-{n:02d}": FLAGGED if n % 3 else "aab" + "bbbbbb" for n in range(30)})
    put_votes(database, dataset, {"contested": "abc" * 6})
    apply_votes(database, dataset.name, run_id="run")
    rex = visitor.signed_in_as("rex")
    seen: list[dict[str, object]] = []
    cursor: object = ""
    while found := tasks(rex, n=7, after=cursor):
        seen += found
        cursor = found[-1]["cursor"]
    assert len(seen) == 31
    assert seen[0]["external_id"] == "contested"
    assert seen[0]["label"] is None
    keys = [(int(str(task["cursor"]).split(".")[0]), task["item_id"]) for task in seen]
    assert keys == sorted(keys)  # type: ignore[type-var]
    for task in seen[3:20]:
        rex.send(f"{HERE}/decisions", item_id=task["item_id"], expected=task["expected"], decision="confirm")
    left = [task["item_id"] for task in tasks(rex, n=50)]
    assert left == [task["item_id"] for task in seen[:3] + seen[20:]]
    assert "no_majority" not in rex.page(HERE).text
    assert rex.send(
        f"{HERE}/decisions", 400, item_id=seen[0]["item_id"], expected=seen[0]["expected"], decision="confirm"
    )["problem"]
    assert tasks(rex, after="nonsense", n=1)[0]["item_id"] == seen[0]["item_id"]
    assert rex.get(f"{HERE}/next?n=51", 422)


def test_how_fast_a_person_decides_is_shown(visitor: Visitor, dataset: Dataset, database: Database) -> None:
    put_votes(database, dataset, {f"item-{n}": FLAGGED for n in range(5)})
    apply_votes(database, dataset.name, run_id="run")
    rex = visitor.signed_in_as("rex")
    for task in tasks(rex, n=4):
        rex.send(f"{HERE}/decisions", item_id=task["item_id"], expected=task["expected"], decision="confirm")
    with database.write() as connection:
        for second, review in enumerate(
            connection.execute(sa.select(t.reviews.c.review_id).order_by(t.reviews.c.review_id))
            .scalars()
            .all()
        ):
            moment = f"2026-11-20T12:00:{second * 3:02d}.000000Z"
            connection.execute(
                t.reviews.update().where(t.reviews.c.review_id == review).values(created_at=moment)
            )
    assert "median 3.0 s a decision (your last 3)" in " ".join(rex.page(HERE).text.split())
    assert "median – s a decision" in " ".join(visitor.signed_in_as("sue").page(HERE).text.split())


def test_boxes_are_drawn_and_spans_are_marked(visitor: Visitor, database: Database) -> None:
    cars = create_dataset(database, "cars", Policy(), task_type="bbox", classes=("car", "truck"))
    names = create_dataset(database, "names", Policy(), task_type="ner", classes=("PER",))
    box = '{"boxes":[{"bbox":[10.0,20.0,30.0,40.0],"label":"car"}]}'
    span = '{"spans":[{"end":3,"label":"PER","start":0}]}'
    for dataset, answer, other in ((cars, box, '{"boxes":[]}'), (names, span, '{"spans":[]}')):
        _put(database, dataset, "one", [answer, answer, other, other, other, other])
        apply_votes(database, dataset.name, run_id="run")
    with database.write() as connection:
        connection.execute(
            t.item_details.insert().values(
                item_id=t.item_uuid("names", "one"), content="Ann & <Bob>", width=None, height=None
            )
        )
    rex = visitor.signed_in_as("rex")
    drawn = rex.page("/ui/datasets/cars/review")
    assert [(rect["x"], rect["y"], rect["width"], rect["height"]) for rect in drawn.all("rect")] == [
        ("10.0", "20.0", "30.0", "40.0")
    ]
    assert "1 box: car" in drawn.text
    shown = rex.get("/ui/datasets/names/review").text
    assert '<mark class="mark-0">Ann<span class="tag">PER</span></mark> &amp; &lt;Bob&gt;' in shown
    (task,) = rex.get("/ui/datasets/cars/review/next").json()["items"]
    assert sorted(task["choices"]) == sorted([box, '{"boxes":[]}'])
    sent = {"item_id": task["item_id"], "expected": task["expected"], "decision": "relabel"}
    assert "label" in rex.send("/ui/datasets/cars/review/decisions", 400, label="car", **sent)["problem"]
    made = rex.send("/ui/datasets/cars/review/decisions", label=box, **sent)
    assert made["label"] == box


def _put(database: Database, dataset: Dataset, external_id: str, answers: list[str]) -> None:
    item_id = t.item_uuid(dataset.name, external_id)
    with database.write() as connection:
        connection.execute(
            t.items.insert().values(
                item_id=item_id,
                dataset_id=dataset.dataset_id,
                external_id=external_id,
                data_ref=f"https://example.com/{external_id}",
                modality=dataset.modality,
                created_at="2026-11-01T00:00:00.000000Z",
            )
        )
        connection.execute(
            t.votes.insert(),
            [
                {"item_id": item_id, "solver_id": f"solver-{n}", "answer": answer}
                for n, answer in enumerate(answers)
            ],
        )


def test_a_proposal_is_shown_unless_it_is_blind(
    visitor: Visitor, animals: Dataset, database: Database
) -> None:
    rex = visitor.signed_in_as("rex")
    assert "proposes" not in rex.page(HERE).text
    with database.write() as connection:
        connection.execute(
            t.models.insert().values(
                dataset_id=animals.dataset_id,
                kind="trained",
                name="m",
                file="m",
                file_sha256="0",
                classes=[],
                features={},
                schema_version=1,
                ledger_position=0,
                labels_used=0,
                held_out=0,
                accepted=True,
                reason="",
                metrics={},
                created_at="2026-11-01T00:00:00.000000Z",
            )
        )
        model = connection.execute(sa.select(t.models.c.model_id)).scalar_one()
        connection.execute(
            t.prelabels.insert().values(
                item_id=t.item_uuid("animals", "flagged"),
                dataset_id=animals.dataset_id,
                model_id=model,
                answer="zebra",
                probability=910_000,
                blind=False,
                created_at="2026-11-01T00:00:00.000000Z",
            )
        )
    assert "A model proposes zebra (0.91)" in " ".join(rex.page(HERE).text.split())
    with database.write() as connection:
        connection.execute(t.prelabels.update().values(blind=True))
    assert "zebra" not in rex.get(HERE).text


def test_the_stage_in_which_an_item_waits_and_its_way_there_are_shown(
    visitor: Visitor, animals: Dataset, database: Database
) -> None:
    item, moment = t.item_uuid("animals", "flagged"), "2026-11-01T00:00:00.000000Z"
    with database.write() as connection:
        connection.execute(
            t.workflows.insert().values(
                dataset_id=animals.dataset_id, stages=[], actor="test", reason="test", created_at=moment
            )
        )
        here = {
            "item_id": item,
            "dataset_id": animals.dataset_id,
            "workflow_id": connection.execute(sa.select(t.workflows.c.workflow_id)).scalar_one(),
        }
        connection.execute(t.item_stages.insert().values(stage="<experts>", entered_at=moment, **here))
        connection.execute(
            t.stage_transitions.insert().values(
                from_stage="crowd",
                to_stage="<experts>",
                outcome="failed",
                detail={},
                created_at=moment,
                **here,
            )
        )
    rex = visitor.signed_in_as("rex")
    assert "Waits for people in the stage <experts> of the workflow" in " ".join(rex.page(HERE).text.split())
    text = " ".join(rex.page(f"/ui/datasets/animals/items/{item}").text.split())
    assert "crowd<experts>failed" in text
