"""Model files: which kinds there are, and what stands between a file and the library that reads it.

| kind | file | what is read |
|---|---|---|
| weak, skops | .skops | types that skops trusts by itself and those that are named, nothing else |
| onnx | .onnx | operators of ONNX; a file that names data outside itself is refused |
| pickle | .pkl, .pickle, .joblib | anything runs: only a file whose sha256 was given by who trusts it |

The bytes that are checked are the bytes that are loaded: a file is read once, and never by its name again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.models.loaded import Loaded, one_line

KIND_OF = {".skops": "skops", ".onnx": "onnx", ".pkl": "pickle", ".pickle": "pickle", ".joblib": "pickle"}
"""Ending of a file -> kind. Whatever else the file is, its kind's reader refuses it."""

MOST_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How a model file is to be read.

    classes: the names of its outputs, in order; None where the file says them itself. trusted: names of
    types that a skops file may hold. sha256: of the pickle that is trusted. logits: its outputs are scores,
    which become probabilities by softmax.
    """

    kind: str
    classes: tuple[str, ...] | None = None
    trusted: tuple[str, ...] = ()
    sha256: str | None = None
    logits: bool = False

    def values(self) -> dict[str, Any]:
        """As JSON values, without what is the default."""
        return {
            **({"trusted": list(self.trusted)} if self.trusted else {}),
            **({"logits": True} if self.logits else {}),
        }


def kind_of(path: Path) -> str:
    """The kind of a model file, by its ending; raises BadInputError for any other."""
    kind = KIND_OF.get(path.suffix.lower())
    if kind is None:
        raise BadInputError(
            f"{path.name}: model files end in {', '.join(KIND_OF)}; `docs/models.md` says how to write one"
        )
    return kind


def read_file(path: Path) -> bytes:
    """The bytes of a model file. Raises BadInputError where it is missing or too large."""
    try:
        if not path.is_file():
            raise BadInputError(f"{path} is no file" if path.exists() else f"{path} does not exist")
        if path.stat().st_size > MOST_BYTES:
            raise BadInputError(f"{path} is larger than {MOST_BYTES >> 30} GiB")
        return path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror or error}") from None


def load(data: bytes, name: str, checkpoint: Checkpoint) -> Loaded:
    """The model of a file's bytes. name: of the file, for errors. Raises BadInputError for one of no use.

    Nothing of the file is executed before its kind's checks have passed.
    """
    if checkpoint.kind == "onnx":
        from hiveguard_pipeline.learning.models.onnx import load_onnx

        return load_onnx(data, name, checkpoint.classes, logits=checkpoint.logits)
    if checkpoint.kind in ("weak", "skops"):
        from hiveguard_pipeline.learning.models.skops import load_skops

        return of_estimator(load_skops(data, name, checkpoint.trusted), name, checkpoint.classes)
    if checkpoint.kind == "pickle":
        return of_estimator(_unpickled(data, name, checkpoint.sha256), name, checkpoint.classes)
    raise BadInputError(f"{checkpoint.kind!r} is no kind of model file")


def of_estimator(model: Any, name: str, classes: Sequence[str] | None) -> Loaded:
    """A fitted model of scikit-learn's kind as one that is ready."""
    if not callable(getattr(model, "predict_proba", None)):
        raise BadInputError(
            f"{name} holds a {type(model).__name__}, which has no predict_proba: it gives no probabilities"
        )
    own = getattr(model, "classes_", None)
    if classes is None and own is None:
        raise BadInputError(f"{name} does not say its classes; name them with --classes, in its order")
    names = tuple(map(str, classes if classes is not None else np.asarray(own).tolist()))
    return Loaded(names, model.predict_proba, model)


def _unpickled(data: bytes, name: str, trusted: str | None) -> Any:
    found = hashlib.sha256(data).hexdigest()
    if trusted is None or trusted.lower() != found:
        raise BadInputError(
            f"{name} is a pickle, and loading one runs whatever its maker put in it"
            + (f"; its sha256 is {found}, not the {trusted} that is trusted" if trusted else "")
            + "; write the model with skops or as ONNX, or, if you made this very file, add --trust-pickle"
            " with its sha256"
        )
    import io

    from hiveguard_pipeline.learning.extras import needed

    try:
        # joblib reads plain pickles too.
        return needed("joblib").load(io.BytesIO(data))
    except Exception as error:  # noqa: BLE001 - a pickle may raise anything
        raise BadInputError(f"{name} cannot be loaded: {type(error).__name__}: {one_line(error)}") from None
