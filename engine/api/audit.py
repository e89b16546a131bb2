"""The audit log over REST."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from engine.api.access import Admin
from engine.api.answers import AuditAnswer, AuditList, moment
from engine.api.pages import LISTED, Limit
from engine.api.service import Serving

router = APIRouter(prefix="/v1", tags=["audit"])


@router.get("/audit")
def read(
    service: Serving,
    caller: Admin,
    before: Annotated[str, Query(pattern=r"^([1-9]\d{0,17}-\d{1,18})?$")] = "",
    limit: Limit = LISTED,
) -> AuditList:
    """What people and programs did, newest first; `before`: the entries before that id."""
    found = service.engine.audit.read(before, limit)
    rows = [
        AuditAnswer(
            id=each.id,
            time=moment(each.time),
            action=each.action,
            subject=each.subject,
            by=each.by,
            source=each.source,
            detail=each.detail,
        )
        for each in found
    ]
    return AuditList(entries=rows, next_before=rows[-1].id if len(rows) == limit else None)
