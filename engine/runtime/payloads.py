"""Large values travel as references: stored once per execution, by content, in pages."""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any

from engine.errors import EntityTooLarge

REFERENCE = "\u0000payload"
"""The only key of a JSON object that stands for a stored value."""

VALUE_LIMIT_BYTES = 4096
"""A single value above this is stored by itself: written once however often it travels."""

PAGE_BYTES = 256 * 1024
CACHE_BYTES = 64 * 1024 * 1024

MOST_REMEMBERED = 1000
"""Executions, and values of one, that a process knows to be stored; others are stored once more."""

SMALL = 1024
"""Characters, roughly, of an object that is written as it is, without a look at its parts."""

_CHEAP = frozenset({bool, int, float, type(None)})
_MARK = '"\\u0000payload"'
_STORED_SIZE = re.compile(re.escape(_MARK) + r':"[0-9a-f]{40}\.([0-9]+)"')
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def dumps(value: Any) -> str:
    """Compact JSON.

    Raises:
        ValueError: NaN, an infinity, a text with half a surrogate pair, or nested too deeply.
        TypeError: what JSON has not.
    """
    try:
        text = _encode(value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not text.isascii():
        text.encode()
    return text


class PayloadCache:
    """Large values of this process, by content: shared by all who read them, so never mutated.

    It also knows the reference of a value that it holds, so that packing the same object again
    costs nothing.
    """

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._values: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._names: dict[int, str] = {}

    def get(self, name: str) -> Any | None:
        """The value of that name, or None."""
        entry = self._values.get(name)
        if entry is None:
            return None
        self._values.move_to_end(name)
        return entry[0]

    def name_of(self, value: Any) -> str | None:
        """The name of this very object, if it is held."""
        return self._names.get(id(value))

    def put(self, name: str, value: Any, size: int) -> None:
        """Holds a value; the least used ones go when it gets too full."""
        if name in self._values:
            return
        self._values[name] = (value, size)
        self._names[id(value)] = name
        self._size += size
        while self._size > self._limit and len(self._values) > 1:
            _, (old, old_size) = self._values.popitem(last=False)
            self._names.pop(id(old), None)
            self._size -= old_size


class Packer:
    """Turns JSON objects of one execution into short texts and back.

    `save(execution_id, field, page)` stores a page, `load(execution_id, fields)` reads pages.
    """

    def __init__(
        self,
        save: Callable[[str, str, str], None],
        load: Callable[[str, list[str]], list[str | None]],
        inline_limit: int = 64 * 1024,
        limit: int = 16 * 1024 * 1024,
    ) -> None:
        self._save = save
        self._load = load
        self._limit = limit
        self._inline_limit = inline_limit
        self._cache = PayloadCache()
        self._saved: OrderedDict[str, set[str]] = OrderedDict()

    def pack(self, execution_id: str, value: dict[str, Any]) -> str:
        """JSON text of an object, large values as references; stores what is not stored yet."""
        if (text := _small_text(value)) is not None:
            return text
        parts = [f"{dumps(str(k))}:{self._part(execution_id, v)}" for k, v in value.items()]
        text = "{" + ",".join(parts) + "}"
        if len(text) > self._inline_limit or REFERENCE in value:
            return self._reference(execution_id, value, dumps(value))
        return text

    def pack_detail(self, execution_id: str, detail: dict[str, Any]) -> str:
        """JSON text of an object whose values may be inputs and outputs, each packed by itself.

        Raises:
            EntityTooLarge: one of them is over the hard limit.
        """
        if (text := _small_text(detail)) is not None:
            return text
        parts = []
        for key, value in detail.items():
            pack = self.pack if isinstance(value, dict) else self._part
            packed = pack(execution_id, value)
            self._check_size(key, packed)
            parts.append(f"{dumps(key)}:{packed}")
        return "{" + ",".join(parts) + "}"

    def _check_size(self, what: str, packed: str) -> None:
        size = len(packed) + sum(int(stored) for stored in _STORED_SIZE.findall(packed))
        if size > self._limit:
            raise EntityTooLarge(
                f"{what} has about {size} bytes; the limit is {self._limit} "
                "(PENSTOCK_PAYLOAD_LIMIT_BYTES)"
            )

    def unpack_detail(self, execution_id: str, text: str) -> dict[str, Any]:
        """The object of a text that `pack_detail` made."""
        detail = json.loads(text)
        return {key: self.resolve(execution_id, value) for key, value in detail.items()}

    def _part(self, execution_id: str, value: Any) -> str:
        if type(value) in _CHEAP:
            return dumps(value)
        name = self._cache.name_of(value)
        if name is not None and self._is_saved(execution_id, name):
            return _reference_to(name)
        text = dumps(value)
        if len(text) > VALUE_LIMIT_BYTES or (isinstance(value, dict) and REFERENCE in value):
            return self._reference(execution_id, value, text)
        return text

    def _reference(self, execution_id: str, value: Any, text: str) -> str:
        data = text.encode()
        name = f"{hashlib.sha256(data).hexdigest()[:40]}.{len(text)}"
        if not self._is_saved(execution_id, name):
            for page in range(_pages(name)):
                part = text[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]
                self._save(execution_id, f"{name}.{page}", part)
            self._remember(execution_id, name)
        self._cache.put(name, value, len(data))
        return _reference_to(name)

    def forget(self, execution_id: str) -> None:
        """Takes nothing for stored: the name may have been another execution's, which is gone."""
        self._saved.pop(execution_id, None)

    def _is_saved(self, execution_id: str, name: str) -> bool:
        return name in self._saved.get(execution_id, ())

    def _remember(self, execution_id: str, name: str) -> None:
        names = self._saved.setdefault(execution_id, set())
        if len(names) > MOST_REMEMBERED:
            names.clear()
        names.add(name)
        if len(self._saved) > MOST_REMEMBERED:
            self._saved.popitem(last=False)

    def unpack(self, execution_id: str, text: str) -> dict[str, Any]:
        """The object of a packed text. Large values are shared: do not mutate them."""
        value: dict[str, Any] = self.resolve(execution_id, json.loads(text))
        return value

    def resolve(self, execution_id: str, value: Any) -> Any:
        """Puts stored values in place of references, in an object and its direct values."""
        if not isinstance(value, dict):
            return value
        if _is_reference(value):
            return self._fetch(execution_id, value[REFERENCE])
        for key, item in value.items():
            if isinstance(item, dict) and _is_reference(item):
                value[key] = self._fetch(execution_id, item[REFERENCE])
        return value

    def _fetch(self, execution_id: str, name: str) -> Any:
        held = self._cache.get(name)
        if held is None:
            fields = [f"{name}.{page}" for page in range(_pages(name))]
            # One at a time: no reply grows with the value.
            read = (self._load(execution_id, [field])[0] for field in fields)
            pages = [page for page in read if page is not None]
            if len(pages) != len(fields):
                raise LookupError(f"{execution_id}: the stored value {name} is not complete")
            text = "".join(pages)
            held = json.loads(text)
            self._cache.put(name, held, len(text))
        self._remember(execution_id, name)
        return held


def _pages(name: str) -> int:
    """How many pages a stored value has: its name ends in its length."""
    return -(-int(name.rpartition(".")[2]) // PAGE_BYTES)


def _is_reference(value: dict[str, Any]) -> bool:
    """False for an object of somebody's that has such a key among others."""
    return len(value) == 1 and REFERENCE in value


def _reference_to(name: str) -> str:
    return f'{{{_MARK}:"{name}"}}'


def _small_text(value: dict[str, Any]) -> str | None:
    """The text of an object that is small, whatever is in it; None: its parts decide."""
    if not value:
        return "{}"
    if _room_after(value, SMALL) < 0:
        return None
    text = dumps(value)
    return None if _MARK in text else text


def _room_after(value: Any, room: int) -> int:
    """What is left of some room, in characters, beside a value: negative if it is too large.

    A look at a large value costs no more than one at a small one.
    """
    kind = type(value)
    if kind in _CHEAP:
        return room
    if kind is str:
        return room - len(value)
    if kind is dict:
        return _room_after_all(value.values(), _room_after_all(value, room))
    return _room_after_all(value, room) if kind is list else -1


def _room_after_all(values: Collection[Any], room: int) -> int:
    room -= 4 * len(values)
    for value in values:
        if room < 0:
            break
        room = _room_after(value, room)
    return room
