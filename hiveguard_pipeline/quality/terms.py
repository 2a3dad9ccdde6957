"""The numbers and words that quality is judged by, for those who name them and measure nothing.

The code location reads them in every process; what measures is imported where it is used.
"""

LEAST_KAPPA = 0.7
"""Fleiss' kappa under which people do not agree well enough."""

MEASURES = {
    "consensus": "agrees with the others' consensus less than most do on the same items",
    "gold": "is right on gold items less often than most",
    "one_class": "gives one class more often than the others do on the same items",
    "streak": "gives one answer in a run too long for chance",
    "speed": "answers faster than people differ",
    "copying": "gives another solver's answers",
}
"""The reasons for which a solver is flagged, by name."""

FOR_CLASSES = "coefficients, models of solvers and probabilities are for answers that are one class of a list"
"""Why something is not measured where answers are structured."""
