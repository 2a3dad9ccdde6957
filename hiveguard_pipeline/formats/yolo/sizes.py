"""What is said where the size of an image is wanted and nobody knows it."""

from hiveguard_pipeline.errors import BadInputError

NAMED = 5
"""Images that the error names, of all that lack a size."""


def sizes_unknown(where: str, count: int, first: list[str], ignored: str | None = None) -> BadInputError:
    """The error for images without a size; where: ends in a colon and a space, or empty.

    ignored: why the side-car that would tell them is not trusted, where there is one.
    """
    cause = ""
    if ignored is not None:
        cause = (
            f" The side-car that tells them is not trusted (side_car_ignored): {ignored}. Put the files back "
            "as they were written, or read them without it, for which both --allow-lossy and --image-dir are "
            "wanted."
        )
    return BadInputError(
        f"{where}the sizes of {count} images are not known, and YOLO's numbers are shares of them: "
        f"{', '.join(first)}{', ...' if count > len(first) else ''}. Name the folder of the image files with "
        f"--image-dir.{cause}"
    )
