"""The weak model of a dataset: trained from its graduated labels, judged on items that it never sees.

Which items are held out hangs on their ids alone (`rules.hash_split`), so that none ever moves from one side
to the other, and every model of a dataset is judged on the same ones.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.learning.extras import MissingExtraError
from hiveguard_pipeline.learning.features import Features, source_of
from hiveguard_pipeline.learning.items import Labelled, Report, features_of, labelled_items
from hiveguard_pipeline.learning.judgement import Verdict, compare
from hiveguard_pipeline.learning.metrics import confusion, expectation, learning_curve
from hiveguard_pipeline.learning.models.folder import ModelFolder
from hiveguard_pipeline.learning.recorded import (
    NewModel,
    Ready,
    RecordedModel,
    accepted_model,
    list_models,
    ready,
    record,
    why_stale,
)
from hiveguard_pipeline.learning.served import NotServedError, own_features, refuse_structured_answers
from hiveguard_pipeline.learning.settings import ActiveSettings, active_settings
from hiveguard_pipeline.rules.arithmetic import Mask
from hiveguard_pipeline.rules.hash_split import Hashes, below, hashes_of, limit_of_share
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset, lock_dataset, progress_of

TRAINED_SHARE = 800_000
"""Of the labelled items, in millionths; the rest is held out."""

MOST_TRAINED = 20_000
MOST_HELD_OUT = 5_000
"""Of more labels so many are used, those with the smallest hashes: a weak model gains nothing from more."""

LEAST_TRAINED = 10
FALL_BACK_BELOW = 100
"""With fewer graduated labels, labels in re-validation are used too, and that is said."""

FILES_KEPT = 3
"""Files of the newest accepted weak models that stay, for the one before may still be at work."""


@dataclass(slots=True)
class _Labels:
    """The labels of a dataset, split: u of each, and which are for training."""

    labelled: Labelled
    trained: Any
    held_out: Any
    fell_back: bool
    left_out: int


def train_weak_model(
    database: Database,
    dataset_name: str,
    root: str,
    *,
    run_id: str | None = None,
    only_if_new: bool = False,
    report: Report | None = None,
) -> RecordedModel:
    """Train a weak model on the labels as they are, and take it unless it is worse than the last one.

    root: of model files. only_if_new: the newest weak model is given back where it was trained on the same
    ledger under the same classes. Raises NotServedError, MissingExtraError or BadInputError with what to do.
    """
    folder = ModelFolder(root)
    with database.read() as connection:
        dataset = get_dataset(connection, dataset_name)
        refuse_structured_answers(dataset)
        settings = active_settings(connection, dataset)
        position = progress_of(connection, dataset).ledger_position
        last = accepted_model(connection, dataset)
        if only_if_new and (same := _of_same_labels(connection, dataset, position)) is not None:
            return same
        chosen = _split(dataset, labelled_items(connection, dataset))
    names = chosen.labelled.taken(chosen.trained).labels
    counts = Counter(names.to_pylist())
    if len(names) < LEAST_TRAINED or len(counts) < 2:
        raise NotServedError(
            f"{dataset_name} has {len(names):,} labels of {len(counts):,} classes to train on; a weak model"
            f" takes at least {LEAST_TRAINED} of 2 classes"
        )
    # Features follow the classes that can be, not those seen so far: they stay the same from model to model.
    features = own_features(dataset, settings, len(dataset.classes or counts))
    source = source_of(features, image_dir=settings.image_dir, embeddings=settings.embeddings)
    everything = chosen.labelled.taken(np.concatenate((chosen.trained, chosen.held_out)))
    found = features_of(database, source, everything.item_ids, report)
    made = _fitted(found, everything, len(chosen.trained), settings.seed)
    verdict = _judged(database, folder, dataset, settings, last, made)
    data, file, sha256 = made.data, "", made.sha256
    if verdict.accepted:
        file, sha256 = folder.put(dataset_name, data, ".skops")
    held = len(made.truth)
    model = NewModel(
        kind="weak",
        name="weak",
        file=file,
        file_sha256=sha256,
        classes=made.classes,
        features=features,
        ledger_position=position,
        labels_used=made.used,
        held_out=held,
        accuracy=int(made.right.sum()) * ONE // held if held else None,
        accepted=verdict.accepted,
        reason=verdict.reason,
        metrics={
            "labels": {
                "graduated": int(everything.graduated[: len(chosen.trained)].sum()),
                "in_revalidation": int((~everything.graduated[: len(chosen.trained)]).sum()),
            },
            "fell_back": chosen.fell_back,
            "labels_not_used": chosen.left_out,
            "without_features": found.faults,
            "classes_without_labels": sorted(set(dataset.classes or ()) - set(made.classes)),
            "gained": verdict.gained,
            "lost": verdict.lost,
            **made.metrics,
            "expect": expectation(made.used, int(made.right.sum()), held, made.metrics["curve"]),
        },
        run_id=run_id,
    )
    return _recorded(database, folder, dataset, last, model)


def _split(dataset: Dataset, labelled: Labelled) -> _Labels:
    """Which labels to train on and which to judge by: positions in `labelled`, by their hashes."""
    known = np.ones(len(labelled), dtype=bool)
    if dataset.classes is not None:
        import pyarrow.compute as pc

        inside = pc.is_in(labelled.labels, value_set=pa.array(dataset.classes, type=pa.string()))
        known = np.asarray(inside.to_numpy(zero_copy_only=False))
    hashes = held_out_hashes(dataset, labelled.item_ids)
    for_training = below(hashes, limit_of_share(TRAINED_SHARE))
    fell_back = int((for_training & known & labelled.graduated).sum()) < FALL_BACK_BELOW
    usable = known if fell_back else known & labelled.graduated
    trained = _first(hashes, usable & for_training, MOST_TRAINED)
    held_out = _first(hashes, usable & ~for_training, MOST_HELD_OUT)
    return _Labels(labelled, trained, held_out, fell_back, int(usable.sum()) - len(trained) - len(held_out))


def held_out_labels(dataset: Dataset, labelled: Labelled) -> Labelled:
    """The labels that models of a dataset are judged by."""
    return labelled.taken(_split(dataset, labelled).held_out)


def held_out_hashes(dataset: Dataset, item_ids: Any) -> Hashes:
    """What decides which items are held out. item_ids: Arrow strings."""
    return hashes_of(f"{dataset.name}:held-out", item_ids.cast(pa.binary()).to_pylist())


def _first(hashes: Hashes, among: Mask, most: int) -> Any:
    """Positions of some rows in the order of their hashes: the first of them are the first of any subset."""
    positions = np.flatnonzero(among)
    return positions[np.argsort(hashes[positions], kind="stable")[:most]]


@dataclass(slots=True)
class _Made:
    """A model that was trained and scored: its file, and how it did on the held-out items."""

    data: bytes
    sha256: str
    classes: tuple[str, ...]
    used: int
    item_ids: Any
    truth: Any
    right: Mask
    metrics: dict[str, Any]


def _fitted(found: Features, everything: Labelled, trained: int, seed: int) -> _Made:
    import hashlib

    from hiveguard_pipeline.learning.models.skops import dump_skops
    from hiveguard_pipeline.learning.models.weak import fit_weak

    labels = np.array(everything.labels.to_pylist(), dtype=object)[found.positions]
    used = int((found.positions < trained).sum())
    rows, truth = found.rows[:used], labels[used:]
    names = [str(label) for label in labels[:used]]
    if used < LEAST_TRAINED or len(set(names)) < 2:
        said = ", ".join(f"{why}: {count:,}" for why, count in sorted(found.faults.items()))
        raise NotServedError(
            f"of {len(everything):,} labelled items {used:,} to train on have features ({said}), too few"
        )
    model = fit_weak(rows, names, seed)
    held = found.rows[used:]
    said_labels = model.classes_[model.predict_proba(held).argmax(axis=1)] if len(truth) else truth
    right = np.asarray(said_labels == truth, dtype=bool)
    curve = learning_curve(rows, names, held, truth, seed)
    if len(truth):
        curve.append({"labels": used, "right": int(right.sum()), "of": len(truth)})
    data = dump_skops(model.estimator)
    return _Made(
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        classes=model.classes,
        used=used,
        item_ids=everything.item_ids.take(pa.array(found.positions[used:])),
        truth=truth,
        right=right,
        metrics={"curve": curve, "confusion": confusion(truth, said_labels)},
    )


def right_on(database: Database, model: Ready, item_ids: Any, truth: Any) -> Mask:
    """On which items a model is right; where it has no features it is not. shape (n,)."""
    found = features_of(database, model.source, item_ids)
    right = np.zeros(len(item_ids), dtype=bool)
    if len(found):
        said = model.model.classes_[model.model.predict_proba(found.rows).argmax(axis=1)]
        right[found.positions] = said == truth[found.positions]
    return right


def _judged(
    database: Database,
    folder: ModelFolder,
    dataset: Dataset,
    settings: ActiveSettings,
    last: RecordedModel | None,
    made: _Made,
) -> Verdict:
    if last is None:
        return Verdict(True, "the first model")
    stale = why_stale(last, dataset)
    if stale is not None:
        return Verdict(True, stale)
    try:
        old_right = right_on(database, ready(folder, last, settings), made.item_ids, made.truth)
    except MissingExtraError:
        raise
    except HiveGuardError as error:
        return Verdict(True, f"model {last.model_id} could not be scored: {error}")
    return compare(made.right, old_right, f"model {last.model_id}")


def _recorded(
    database: Database,
    folder: ModelFolder,
    dataset: Dataset,
    last: RecordedModel | None,
    model: NewModel,
) -> RecordedModel:
    from dataclasses import replace

    with database.write() as connection:
        now = lock_dataset(connection, dataset.name)
        newest = accepted_model(connection, now)
        if (newest and newest.model_id) != (last and last.model_id):
            model = replace(model, accepted=False, reason="another model was accepted meanwhile")
        elif now.schema_version != dataset.schema_version:
            raise HiveGuardError(f"the classes of {dataset.name} changed meanwhile; train again")
        record(connection, now, model)
        made = list_models(connection, now, limit=1)[0]
        weak = [row for row in list_models(connection, now, accepted=True) if row.kind == "weak"]
        kept = {row.file for row in weak[:FILES_KEPT]}
    for old in weak[FILES_KEPT:]:
        if old.file not in kept:
            folder.remove(old.file)
    return made


def _of_same_labels(connection: sa.Connection, dataset: Dataset, position: int) -> RecordedModel | None:
    """The newest weak model, if it saw the ledger as it is now."""
    for row in list_models(connection, dataset):
        if row.kind == "weak":
            same = row.ledger_position == position and row.schema_version == dataset.schema_version
            return row if same else None
    return None
