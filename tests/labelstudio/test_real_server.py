"""From items to labels by way of a real Label Studio server, for each type of task."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from hiveguard_pipeline.learning import ActiveLearner
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.cli.conftest import Terminal
from tests.labelstudio.learning import propose, queue
from tests.labelstudio.running import Person, RunningServer, box, choice, span

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("label-studio")]

GetPerson = Callable[[str], Person]
TEXT = "🐝🐝 Ada Lovelace met 👩‍🚀 Grace in Köln"


def make(user: Terminal, name: str, rows: list[dict[str, Any]], *options: str) -> None:
    user("datasets", "create", name, *options)
    file = Path(user.folder) / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    user("items", "import", file, "--dataset", name)
    user("policy", "set", name, "REVALIDATION_MIN_TOTAL_VOTES=3", "--actor", "t", "--reason", "small")


def images(names: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"external_id": name, "data_ref": f"https://example.org/{name}.png", "modality": "image", **more}
        for name in names
    ]


def pushed(user: Terminal, name: str, *options: object) -> dict[str, Any]:
    (row,) = user.rows("label-studio", "push", "--dataset", name, *options)
    return row


def pulled(user: Terminal, name: str, *options: object) -> dict[str, Any]:
    (row,) = user.rows("label-studio", "pull", "--dataset", name, *options)
    return row


def task_ids(server: RunningServer, project_id: int) -> dict[str, int]:
    return {task["data"]["external_id"]: task["id"] for task in server.tasks(project_id)}


def votes(user: Terminal, name: str) -> set[tuple[str, str, str]]:
    rows = user.rows("votes", "export", "--dataset", name)
    return {(row["external_id"], row["solver_id"], row["answer"]) for row in rows}


def labels(user: Terminal, name: str, night: bool = False) -> dict[str, Any]:
    """Labels and states after all votes were applied, or after `hiveguard run`."""
    if night:
        user("run", "--dataset", name)
    else:
        home = user.environment["HIVEGUARD_HOME"]
        apply_votes(open_database(f"sqlite:///{home}/hiveguard.db"), name, run_id="test")
    rows = user.rows("datasets", "items", name)
    return {row["external_id"]: (row["label"], row["state"]) for row in rows}


def test_classes_of_images_go_there_and_come_back_as_labels(
    server: RunningServer, person: GetPerson, user: Terminal, store: Database
) -> None:
    classes = ('a "cat"', "<dog> & 🐕", "it's")
    make(user, "images", images("abcdef"), "--classes", ",".join(classes))
    propose(store, "images", {"a": classes[0], "b": classes[0], "c": classes[1]}, blind="c")
    queue(store, "images", "fbca")
    (Path(user.folder) / "guide.md").write_text("Look <twice>.\nThen choose.")
    first = pushed(user, "images", "--guide", "guide.md")
    project = first["project_id"]
    assert (first["chosen"], first["sent"], first["with_proposal"], first["blind"]) == (4, 4, 2, 1)
    again = pushed(user, "images")
    assert (again["known"], again["sent"], again["predictions"], again["project_id"]) == (4, 0, 0, project)
    told = server.as_admin("GET", f"/api/projects/{project}/")
    assert told["title"] == "images"
    assert told["parsed_label_config"]["choice"]["labels"] == list(classes)
    assert told["expert_instruction"] == "Look &lt;twice&gt;.<br>\nThen choose."
    tasks = server.tasks(project)
    assert [task["data"]["external_id"] for task in tasks] == list("fbca")  # in the queue's order
    assert tasks[0]["data"]["image"] == "https://example.org/f.png"
    proposed = {
        tasks_of["data"]["external_id"]: [one["result"][0]["value"]["choices"] for one in found]
        for tasks_of in tasks
        if (found := server.predictions(project).get(tasks_of["data"]["hg_id"]))
    }
    assert proposed == {"a": [[classes[0]]], "b": [[classes[0]]]}

    assert pushed(user, "images", "--from", "all")["sent"] == 2
    ids = task_ids(server, project)
    ada, bob, eve = person("ada"), person("bob"), person("eve")
    for one in (ada, bob, eve):
        one.answer(ids["a"], choice(classes[0]))
        one.answer(ids["b"], choice(classes[1]), seconds=1.25)
    ada.answer(ids["f"], choice("wolf"))
    ada.answer(ids["e"], choice(classes[2]))
    bob.skip(ids["e"])
    eve.draft(ids["d"], choice(classes[2]))
    came = pulled(user, "images")
    assert (came["looked_at"], came["votes"], came["quarantined"]) == (8, 7, 1)
    names = {one: f"label-studio:{one.email}" for one in (ada, bob, eve)}
    assert votes(user, "images") == {
        *(("a", names[one], classes[0]) for one in names),
        *(("b", names[one], classes[1]) for one in names),
        ("e", names[ada], classes[2]),
    }
    (refused,) = user.rows("votes", "quarantined", "--dataset", "images")
    assert refused["reason"] == "answer_not_in_classes"
    exported = user.rows("votes", "export", "--dataset", "images")
    assert {row["duration_ms"] for row in exported if row["external_id"] == "b"} == {"1250"}
    said = next(task for task in server.tasks(project) if task["data"]["external_id"] == "e")
    (when,) = [row["created_at"] for row in exported if row["external_id"] == "e"]
    assert when in {one["created_at"] for one in said["annotations"]}
    nothing = pulled(user, "images")
    assert (nothing["votes"], nothing["quarantined"], nothing["withdrawn"]) == (0, 0, 0)
    assert len(user.rows("votes", "quarantined", "--dataset", "images")) == 1

    done = labels(user, "images", night=True)
    assert done["a"] == (classes[0], "graduated")
    assert done["b"] == (classes[1], "graduated")
    user("verify", "--dataset", "images")
    told = {
        (row["proposal"], row["figure"]): row
        for row in user.rows("label-studio", "report", "--dataset", "images")
    }
    assert told["shown", "followed"]["value"] == 0.5
    assert told["shown", "followed_when_wrong"] == {
        "proposal": "shown",
        "figure": "followed_when_wrong",
        "answers": 3,
        "value": 0.0,
        "low": 0.0,
        "high": told["shown", "followed_when_wrong"]["high"],
    }
    assert told["shown", "followed_when_right"]["value"] == 1.0
    assert told["blind", "followed"]["answers"] == 0
    (status,) = user.rows("label-studio", "status")
    assert (status["tasks"], status["annotations"], status["votes"], status["quarantined"]) == (6, 8, 7, 1)


def test_classes_of_texts_and_of_sounds(server: RunningServer, person: GetPerson, user: Terminal) -> None:
    text = {"external_id": "t", "data_ref": "t", "modality": "text", "text": "<b>Buy & sell</b> 🐝"}
    sound = {"external_id": "s", "data_ref": "s3://bucket/s.wav", "modality": "audio"}
    for name, key, row in (("texts", "text", text), ("sounds", "audio", sound)):
        make(user, name, [row], "--classes", "spam,ham", "--task-type", f"{key}_classification")
        project = pushed(user, name, "--from", "all")["project_id"]
        (task,) = server.tasks(project)
        assert task["data"][key] == row.get("text", row["data_ref"])
        for one in ("ada", "bob", "eve"):
            person(one).answer(task["id"], choice("spam", key))
        assert pulled(user, name)["votes"] == 3
        assert labels(user, name)[str(row["external_id"])] == ("spam", "graduated")


def test_spans_of_texts_with_emoji(
    server: RunningServer, person: GetPerson, user: Terminal, store: Database
) -> None:
    row = {"external_id": "t", "data_ref": "t", "modality": "text", "text": TEXT}
    other = {"external_id": "u", "data_ref": "u", "modality": "text", "text": "nothing here"}
    make(user, "spans", [row, other], "--classes", "PER,LOC", "--task-type", "ner")
    start = TEXT.index("Ada")
    ada_marks = {"spans": [{"start": start, "end": start + 12, "label": "PER"}]}
    propose(store, "spans", {"t": json.dumps(ada_marks)})
    project = pushed(user, "spans", "--from", "all")["project_id"]
    ids = task_ids(server, project)
    ((shown,),) = server.predictions(project).values()
    assert shown["result"][0]["value"]["text"] == "Ada Lovelace"
    utf16 = len(TEXT[:start].encode("utf-16-le")) // 2
    assert utf16 != start
    person("ada").answer(ids["t"], shown["result"])  # accepts what is proposed
    person("bob").answer(ids["t"], [span(start, start + 12, "Ada Lovelace", "PER")])
    person("eve").answer(ids["t"], [span(utf16, utf16 + 12, "Ada Lovelace", "PER")])  # as some browsers count
    person("mal").answer(ids["t"], [span(3, 9, "Ada Lovelace", "PER")])
    person("ada").answer(ids["u"], [])
    came = pulled(user, "spans")
    assert (came["votes"], came["quarantined"]) == (4, 1)
    text = json.dumps({"spans": [{"end": start + 12, "label": "PER", "start": start}]}, separators=(",", ":"))
    assert {(item, answer) for item, _, answer in votes(user, "spans")} == {
        ("t", text),
        ("u", '{"spans":[]}'),
    }
    (refused,) = user.rows("votes", "quarantined", "--dataset", "spans")
    assert refused["reason"] == "label_studio_span_mismatch"
    assert labels(user, "spans")["t"] == (text, "graduated")


def test_boxes_on_images(server: RunningServer, person: GetPerson, user: Terminal, store: Database) -> None:
    make(user, "boxes", images("ab", width=200, height=200), "--classes", "car,bus", "--task-type", "bbox")
    proposal = {"boxes": [{"label": "car", "bbox": [10.1, 20.2, 33.3, 44.4]}]}
    propose(store, "boxes", {"a": json.dumps(proposal)})
    project = pushed(user, "boxes", "--from", "all")["project_id"]
    ids = task_ids(server, project)
    ((shown,),) = server.predictions(project).values()
    value = shown["result"][0]["value"]
    assert (value["x"], value["rectanglelabels"]) == (pytest.approx(5.05), ["car"])
    person("ada").answer(ids["a"], shown["result"])
    person("bob").answer(ids["a"], [box(5, 10, 17, 22, "car")])
    person("eve").answer(ids["a"], [box(5, 10, 17, 22, "car", rotation=90)])
    bad = {
        "label_studio_box_outside": [box(95, 10, 17, 22, "car")],
        "label_studio_negative_size": [box(5, 10, -1, 22, "car")],
        "label_studio_no_image_size": [{**box(5, 10, 1, 2, "car"), "original_width": None}],
        "label_studio_wrong_control": [{**box(5, 10, 1, 2, "car"), "from_name": "other"}],
        "answer_not_in_classes": [box(5, 10, 1, 2, "plane")],
    }
    for place, result in enumerate(bad.values()):
        person(f"mal{place}").answer(ids["b"], result)
    came = user("label-studio", "pull", "--dataset", "boxes", "--fmt", "json")
    (row,) = json.loads(came.stdout)
    assert (row["votes"], row["quarantined"]) == (3, 5)
    assert "1 label_studio_rotation_dropped" in came.stderr
    found = {solver.split(":")[1][:3]: json.loads(answer) for _, solver, answer in votes(user, "boxes")}
    assert found["ada"]["boxes"] == proposal["boxes"]  # to the last bit
    assert found["bob"]["boxes"][0]["bbox"] == [10.0, 20.0, 34.0, 44.0]
    assert found["eve"]["boxes"][0]["bbox"] == pytest.approx([0, 20, 10, 34])  # the part on the image
    refused = user.rows("votes", "quarantined", "--dataset", "boxes")
    assert {one["reason"] for one in refused} == set(bad)
    label, state = labels(user, "boxes")["a"]
    assert (json.loads(label)["boxes"][0]["label"], state) == ("car", "in_revalidation")


def test_changed_and_deleted_answers_are_followed(
    server: RunningServer, person: GetPerson, user: Terminal
) -> None:
    make(user, "edits", images("abcd"), "--classes", "cat,dog")
    project = pushed(user, "edits", "--from", "all")["project_id"]
    ids = task_ids(server, project)
    ada, bob, eve = (person(name) for name in ("ada", "bob", "eve"))
    made = {
        (one.email[:3], item): one.answer(ids[item], choice("cat"))
        for one in (ada, bob, eve)
        for item in "abc"
    }
    assert pulled(user, "edits")["votes"] == 9
    assert labels(user, "edits") == {
        **dict.fromkeys("abc", ("cat", "graduated")),
        "d": (None, "unlabeled"),
    }
    ada.change(made["ada", "a"], choice("dog"))
    bob.change(made["bob", "a"], choice("dog"))
    eve.change(made["eve", "a"], choice("cat"))  # saved again as it was
    ada.delete(made["ada", "b"])
    again = eve.answer(ids["a"], choice("dog"))  # a second answer, beside the first one
    came = pulled(user, "edits")
    assert {name: came[name] for name in ("votes", "revised", "withdrawn", "deleted", "quarantined")} == {
        "votes": 2,
        "revised": 2,
        "withdrawn": 3,
        "deleted": 1,
        "quarantined": 1,
    }
    assert labels(user, "edits")["a"] == ("dog", "in_revalidation")
    assert labels(user, "edits")["b"] == (None, "unlabeled")
    assert ("a", f"label-studio:{ada.email}~2", "dog") in votes(user, "edits")
    eve.delete(made["eve", "a"])  # then her other answer is hers
    ada.change(made["ada", "a"], choice("cat"))
    came = pulled(user, "edits")
    assert (came["votes"], came["revised"], came["withdrawn"]) == (2, 2, 2)
    assert ("a", f"label-studio:{eve.email}~2", "dog") in votes(user, "edits")
    assert ("a", f"label-studio:{ada.email}~3", "cat") in votes(user, "edits")
    bob.delete(made["bob", "c"])
    server.as_admin("DELETE", f"/api/tasks/{ids['b']}/")  # cleaning up takes no answer back
    done = user("label-studio", "pull", "--dataset", "edits", "--fmt", "json")
    assert json.loads(done.stdout)[0]["withdrawn"] == 1
    assert "2 annotations went with their tasks; their votes stay" in done.stderr
    for options in ([], ["--full"]):
        rest = pulled(user, "edits", *options)
        assert (rest["votes"], rest["withdrawn"], rest["deleted"]) == (0, 0, 0)
    user("verify", "--dataset", "edits")
    assert again


def test_answers_to_the_review_list_become_decisions(
    server: RunningServer, person: GetPerson, user: Terminal, tmp_path: Path
) -> None:
    make(user, "review", images("abcde"), "--classes", "cat,dog,fox")
    file = tmp_path / "votes.csv"
    cast = [(item, f"{item}{place}", answer) for item in "abcd" for place, answer in enumerate(["cat"] * 3)]
    cast += [(item, f"{item}x{place}", "dog") for item in "abcd" for place in range(9)]
    file.write_text("external_id,solver_id,answer\n" + "".join(",".join(row) + "\n" for row in cast))
    user("policy", "set", "review", "REVALIDATION_MIN_TOTAL_VOTES=30", "--actor", "t", "--reason", "slow")
    user("votes", "import", file, "--dataset", "review")
    assert labels(user, "review")["a"] == ("cat", "needs_review")
    project = pushed(user, "review", "--from", "review")["project_id"]
    ids = task_ids(server, project)
    assert set(ids) == set("abcd")
    ada, bob = person("ada"), person("bob")
    ada.answer(ids["a"], choice("cat"))
    ada.answer(ids["b"], choice("dog"))
    bob.answer(ids["b"], choice("dog"))
    ada.answer(ids["c"], choice("cat"))
    late = bob.answer(ids["c"], choice("dog"))
    ada.answer(ids["d"], choice("fox"))
    came = pulled(user, "review")
    assert (came["votes"], came["waiting"]) == (0, 4)
    user("review", "confirm", "d", "--dataset", "review", "--reviewer", "zoe", "--reason", "was quicker")
    done = user("label-studio", "pull", "--dataset", "review", "--decide")
    assert "decided: 1 confirmed, 1 relabelled" in done.stderr
    assert "decided nothing: 1 decided_since (the first on d)" in done.stderr
    assert "still waiting: 1 items, reviewers_differ (the first: c)" in done.stderr
    now = {row["external_id"]: row for row in user.rows("datasets", "items", "review")}
    assert {item: (now[item]["label"], now[item]["state"]) for item in "abcd"} == {
        "a": ("cat", "in_revalidation"),
        "b": ("dog", "in_revalidation"),
        "c": ("cat", "needs_review"),
        "d": ("cat", "in_revalidation"),
    }
    bob.change(late, choice("cat"))
    assert "decided: 1 confirmed" in user("label-studio", "pull", "--dataset", "review", "--decide").stderr
    assert "decided: 0 confirmed" in user("label-studio", "pull", "--dataset", "review", "--decide").stderr
    assert pulled(user, "review")["votes"] == 0
    assert all(not solver.startswith("label-studio") for _, solver, _ in votes(user, "review"))
    user("verify", "--dataset", "review")


def test_a_newer_model_takes_over_and_hides_what_is_blind(
    server: RunningServer, person: GetPerson, user: Terminal, store: Database
) -> None:
    make(user, "models", images("abc"), "--classes", "cat,dog")
    propose(store, "models", {"a": "cat", "b": "cat", "c": "cat"})
    first = pushed(user, "models", "--from", "all", "--blind-share", "0.0")
    project = first["project_id"]
    ids = task_ids(server, project)
    person("ada").answer(ids["a"], choice("cat"))
    propose(store, "models", {"a": "dog", "b": "dog"})
    assert pushed(user, "models", "--from", "all")["predictions"] == 2
    assert pushed(user, "models", "--from", "all")["predictions"] == 0
    version = server.as_admin("GET", f"/api/projects/{project}/")["model_version"]
    shown = {
        key: [one["result"][0]["value"]["choices"][0] for one in found if one["model_version"] == version]
        for key, found in server.predictions(project).items()
    }
    assert sorted(shown.values()) == [[], ["dog"], ["dog"]]
    person("bob").answer(ids["a"], choice("dog"))
    pulled(user, "models")
    told = {
        (row["proposal"], row["figure"]): row
        for row in user.rows("label-studio", "report", "--dataset", "models")
    }
    # Ada saw the first model's proposal, and Bob the second's: both followed.
    assert (told["shown", "followed"]["answers"], told["shown", "followed"]["value"]) == (2, 1.0)


def test_personal_access_tokens_and_wrong_ones(server: RunningServer, user: Terminal) -> None:
    make(user, "tokens", images("a"), "--classes", "cat,dog")
    made = requests.post(
        f"{server.url}/api/token/", headers={"Authorization": f"Token {server.token}"}, timeout=60
    ).json()["token"]
    user.environment = user.environment | {"HIVEGUARD_LABEL_STUDIO_TOKEN": made}
    assert pushed(user, "tokens", "--from", "all")["sent"] == 1
    assert pulled(user, "tokens")["votes"] == 0
    for wrong in ("0" * 40, made[:-4] + "AAAA"):
        said = user.refused("label-studio", "pull", "--dataset", "tokens", HIVEGUARD_LABEL_STUDIO_TOKEN=wrong)
        assert "HIVEGUARD_LABEL_STUDIO_TOKEN" in said
        assert wrong not in said
    said = user.refused("label-studio", "pull", "--dataset", "tokens", HIVEGUARD_LABEL_STUDIO_TOKEN="")
    assert "HIVEGUARD_LABEL_STUDIO_TOKEN is not set" in said


def test_a_project_is_found_by_its_mark_and_lets_go(server: RunningServer, user: Terminal) -> None:
    make(user, "marks", images("abc"), "--classes", "cat,dog")
    assert "has no project" in user.refused("label-studio", "pull", "--dataset", "marks")
    project = pushed(user, "marks", "--from", "all", "--limit", "1")["project_id"]
    assert server.as_admin("GET", f"/api/projects/{project}/")["maximum_annotations"] == 3
    user("classes", "add", "fox", "--dataset", "marks", "--actor", "t", "--reason", "seen")
    assert pushed(user, "marks", "--from", "all", "--limit", "1", "--answers", "5")["sent"] == 1
    told = server.as_admin("GET", f"/api/projects/{project}/")
    assert (told["parsed_label_config"]["choice"]["labels"], told["maximum_annotations"]) == (
        ["cat", "dog", "fox"],
        5,
    )
    user("label-studio", "forget", "--dataset", "marks")
    assert user.rows("label-studio", "status") == []
    found = pushed(user, "marks", "--from", "all")
    assert (found["project_id"], found["known"], found["sent"]) == (project, 2, 1)
    server.as_admin("DELETE", f"/api/projects/{project}/")
    assert "has no project" in user.refused("label-studio", "pull", "--dataset", "marks")
    assert pushed(user, "marks", "--from", "all")["project_id"] != project


def test_the_same_on_postgres(
    server: RunningServer, person: GetPerson, user: Terminal, new_postgres: Callable[..., str]
) -> None:
    url = new_postgres()
    user.environment = user.environment | {"HIVEGUARD_DATABASE_URL": url}
    make(user, "pg", images("ab"), "--classes", "cat,dog")
    propose(open_database(url), "pg", {"a": "cat", "b": "dog"}, blind="b")
    first = pushed(user, "pg", "--from", "all")
    assert (first["sent"], first["with_proposal"], first["blind"]) == (2, 1, 1)
    ids = task_ids(server, first["project_id"])
    ada, bob = person("ada"), person("bob")
    made = ada.answer(ids["a"], choice("cat"))
    ada.answer(ids["b"], choice("dog"))
    bob.answer(ids["b"], choice("wolf"))
    came = pulled(user, "pg")
    assert (came["votes"], came["quarantined"]) == (2, 1)
    ada.change(made, choice("dog"))
    came = pulled(user, "pg")
    assert (came["votes"], came["revised"], came["withdrawn"], came["quarantined"]) == (1, 1, 1, 0)
    assert pushed(user, "pg", "--from", "all")["sent"] == 0
    rows = user.rows("label-studio", "report", "--dataset", "pg")
    told = {(row["proposal"], row["figure"]): row["value"] for row in rows}
    assert (told["shown", "followed"], told["blind", "followed"]) == (0.0, 1.0)
    user("verify", "--dataset", "pg")
    user("label-studio", "forget", "--dataset", "pg")


def test_an_active_learner_sends_what_it_picks_to_a_project_that_is_there(
    server: RunningServer, user: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"external_id": f"t{number}", "data_ref": "t", "modality": "text", "text": f"word{number} again"}
        for number in range(8)
    ]
    make(user, "picked", rows, "--classes", "spam,ham", "--modality", "text")
    for name, value in user.environment.items():
        if name.startswith("HIVEGUARD_"):
            monkeypatch.setenv(name, value)
    project = server.as_admin("POST", "/api/projects/", json={"title": "my own"})["id"]
    learner = ActiveLearner(strategy="random")
    picks = learner.query(n_instances=3)
    assert learner.export_to_label_studio(picks, project_id=project) == 3
    assert learner.export_to_label_studio(picks) == 0
    assert len(server.tasks(project)) == 3
    told = server.as_admin("GET", f"/api/projects/{project}/")
    assert (told["title"], told["parsed_label_config"]["choice"]["labels"]) == ("my own", ["spam", "ham"])
    other = server.as_admin("POST", "/api/projects/", json={"title": "another"})["id"]
    said = user.refused("label-studio", "push", "--dataset", "picked", "--project", other)
    assert f"is project {project} already" in said
    make(user, "second", rows[:1], "--classes", "yes,no", "--modality", "text")
    said = user.refused("label-studio", "push", "--dataset", "second", "--project", project)
    assert "another dataset" in said
    server.as_admin("POST", f"/api/projects/{other}/import", json=[{"data": {"text": "mine"}}])
    said = user.refused("label-studio", "push", "--dataset", "second", "--project", other)
    assert "asks something else" in said
