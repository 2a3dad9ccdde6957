"""Pascal VOC: one XML file an image under Annotations/, and lists of them under ImageSets/Main/.

The devkit counts pixels from 1 and means a box to hold its last pixel (VOC2012 devkit, 3.2): a box of the
model is x = xmin - 1, width = xmax - (xmin - 1). Many tools count from 0: Options.voc_origin says which.
What the XML says beyond boxes and sizes is kept under `extra`, by its tags.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hiveguard_pipeline.formats.format import Feature, Options, Reading, Written
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Header, Item


class Voc:
    """Pascal VOC as a format; see the module."""

    name = "voc"
    has_side_car = True
    holds = frozenset(
        {
            Feature.BOXES,
            Feature.IMAGE_SIZES,
            Feature.SPLIT,
            Feature.EMPTY_ITEMS,
            Feature.UNUSED_CATEGORIES,
            Feature.EXTRA,
        }
    )
    """EXTRA: as far as XML can say it; UNUSED_CATEGORIES: as far as labelmap.txt can. The rest is counted."""

    def read(self, path: Path, options: Options) -> Reading:
        """Open a folder with Annotations/ or with XML files at any depth, or one XML file."""
        from hiveguard_pipeline.formats.voc.reading import read

        return read(path, options)

    def write(
        self, header: Header, items: Iterable[Item], target: Path, options: Options, losses: Losses
    ) -> Iterator[Written]:
        """Write Annotations/<name>.xml of each item and ImageSets/Main/<split>.txt."""
        from hiveguard_pipeline.formats.voc.writing import write

        return write(header, items, target, options, losses)


FORMAT = Voc()
