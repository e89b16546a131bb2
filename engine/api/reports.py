"""Reports over REST: how a task that waits for its token came out."""

from __future__ import annotations

from fastapi import APIRouter

from engine.api.access import Approver
from engine.api.bodies import Report
from engine.api.service import Serving
from engine.errors import InvalidArgument

router = APIRouter(prefix="/v1", tags=["reports"])


@router.post("/reports", status_code=204)
def report(body: Report, service: Serving, caller: Approver) -> None:
    """Ends the task of a token, once; with an output it has succeeded, with an error failed."""
    if (body.output is None) == (body.error is None):
        raise InvalidArgument("give either an output or an error")
    with caller.acting():
        if body.error is None:
            service.engine.report_task_succeeded(body.token, body.output)
        else:
            service.engine.report_task_failed(body.token, body.error, body.cause)
