"""Image settings: the environment of a worker, read here and nowhere else."""

from __future__ import annotations

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.errors import TaskError
from tasks.image.errors import INVALID_SETTINGS

PREFIX = "PENSTOCK_IMAGE_"


class ImageSettings(BaseSettings):
    """`PENSTOCK_IMAGE_*` of the environment.

    Attributes:
        max_pixels: A picture whose header declares more is refused before any is decoded.
        font: A TrueType or OpenType file for watermarks; "" is the built-in font (ASCII only).
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    max_pixels: int = Field(default=500_000_000, ge=1)
    font: str = ""

    @classmethod
    def from_environment(cls) -> ImageSettings:
        """The settings as the environment has them now.

        Raises:
            TaskError: `InvalidSettings`, naming the variable.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = PREFIX + str(first["loc"][0]).upper()
            raise TaskError(INVALID_SETTINGS, f"{name}: {first['msg']}") from error
