"""A task step of a flow file, into the model."""

from __future__ import annotations

from typing import Any

from engine.fdl.fields import Fields, read_fields
from engine.fdl.model import Catcher, RetryPolicy, TaskStep
from engine.fdl.parse_mappings import read_mappings, read_service_params
from engine.fdl.parts import read_parts
from engine.fdl.problems import Report
from engine.fdl.resources import (
    CeleryResource,
    ResourceInvalid,
    resource_of_action,
    resource_of_arn,
)
from engine.fdl.shapes import PARTS
from engine.fdl.step_names import Siblings, StepNames
from engine.fdl.yaml_node import Node

_RETRY_FIELDS = {
    "errors": "errors",
    "interval_s": "intervalSeconds",
    "max_interval_s": "maxIntervalSeconds",
    "max_attempts": "maxAttempts",
    "multiplier": "multiplier",
    "jitter": "jitter",
}


def read_task(
    fields: Fields, common: dict[str, Any], siblings: Siblings, names: StepNames, report: Report
) -> TaskStep:
    """The task step of these fields; `common` is what all steps have."""
    _check_resource(fields, report)
    step = TaskStep(
        **common,
        resource_arn=fields.get("resourceArn"),
        action=fields.get("action"),
        pattern=fields.get("pattern", "requestResponse"),
        timeout_s=fields.get("timeoutSeconds"),
        service_params=read_service_params(fields, report),
        error_mappings=read_mappings(fields, "errorMappings", report),
        retry=_retry(fields, report),
        catch=_catch(fields, siblings, names, report),
    )
    if step.error_mappings and not step.catch:
        text = f"{fields.where}: errorMappings have no effect without catch"
        report.warning(fields.mark_of("errorMappings"), "NO_CATCH", text)
    return step


def _check_resource(fields: Fields, report: Report) -> None:
    try:
        if action := fields.get("action"):
            resource_of_action(action)
        resource = resource_of_arn(arn) if (arn := fields.get("resourceArn")) else None
    except ResourceInvalid as error:
        key = "resourceArn" if "resourceArn" in str(error) else "action"
        report.error(fields.mark_of(key), "BAD_RESOURCE", f"{fields.where}: {error}")
        return
    if isinstance(resource, CeleryResource) and "timeoutSeconds" not in fields.nodes:
        text = (
            f"{fields.where}: a celery: task needs timeoutSeconds: nothing else tells when its "
            "worker is lost"
        )
        report.error(fields.mark_of("resourceArn"), "MISSING_KEY", text)


def _retry(fields: Fields, report: Report) -> tuple[RetryPolicy, ...]:
    return tuple(
        _policy(node, f"{fields.where}: retry {position}", report)
        for position, node in enumerate(read_parts(fields, "retry", report), start=1)
    )


def _policy(node: Node, where: str, report: Report) -> RetryPolicy:
    fields = read_fields(PARTS["retry"], node, where, report)
    given = {
        name: fields.values[key] for name, key in _RETRY_FIELDS.items() if key in fields.values
    }
    return RetryPolicy(**{"errors": (), **given})


def _catch(
    fields: Fields, siblings: Siblings, names: StepNames, report: Report
) -> tuple[Catcher, ...]:
    catchers = []
    for position, node in enumerate(read_parts(fields, "catch", report), start=1):
        item = read_fields(PARTS["catch"], node, f"{fields.where}: catch {position}", report)
        goto = item.get("goto")
        if goto is not None:
            names.check_goto(goto, item.mark_of("goto"), fields.where, siblings, report)
        catchers.append(Catcher(item.get("errors", ()), goto or "", node.mark))
    return tuple(catchers)
