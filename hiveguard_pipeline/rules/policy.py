"""The settings that decide when a label is assigned, trusted or doubted (DESIGN section 2).

Six numbers make the documented rule. GRADUATION=adaptive lets the calibrated probability decide instead,
by three numbers of its own (rules/adaptive.py).

Shares and confidences are integers in millionths throughout, so that sums are exact and equal on
every engine: 850_000 is 0.85.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation

from hiveguard_pipeline.errors import BadInputError

ONE = 1_000_000
"""A confidence of 1.0, in millionths."""

DOCUMENTED = "documented"
ADAPTIVE = "adaptive"
GRADUATIONS = (DOCUMENTED, ADAPTIVE)
"""Rules by which an item graduates."""

_DECIMALS = 6
_LARGEST_COUNT = 1_000_000


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of a dataset; counts in votes, shares in millionths."""

    consensus_threshold: int = 3
    revalidation_min_total_votes: int = 15
    revalidation_exit_confidence: int = 850_000
    revalidation_confidence_threshold: int = 600_000
    revalidation_delta: int = 50_000
    revalidation_min_votes: int = 3
    graduation: str = DOCUMENTED
    adaptive_target_probability: int = 950_000
    adaptive_min_votes: int = 5
    adaptive_max_votes: int = 30

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if not 1 <= getattr(self, name) <= _LARGEST_COUNT:
                raise BadInputError(
                    f"{name.upper()} must be a whole number from 1 to {_LARGEST_COUNT:,},"
                    f" not {getattr(self, name)}"
                )
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= ONE:
                raise BadInputError(
                    f"{name.upper()} must lie between 0 and 1, not {decimal_text(getattr(self, name))}"
                )
        if self.revalidation_delta == 0:
            raise BadInputError(
                "REVALIDATION_DELTA must be above 0: with 0 no vote could change a confidence"
            )
        if self.revalidation_confidence_threshold >= self.revalidation_exit_confidence:
            raise BadInputError(
                "REVALIDATION_CONFIDENCE_THRESHOLD (the floor, "
                f"{decimal_text(self.revalidation_confidence_threshold)}) must be below "
                f"REVALIDATION_EXIT_CONFIDENCE ({decimal_text(self.revalidation_exit_confidence)})"
            )
        if self.graduation not in GRADUATIONS:
            raise BadInputError(f"GRADUATION must be {' or '.join(GRADUATIONS)}, not {self.graduation!r}")
        if self.adaptive_max_votes < self.adaptive_min_votes:
            raise BadInputError(
                f"ADAPTIVE_MAX_VOTES ({self.adaptive_max_votes}) must not be below ADAPTIVE_MIN_VOTES"
                f" ({self.adaptive_min_votes})"
            )

    @property
    def is_adaptive(self) -> bool:
        """Whether the calibrated probability decides when an item graduates."""
        return self.graduation == ADAPTIVE

    def replaced(self, settings: Mapping[str, object]) -> "Policy":
        """This policy with some settings changed; values as text or numbers, names in any case.

        Raises BadInputError for an unknown setting, a value that is no number or has more than six
        decimals, and for values that make no policy (floor >= exit, a count below 1).
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in settings.items():
            key = name.lower()
            if key not in values:
                raise BadInputError(f"{name!r} is not a setting; the settings are {', '.join(ALL_SETTINGS)}")
            if key in _SHARES:
                values[key] = millionths(name, value)
            else:
                values[key] = _count(name, value) if key in _COUNTS else str(value).strip().lower()
        return Policy(**values)

    def settings(self, *, whole: bool = False) -> dict[str, str]:
        """The settings as they are written: name in capitals, shortest decimal.

        The documented rule's six; the others too under adaptive graduation, where they differ from their
        defaults, or if the whole is asked for.
        """
        return {
            field.name.upper(): (
                decimal_text(getattr(self, field.name))
                if field.name in _SHARES
                else str(getattr(self, field.name))
            )
            for field in fields(self)
            if whole
            or self.is_adaptive
            or field.name.upper() in SETTINGS
            or getattr(self, field.name) != field.default
        }


_COUNTS = (
    "consensus_threshold",
    "revalidation_min_total_votes",
    "revalidation_min_votes",
    "adaptive_min_votes",
    "adaptive_max_votes",
)
_SHARES = (
    "revalidation_exit_confidence",
    "revalidation_confidence_threshold",
    "revalidation_delta",
    "adaptive_target_probability",
)
ALL_SETTINGS = tuple(field.name.upper() for field in fields(Policy))
SETTINGS = ALL_SETTINGS[:6]
"""The documented rule's."""


def decimal_text(millionths: int) -> str:
    """The shortest decimal with at least one digit after the point: 850_000 -> '0.85', 10**6 -> '1.0'."""
    whole, rest = divmod(millionths, ONE)
    return f"{whole}.{f'{rest:06d}'.rstrip('0') or '0'}"


def _decimal(name: str, value: object) -> Decimal:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite():
        raise BadInputError(f"{name} must be a number, not {value!r}")
    return number


def _count(name: str, value: object) -> int:
    number = _decimal(name, value)
    if abs(number) > _LARGEST_COUNT or number != int(number):
        raise BadInputError(f"{name} must be a whole number from 1 to {_LARGEST_COUNT:,}, not {value}")
    return int(number)


def millionths(name: str, value: object) -> int:
    """A share as text or number, in millionths; raises BadInputError, naming it, for what is none."""
    number = _decimal(name, value)
    if abs(number) > 1:
        raise BadInputError(f"{name} must lie between 0 and 1, not {value}")
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    written = "".join(map(str, digits)).rstrip("0")
    decimals = -exponent - (len(digits) - len(written))
    if written and decimals > _DECIMALS:
        raise BadInputError(f"{name} has more than six decimals: {value}")
    scaled: int = int(written or "0") * 10 ** (_DECIMALS - decimals if written else 0)
    return -scaled if sign else scaled
