"""Optional extras: the one place where their modules are imported, when first needed."""

from __future__ import annotations

import importlib
from typing import Any

from tasks.errors import MISSING_EXTRA, TaskError


def load_extra(module: str, extra: str, who: str) -> Any:
    """The module, imported.

    Args:
        module: Its full name.
        extra: The extra of the distribution that installs it.
        who: What needs it, as the error's subject: `this endpoint`, `bytes:zstd`.

    Raises:
        TaskError: `MissingExtra`, it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # What is missing inside of an installed extra is a fault of the installation.
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise TaskError(
            MISSING_EXTRA, f"{who} needs the extra {extra!r}: pip install 'penstock[{extra}]'"
        ) from error
