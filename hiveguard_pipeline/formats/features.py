"""What of an item a target format cannot hold, counted by feature."""

import itertools
from collections.abc import Callable, Iterable

from hiveguard_pipeline.formats.format import Feature
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Header, Item


def _own_area(annotation: Annotation) -> bool:
    if annotation.area is None:
        return False
    if annotation.bbox is None:
        return True
    product = annotation.bbox[2] * annotation.bbox[3]
    return abs(annotation.area - product) > 1e-9 * max(abs(product), 1.0)


_OF_ANNOTATIONS: dict[Feature, Callable[[list[Annotation]], list[bool]]] = {
    Feature.ANNOTATION_IDS: lambda them: [one.id is not None for one in them],
    Feature.BOXES: lambda them: [one.bbox is not None for one in them],
    Feature.SEGMENTATION: lambda them: [bool(one.segmentation) for one in them],
    Feature.CROWD: lambda them: [bool(one.crowd) for one in them],
    Feature.AREA: lambda them: [_own_area(one) for one in them],
    Feature.SCORE: lambda them: [one.score is not None for one in them],
    Feature.ROTATION: lambda them: [bool(one.rotation) for one in them],
    Feature.SPANS: lambda them: [one.span is not None for one in them],
    Feature.ANNOTATOR: lambda them: [one.annotator is not None for one in them],
    Feature.EXTRA: lambda them: [bool(one.extra) for one in them],
}
_OF_ITEMS: dict[Feature, Callable[[Item], object]] = {
    Feature.IMAGE_IDS: lambda item: item.id is not None,
    Feature.IMAGE_SIZES: lambda item: item.width is not None or item.height is not None,
    Feature.TEXT: lambda item: item.text is not None,
    Feature.ITEM_CLASSES: lambda item: item.labels,
    Feature.SEVERAL_ITEM_CLASSES: lambda item: len(item.labels) > 1,
    Feature.SPLIT: lambda item: item.split is not None,
    Feature.EMPTY_ITEMS: lambda item: not item.annotations and not item.labels,
    Feature.REVIEWED: lambda item: item.reviewed is not None and not item.annotations and not item.labels,
    Feature.EXTRA: lambda item: item.extra,
    Feature.OVERLAPPING_SPANS: lambda item: _overlap(item.annotations),
}


def _overlap(annotations: list[Annotation]) -> bool:
    spans = sorted(one.span for one in annotations if one.span is not None)
    return any(second[0] < first[1] for first, second in itertools.pairwise(spans))


class FeatureCounter:
    """Counts, over the items of one conversion, the features that the target does not hold."""

    def __init__(self, header: Header, holds: Iterable[Feature], losses: Losses) -> None:
        self._header, self._losses = header, losses
        self._lost = frozenset(Feature) - frozenset(holds)
        self._annotations = [pair for pair in _OF_ANNOTATIONS.items() if pair[0] in self._lost]
        self._items = [pair for pair in _OF_ITEMS.items() if pair[0] in self._lost]
        self._order = -1
        self._used: set[int] = set()
        self._count_header()

    def count(self, item: Item) -> None:
        """Count one item and its annotations."""
        for feature, carries in self._items:
            if carries(item):
                self._losses.add(feature.value, item.name)
        for feature, carry in self._annotations:
            carrying = carry(item.annotations)
            if True in carrying:
                example = f"{item.name}, annotation {carrying.index(True)}"
                self._losses.add(feature.value, example, carrying.count(True))
        if Feature.ANNOTATION_ORDER in self._lost:
            self._count_order(item)
        if Feature.REGIONS in self._lost and item.extra:
            self._count_regions(item)
        if Feature.UNUSED_CATEGORIES in self._lost:
            self._used.update(item.labels)
            self._used.update([one.category for one in item.annotations])

    def finish(self) -> None:
        """Count what shows only when all items have been seen."""
        if Feature.UNUSED_CATEGORIES in self._lost:
            for place, category in enumerate(self._header.categories):
                if place not in self._used:
                    self._losses.add(Feature.UNUSED_CATEGORIES.value, f"'{category.name}'")

    def _count_order(self, item: Item) -> None:
        for one in item.annotations:
            if one.order is not None:
                if one.order < self._order:
                    self._losses.add(Feature.ANNOTATION_ORDER.value, f"{item.name}, annotation {one.id}")
                    return
                self._order = one.order

    def _count_regions(self, item: Item) -> None:
        if "label_studio" in item.extra:
            from hiveguard_pipeline.formats.label_studio.tasks import regions_aside

            kinds = regions_aside(item)
            if kinds:
                example = f"{item.name}: {', '.join(dict.fromkeys(kinds))}"
                self._losses.add(Feature.REGIONS.value, example, len(kinds))

    def _count_header(self) -> None:
        header, add = self._header, self._losses.add
        lost = self._lost
        for category in header.categories:
            where = f"category '{category.name}'"
            if Feature.CATEGORY_IDS in lost and category.id is not None:
                add(Feature.CATEGORY_IDS.value, where)
            if Feature.SUPERCATEGORIES in lost and category.supercategory is not None:
                add(Feature.SUPERCATEGORIES.value, where)
            if Feature.EXTRA in lost and category.extra:
                add(Feature.EXTRA.value, where)
        for feature, said in (
            (Feature.TASK_TYPE, header.task_type),
            (Feature.INFO, header.info),
            (Feature.LICENCES, header.licences),
            (Feature.EXTRA, header.extra),
        ):
            if feature in lost and said:
                add(feature.value, "the dataset's header")
