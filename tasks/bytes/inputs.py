"""What the byte tasks take as input; null stands for the default."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel


class StageInput(BaseModel):
    """Base of a stage's input: keys in camel case; those that it does not know are left alone.

    By default a stage gets the whole input of its step, with the keys of its neighbours.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {key: value for key, value in values.items() if value is not None}
        return values
