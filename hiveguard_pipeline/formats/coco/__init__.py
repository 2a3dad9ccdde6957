"""COCO object detection and segmentation: one JSON document.

https://cocodataset.org/#format-data. All that the document says comes back: ids, orders, keys that are
not known, number forms. What stands here is the format as the registry finds it.
"""

from hiveguard_pipeline.formats.coco.format import FORMAT

__all__ = ["FORMAT"]
