"""A user's own model, from a file: checked, judged by the held-out labels, and recorded."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hiveguard_pipeline.errors import BadInputError, HiveGuardError
from hiveguard_pipeline.learning.features import source_of
from hiveguard_pipeline.learning.items import features_of, labelled_items
from hiveguard_pipeline.learning.judgement import Verdict, compare
from hiveguard_pipeline.learning.metrics import confusion
from hiveguard_pipeline.learning.models import Checkpoint, load
from hiveguard_pipeline.learning.models.checkpoints import kind_of, read_file
from hiveguard_pipeline.learning.models.folder import ModelFolder
from hiveguard_pipeline.learning.recorded import (
    NewModel,
    RecordedModel,
    accepted_model,
    list_models,
    ready,
    record,
    why_stale,
)
from hiveguard_pipeline.learning.served import refuse_structured_answers
from hiveguard_pipeline.learning.settings import active_settings
from hiveguard_pipeline.learning.training import held_out_labels, right_on
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset, lock_dataset, progress_of

KIND_OF_MODALITY = {"text": "texts", "image": "pixels", "audio": "embeddings"}


def add_model(
    database: Database,
    dataset_name: str,
    root: str,
    path: Path,
    *,
    name: str | None = None,
    classes: tuple[str, ...] | None = None,
    features: dict[str, Any] | None = None,
    trusted: tuple[str, ...] = (),
    trusted_pickle: str | None = None,
    logits: bool = False,
    anyway: bool = False,
) -> RecordedModel:
    """Record a model from a file, and let it propose unless it is worse than the one that does.

    classes: of its outputs; by default what the file says, for ONNX the dataset's own in their order.
    features: what it takes, a description of `features.source_of`; by default texts as they are, pixels of
    32 x 32 in three channels (ONNX: nchw), or the dataset's vectors. anyway: take it though it be worse.
    Raises BadInputError for a file that is refused; nothing is recorded then.
    """
    kind = kind_of(path)
    data = read_file(path)
    folder = ModelFolder(root)
    with database.read() as connection:
        dataset = get_dataset(connection, dataset_name)
        refuse_structured_answers(dataset)
        settings = active_settings(connection, dataset)
        last = accepted_model(connection, dataset)
        position = progress_of(connection, dataset).ledger_position
        held_out = held_out_labels(dataset, labelled_items(connection, dataset))
    if classes is None and kind == "onnx":
        classes = dataset.classes
    checkpoint = Checkpoint(kind, classes, trusted, trusted_pickle, logits)
    if features is None:
        features = {"kind": "embeddings"} if settings.embeddings else default_features(dataset.modality, kind)
    source = source_of(features, image_dir=settings.image_dir, embeddings=settings.embeddings)
    loaded = load(data, path.name, checkpoint)
    unknown = sorted(set(loaded.classes) - set(dataset.classes or loaded.classes))
    if unknown or len(set(loaded.classes)) < max(len(loaded.classes), 2):
        raise BadInputError(
            f"{path.name} has the classes {', '.join(loaded.classes)}"
            + (
                f"; {unknown[0]!r} is none of {dataset_name}"
                if unknown
                else ", not two or more different ones"
            )
        )
    found = features_of(database, source, held_out.item_ids)
    truth = np.array(held_out.labels.to_pylist(), dtype=object)
    said = np.full(len(truth), "", dtype=object)
    if len(found):
        said[found.positions] = loaded.classes_[loaded.predict_proba(found.rows).argmax(axis=1)]
    right = np.asarray(said == truth, dtype=bool)
    verdict = Verdict(True, "the first model")
    if last is not None and (stale := why_stale(last, dataset)) is not None:
        verdict = Verdict(True, stale)
    elif last is not None:
        try:
            old_right = right_on(database, ready(folder, last, settings), held_out.item_ids, truth)
            verdict = compare(right, old_right, f"model {last.model_id}")
        except HiveGuardError as error:
            verdict = Verdict(True, f"model {last.model_id} could not be scored: {error}")
    if anyway and not verdict.accepted:
        verdict = replace(verdict, accepted=True, reason=f"taken by hand, though {verdict.reason}")
    file, sha256 = folder.put(dataset_name, data, path.suffix.lower())
    answered = [str(label) for label in said[found.positions]]
    model = NewModel(
        kind=kind,
        name=name or path.name,
        file=file,
        file_sha256=sha256,
        classes=loaded.classes,
        features=dict(source.description) | {"checkpoint": checkpoint.values()},
        ledger_position=position,
        labels_used=0,
        held_out=len(truth),
        accuracy=int(right.sum()) * ONE // len(truth) if len(truth) else None,
        accepted=verdict.accepted,
        reason=verdict.reason,
        metrics={
            "without_features": found.faults,
            "gained": verdict.gained,
            "lost": verdict.lost,
            "confusion": confusion(truth[found.positions], answered),
        },
        run_id=None,
    )
    with database.write() as connection:
        now = lock_dataset(connection, dataset_name)
        if now.schema_version != dataset.schema_version:
            raise HiveGuardError(f"the classes of {dataset_name} changed meanwhile; add the model again")
        record(connection, now, model)
        return list_models(connection, now, limit=1)[0]


def default_features(modality: str, kind: str) -> dict[str, Any]:
    """What a model of a kind is taken to see of items of a modality, where nothing is said."""
    features: dict[str, Any] = {"kind": KIND_OF_MODALITY[modality]}
    if features["kind"] == "pixels":
        features |= {"size": 32, "channels": 3, "layout": "nchw" if kind == "onnx" else "flat"}
    return features
