"""The language as a JSON Schema (2020-12), for editors, made from the parser's own shapes."""

from __future__ import annotations

from typing import Any

from engine.fdl.kinds import Kind
from engine.fdl.model import JsonObject
from engine.fdl.shapes import FLOW, PARTS, STEPS, Holds, Key, Part, Shape, Steps

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> JsonObject:
    """The schema of a flow file.

    It knows shapes and types; what takes more (a goto's target, a condition's grammar) only the
    parser checks.
    """
    definitions: JsonObject = {"step": _any_step()}
    definitions |= {f"{kind}Step": _object(shape) for kind, shape in STEPS.items()}
    definitions |= {name: _object(shape) for name, shape in PARTS.items()}
    return {
        "$schema": DIALECT,
        "title": "Flow Definition Language v1",
        **_object(FLOW),
        "$defs": definitions,
    }


def _any_step() -> JsonObject:
    # One condition per type, instead of anyOf: an editor then tells what is wrong with this type.
    cases = [
        {
            "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
            "then": {"$ref": f"#/$defs/{kind}Step"},
        }
        for kind in STEPS
    ]
    return {
        "type": "object",
        "required": ["type", "name"],
        "properties": {"type": {"enum": list(STEPS)}},
        "allOf": cases,
    }


def _object(shape: Shape) -> JsonObject:
    schema: JsonObject = {
        "type": "object",
        "title": shape.title,
        "properties": {name: _property(key) for name, key in shape.keys.items()},
        "additionalProperties": False,
    }
    if required := [name for name, key in shape.keys.items() if key.required]:
        schema["required"] = required
    if shape.one_of:
        schema["oneOf"] = [{"required": [name]} for name in shape.one_of]
    return schema


def _property(key: Key) -> JsonObject:
    return {**_held(key.holds), "description": key.about}


def _held(holds: Holds) -> JsonObject:
    match holds:
        case Kind():
            return holds.schema
        case Steps():
            return _list("step", holds.least)
        case Part() if holds.many:
            return _list(holds.shape, holds.least)
        case Part():
            return {"$ref": f"#/$defs/{holds.shape}"}


def _list(name: str, least: int) -> JsonObject:
    schema: dict[str, Any] = {"type": "array", "items": {"$ref": f"#/$defs/{name}"}}
    return {**schema, "minItems": least} if least else schema
