"""A task of Label Studio as an item.

The name of an image is its path below the storage or host it comes from; that of a text is its `hg_id`.
Each annotation of a task is one person's; predictions are none. A task as the server gave it stays in the
item's `extra`, under `label_studio`, so that it can be written again as it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.label_studio.references import (
    checked_text,
    first_key,
    image_name,
    looks_like_image,
    looks_like_media,
)
from hiveguard_pipeline.formats.label_studio.regions import (
    annotations_of,
    kind_of,
    labels_of,
    size_of,
    written_aside,
)
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Item
from hiveguard_pipeline.formats.names import relative_to_root
from hiveguard_pipeline.formats.serialised import item_from_json, shown

RAW = "label_studio"
"""The key of `extra` under which a task stands as the server gave it."""
HG_ID, HG_ITEM, HG_HEADER = "hg_id", "hg_item", "hg_header"
_OURS = {"data", "annotations", "predictions"}
_PLACED = ("box", "polygon", "span")
_KNOWN_ASIDE = {
    *("brushlabels", "ellipselabels", "keypointlabels", "hypertextlabels", "paragraphlabels"),
    *("relation", "textarea", "taxonomy", "number", "rating", "choices", "rectanglelabels", "labels"),
    *("polygonlabels", "rectangle", "polygon", "brush", "ellipse", "keypoint", "timeserieslabels"),
}


@dataclass(slots=True)
class Region:
    """A region with the place of its annotation in the task, and its own there, and who made it."""

    frame: int
    place: int
    region: dict[str, Any]
    kind: str | None
    annotator: str | None
    where: str

    @property
    def is_aside(self) -> bool:
        """It becomes no annotation: the model has no place for it, or its image was turned."""
        return self.kind is None or bool(self.region.get("image_rotation"))

    @property
    def kind_name(self) -> str:
        """Its type, as codes and messages name it."""
        if self.kind is not None:
            return "image_rotation"
        kind = self.region.get("type")
        return kind if isinstance(kind, str) and kind in _KNOWN_ASIDE else "other"


@dataclass(slots=True)
class Task:
    """A task as it was read. number: its place in the file, from 1.

    media_key: of the video, sound or the like that the task is of, where it has neither text nor image.
    """

    raw: dict[str, Any]
    number: int
    where: str
    text_key: str | None = None
    image_key: str | None = None
    media_key: str | None = None
    regions: list[Region] = field(default_factory=list)
    cancelled: int = 0
    reviewed: bool = False

    @property
    def data(self) -> dict[str, Any]:
        """The task's own data."""
        found: dict[str, Any] = self.raw["data"]
        return found

    @property
    def text(self) -> str | None:
        """The text that is labelled, None in tasks of images."""
        return None if self.text_key is None else str(self.data[self.text_key])

    @property
    def is_ours(self) -> bool:
        """It was written by us, and has not been in a server since; nothing in it wants to be kept aside."""
        return (
            set(self.raw) <= _OURS
            and all(set(one) <= {"result"} for one in self.raw["annotations"])
            and not any(one.is_aside for one in self.regions)
            and self.media_key is None
        )


def task_of(raw: Any, number: int, where: str) -> Task:
    """Look through a task of an export or import file. Raises BadInputError for what is none."""
    if not isinstance(raw, dict):
        raise BadInputError(f"{where}: a task is an object, not {shown(raw)}.")
    where = f"{where} (id {raw['id']})" if type(raw.get("id")) is int else where
    if not isinstance(raw.get("data"), dict):
        if "annotation_id" in raw or "annotator" in raw:
            raise BadInputError(
                f"{where}: this is the JSON-MIN export, which leaves out what is needed to read it (sizes,"
                " types, other annotators); export the project as JSON."
            )
        raise BadInputError(f"{where}: there is no `data`; a JSON export or import file of tasks is wanted.")
    if "completions" in raw:
        raise BadInputError(
            f"{where}: `completions` is of Label Studio before 1.0; export it with a newer one."
        )
    task = Task({**raw, "annotations": raw.get("annotations") or []}, number, where)
    if not isinstance(task.raw["annotations"], list):
        raise BadInputError(f"{where}: annotations: a list is wanted.")
    task.regions = list(_regions(task))
    _choose_keys(task)
    return task


def item_of(task: Task, places: dict[str, int], root: str | None, qualified: bool) -> Item:
    """The item of a task. places: of the classes, by name. qualified: names of images keep their host."""
    aside = task.data.get(HG_ITEM)
    if isinstance(aside, dict) and isinstance(aside.get("item"), dict):
        name = safe_name(task, checked_text(task.data.get(HG_ID), f"{task.where}: data.{HG_ID}"), root)
        item = item_from_json({**aside["item"], "name": name}, f"{task.where}: data.{HG_ITEM}")
        item.labels = ()
        item.annotations = []
    else:
        aside = None
        hg_id, own = task.data.get(HG_ID), task.raw.get("id")
        identity = next((one for one in (hg_id, own) if type(one) in (int, str)), None)
        item = Item(name_of(task, root, qualified), id=identity)
    item.text = task.text
    _add_regions(item, task, places)
    item.reviewed = _reviewed(task, item, aside)
    if not task.is_ours:
        item.extra = {**item.extra, RAW: task.raw}
    return item


def name_of(task: Task, root: str | None, qualified: bool) -> str:
    """The name of a task's item that was not named by us."""
    if task.image_key is not None:
        where = f"{task.where}: data.{task.image_key}"
        name = image_name(task.data[task.image_key], root, qualified, where)
        if name is not None:
            return name
    elif type(hg_id := task.data.get(HG_ID)) in (int, str) and hg_id != "":
        return safe_name(task, str(hg_id), root)
    return f"task-{task.raw['id'] if type(task.raw.get('id')) is int else task.number}"


def safe_name(task: Task, hg_id: str, root: str | None) -> str:
    """A hg_id as a name: any key of a text; else a path, after the root was taken off an absolute one."""
    return hg_id if task.text is not None else relative_to_root(hg_id, root, f"{task.where}: data.{HG_ID}")[0]


def note_task(task: Task, notes: Losses) -> None:
    """Count what of a task is no annotation of ours."""
    if task.cancelled:
        notes.add("label_studio_cancelled_skipped", task.where, task.cancelled)
    if task.media_key is not None:
        notes.add("label_studio_media_skipped", f"{task.where}: data.{task.media_key}")
    for one in task.regions:
        if one.is_aside:
            notes.add(f"label_studio_{one.kind_name}_kept_aside", one.where)


def regions_aside(item: Item) -> list[str]:
    """The kinds of the regions in an item's task, as the server gave it, that are none of its annotations."""
    try:
        task = task_of(item.extra.get(RAW), 1, item.name)
    except BadInputError:
        return []  # it was edited beyond recognition, and the item itself holds
    return [one.kind_name for one in task.regions if one.is_aside]


def _regions(task: Task) -> Iterator[Region]:
    for frame, one in enumerate(task.raw["annotations"]):
        where = f"{task.where}, annotation {one.get('id', frame + 1) if isinstance(one, dict) else frame + 1}"
        if not isinstance(one, dict) or not isinstance(one.get("result", []), list):
            raise BadInputError(f"{where}: an object with a list `result` is wanted.")
        if one.get("was_cancelled"):
            task.cancelled += 1
            continue
        task.reviewed = True
        result = one.get("result", [])
        kinds = [kind_of(region) if isinstance(region, dict) else None for region in result]
        placed = {
            region["id"]
            for region, kind in zip(result, kinds, strict=True)
            if kind in _PLACED and isinstance(region.get("id"), str)
        }
        annotator = _annotator(one.get("completed_by"))
        for place, (region, kind) in enumerate(zip(result, kinds, strict=True)):
            at = f"{where}, region {place + 1}"
            if not isinstance(region, dict):
                raise BadInputError(f"{at}: an object is wanted, not {shown(region)}.")
            if kind == "choices" and isinstance(region.get("id"), str) and region["id"] in placed:
                kind = None  # said of a region, not of the item
            yield Region(frame, place, region, kind, annotator, at)


def _annotator(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("email", value.get("id"))
    return str(value) if type(value) in (int, str) else None


def _choose_keys(task: Task) -> None:
    """Find which value of the data is the text or the image: the one that regions name, else by its look."""
    texts = {
        key: value
        for key, value in task.data.items()
        if isinstance(value, str) and key not in (HG_ID, HG_ITEM, HG_HEADER)
    }
    spans = [one.region for one in task.regions if one.kind == "span"]
    shapes = [
        one.region
        for one in task.regions
        if one.kind in ("box", "polygon") or (one.kind is None and "original_width" in one.region)
    ]
    if spans:
        named = [*(one.get("to_name") for one in spans), "text"]
        quoted = spans[0]["value"].get("text")
        task.text_key = first_key(
            texts, named, lambda text: isinstance(quoted, str) and quoted in text, lambda _: True
        )
    if shapes or task.text_key is None:
        named = [*(one.get("to_name") for one in shapes), "image", "img", "url"]
        others = {key: value for key, value in texts.items() if key != "text"}
        task.image_key = first_key(others, named, looks_like_image, lambda _: bool(shapes))
    if HG_ITEM in task.data and "text" in texts:
        task.text_key = "text"
    if task.text_key is None and task.image_key is None:
        media = [
            key for key, value in texts.items() if looks_like_media(value) and (key != "text" or "/" in value)
        ]
        named = [key for key in media if any(one.region.get("to_name") == key for one in task.regions)]
        if not named:
            plain = {key: value for key, value in texts.items() if key not in media}
            task.text_key = first_key(plain, ["text"], lambda _: True)
        if task.text_key is None:
            task.media_key = next(iter([*named, *media]), None)


def _add_regions(item: Item, task: Task, places: dict[str, int]) -> None:
    chosen: dict[int, list[tuple[Region, list[str]]]] = {}
    for one in task.regions:
        if one.kind is None or one.is_aside:
            continue
        aside = written_aside(one.region)
        if one.kind == "choices" and aside is None:
            chosen.setdefault(one.frame, []).append((one, labels_of(one.region)))
            continue
        if one.kind in ("box", "polygon"):
            _set_size(item, one)
        for annotation in annotations_of(one.region, one.kind, places, task.text, one.where):
            if aside is None:
                annotation.annotator = one.annotator
            _link(annotation, one, task)
            item.annotations.append(annotation)
    sets = [[label for _, labels in rows for label in labels] for rows in chosen.values()]
    if sets and all(set(one) == set(sets[0]) for one in sets):
        item.labels = tuple(places.get(label, -1) for label in dict.fromkeys(sets[0]))
        return
    # People who differ: what each said, and no class of the item.
    for rows in chosen.values():
        for one, labels in rows:
            for label in labels:
                annotation = Annotation(places.get(label, -1), annotator=one.annotator)
                _link(annotation, one, task)
                item.annotations.append(annotation)


def _link(annotation: Annotation, region: Region, task: Task) -> None:
    """Say where in the task as the server gave it the annotation stands."""
    if not task.is_ours:
        annotation.extra = {**annotation.extra, RAW: [region.frame, region.place]}


def _set_size(item: Item, region: Region) -> None:
    size = size_of(region.region, region.where)
    if item.width is None or item.height is None:
        item.width, item.height = size
    elif (item.width, item.height) != size:
        raise BadInputError(
            f"{region.where}: the image has {size[0]} x {size[1]} pixels here, and {item.width} x"
            f" {item.height} in another region."
        )


def _reviewed(task: Task, item: Item, aside: dict[str, Any] | None) -> bool | None:
    """Somebody has looked at it; what we wrote aside holds as long as nothing was added or taken away."""
    if aside is None or aside.get("regions") != len(task.regions):
        return task.reviewed
    untouched = all(written_aside(one.region) is not None or one.kind == "choices" for one in task.regions)
    return (
        item.reviewed
        if untouched and (task.regions or task.reviewed == bool(item.reviewed))
        else task.reviewed
    )
