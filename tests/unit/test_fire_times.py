"""Fire times: expressions, intervals, and the two nights a year on which clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidArgument
from engine.runtime.fire_times import Timetable, fires_between, latest_fires, timetable

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana"]
EXPRESSIONS = [
    "0 30 2 * * *",
    "0 0,30 1-3 * * *",
    "0 */20 * * * *",
    "*/30 * * * * *",
    "0 15 */6 * * *",
    "0 0 0 * * *",
    "30 59 23 L * *",
    "0 0 12 * * MON#1",
]


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def shown(table: Timetable, since: str, count: int, zone: str) -> list[str]:
    """The next fire times as the clocks of the zone show them, with their offset."""
    fires = islice(fires_between(table, at(since, zone), 4e9), count)
    return [
        datetime.fromtimestamp(fire, ZoneInfo(zone)).strftime("%m-%d %H:%M %z") for fire in fires
    ]


def test_seconds_stand_first() -> None:
    table = timetable("15 30 4 * * *", "UTC", 0)
    assert table.after(at("2026-11-20T04:30:15")) == at("2026-11-21T04:30:15")
    assert table.after(at("2026-11-20T04:30:14.999")) == at("2026-11-20T04:30:15")


def test_a_zone_may_stand_in_the_expression_or_beside_it() -> None:
    for table in (
        timetable("CRON_TZ=Asia/Shanghai 0 0 4 * * ?", "UTC", 0),
        timetable("0 0 4 ? * *", "Asia/Shanghai", 0),
    ):
        assert table.after(at("2026-11-19T21:00:00")) == at("2026-11-20T20:00:00")


def test_intervals_are_counted_from_their_beginning() -> None:
    table = timetable("@every 1h30m", "UTC", 1000)
    assert [table.after(moment) for moment in (0, 1000, 6399.5, 6400)] == [1000, 6400, 6400, 11800]


def test_a_time_that_the_clocks_leave_out_fires_as_soon_as_they_have_changed() -> None:
    table = timetable("0 30 2 * * *", "Europe/Berlin", 0)
    assert shown(table, "2026-03-28T12:00", 2, "Europe/Berlin") == [
        "03-29 03:00 +0200",
        "03-30 02:30 +0200",
    ]


def test_several_times_that_are_left_out_fire_once() -> None:
    table = timetable("0 0,20,40 2,3 * * *", "Europe/Berlin", 0)
    assert shown(table, "2026-03-29T00:00", 3, "Europe/Berlin") == [
        "03-29 03:00 +0200",
        "03-29 03:20 +0200",
        "03-29 03:40 +0200",
    ]


def test_a_time_that_the_clocks_show_twice_fires_the_first_time() -> None:
    table = timetable("0 30 2 * * *", "Europe/Berlin", 0)
    expected = ["10-25 02:30 +0200", "10-26 02:30 +0100"]
    assert shown(table, "2026-10-24T12:00", 2, "Europe/Berlin") == expected
    second = at("2026-10-25T00:10:00") + 3600  # the clocks show 02:10 again
    fire = table.after(second)
    assert fire == at("2026-10-26T02:30", "Europe/Berlin")


def test_even_steps_go_on_while_the_clocks_are_changed() -> None:
    table = timetable("0 */30 * * * *", "America/New_York", 0)
    for since in ("2026-03-08T00:10", "2026-11-01T00:10"):
        start = at(since, "America/New_York")
        fires = list(islice(fires_between(table, start, 4e9), 12))
        assert {later - sooner for sooner, later in zip(fires, fires[1:], strict=False)} == {1800}


def test_a_leap_day_is_found_years_ahead() -> None:
    table = timetable("0 0 3 29 2 *", "Europe/Berlin", 0)
    assert shown(table, "2026-03-01T00:00", 2, "Europe/Berlin") == [
        "02-29 03:00 +0100",
        "02-29 03:00 +0100",
    ]
    assert table.after(at("2026-03-01T00:00")) == at("2028-02-29T03:00", "Europe/Berlin")


@given(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(ZONES),
    st.integers(1_767_225_600, 1_893_456_000),
    st.integers(0, 3 * 86_400),
)
@settings(max_examples=150, deadline=None)
def test_fire_times_do_not_depend_on_where_one_begins_to_look(
    expression: str, zone: str, start: int, ahead: int
) -> None:
    table = timetable(expression, zone, 0)
    fires = list(islice(fires_between(table, start, start + 5 * 86_400), 500))
    assert fires == sorted(set(fires))
    later = [fire for fire in fires if fire > start + ahead][:20]
    until = later[-1] if later else start + ahead
    assert list(fires_between(table, start + ahead, until)) == later


@given(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(ZONES),
    st.sampled_from(["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-25", "2026-11-01"]),
    st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_the_latest_fire_times_are_the_last_of_all(
    expression: str, zone: str, day: str, count: int
) -> None:
    table = timetable(expression, zone, 0)
    start = at(f"{day}T00:00") - 3600
    end = start + 12 * 3600
    assert latest_fires(table, start, end, count) == list(fires_between(table, start, end))[-count:]


def test_the_latest_fire_times_of_years_are_found_at_once() -> None:
    table = timetable("* * * 1 1 *", "UTC", 0)
    end = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    assert latest_fires(table, 0, end, 2) == [
        at("2026-01-01T23:59:58"),
        at("2026-01-01T23:59:59"),
    ]
    assert latest_fires(table, end - 86_400, end, 2) == []


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("0 4 * * *", "did you mean '0 0 4 \\* \\* \\*'"),
        ("hourly", "has 1 fields"),
        ("", "has 0 fields"),
        ("61 0 4 * * *", "Bad second"),
        ("0 0 4 31 2 *", "31 2"),
        ("0 0 4 * * BLUEDAY", "Bad day-of-week"),
        ("@every", "write it like"),
        ("@every 0s", "from 1s"),
        ("@every 1.5s", "write it like"),
        ("@every 400d", "from 1s"),
        ("CRON_TZ=Mars/Olympus 0 0 4 * * *", "no time zone 'Mars/Olympus'"),
        ("CRON_TZ=../../etc/passwd 0 0 4 * * *", "no time zone"),
    ],
)
def test_what_is_no_timetable_is_refused(expression: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        timetable(expression, "UTC", 0)
