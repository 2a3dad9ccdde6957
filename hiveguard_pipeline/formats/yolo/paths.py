"""Where YOLO looks for things: the label file of an image, and the images of a folder of label files.

Ultralytics replaces the last folder `images` of an image's path by `labels` and the suffix by `.txt`; where
there is no such folder the label file lies beside the image, as darknet has it. Paths here are relative to
the root of the data set, with forward slashes, and without one at the end.
"""

import os
import stat
from pathlib import Path

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.images.names import stem_of
from hiveguard_pipeline.formats.names import is_inside, leads_out, not_plain

LARGEST_FILE = 16 << 20
"""Bytes of a label file; some 200,000 boxes in one image."""


def label_folder(images: str) -> str:
    """The folder of the label files of the images in a folder."""
    parts = images.split("/")
    for place in range(len(parts) - 1, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return "/".join(parts)


def image_folder(labels: str, below: str) -> str | None:
    """The folder, below another one or that itself, whose images have their label files in `labels`."""
    parts = labels.split("/")
    for place in range(len(parts) - 1, -1, -1):
        if parts[place] == "labels":
            images = "/".join([*parts[:place], "images", *parts[place + 1 :]])
            if label_folder(images) == labels and is_below(images, below):
                return images
    return labels if label_folder(labels) == labels and is_below(labels, below) else None


def label_file(image: str) -> str:
    """The label file of an image file."""
    folder, slash, name = image.rpartition("/")
    return f"{label_folder(folder) if slash else ''}{slash}{stem_of(name)}.txt"


def is_below(path: str, folder: str) -> bool:
    """Whether a path lies in a folder or is that folder; `` is the root."""
    return folder == "" or path == folder or path.startswith(folder + "/")


class LabelFiles:
    """The label files below a root, read whole, and none that a link would fetch from elsewhere."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self._inside: dict[str, bool] = {}

    def exists(self, relative: str) -> bool:
        """Whether there is such a file."""
        return os.path.isfile(f"{self.root}/{relative}")

    def read(self, relative: str) -> bytes | None:
        """The content of a file, or None where there is none; BadInputError for what is no plain file."""
        path = f"{self.root}/{relative}"
        folder = path.rpartition("/")[0]
        if folder not in self._inside:
            self._inside[folder] = is_inside(self.root, folder)
        try:
            # No waiting at a pipe. Only a link needs the slow look at where it leads.
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            if not self._inside[folder] or (os.path.islink(path) and not is_inside(self.root, path)):
                raise leads_out(path, self.root)
            handle = os.open(path, flags)
        except FileNotFoundError:
            if os.path.islink(path):
                raise not_plain(path) from None
            return None
        except OSError as error:
            raise BadInputError(f"{path}: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise not_plain(path)
        with open(handle, "rb") as file:
            try:
                data = file.read(LARGEST_FILE + 1)
            except OSError as error:
                raise BadInputError(f"{path}: {error.strerror}") from None
        if len(data) > LARGEST_FILE:
            raise BadInputError(f"{path}: more than {LARGEST_FILE >> 20} MB for one image")
        return data
