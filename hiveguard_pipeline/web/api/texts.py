"""Texts of requests and answers: what all models share."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hiveguard_pipeline.rules.policy import decimal_text


class Strict(BaseModel):
    """What is given is of the type that is wanted, and nothing else is given."""

    model_config = ConfigDict(strict=True, extra="forbid")


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be stored")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is no character") from None
    return text


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[Text, Field(min_length=1, max_length=512)]
Reason = Annotated[Text, Field(min_length=1, max_length=10_000)]


def decimal(millionths: int | None) -> float | None:
    """A confidence as the shortest decimal."""
    return None if millionths is None else float(decimal_text(millionths))


def plain(value: Any) -> Any:
    """Rows of the store as JSON has them: confidences as decimals, ids as texts."""
    return {
        key: decimal(entry) if key.startswith("confidence") or key == "probability" else entry
        for key, entry in value.items()
    }
