"""What models see of items: n-grams of texts, pixels of images, or vectors that users supply.

Nothing is downloaded and nothing is learnt here: the features of an item hang on the item alone.
"""

from hiveguard_pipeline.learning.features.described import source_of
from hiveguard_pipeline.learning.features.source import Features, FeatureSource, Items

__all__ = ["FeatureSource", "Features", "Items", "source_of"]
