"""COCO as the converter sees it: what it holds, and its two directions."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hiveguard_pipeline.formats.format import Feature, Options, Reading, Written
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Header, Item


class Coco:
    """COCO instances: images, boxes, polygons, masks."""

    name = "coco"
    has_side_car = False
    holds = frozenset(
        {
            Feature.IMAGE_IDS,
            Feature.ANNOTATION_IDS,
            Feature.ANNOTATION_ORDER,
            Feature.CATEGORY_IDS,
            Feature.SUPERCATEGORIES,
            Feature.UNUSED_CATEGORIES,
            Feature.BOXES,
            Feature.SEGMENTATION,
            Feature.CROWD,
            Feature.AREA,
            Feature.SCORE,
            Feature.IMAGE_SIZES,
            Feature.EMPTY_ITEMS,
            Feature.INFO,
            Feature.LICENCES,
            Feature.EXTRA,
        }
    )

    def read(self, path: Path, options: Options) -> Reading:
        """Open a document; a pass over it has checked ids and all JSON when this returns."""
        from hiveguard_pipeline.formats.coco.read import CocoDocument

        return CocoDocument(path, options).reading()

    def write(
        self, header: Header, items: Iterable[Item], target: Path, options: Options, losses: Losses
    ) -> Iterator[Written]:
        """Write a document; ids that are missing are given."""
        from hiveguard_pipeline.formats.coco.write import write_coco

        return write_coco(header, items, target, options, losses)


FORMAT = Coco()
