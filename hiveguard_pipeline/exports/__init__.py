"""Labels out of the store: streams for people and tools, versioned exports for training jobs."""

from hiveguard_pipeline.exports.files import FORMATS
from hiveguard_pipeline.exports.labels import export_labels
from hiveguard_pipeline.exports.training import TrainingExport, write_training_export

__all__ = ["FORMATS", "TrainingExport", "export_labels", "write_training_export"]
