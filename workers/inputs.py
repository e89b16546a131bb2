"""A task's input: its own to change, though large values are shared until they are read."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _collections_abc import dict_items, dict_values


class TaskInput(dict[str, Any]):
    """A dict that copies a value when it is first read.

    An item of a foreach may see the whole collection in its input; most tasks never look at it,
    and none of them must be able to change it for the others.
    """

    def __init__(self, shared: dict[str, Any]) -> None:
        super().__init__(shared)
        self._shared = {key for key, value in shared.items() if isinstance(value, dict | list)}

    def __getitem__(self, key: str) -> Any:
        """The value, copied at its first reading."""
        value = super().__getitem__(key)
        if key in self._shared:
            self._shared.discard(key)
            value = copy.deepcopy(value)
            super().__setitem__(key, value)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        """Sets a value of the task's own: it stays the same object."""
        self._shared.discard(key)
        super().__setitem__(key, value)

    def __iter__(self) -> Iterator[str]:
        """The keys. Defined here so that `{**input}` and `dict(input)` read values through us."""
        return super().__iter__()

    def get(self, key: str, default: Any = None) -> Any:
        """As a dict's."""
        return self[key] if key in self else default

    def pop(self, key: str, *default: Any) -> Any:
        """As a dict's."""
        if key in self:
            value = self[key]
            super().__delitem__(key)
            return value
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """As a dict's."""
        if not self:
            return super().popitem()
        key = next(reversed(self))
        return key, self.pop(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As a dict's."""
        if key not in self:
            self[key] = default
        return self[key]

    def items(self) -> dict_items[str, Any]:
        """As a dict's; copies everything."""
        self._own_all()
        return super().items()

    def values(self) -> dict_values[str, Any]:
        """As a dict's; copies everything."""
        self._own_all()
        return super().values()

    def copy(self) -> dict[str, Any]:
        """A plain dict."""
        return dict(self.items())

    def _own_all(self) -> None:
        for key in tuple(self._shared):
            self[key]
