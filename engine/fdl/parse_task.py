"""A task step of a flow file, into the model."""

from __future__ import annotations

from typing import Any

from engine.fdl.fields import Fields
from engine.fdl.model import TaskStep
from engine.fdl.parse_attempts import read_attempts
from engine.fdl.parse_mappings import read_service_params
from engine.fdl.problems import Report
from engine.fdl.resources import (
    CeleryResource,
    Resource,
    ResourceInvalid,
    resource_of_action,
    resource_of_arn,
)
from engine.fdl.step_names import Siblings, StepNames


def read_task(
    fields: Fields, common: dict[str, Any], siblings: Siblings, names: StepNames, report: Report
) -> TaskStep:
    """The task step of these fields; `common` is what all steps have."""
    _check_resource(fields, report)
    return TaskStep(
        **common,
        resource_arn=fields.get("resourceArn"),
        action=fields.get("action"),
        pattern=fields.get("pattern", "requestResponse"),
        service_params=read_service_params(fields, report),
        **read_attempts(fields, siblings, names, report),
    )


def read_resource(fields: Fields, report: Report) -> Resource | None:
    """What a resourceArn, or else an action, names; None: neither does, which is reported."""
    action: Resource | None = None
    try:
        if text := fields.get("action"):
            action = resource_of_action(text)
        return resource_of_arn(arn) if (arn := fields.get("resourceArn")) else action
    except ResourceInvalid as error:
        key = "resourceArn" if "resourceArn" in str(error) else "action"
        report.error(fields.mark_of(key), "BAD_RESOURCE", f"{fields.where}: {error}")
        return None


def _check_resource(fields: Fields, report: Report) -> None:
    resource = read_resource(fields, report)
    if isinstance(resource, CeleryResource) and "timeoutSeconds" not in fields.nodes:
        text = (
            f"{fields.where}: a celery: task needs timeoutSeconds: nothing else tells when its "
            "worker is lost"
        )
        report.error(fields.mark_of("resourceArn"), "MISSING_KEY", text)
