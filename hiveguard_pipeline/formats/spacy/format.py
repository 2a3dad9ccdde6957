"""spaCy: folders of DocBin files (`train-00001.spacy`, `dev-00001.spacy`), written and read by spaCy itself.

Spans become `doc.ents`. Where some of a text overlap, all stand in `doc.spans["sc"]`, and `doc.ents` has
those that go together, the longest first. Classes of a whole text become `doc.cats`, each class 1.0 or 0.0.
What a DocBin cannot hold stands in the side-car.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Feature, Options, Read, Reading, Written
from hiveguard_pipeline.formats.json_text import json_line
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from hiveguard_pipeline.formats.names import distinct_names, files_below
from hiveguard_pipeline.formats.serialised import shown
from hiveguard_pipeline.formats.spacy.files import blank_language, docs_of

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, DocBin, Span

SPANS_KEY = "sc"
"""Where spaCy's own span categorizer looks."""
DOCS_IN_A_FILE = 2_000
BEYOND_TEXT = "spans_beyond_text_dropped"
"""Spans that end after their text; without Options.allow_lossy the first of them is refused."""
_FILES = {None: "train", "train": "train", "validation": "dev", "test": "test"}
_SPLITS = {"train": "train", "dev": "validation", "test": "test"}
_ATTRIBUTES = ["ENT_IOB", "ENT_TYPE"]
_MOST_EXAMPLES = 10


class SpacyDocs:
    """Texts with spans and classes."""

    name = "spacy"
    has_side_car = True
    holds = frozenset(
        {
            Feature.TEXT,
            Feature.SPANS,
            Feature.OVERLAPPING_SPANS,
            Feature.ITEM_CLASSES,
            Feature.SEVERAL_ITEM_CLASSES,
            Feature.SPLIT,
            Feature.EMPTY_ITEMS,
        }
    )

    def read(self, path: Path, options: Options) -> Reading:  # noqa: ARG002
        """Open a .spacy file or a folder of them, after a pass over them for the names of classes."""
        root, files = (path.parent, [path.name]) if path.is_file() else (path, list(_files(path)))
        names: set[str] = set()
        for file in files:
            for _, doc in docs_of(root / file):
                names.update(doc.cats)
                names.update(span.label_ for span in _spans_of(doc))
        places = {name: place for place, name in enumerate(sorted(names))}

        def reads() -> Iterator[Read]:
            for file in files:
                for number, doc in docs_of(root / file):
                    yield _read(doc, file, number, places)

        return Reading(Header([Category(name) for name in places]), reads)

    def write(
        self,
        header: Header,
        items: Iterable[Item],
        target: Path,
        options: Options,
        losses: Losses,
    ) -> Iterator[Written]:
        """Write files of DOCS_IN_A_FILE texts a split. Spans that no tokens fit are refused, as a list."""
        labels = distinct_names(header.categories)
        if "" in labels:
            raise BadInputError("spaCy has no class without a name; name it first.")
        maker = _DocMaker(blank_language(options.language), labels, options, losses)
        shards: dict[str, _Shards] = {}
        for item in items:
            name = _FILES[item.split]
            shard = shards.setdefault(name, _Shards(target, name))
            doc, rows = maker.doc(item)
            yield Written(item, shard.add(doc), rows, _about(doc))
        maker.refuse_misfits()
        if not shards:
            # A folder without any file could not be told from one that is no such dataset.
            shards["train"] = _Shards(target, "train")
            shards["train"].begin()
        for shard in shards.values():
            shard.close()


class _DocMaker:
    """Makes docs of items; keeps the spans that fit no tokens, to name them together."""

    def __init__(self, language: "Language", labels: list[str], options: Options, losses: Losses) -> None:
        self._language, self._labels = language, labels
        self._mode, self._losses = options.spans, losses
        self._allow_lossy = options.allow_lossy
        self._misfits = 0
        self._examples: list[str] = []

    def doc(self, item: Item) -> tuple["Doc", list[str | None]]:
        """A doc, and what it says of each annotation."""
        if item.text is None:
            raise BadInputError(f"item {shown(item.name)} has no text; spaCy files hold texts only.")
        try:
            item.text.encode()
            doc = self._language.make_doc(item.text)
        except (UnicodeEncodeError, ValueError) as error:
            raise BadInputError(f"item {shown(item.name)}: spaCy cannot take its text: {error}.") from None
        if doc.text != item.text:
            raise BadInputError(f"item {shown(item.name)}: spaCy's tokens do not give its text back.")
        found: list[Span] = []
        rows: list[str | None] = []
        for place, annotation in enumerate(item.annotations):
            span = self._span(doc, item, annotation, place)
            rows.append(None if span is None else _row(span))
            if span is not None:
                found.append(span)
        self._put(doc, found, item)
        if item.labels:
            chosen = set(item.labels)
            doc.cats = {label: float(place in chosen) for place, label in enumerate(self._labels)}
        return doc, rows

    def _put(self, doc: "Doc", spans: list["Span"], item: Item) -> None:
        from spacy.util import filter_spans

        together = filter_spans(sorted(spans, key=lambda one: (one.start, one.end, one.label_)))
        if len(together) < len(spans):
            doc.spans[SPANS_KEY] = spans
            self._losses.add("overlapping_spans_not_in_ents", f"item {item.name}", len(spans) - len(together))
        doc.ents = together

    def _span(self, doc: "Doc", item: Item, annotation: Annotation, place: int) -> "Span | None":
        where = f"item {item.name}, annotation {place + 1}"
        if annotation.span is None:
            if annotation.bbox is None:
                self._losses.add("placeless_annotations_dropped", where)
            return None
        start, end = annotation.span
        said = doc.text[start:end]
        label = self._labels[annotation.category]
        if end > len(doc.text):
            if not self._allow_lossy:
                raise BadInputError(
                    f"{where}: the span {start} to {end} goes beyond the text of {len(doc.text)} characters;"
                    " correct it, or leave it out (--allow-lossy)."
                )
            self._losses.add(BEYOND_TEXT, f"{where} ({start} to {end})")
            return None
        if said.strip() != said or not said:
            self._misfit(where, start, end, said, "is empty or begins or ends with a space")
            return None
        span = doc.char_span(start, end, label=label, alignment_mode="strict")
        if span is None and self._mode != "strict":
            span = doc.char_span(start, end, label=label, alignment_mode=self._mode)
            if span is not None:
                self._losses.add(f"span_{self._mode}ed_to_tokens", f"{where}: {shown(said)} is {span.text!r}")
        if span is None:
            self._misfit(where, start, end, said, "does not begin and end where tokens do")
        return span

    def _misfit(self, where: str, start: int, end: int, said: str, why: str) -> None:
        self._misfits += 1
        if len(self._examples) < _MOST_EXAMPLES:
            self._examples.append(f"{where} ({start} to {end}, {shown(said)}) {why}")

    def refuse_misfits(self) -> None:
        """Raise BadInputError with those that fit no tokens."""
        if self._misfits:
            more = f"; and {self._misfits - len(self._examples)} more" * (self._misfits > len(self._examples))
            raise BadInputError(
                f"{self._misfits} spans fit no tokens: {'; '.join(self._examples)}{more}. Correct them, try"
                " another tokenizer (the language), or let spans be moved to the nearest tokens inside"
                " (--spans contract) or around (--spans expand)."
            )


class _Shards:
    """The files of one split, one after another."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._number = 0
        self._docs: DocBin | None = None

    def add(self, doc: "Doc") -> str:
        """Take a doc; what comes back is the name of its file."""
        docs = self.begin() if self._docs is None else self._docs
        docs.add(doc)
        file = f"{self._name}-{self._number:05d}.spacy"
        if len(docs) == DOCS_IN_A_FILE:
            self.close()
        return file

    def begin(self) -> "DocBin":
        """The next file, without any text yet."""
        from spacy.tokens import DocBin

        self._docs = DocBin(attrs=_ATTRIBUTES)
        self._number += 1
        return self._docs

    def close(self) -> None:
        """Write what is waiting."""
        if self._docs is not None:
            path = self._folder / f"{self._name}-{self._number:05d}.spacy"
            with path.open("xb") as stream:
                stream.write(self._docs.to_bytes())
        self._docs = None


def _files(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        raise BadInputError(f"{folder}: there is no such file or folder.")
    found = list(files_below(folder, (".spacy",)))
    if not found:
        raise BadInputError(f"{folder}: there is no .spacy file in it.")
    yield from found


def _read(doc: "Doc", file: str, number: int, places: dict[str, int]) -> Read:
    stem = file.removesuffix(".spacy")
    item = Item(f"{stem}/{number}", text=doc.text)
    item.split = _SPLITS.get(stem.rpartition("/")[2].partition("-")[0])
    rows = []
    for span in _spans_of(doc):
        item.annotations.append(Annotation(places[span.label_], span=(span.start_char, span.end_char)))
        rows.append(_row(span))
    item.labels = tuple(places[name] for name, share in doc.cats.items() if share >= 0.5)
    if any(share not in (0, 1) for share in doc.cats.values()):
        item.extra = {"cats": dict(doc.cats)}
    return Read(item, file, rows, _about(doc))


def _spans_of(doc: "Doc") -> list["Span"]:
    """The spans of a doc that are labels."""
    spans = list(doc.spans[SPANS_KEY]) if SPANS_KEY in doc.spans else list(doc.ents)
    return [span for span in spans if span.label_]


def _row(span: "Span") -> str:
    return f"{span.start_char} {span.end_char} {span.label_}"


def _about(doc: "Doc") -> str:
    said: list[Any] = [doc.text, sorted(name for name, share in doc.cats.items() if share >= 0.5)]
    return json_line(said).decode()


FORMAT = SpacyDocs()
