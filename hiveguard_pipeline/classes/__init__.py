"""Classes of a dataset that change: added, renamed, merged, removed, by an explicit map and with a record."""

from hiveguard_pipeline.classes.changes import (
    ClassChange,
    add_classes,
    merge_classes,
    remove_class,
    rename_class,
)
from hiveguard_pipeline.classes.listed import ListedClass, list_classes

__all__ = [
    "ClassChange",
    "ListedClass",
    "add_classes",
    "list_classes",
    "merge_classes",
    "remove_class",
    "rename_class",
]
