"""YOLO: a text file an image, a row a box, `class cx cy width height` as shares of the image's sides.

Written is the layout of Ultralytics (data.yaml, images/ beside labels/); read are that, Roboflow's, darknet's
(obj.data, obj.names, lists) and classes.txt beside images/ and labels/. The rows do not say how large an
image is: that comes from the side-car or from the image files.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hiveguard_pipeline.formats.format import Feature, Options, Reading, Written
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Header, Item


class Yolo:
    """YOLO as a format; see the module."""

    name = "yolo"
    has_side_car = True
    holds = frozenset(
        {
            Feature.BOXES,
            Feature.SEGMENTATION,
            Feature.SPLIT,
            Feature.EMPTY_ITEMS,
            Feature.UNUSED_CATEGORIES,
        }
    )
    """SEGMENTATION: one polygon in place of a box. A box has precedence; the loss is counted on writing."""

    def read(self, path: Path, options: Options) -> Reading:
        """Open a folder, its data.yaml or its obj.data."""
        from hiveguard_pipeline.formats.yolo.reading import read

        return read(path, options)

    def write(
        self, header: Header, items: Iterable[Item], target: Path, options: Options, losses: Losses
    ) -> Iterator[Written]:
        """Write labels/<split>/<name>.txt of each item and data.yaml; image files stay where they are."""
        from hiveguard_pipeline.formats.yolo.writing import write

        return write(header, items, target, options, losses)


FORMAT = Yolo()
