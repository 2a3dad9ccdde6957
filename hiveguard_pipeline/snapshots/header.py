"""What a snapshot says of its rows as a whole, with their hash in it. Its id is the hash of this header.

Nothing in it hangs on when, where or by which run a snapshot was made: the same labels of the same dataset
give the same id on every database and engine.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import ONE, decimal_text, millionths

FORMAT = 1
"""The version of what is hashed; a change of it gives every content another id."""

SPLIT_METHODS = ("hash", "exact")
DEFAULT_SHARE = 850_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which labels: the graduated ones or all finalized ones, from a confidence on (in millionths)."""

    graduated: bool = True
    min_confidence: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """How rows are divided into train and validation: rules in `split`. share: of train, in millionths."""

    salt: str
    method: str = "hash"
    share: int = DEFAULT_SHARE

    def __post_init__(self) -> None:
        if self.method not in SPLIT_METHODS:
            raise BadInputError(f"a split is {' or '.join(SPLIT_METHODS)}, not {self.method!r}")
        if not 0 <= self.share <= ONE:
            raise BadInputError("train_val_split must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a snapshot. classes None: the dataset took any answer. licences: of the items, sorted."""

    dataset: str
    task_type: str
    classes: tuple[str, ...] | None
    schema_version: int
    selection: Selection
    split: Split
    licences: tuple[str, ...]
    rows: int
    rows_sha256: str
    format: int = FORMAT

    def values(self) -> dict[str, Any]:
        """As JSON values; shares and confidences as shortest decimals, in text."""
        values = asdict(self)
        values["classes"] = None if self.classes is None else list(self.classes)
        values["licences"] = list(self.licences)
        values["selection"]["min_confidence"] = decimal_text(self.selection.min_confidence)
        values["split"]["share"] = decimal_text(self.split.share)
        return values

    def text(self) -> str:
        """Canonical JSON: keys sorted, no spaces."""
        return json.dumps(self.values(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def snapshot_id(self) -> str:
        """The SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Header":
        """The header of JSON values. Raises BadInputError for those of another format."""
        try:
            if values["format"] != FORMAT:
                raise BadInputError(
                    f"the snapshot is of format {values['format']}; this release reads {FORMAT}"
                )
            selection, split, classes = values["selection"], values["split"], values["classes"]
            return cls(
                dataset=values["dataset"],
                task_type=values["task_type"],
                classes=None if classes is None else tuple(classes),
                schema_version=values["schema_version"],
                selection=Selection(
                    selection["graduated"], millionths("min_confidence", selection["min_confidence"])
                ),
                split=Split(split["salt"], split["method"], millionths("share", split["share"])),
                licences=tuple(values["licences"]),
                rows=values["rows"],
                rows_sha256=values["rows_sha256"],
            )
        except (KeyError, TypeError) as error:
            raise BadInputError(f"that is no header of a snapshot ({error})") from None
