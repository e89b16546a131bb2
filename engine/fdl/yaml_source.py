"""YAML 1.2 core, read into nodes that know their place in the file.

The document is built from parser events with a stack of its own: however deep or large the
text is, reading it ends in nodes or in problems, never in a traceback.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field

import yaml

from engine.fdl.model import Mark
from engine.fdl.problems import Report
from engine.fdl.yaml_node import Node
from engine.fdl.yaml_scalars import TAG_PREFIX, plain_value, shortened, tagged_value

MAX_DEPTH = 200
MAX_ALIASED_NODES = 100_000
"""What the aliases of one document may add up to, written out."""

_MERGE = "<<"
_REF = "!Ref"
_SURROGATE = re.compile("[\ud800-\udfff]")
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")


def read_yaml(text: str, report: Report) -> Node | None:
    """The single document of a text; None when there is none to work on (the report says why)."""
    text = _without_tabs(text)
    builder = _Builder(text, report)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            builder.add(event)
    except _TooMuch as stop:
        report.error(stop.mark, stop.code, str(stop))
        return None
    except yaml.MarkedYAMLError as error:
        report.error(_mark_of(error), "BAD_YAML", _sentence(error))
        return None
    except yaml.reader.ReaderError as error:
        mark = _mark_at(text, error.position)
        report.error(mark, "BAD_YAML", f"the character {error.character:#x} is not allowed here")
        return None
    except (ValueError, OverflowError, yaml.YAMLError) as error:
        # PyYAML lets the first two out of escapes and directives with absurd numbers.
        report.error(Mark(), "BAD_YAML", f"not readable: {error}")
        return None
    return builder.document()


def _without_tabs(text: str) -> str:
    # JSON may be indented with tabs, which PyYAML takes for an error. In JSON no text holds a
    # bare tab, so each can become a blank.
    if "\t" not in text or not text.lstrip().startswith("{"):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text.replace("\t", " ")


class _TooMuch(Exception):
    """Reading stops here: what follows cannot be read with a clear head."""

    def __init__(self, mark: Mark, code: str, text: str) -> None:
        self.mark = mark
        self.code = code
        super().__init__(text)


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet; `key` is set between a key and its value."""

    node: Node
    anchor: str | None
    key: Node | None = None
    merges: list[Node] = field(default_factory=list)


class _Builder:
    """Turns events into nodes."""

    def __init__(self, text: str, report: Report) -> None:
        self._text = text
        self._report = report
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._documents: list[Node] = []
        self._aliased = 0

    def document(self) -> Node | None:
        root = self._documents[0] if self._documents else None
        if root is None or (root.value is None and not root.raw):
            self._report.error(Mark(), "EMPTY_FILE", "the file holds no flow")
            return None
        return root

    def add(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent() if self._documents:
                raise _TooMuch(
                    _mark(event), "SEVERAL_DOCUMENTS",
                    "a second document begins here: a file holds one flow",
                )
            case yaml.AliasEvent():
                self._place(self._alias(event))
            case yaml.ScalarEvent():
                self._finish(self._scalar(event), event.anchor)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case _:
                pass  # the stream's and the documents' own starts and ends

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        mark = _mark(event)
        if len(self._stack) >= MAX_DEPTH:
            raise _TooMuch(mark, "TOO_DEEP", f"nested more than {MAX_DEPTH} levels deep")
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        node = Node({}, mark, entries={}) if is_mapping else Node([], mark, items=[])
        kind = "map" if is_mapping else "seq"
        if event.tag not in (None, "!", TAG_PREFIX + kind):
            self._unknown_tag(node, event.tag)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(node, event.anchor))

    def _close(self) -> None:
        closed = self._stack.pop()
        for merged in closed.merges:
            _merge(closed.node, merged)
        self._finish(closed.node, closed.anchor)

    def _finish(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        self._place(node)

    def _place(self, node: Node) -> None:
        if not self._stack:
            self._documents.append(node)
            return
        parent = self._stack[-1]
        parent.node.size += node.size
        if parent.node.items is not None:
            parent.node.items.append(node)
            parent.node.value.append(node.value)
        elif parent.key is None:
            parent.key = node
        else:
            self._enter(parent, parent.key, node)
            parent.key = None

    def _enter(self, parent: _Open, key: Node, node: Node) -> None:
        entries = parent.node.entries
        assert entries is not None
        if key.items is not None or key.entries is not None:
            self._report.error(key.mark, "BAD_KEY", "a key is a text, not a list or an object")
            return
        name = _key_text(key)
        if name == _MERGE and key.raw == _MERGE:
            self._add_merge(parent, node)
        elif name in entries:
            first = parent.node.key_marks[name].line
            self._report.error(
                key.mark, "DUPLICATE_KEY", f"the key '{name}' is there twice, first in line {first}"
            )
        else:
            entries[name] = node
            parent.node.value[name] = node.value
            parent.node.key_marks[name] = key.mark

    def _add_merge(self, parent: _Open, node: Node) -> None:
        sources = [node] if node.items is None else node.items
        if any(source.entries is None for source in sources):
            self._report.error(node.mark, "BAD_MERGE", "'<<' takes an object or a list of objects")
            return
        parent.merges.extend(sources)

    def _alias(self, event: yaml.AliasEvent) -> Node:
        mark, name = _mark(event), event.anchor
        if name not in self._anchors:
            raise _TooMuch(mark, "UNKNOWN_ALIAS", f"the alias *{name} has no anchor &{name} above")
        node = self._anchors[name]
        if node is None:
            raise _TooMuch(mark, "RECURSIVE_ALIAS", f"the alias *{name} is inside its own anchor")
        self._aliased += node.size
        if self._aliased > MAX_ALIASED_NODES:
            raise _TooMuch(
                mark, "TOO_MANY_ALIASES",
                f"the aliases written out are more than {MAX_ALIASED_NODES} nodes",
            )
        return node

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        raw, mark = self._text_of(event)
        text = _joined_surrogates(event.value)
        node = Node(text or "", mark, raw=raw, broken=text is None)
        if text is None:
            self._report.error(mark, "BAD_YAML", "half of a surrogate pair is no character")
        elif event.tag is None:
            node.value = plain_value(text) if event.implicit[0] else text
        elif event.tag == _REF:
            node.value = self._reference(node, text)
        elif event.tag != "!":
            self._resolve_tag(node, event.tag, text)
        self._check_number(node)
        return node

    def _check_number(self, node: Node) -> None:
        if isinstance(node.value, float) and not math.isfinite(node.value):
            node.broken = True
            text = f"'{shortened(node.raw)}' is no number of JSON: put it in quotes for a text"
            self._report.error(node.mark, "NOT_JSON", text)

    def _text_of(self, event: yaml.ScalarEvent) -> tuple[str, Mark]:
        """The scalar as it is written, behind its anchor and tag, and where that begins."""
        start, end, mark = event.start_mark, event.end_mark, _mark(event)
        assert start is not None and end is not None
        raw = self._text[start.index : end.index]
        if not event.anchor and not event.tag:
            return raw, mark
        own = raw[_PROPERTIES.match(raw).end() :]  # type: ignore[union-attr]  # matches ""
        on_one_line = "\n" not in raw[: len(raw) - len(own)]
        return own, Mark(mark.line, mark.column + len(raw) - len(own)) if on_one_line else mark

    def _resolve_tag(self, node: Node, tag: str, text: str) -> None:
        try:
            node.value = tagged_value(tag, text)
        except KeyError:
            self._unknown_tag(node, tag)
        except ValueError as error:
            node.broken = True
            self._report.error(node.mark, "BAD_TAG", str(error))

    def _reference(self, node: Node, name: str) -> str:
        service, _, function = name.strip().partition("/")
        if not service or (not function and "/" in name):
            node.broken = True
            text = "!Ref names a function: write !Ref service/function"
            self._report.error(node.mark, "BAD_REF", text)
        if function:
            return f"acs:fc:::services/{service}/functions/{function}"
        return f"acs:fc:::functions/{service}"

    def _unknown_tag(self, node: Node, tag: str) -> None:
        shown = tag.replace(TAG_PREFIX, "!!")
        node.broken = True
        text = f"the tag {shown} is not known: only !Ref service/function is"
        if tag == _REF:
            text = "!Ref stands before a name: write !Ref service/function"
        self._report.error(node.mark, "UNKNOWN_TAG", text)


def _joined_surrogates(text: str) -> str | None:
    """The text with pairs written as two escapes, as JSON does, joined; None: one has no other."""
    if _SURROGATE.search(text) is None:
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        return None


def _merge(node: Node, source: Node) -> None:
    assert node.entries is not None and source.entries is not None
    for name, part in source.entries.items():
        if name not in node.entries:
            node.entries[name] = part
            node.value[name] = part.value
            node.key_marks[name] = source.key_marks[name]


def _key_text(key: Node) -> str:
    # JSON has text keys only: `on`, `12:30` and `1` are keys as they are written.
    return key.value if isinstance(key.value, str) else key.raw.strip()


def _mark(event: yaml.Event) -> Mark:
    start = event.start_mark
    return Mark(start.line + 1, start.column + 1) if start else Mark()


def _mark_of(error: yaml.MarkedYAMLError) -> Mark:
    mark = error.problem_mark or error.context_mark
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark()


def _mark_at(text: str, index: int) -> Mark:
    before = text[:index]
    return Mark(before.count("\n") + 1, index - before.rfind("\n"))


def _sentence(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "not readable"
    if "'\\t'" in problem:
        return "a tab stands here: use spaces"
    return f"{problem} ({error.context})" if error.context else problem
