"""Approvals: a page that asks for a decision, and the decision, by a link that is signed."""

from __future__ import annotations

import html
import json
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from engine.api.access import Approver, source_of
from engine.api.answers import LinkAnswer, moment
from engine.api.bodies import LinkOrder
from engine.api.service import Service, Serving
from engine.errors import EngineError, InvalidArgument, TaskAlreadyCompleted
from engine.runtime.approvals import WaitingTask, approval_link, describe_task, token_of_link
from engine.runtime.health import redis_errors
from engine.runtime.operators import acting

router = APIRouter(tags=["approvals"])

BY_LINK = "approval link"
REJECTED = "Rejected"
MOST_COMMENT = 2000
MOST_FIELDS = 10

_HEADERS = {
    "Cache-Control": "no-store",
    # A form of a page that gives no referrer is sent as if from nowhere: it would be refused.
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto;
  padding: 0 1rem; }}
pre {{ overflow: auto; padding: 1rem; border: 1px solid #8886; border-radius: .5rem; }}
textarea {{ width: 100%; box-sizing: border-box; font: inherit; padding: .5rem; }}
button {{ font: inherit; padding: .6rem 1.4rem; margin: 1rem .6rem 0 0; border-radius: .5rem;
  border: 1px solid #8888; cursor: pointer; }}
button[value=approve] {{ background: #14713d; color: #fff; border-color: #14713d; }}
</style></head><body><h1>{title}</h1>{body}</body></html>
"""

_FORM = """<p>Step <strong>{step}</strong> of execution <strong>{execution}</strong>,
flow <strong>{flow}</strong>, waits for a decision.</p>
<pre>{input}</pre>
<form method="post">
<label for="comment">Comment</label>
<textarea id="comment" name="comment" rows="3" maxlength="2000"></textarea>
<button name="decision" value="approve">Approve</button>
<button name="decision" value="reject">Reject</button>
</form>"""


@router.post("/v1/approvals", status_code=201)
def make_link(body: LinkOrder, request: Request, service: Serving, caller: Approver) -> LinkAnswer:
    """Makes a link to a page on which the task of a token is approved or rejected."""
    runtime = service.engine.runtime
    with redis_errors():
        link = approval_link(runtime, body.token, body.valid_s)
        until = runtime.store.clock.now_s() + body.valid_s
    base = service.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return LinkAnswer(url=f"{base}/approvals/{link}", valid_until=moment(until))


@router.get("/approvals/{link}", include_in_schema=False)
async def ask(link: str, request: Request, service: Serving) -> Response:
    """The page that asks. It changes nothing: mail programs open links by themselves."""
    service.buckets.take(source_of(request))
    try:
        token, task = await service.call(_task, service, link)
    except InvalidArgument as error:
        return _page("This link cannot be used", str(error), 404)
    if not task.waits:
        return _page("Decided", "This has been decided, or is not waited for any more.", 410)
    form = _FORM.format(
        step=html.escape(task.step_name),
        execution=html.escape(task.execution_name),
        flow=html.escape(task.flow_name),
        input=_shown(task, token),
    )
    return _html("A decision is needed", form, 200)


@router.post("/approvals/{link}", include_in_schema=False)
async def decide(link: str, request: Request, service: Serving) -> Response:
    """The decision, once."""
    source = source_of(request)
    service.buckets.take(source)
    given = _form(await request.body())
    decision, comment = given.get("decision"), given.get("comment", "")[:MOST_COMMENT].strip()
    if decision not in ("approve", "reject"):
        return _page("Nothing was decided", "Choose to approve or to reject.", 400)
    try:
        await service.call(_report, service, link, decision == "approve", comment, source)
    except TaskAlreadyCompleted:
        return _page("Decided", "This had been decided before.", 409)
    except InvalidArgument as error:
        return _page("This link cannot be used", str(error), 404)
    except EngineError as error:
        return _page("That did not work", str(error), error.http_status)
    done = "Approved" if decision == "approve" else "Rejected"
    return _page(done, "Thank you. You can close this page.", 200)


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(errors="replace"), max_num_fields=MOST_FIELDS))
    except ValueError:
        return {}


def _report(service: Service, link: str, approved: bool, comment: str, source: str) -> None:
    token, task = _task(service, link)
    engine = service.engine
    with acting(BY_LINK, source):
        if approved:
            engine.report_task_succeeded(token, {"approved": True, "comment": comment})
        else:
            engine.report_task_failed(token, REJECTED, comment)
        subject = f"{task.flow_name}/{task.execution_name}"
        detail = {"step": task.step_name, "approved": approved, "comment": comment}
        engine.audit.record("DecideTask", subject, detail)


def _task(service: Service, link: str) -> tuple[str, WaitingTask]:
    runtime = service.engine.runtime
    with redis_errors():
        token = token_of_link(runtime, link)
        return token, describe_task(runtime, token)


def _shown(task: WaitingTask, token: str) -> str:
    """The task's input without its token: whoever decides need not have it."""
    text = json.dumps(task.input, indent=2, ensure_ascii=False)
    return html.escape(text.replace(token, "***"))


def _page(title: str, text: str, status: int) -> Response:
    return _html(title, f"<p>{html.escape(text)}</p>", status)


def _html(title: str, body: str, status: int) -> Response:
    page = _PAGE.format(title=html.escape(title), body=body)
    return Response(page.encode(errors="replace"), status, _HEADERS, "text/html; charset=utf-8")
