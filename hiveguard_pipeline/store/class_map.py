"""The class map of a dataset at work: what answers and labels of earlier classes mean now.

Texts in, texts out, by Arrow alone: executors of a recount have no more than that. Where a map comes from,
and how it changes, is no matter of this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline.rules.structured.answer import renamed


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Names of classes that are no more, each with the class that it means now; no name is on both sides.

    structured: the texts are structured answers with names inside. False where nothing is mapped.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    structured: bool = False

    def __bool__(self) -> bool:
        return bool(self.names)

    def of(self, texts: Any) -> Any:
        """What texts mean now: Arrow strings of the same shape, null where they are null."""
        if not self.names:
            return texts
        if self.structured:
            coded = texts.dictionary_encode()
            if isinstance(coded, pa.ChunkedArray):
                coded = coded.unify_dictionaries().combine_chunks()
            words = coded.dictionary.to_pylist()
            now = pa.array([renamed(word, self.names) for word in words], type=pa.string())
            return now.take(coded.indices)
        old = pa.array(self.names.keys(), type=pa.string())
        new = pa.array(self.names.values(), type=pa.string())
        return pc.coalesce(new.take(pc.index_in(texts, value_set=old)), texts)

    def of_one(self, text: str | None) -> str | None:
        """What one text means now."""
        found: str | None = self.of(pa.array([text], type=pa.string()))[0].as_py()
        return found

    def then(self, change: Mapping[str, str]) -> "ClassMap":
        """This map after one more change of classes: what was mapped to a name that goes follows it."""
        names = {old: change.get(new, new) for old, new in self.names.items()}
        return ClassMap(names | dict(change), self.structured)


NO_CLASS_MAP = ClassMap()
