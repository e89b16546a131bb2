"""bytes:text: writes a text of the flow as bytes."""

from __future__ import annotations

from pydantic import Field

from tasks.bytes.inputs import StageInput
from tasks.chunk import CHUNK_BYTES
from tasks.context import TaskContext
from tasks.registry import task


class TextInput(StageInput):
    """Input of bytes:text. `chunk_bytes`: length of the chunks; one may end inside a character."""

    text: str
    chunk_bytes: int = Field(default=CHUNK_BYTES, ge=1, le=16 * 1024 * 1024)


@task("bytes:text", stream=True)
def text(input: TextInput, ctx: TaskContext) -> dict[str, int]:
    """Writes `text` as UTF-8; it reads nothing, so it stands first.

    Returns:
        How many `bytes` it wrote.
    """
    # Half of a surrogate pair has no UTF-8; JSON can carry one all the same.
    data = memoryview(input.text.encode("utf-8", "replace"))
    for start in range(0, len(data), input.chunk_bytes):
        ctx.write(data[start : start + input.chunk_bytes])
    return {"bytes": len(data)}
