"""Metrics of the installation and of this process, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate

from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from engine.api.access import Viewer
from engine.api.service import Service, Serving
from engine.api.tally import BOUNDS_S, Tally
from engine.runtime.metrics import Family, Kind, Sample

router = APIRouter(tags=["health"])

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(service: Serving, caller: Viewer) -> PlainTextResponse:
    """All figures, in the text format of Prometheus."""
    families = [*service.engine.metrics().families, *_of_process(service)]
    return PlainTextResponse("".join(map(written, families)), media_type=MEDIA_TYPE)


def written(family: Family) -> str:
    """A metric with all its samples as text."""
    name = family.name
    lines = [f"# HELP {name} {family.about}", f"# TYPE {name} {family.kind}"]
    lines += [
        f"{name}{sample.suffix}{_labels(sample.labels)} {sample.value:.17g}"
        for sample in family.samples
    ]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _of_process(service: Service) -> Iterator[Family]:
    tally = service.tally
    yield Family(
        "penstock_api_answers_total",
        "counter",
        "Answers of this API process, by the class of their status.",
        tuple(Sample({"status": each}, count) for each, count in sorted(tally.answers.items())),
    )
    yield _times(tally)
    yield _one("streams_open", "gauge", "Streamed executions that are served now.",
               service.streams.taken)  # fmt: skip
    yield _one("followers", "gauge", "Requests that wait for an execution or follow one.",
               service.followers.taken)  # fmt: skip
    yield _one("streams_total", "counter", "Streamed executions that have been answered.",
               tally.streams)  # fmt: skip
    yield _one("stream_received_bytes_total", "counter", "Bytes that streaming clients have sent.",
               tally.stream_bytes_in)  # fmt: skip
    yield _one("stream_sent_bytes_total", "counter", "Bytes that streaming clients were sent.",
               tally.stream_bytes_out)  # fmt: skip


def _one(name: str, kind: Kind, about: str, value: float) -> Family:
    return Family(f"penstock_api_{name}", kind, about, (Sample({}, value),))


def _times(tally: Tally) -> Family:
    counts = accumulate(tally.times)
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    buckets = [
        Sample({"le": bound}, count, "_bucket") for bound, count in zip(bounds, counts, strict=True)
    ]
    return Family(
        "penstock_api_answer_seconds",
        "histogram",
        "Until the head of an answer was sent.",
        (
            *buckets,
            Sample({}, tally.seconds, "_sum"),
            Sample({}, sum(tally.times), "_count"),
        ),
    )
