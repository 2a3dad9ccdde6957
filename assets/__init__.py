"""Software-defined assets of the HiveGuard code location.

Thin: an asset calls the library and turns what comes back into metadata. One module a concept.
"""
