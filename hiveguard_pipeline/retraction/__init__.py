"""A solver's votes taken out of a dataset and put back; the items they touched recounted."""
