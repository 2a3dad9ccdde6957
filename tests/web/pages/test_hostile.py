"""What votes, items, reasons and requests hold is hostile: it is shown as text, and asks nothing."""

from urllib.parse import quote

import sqlalchemy as sa

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.workflow import add_people
from tests.web.pages.visitor import Page, Visitor

HTML = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}{% raw %}<!--"
SQL = "'; DROP TABLE votes; --' OR '1'='1"
HOSTILE = f"{HTML}{SQL}\u202e</title></textarea></select><svg/onload=alert(1)>"

_OWN_SCRIPTS = "/ui/static/pages.js"
_LINKS = {"a": "href", "img": "src", "audio": "src", "form": "action", "link": "href", "script": "src"}
_TAGS_OF_TEMPLATES_ONLY = {"iframe", "object", "embed", "style", "base", "textarea", "body/onload"}


def looked_through(page: Page, path: str) -> None:
    """Nothing on a page runs, leads anywhere odd, or is a tag that no template has."""
    for tag, attributes in page.tags:
        assert tag not in _TAGS_OF_TEMPLATES_ONLY, (path, tag)
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (
            path,
            tag,
            attributes,
        )
        if tag in _LINKS and _LINKS[tag] in attributes:
            address = attributes[_LINKS[tag]]
            assert address.startswith(("/ui/", "https://example.com/", "#main")), (path, tag, address)
        if tag == "script":
            assert attributes["src"].startswith(_OWN_SCRIPTS), path
        if tag == "meta" and attributes.get("http-equiv"):
            raise AssertionError(path)
    assert "49{% raw %}" not in page.text, path


def hostile_dataset(database: Database) -> tuple[Dataset, str]:
    """A dataset whose names, labels, answers, solvers, texts and reasons are all hostile; and an item."""
    dataset = create_dataset(
        database, "bad", Policy(), classes=(HOSTILE, SQL, "b"), modality="text", actor=HOSTILE, reason=HOSTILE
    )
    item_id = t.item_uuid("bad", HOSTILE)
    with database.write() as connection:
        for name, item in ((HOSTILE, item_id), (SQL, t.item_uuid("bad", SQL))):
            connection.execute(
                t.items.insert().values(
                    item_id=item, dataset_id=dataset.dataset_id, external_id=name, modality="text",
                    data_ref="javascript:alert(1)//" + HOSTILE, created_at="2026-11-01T00:00:00.000000Z",
                )
            )  # fmt: skip
            connection.execute(
                t.item_details.insert().values(item_id=item, content=HOSTILE, width=None, height=None)
            )
            connection.execute(
                t.votes.insert(),
                [
                    {"item_id": item, "solver_id": f"{HOSTILE}{n}", "answer": HOSTILE if n < 2 else SQL}
                    for n in range(6)
                ],
            )
    apply_votes(database, "bad", run_id=HOSTILE)
    return dataset, item_id


def test_hostile_content_is_text_on_every_page(visitor: Visitor, database: Database) -> None:
    _, item = hostile_dataset(database)
    ada = visitor.signed_in_as("ada", "admin")
    here = "/ui/datasets/bad"
    (task, *_) = ada.get(f"{here}/review/next").json()["items"]
    ada.send(
        f"{here}/review/decisions", item_id=task["item_id"], expected=task["expected"], decision="relabel",
        label=HOSTILE, reason=HOSTILE,
    )  # fmt: skip
    looked_through(Page(task["html"]), "the script's card")
    add_people(database, "bad", "experts", ["ada", HOSTILE], actor=HOSTILE)
    ada.post(f"{here}/tasks", act="take")
    lease = ada.page(f"{here}/tasks").value("lease")
    looked_through(
        Page(ada.post(f"{here}/tasks", 409, lease=lease, given=SQL[:5], reason=HOSTILE).text), "told"
    )
    shown = False
    for path in (
        "/ui/",
        here,
        f"{here}/items",
        f"{here}/items/{item}",
        f"{here}/review",
        f"{here}/review?item={item}&done={task['item_id']}",
        f"{here}/tasks",
        f"{here}/tasks?said={quote(HOSTILE[:20])}&taken=1",
        f"{here}/agreement?count=true",
        f"{here}/solvers?count=true",
        *(
            f"{here}/figures/{name}"
            for name in ("funnel", "confidence", "votes", "forecast", "agreement", "export")
        ),
        "/ui/audit",
        "/ui/users",
    ):
        page = ada.page(path)
        looked_through(page, path)
        shown = shown or "<script>alert(1)</script>" in page.text
    assert shown, "as text it is there"


def test_hostile_requests_are_text_and_ask_nothing(visitor: Visitor, database: Database) -> None:
    hostile_dataset(database)
    ada = visitor.signed_in_as("ada", "admin")
    with database.read() as connection:
        before = {
            table: _rows(connection, table) for table in ("votes", "items", "labels", "reviews", "users")
        }
    for value in (HOSTILE, SQL, "%00", "%", "x" * 900, "\U0001f600"):
        asked = {"state": value[:40], "label": value, "low": value[:20], "high": value[:20], "search": value}
        for path, query in (
            ("/ui/datasets/bad/items", asked),
            ("/ui/datasets/bad/items", {"after": value[:36]}),
            ("/ui/datasets/bad/review", {"after": value[:60], "item": value[:36], "done": value[:36]}),
            ("/ui/datasets/bad/tasks", {"said": value[:20], "taken": value}),
            ("/ui/datasets/bad/solvers", {"by": value[:40], "page": "1"}),
            ("/ui/audit", {"actor": value[:200], "action": value[:200]}),
            ("/ui/sign-in", {"next": value}),
            (f"/ui/datasets/{value[:60]}", {}),
            (f"/ui/datasets/bad/items/{value[:60]}", {}),
            (f"/ui/datasets/bad/figures/{value[:60]}", {}),
            (f"/ui/{value[:60]}", {}),
        ):
            answer = ada.client.get(path, params=query)
            assert answer.status_code in (200, 303, 307, 400, 404, 422), (path, value, answer.status_code)
            if answer.headers.get("content-type", "").startswith("text/html"):
                looked_through(Page(answer.text), path)
        for path, fields in (
            ("/ui/users", {"name": value, "role": value, "password": value}),
            (f"/ui/users/{value[:30].replace('/', '')}", {"act": "role", "role": value}),
            (
                "/ui/datasets/bad/review",
                {"item_id": value[:36], "decision": "discard", "expected": value[:99] or "x"},
            ),
            ("/ui/datasets/bad/tasks", {"act": value, "lease": "1"}),
            ("/ui/datasets/bad/tasks", {"lease": value}),
            ("/ui/datasets/bad/tasks", {"lease": "1", "choice": value, "given": value, "reason": value}),
        ):
            answer = ada.client.post(path, data=fields | {"csrf": _token(ada)})
            assert answer.status_code in (400, 404, 409, 422), (path, value, answer.status_code)
            if answer.headers.get("content-type", "").startswith("text/html"):
                looked_through(Page(answer.text), path)
        for sent in (
            {"expected": value[:99] or "x"},
            {"item_id": value[:36]},
            {"label": value, "reason": value},
        ):
            body = {"item_id": t.item_uuid("bad", HOSTILE), "expected": "none", "decision": "discard"} | sent
            assert ada.send("/ui/datasets/bad/review/decisions", _any_of(ada, body), **body)
    with database.read() as connection:
        assert {table: _rows(connection, table) for table in before} == before


def _any_of(ada: Visitor, body: dict[str, str]) -> int:
    """The status that a decision is refused with: one of those for what was sent."""
    answer = ada.client.post(
        "/ui/datasets/bad/review/decisions",
        json=body,
        headers={"Accept": "application/json", "X-CSRF-Token": _token(ada)},
    )
    assert answer.status_code in (400, 404, 409, 422), answer.text
    return answer.status_code


def _token(visitor: Visitor) -> str:
    from hiveguard_pipeline.web import csrf

    return csrf.token_for(visitor.token)


def _rows(connection: sa.Connection, table: str) -> int:
    return int(connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_half_a_surrogate_pair_is_no_fault_of_ours(visitor: Visitor, database: Database) -> None:
    hostile_dataset(database)
    rex = visitor.signed_in_as("rex")
    (task, *_) = rex.get("/ui/datasets/bad/review/next").json()["items"]
    body = (
        f'{{"item_id":"{task["item_id"]}","expected":"{task["expected"]}","decision":"discard",'
        '"reason":"half \\ud800 and \\u0000 nothing"}'
    )
    answer = rex.client.post(
        "/ui/datasets/bad/review/decisions",
        content=body,
        headers={
            "Accept": "application/json",
            "Content-Type": "application/json",
            "X-CSRF-Token": _token(rex),
        },
    )
    assert answer.status_code in (200, 422), answer.text
    with database.read() as connection:
        for reason in connection.execute(sa.select(t.reviews.c.reason)).scalars():
            assert "\0" not in reason
