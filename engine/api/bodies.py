"""Bodies: what REST requests carry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from engine.api.depth import check_depth

JsonObject = Annotated[dict[str, Any], AfterValidator(check_depth)]
Text = Annotated[str, Field(max_length=4096)]
Name = Annotated[str, Field(min_length=1, max_length=128)]


Retention = Annotated[
    dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]],
    Field(description="How long executions are kept after their end: seconds by status."),
]


class Body(BaseModel):
    """A JSON object without unknown keys."""

    model_config = ConfigDict(extra="forbid")


class NewFlow(Body):
    """A flow to be deployed."""

    name: Name
    definition: str = Field(description="The flow in FDL v1, as YAML text.")
    description: Text = ""
    retention: Retention | None = None


class FlowChange(Body):
    """What of a flow changes; what is left out stays."""

    definition: str | None = None
    description: Text | None = None
    retention: Retention | None = None


class NewVersion(Body):
    """A version to be published of a flow as it is now."""

    description: Text = ""


class RouteBody(Body):
    """A share of an alias's starts."""

    version: int = Field(ge=1, le=10**9)
    weight: int = Field(100, ge=0, le=100)


class NewAlias(Body):
    """A name for one or two versions."""

    name: Name
    routing: list[RouteBody] = Field(min_length=1, max_length=2)
    description: Text = ""


class AliasChange(Body):
    """What of an alias changes; what is left out stays."""

    routing: Annotated[list[RouteBody], Field(min_length=1, max_length=2)] | None = None
    description: Text | None = None


class NewExecution(Body):
    """An execution to be started."""

    input: JsonObject = {}
    name: Name | None = Field(None, description="A running one of that name is answered as it is.")
    qualifier: Name | None = Field(None, description="A version's number, or an alias.")
    callback_token: Text | None = Field(None, description="A task token to report its end to.")


class StopOrder(Body):
    """Why an execution is stopped."""

    error: Text | None = None
    cause: Text | None = None


class Order(Body):
    """Why something is done."""

    reason: Text | None = None


class PauseOrder(Order):
    """How an execution is paused."""

    freeze_timers: bool = Field(False, description="Waits and time-outs stand still, too.")


class RedriveOrder(Order):
    """How an execution goes on."""

    from_step: Name | None = None
    definition: Literal["same", "latest"] = "same"
    items: Literal["failed", "all"] = "failed"


class SkipOrder(Order):
    """Which step is ended, and with what output."""

    step: Name
    output: JsonObject = {}
    frame: Annotated[str, Field(max_length=2000)] | None = None


class MapRunChange(Body):
    """How a running foreach is tuned; what is left out stays."""

    concurrency: int | None = Field(None, ge=1, le=10**6)
    tolerated_failed_count: int | None = Field(None, ge=0, le=10**9)
    tolerated_failed_percentage: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)


class Report(Body):
    """How a task that waits for its token came out: with an output, or with an error."""

    token: Annotated[str, Field(min_length=1, max_length=8192)]
    output: JsonObject | None = None
    error: Text | None = None
    cause: Text = ""


class LinkOrder(Body):
    """A link to be made for a task's token."""

    token: Annotated[str, Field(min_length=1, max_length=8192)]
    valid_s: float = Field(7 * 86_400.0, gt=0, le=366 * 86_400.0, allow_inf_nan=False)


class NewSchedule(Body):
    """A schedule of a flow."""

    name: Name
    cron: Text = Field(description="Six fields, seconds first, or `@every 10m`.")
    time_zone: Text | None = None
    payload: str | None = None
    enabled: bool | None = None
    description: Text | None = None
    catch_up: Literal["last", "skip", "all"] | None = None
    catch_up_limit: int | None = Field(None, ge=1, le=1000)
    overlap: Literal["allow", "skip", "stop-previous"] | None = None


class ScheduleChangeBody(Body):
    """What of a schedule changes; what is left out stays."""

    cron: Text | None = None
    time_zone: Text | None = None
    payload: str | None = None
    enabled: bool | None = None
    description: Text | None = None
    catch_up: Literal["last", "skip", "all"] | None = None
    catch_up_limit: int | None = Field(None, ge=1, le=1000)
    overlap: Literal["allow", "skip", "stop-previous"] | None = None


class BackfillOrder(Body):
    """A span of time whose fire times are started now; RFC 3339."""

    start: Text
    end: Text
