"""The Hugging Face libraries, where they are installed, kept off the network."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hiveguard_pipeline.errors import BadInputError


@contextmanager
def offline() -> Iterator[Any]:
    """The `datasets` module, which inside the block asks no server and shows no progress of its own.

    It is as with HF_HUB_OFFLINE=1 and HF_HUB_DISABLE_TELEMETRY=1, which the libraries read only once, when
    they are imported. What a caller's process had set is as before when the block ends.
    """
    datasets = online()
    from huggingface_hub import constants

    switches = [(constants, "HF_HUB_OFFLINE"), (constants, "HF_HUB_DISABLE_TELEMETRY")]
    switches.append((datasets.config, "HF_HUB_OFFLINE"))
    before = [getattr(module, name) for module, name in switches]
    showed = not datasets.are_progress_bars_disabled()
    try:
        for module, name in switches:
            setattr(module, name, True)
        datasets.disable_progress_bars()
        yield datasets
    finally:
        for (module, name), value in zip(switches, before, strict=True):
            setattr(module, name, value)
        if showed:
            datasets.enable_progress_bars()


def online() -> Any:
    """The `datasets` module as it is. Raises BadInputError where it is not installed."""
    try:
        import datasets
    except ImportError:
        raise BadInputError(
            "the Hugging Face library is not installed; run: pip install 'hiveguard-pipeline[hf]'"
        ) from None
    return datasets
