"""What a conversion could not write: counts by code, each with its first example."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Loss:
    """One kind of loss. example: the first place, as a person finds it: file, item, annotation."""

    code: str
    count: int
    example: str


@dataclass(slots=True)
class Losses:
    """The losses of one conversion, by code."""

    by_code: dict[str, Loss] = field(default_factory=dict)

    def add(self, code: str, example: str, count: int = 1) -> None:
        """Count a loss; only the first example of a code is kept."""
        known = self.by_code.get(code)
        if known is None:
            self.by_code[code] = Loss(code, count, example)
        else:
            known.count += count

    def rows(self) -> list[Loss]:
        """All of them, in the order of their codes."""
        return [self.by_code[code] for code in sorted(self.by_code)]

    def __bool__(self) -> bool:
        return bool(self.by_code)
