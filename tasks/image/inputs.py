"""What the image tasks take as input; an empty string or null stands for the default.

A flow hands all of them the same input: keys that a task does not know are left alone.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

Position: TypeAlias = Literal[
    "top-left",
    "top",
    "top-right",
    "left",
    "center",
    "right",
    "bottom-left",
    "bottom",
    "bottom-right",
    "tile",
]
MAX_TEXT = 2000


class ImageInput(BaseModel):
    """What the tasks' inputs have in common."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {key: value for key, value in values.items() if value not in ("", None)}
        return values


class SplitInput(ImageInput):
    """Input of image:split.

    Attributes:
        orientation: `keep` leaves the pixels as they are stored and EXIF's orientation with
            them, so that viewers turn the picture; `apply` turns the pixels, which needs all of
            them at once.
        page: Which picture of a file that holds several, from 0.
    """

    orientation: Literal["keep", "apply"] = "keep"
    page: int | None = Field(default=None, ge=0)


class CompressInput(ImageInput):
    """Input of image:compress.

    Attributes:
        quality: Of JPEG.
        subsampling: Of JPEG's colours; pictures without any (L, CMYK) have none.
        format: The file to make; None is the one that came in, see `default_format`.
        scale: Width and height are multiplied by it.
    """

    quality: int = Field(default=75, ge=1, le=95)
    subsampling: Literal["4:2:0", "4:2:2", "4:4:4"] = "4:2:0"
    format: Literal["jpeg", "png", "tiff"] | None = None
    scale: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _known_as(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(named := values.get("format"), str):
            lowered = named.lower()
            return values | {"format": {"jpg": "jpeg", "tif": "tiff"}.get(lowered, lowered)}
        return values


class WatermarkInput(ImageInput):
    """Input of image:watermark: a text or an overlay; with neither, nothing is drawn.

    Attributes:
        text: May have several lines.
        font: A font file in base64; "" is the worker's `PENSTOCK_IMAGE_FONT` or the built-in.
        font_size: In pixels of the picture; None is a twentieth of its shorter side, or less so
            that the text fits.
        color: A name, `#rrggbb` or another form that Pillow's ImageColor knows.
        image: An overlay in base64: PNG, JPEG or WebP, drawn with its alpha, as large as it is.
        opacity: 0 is not to be seen, 1 covers.
        position: Where, as the picture is looked at: EXIF's orientation counts.
        margin: Pixels to the nearest edges, or between tiles; None is a fiftieth of the
            shorter side, or less so that the mark fits, and a twelfth between tiles.
    """

    text: str = Field(default="", max_length=MAX_TEXT)
    font: str = ""
    font_size: float | None = Field(default=None, ge=4, le=4096)
    color: str = "white"
    image: str = ""
    opacity: float = Field(default=0.5, ge=0, le=1)
    position: Position = "bottom-right"
    margin: int | None = Field(default=None, ge=0)
