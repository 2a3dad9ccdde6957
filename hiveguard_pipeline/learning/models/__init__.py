"""Models that propose labels: the weak one that is trained here, and users' own from files.

A file is data from a stranger until it is shown to be harmless: `checkpoints` says which kinds are read and
what is refused before a library sees them.
"""

from hiveguard_pipeline.learning.models.checkpoints import Checkpoint, load
from hiveguard_pipeline.learning.models.loaded import Loaded

__all__ = ["Checkpoint", "Loaded", "load"]
