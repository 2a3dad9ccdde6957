"""The rules against a plain reading of DESIGN section 2."""
