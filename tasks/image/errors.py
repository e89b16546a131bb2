"""Image errors: the names under which flows see what is wrong with a picture."""

from __future__ import annotations

from tasks.errors import TaskError

INVALID_IMAGE = "InvalidImage"
IMAGE_TOO_LARGE = "ImageTooLarge"
UNSUPPORTED_IMAGE = "UnsupportedImage"
INVALID_BANDS = "InvalidBands"
INVALID_WATERMARK = "InvalidWatermark"
INVALID_SETTINGS = "InvalidSettings"


def invalid_image(cause: str) -> TaskError:
    """The bytes are no picture, or a broken one; its cause is made one line."""
    return TaskError(INVALID_IMAGE, " ".join(cause.split()))


def unsupported(cause: str) -> TaskError:
    """A picture, but of a kind that cannot be done; the cause names the way out."""
    return TaskError(UNSUPPORTED_IMAGE, cause)


def several_pages(pages: int) -> TaskError:
    """The file holds more than one picture, and nobody said which."""
    return unsupported(f"the file holds {pages} pictures: set page (0 is the first)")


def no_such_page(page: int) -> TaskError:
    """The file holds fewer pictures than that."""
    return unsupported(f"the file holds no picture of page {page}: leave page out, or lower it")


def too_large(cause: str) -> TaskError:
    """A picture beyond a limit; the cause names the limit."""
    return TaskError(IMAGE_TOO_LARGE, cause)


def invalid_bands(cause: str) -> TaskError:
    """What a stage reads is not what the stage before it should write: a fault of the flow."""
    return TaskError(INVALID_BANDS, cause)


def invalid_watermark(cause: str) -> TaskError:
    """The text or overlay cannot be drawn on this picture."""
    return TaskError(INVALID_WATERMARK, cause)
