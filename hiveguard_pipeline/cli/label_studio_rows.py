"""How pushes, pulls and the report on proposals are printed, for `hiveguard label-studio`."""

from typing import TYPE_CHECKING, Any

from hiveguard_pipeline.cli.shared import say

if TYPE_CHECKING:
    from hiveguard_pipeline.labelstudio.anchoring import Anchoring, Median, Share
    from hiveguard_pipeline.labelstudio.pull import Pull
    from hiveguard_pipeline.labelstudio.push import Push

PUSH_COLUMNS = [
    "dataset",
    "project_id",
    "chosen",
    "known",
    "sent",
    "with_proposal",
    "blind",
    "predictions",
    "unsent",
]
PULL_COLUMNS = [
    "dataset",
    "project_id",
    "looked_at",
    "votes",
    "revised",
    "withdrawn",
    "deleted",
    "quarantined",
    "waiting",
]


def push_row(dataset_name: str, done: "Push") -> dict[str, Any]:
    """A row on what a push did."""
    row = {name: getattr(done, name) for name in PUSH_COLUMNS if name not in ("dataset", "unsent")}
    return {"dataset": dataset_name} | row | {"unsent": sum(done.unsent.values())}


def pull_row(dataset_name: str, done: "Pull") -> dict[str, Any]:
    """A row on what a pull did."""
    followed = done.followed
    return {
        "dataset": dataset_name,
        "project_id": done.project_id,
        "looked_at": done.looked_at,
        "votes": followed.votes,
        "revised": followed.revised,
        "withdrawn": followed.withdrawn,
        "deleted": followed.deleted,
        "quarantined": sum(followed.quarantined.values()),
        "waiting": done.waiting_items,
    }


def say_push(done: "Push", dataset_name: str, source: str) -> None:
    """What a person is to know of a push."""
    made = "made" if done.project_created else "is"
    say(f"project {done.project_id} {made} at {done.url}/projects/{done.project_id}")
    whys = {
        "no_address": "data_ref is no address that a browser opens; --media-root says where such files lie",
        "unsafe_address": "data_ref is an address that is not sent: neither http(s) nor a connected storage",
        "no_text": "there is no text; `hiveguard items import` takes a column text",
        "other_modality": "of another modality than the dataset",
    }
    for reason, count in sorted(done.unsent.items()):
        say(f"not sent: {count:,} {reason} (the first: {done.unsent_first[reason]}): {whys[reason]}")
    if done.twice:
        say(f"{done.twice:,} tasks that the server had taken twice were deleted; nobody had worked on them")
    if not done.chosen and source == "queue":
        say(
            f"the labelling queue of {dataset_name} is empty: `hiveguard active select` fills it, --from all"
            " takes the whole pool"
        )


def say_pull(done: "Pull", dataset_name: str) -> None:
    """What a person is to know of a pull."""
    followed = done.followed
    for reason, count in sorted(followed.quarantined.items()):
        say(f"quarantined: {count:,} {reason}")
    if followed.quarantined:
        say(f"`hiveguard votes quarantined --dataset {dataset_name}` shows the rows")
    for code, count in sorted(followed.notes.items()):
        say(f"{count:,} {code}")
    if followed.recounted:
        say(f"{followed.recounted:,} items were recounted without votes that were taken back")
    if followed.tasks_gone:
        say(f"{followed.tasks_gone:,} annotations went with their tasks; their votes stay")
    if done.foreign:
        say(f"{done.foreign:,} annotations are on tasks that are not ours, and were left alone")
    if done.decided is not None:
        decided = done.decided
        say(f"decided: {decided.confirmed:,} confirmed, {decided.relabelled:,} relabelled")
        for reason, count in sorted(decided.refused.items()):
            say(f"decided nothing: {count:,} {reason} (the first on {decided.first[reason]})")
        for reason, count in sorted(decided.waiting.items()):
            say(f"still waiting: {count:,} items, {reason} (the first: {decided.first[reason]})")
    elif done.waiting_items:
        say(
            f"{done.waiting_items:,} items of the review list have answers:"
            f" `hiveguard label-studio pull --dataset {dataset_name} --decide` makes them decisions"
        )


def report_rows(what: str, found: "Anchoring") -> list[dict[str, Any]]:
    """The figures of answers under one kind of proposal, a row each."""
    figures: dict[str, Share | Median] = {
        "followed": found.followed,
        "followed_when_right": found.followed_right,
        "followed_when_wrong": found.followed_wrong,
        "correct": found.correct,
        "median_seconds": found.seconds,
    }
    return [
        {
            "proposal": what,
            "figure": name,
            "answers": figure.of,
            "value": _rounded(figure.value),
            "low": _rounded(figure.low),
            "high": _rounded(figure.high),
        }
        for name, figure in figures.items()
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
