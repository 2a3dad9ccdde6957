"""Two sets of annotations of the same items, compared: two people, two tools, or labels and an audit."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.agreement import FIGURES, Agreement, agreement
from hiveguard_pipeline.quality.annotation_files import read_rows
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import NO_DURATION, Crowd

KEYS = ("external_id", "item_id")


@dataclass(frozen=True, slots=True)
class Annotations:
    """The label of each item in one set.

    labels: key -> label, for each of the columns of KEYS that the set has. name: for messages. contested:
    items left out, because no label holds more than half of their solvers' answers.
    """

    name: str
    labels: dict[str, dict[str, str]]
    contested: tuple[str, ...] = ()

    def __len__(self) -> int:
        return max((len(labels) for labels in self.labels.values()), default=0)


class QualityAssurance:
    """Compare two sets of annotations, and pick out what people should look at again.

    >>> quality = QualityAssurance()
    >>> found = quality.compute_agreement({"a": "cat", "b": "dog"}, {"a": "cat", "b": "cat"})
    >>> found["percent_agreement"], found["disagreements"]
    (0.5, [{'external_id': 'b', 'label_a': 'dog', 'label_b': 'cat'}])
    """

    def load_annotations(self, path: str | Path) -> Annotations:
        """A CSV, JSONL or JSON file with external_id or item_id, label (or answer) and maybe solver_id.

        Every label is text. An item that several solvers labelled stands with the label that more than half
        of them gave; without such a label it is left out, and named in `contested`. A solver's later rows
        for an item do not count. Raises BadInputError with file and line for what cannot be read.
        """
        return _annotations(read_rows(Path(path)), str(path))

    def compute_agreement(
        self,
        a: Annotations | Mapping[str, str] | Iterable[Mapping[str, str]],
        b: Annotations | Mapping[str, str] | Iterable[Mapping[str, str]],
    ) -> dict[str, Any]:
        """How far two sets agree on the items that both hold.

        Each is what `load_annotations` gives, a mapping of item to label, or rows with the columns of a
        file. The result: percent_agreement (the share of equal labels), cohens_kappa, fleiss_kappa,
        krippendorff_alpha, gwet_ac1 (None where they are undefined: `notes` says why), intervals (name ->
        [low, high]), items, only_in_a, only_in_b (counts), contested_in_a, contested_in_b (items left out),
        disagreements (an object for each item with different labels: its key, label_a, label_b, by key),
        confusion (label_a, label_b, items; most first), per_label and notes. Raises BadInputError if no item
        is in both.
        """
        first, second = _taken(a, "a"), _taken(b, "b")
        key, left, right = _common(first, second)
        names = sorted(left.keys() & right.keys())
        if not names:
            raise BadInputError(
                f"{first.name} and {second.name} have no item in common (compared by {key}):"
                f" {len(left)} and {len(right)} items"
            )
        pairs = [(left[name], right[name]) for name in names]
        found = _measured(names, pairs)
        measured = found.as_object()
        apart = Counter(pair for pair in pairs if pair[0] != pair[1])
        return {
            **{name: measured[name] for name in FIGURES},
            "items": len(names),
            "only_in_a": len(left) - len(names),
            "only_in_b": len(right) - len(names),
            "contested_in_a": list(first.contested),
            "contested_in_b": list(second.contested),
            "intervals": measured["intervals"],
            "disagreements": [
                {key: name, "label_a": one, "label_b": other}
                for name, (one, other) in zip(names, pairs, strict=True)
                if one != other
            ],
            "confusion": [
                {"label_a": one, "label_b": other, "items": count}
                for (one, other), count in sorted(apart.items(), key=lambda entry: (-entry[1], entry[0]))
            ],
            "per_label": measured["per_label"],
            "notes": found.notes,
        }

    def flag_for_review(
        self, disagreements: Iterable[Mapping[str, Any]], reason: str = "annotators disagree"
    ) -> list[dict[str, Any]]:
        """The disagreements as a list for review: each once, with `reason`, in the order they came.

        Nothing is changed in a database: `hiveguard labels correct` records what a reviewer decides. Raises
        BadInputError for an entry without a key or a reason that is blank.
        """
        if not reason.strip():
            raise BadInputError("a reason is wanted: it tells the reviewer what to look at")
        flagged: dict[tuple[str, str], dict[str, Any]] = {}
        for entry in disagreements:
            key = next((name for name in KEYS if entry.get(name)), None)
            if key is None:
                raise BadInputError(f"a disagreement names its item as {' or '.join(KEYS)}: {dict(entry)}")
            flagged.setdefault((key, str(entry[key])), {**entry, "reason": reason})
        return list(flagged.values())


def _taken(given: Any, name: str) -> Annotations:
    if isinstance(given, Annotations):
        return given
    if isinstance(given, Mapping):
        return Annotations(name, {KEYS[0]: {str(item): str(label) for item, label in given.items()}})
    if isinstance(given, str | bytes | Path) or not isinstance(given, Iterable):
        raise BadInputError(
            f"{name}: {given!r} holds no annotations: give what load_annotations(path) gives, a mapping of"
            " item to label, or rows"
        )
    return _annotations([{key: str(row[key]) for key in row if row[key] is not None} for row in given], name)


def _annotations(rows: list[dict[str, str]], name: str) -> Annotations:
    """One label an item: that of its only row, or of more than half of its solvers."""
    keys = [key for key in KEYS if rows and all(row.get(key) for row in rows)]
    if not keys:
        raise BadInputError(
            f"{name}: "
            + ("there are no annotations" if not rows else f"not every row has {' or '.join(KEYS)}")
        )
    answers: dict[str, dict[str, str]] = {}
    first: dict[str, dict[str, str]] = {}
    for row in rows:
        label = row.get("label") or row.get("answer") or ""
        item, solver = row[keys[0]], row.get("solver_id", "")
        if not label.strip():
            raise BadInputError(f"{name}: item {item!r} has no label")
        there = answers.setdefault(item, {}).setdefault(solver, label)
        first.setdefault(item, row)
        if there != label and not solver:
            raise BadInputError(
                f"{name}: item {item!r} has the labels {there!r} and {label!r}; where several people label an"
                " item, solver_id says who"
            )
    labels, contested = {}, []
    for item, given in answers.items():
        label, votes = Counter(given.values()).most_common(1)[0]
        if 2 * votes > len(given):
            labels[item] = label
        else:
            contested.append(item)
    return Annotations(
        name,
        {key: {first[item][key]: label for item, label in labels.items()} for key in keys},
        tuple(sorted(contested)),
    )


def _common(a: Annotations, b: Annotations) -> tuple[str, dict[str, str], dict[str, str]]:
    for key in KEYS:
        if key in a.labels and key in b.labels:
            return key, a.labels[key], b.labels[key]
    raise BadInputError(
        f"{a.name} names its items by {' and '.join(a.labels)}, {b.name} by {' and '.join(b.labels)}:"
        " give both the same column"
    )


def _measured(names: list[str], pairs: list[tuple[str, str]]) -> Agreement:
    """The two sets as a crowd of two solvers."""
    classes = sorted({label for pair in pairs for label in pair})
    code = {label: position for position, label in enumerate(classes)}
    answers = np.array([code[label] for pair in pairs for label in pair], dtype=np.int32)
    items = pa.array(names)
    return agreement(
        Crowd(
            offsets=np.arange(len(names) + 1, dtype=np.int64) * 2,
            solver=np.tile(np.array([0, 1], dtype=np.int32), len(names)),
            answer=answers,
            vote_id=np.arange(len(answers), dtype=np.int64),
            duration_ms=np.full(len(answers), NO_DURATION, dtype=np.int64),
            item_ids=items,
            external_ids=items,
            gold=np.full(len(names), NO_LABEL, dtype=np.int32),
            solvers=["a", "b"],
            classes=classes,
        )
    )
