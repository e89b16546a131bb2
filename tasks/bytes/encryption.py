"""bytes:encrypt and bytes:decrypt: the sealed form, with a key from the worker's environment."""

from __future__ import annotations

import json

from tasks.bytes.inputs import StageInput
from tasks.bytes.keys import key_of
from tasks.bytes.rechunker import Rechunker
from tasks.bytes.sealing import FRAME_BYTES, LastKnown, new_seal, seal_of, split_header
from tasks.bytes.sizes import Sizes
from tasks.context import TaskContext
from tasks.registry import task


class KeyInput(StageInput):
    """Input of both: the environment variable that has the key; see `tasks.bytes.keys`."""

    key_variable: str


@task("bytes:encrypt", stream=True)
def encrypt(input: KeyInput, ctx: TaskContext) -> dict[str, int]:
    """Encrypts; see `tasks.bytes.sealing` for the form and for what it withstands.

    Returns:
        `bytesIn` and `bytesOut`.

    Raises:
        TaskError: `MissingKey`, `InvalidKey`, `FC.InvalidArgument`, `MissingExtra`.
    """
    sizes, seal = Sizes(ctx), new_seal(key_of(input.key_variable), _label(ctx))
    sizes.write(seal.header)
    frames = LastKnown(lambda data, last: sizes.write(seal.seal(data, last)))
    cut = Rechunker(frames.add, FRAME_BYTES)
    for chunk in sizes.read():
        cut.add(chunk)
    cut.end()
    frames.end()
    return sizes.result()


@task("bytes:decrypt", stream=True)
def decrypt(input: KeyInput, ctx: TaskContext) -> dict[str, int]:
    """Decrypts what `bytes:encrypt` has written.

    Each frame is written once it is known to be genuine; that none is missing is only known at
    the end. So what follows must not count on its input before this task has succeeded.

    Returns:
        `bytesIn` and `bytesOut`.

    Raises:
        TaskError: `InvalidData`, it was changed, is not whole, or has another key; and those of
            `bytes:encrypt`.
    """
    sizes, key = Sizes(ctx), key_of(input.key_variable)
    chunks = sizes.read()
    header, rest = split_header(chunks)
    seal, frame_bytes = seal_of(header, key)
    output = Rechunker(sizes.write)
    frames = LastKnown(lambda frame, last: output.add(seal.open(frame, last)))
    cut = Rechunker(frames.add, frame_bytes)
    cut.add(rest)
    for chunk in chunks:
        cut.add(chunk)
    cut.end()
    frames.end()
    output.end()
    return sizes.result()


def _label(ctx: TaskContext) -> bytes:
    """What is the same each time this stage has to write the same bytes again.

    Outside of an execution there is nothing to repeat.
    """
    if not ctx.idempotency_key:
        return b""
    names = (ctx.flow, ctx.execution, ctx.frame, ctx.step, ctx.idempotency_key)
    return json.dumps(names).encode()
