"""A saved dataset as the library has it, and on the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.huggingface.library import online

if TYPE_CHECKING:
    from datasets import DatasetDict


def load_saved(folder: Path, push_to_hub: bool | str) -> "DatasetDict":
    """The dataset in a folder, pushed first if asked: under the name given or, for True, the folder's.

    This asks the Hub as the user whose token the library finds. Raises BadInputError if the Hub refuses.
    """
    datasets = online()
    saved: DatasetDict = datasets.load_from_disk(str(folder))
    if push_to_hub:
        name = push_to_hub if isinstance(push_to_hub, str) else folder.name
        try:
            saved.push_to_hub(name)
        except (OSError, ValueError) as error:
            raise BadInputError(
                f"the dataset was written to {folder} and could not be pushed to {name}: {error}."
            ) from None
    return saved
