"""How the stages of a stream are divided among the processes that came."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from workers.streaming.plan import Offer, Plan, Wanted, make_plan

ALL = frozenset(range(64))


def offers(count: int, able: frozenset[int] = ALL) -> list[Offer]:
    return [Offer(f"node{n}", n, able, n) for n in range(count)]


def parts(plan: Plan | None) -> list[tuple[int, int, int]]:
    assert plan is not None
    return [(seat.first, seat.stop, seat.ticket) for seat in plan.seats]


def test_one_process_runs_everything() -> None:
    plan = make_plan(Wanted((1, 1, 1, 1), None), offers(1))
    assert parts(plan) == [(0, 4, 0)]
    assert plan is not None and "no other slot was free" in plan.why


def test_two_processes_share_in_the_middle() -> None:
    assert parts(make_plan(Wanted((1, 1, 1, 1), None), offers(2))) == [(0, 2, 0), (2, 4, 1)]


def test_with_enough_processes_each_stage_has_its_own() -> None:
    plan = make_plan(Wanted((1, 1, 1), None), offers(3))
    assert parts(plan) == [(0, 1, 0), (1, 2, 1), (2, 3, 2)]


def test_fuse_keeps_everything_in_one_process() -> None:
    wanted = Wanted((1, 4, 1), fuse=True)
    assert wanted.most_seats == 1
    assert parts(make_plan(wanted, offers(3))) == [(0, 3, 0)]


def test_an_edge_that_carries_much_more_than_others_is_not_cut() -> None:
    wanted = Wanted((1, 1, 1, 1), None, carried=(324_000_000, 12_000_000, 12_000_000))
    assert wanted.most_seats == 3
    assert parts(make_plan(wanted, offers(4))) == [(0, 2, 0), (2, 3, 1), (3, 4, 2)]
    forced = Wanted((1, 1, 1, 1), False, carried=wanted.carried)
    assert [seat.first for seat in make_plan(forced, offers(4)).seats] == [0, 1, 2, 3]  # type: ignore[union-attr]


def test_who_is_left_over_takes_a_lane() -> None:
    plan = make_plan(Wanted((1, 3, 1), None), offers(5))
    assert plan is not None
    assert [(seat.first, seat.lane, seat.lanes) for seat in plan.seats] == [
        (0, 0, 1), (1, 0, 3), (1, 1, 3), (1, 2, 3), (2, 0, 1),
    ]  # fmt: skip


def test_several_slots_of_one_process_are_told_as_one_process() -> None:
    def why(*pids: int) -> str:
        came = [Offer("node", pid, ALL, n) for n, pid in enumerate(pids)]
        plan = make_plan(Wanted((1, 1, 1, 1), None), came)
        assert plan is not None
        return plan.why

    assert why(7, 7, 7, 7) == "in one process (4 slots): as many as came"
    assert why(7, 8, 7) == "in 2 processes (3 slots): as many as came"
    assert why(7, 8) == "in 2 processes: as many as came"


def test_the_outer_ends_have_one_process_each() -> None:
    wanted = Wanted((3, 2, 3), None)
    assert wanted.most_seats == 4
    plan = make_plan(wanted, offers(8))
    assert plan is not None
    assert [(seat.first, seat.lane, seat.lanes) for seat in plan.seats] == [
        (0, 0, 1), (1, 0, 2), (1, 1, 2), (2, 0, 1),
    ]  # fmt: skip
    assert Wanted((3,), None).most_seats == 1


def test_stages_go_to_who_has_their_tasks() -> None:
    came = [Offer("a", 1, frozenset({0, 2}), 0), Offer("b", 2, frozenset({1}), 1)]
    assert make_plan(Wanted((1, 1, 1, 1), None), came) is None
    plan = make_plan(Wanted((1, 1, 1), None), came)
    assert parts(plan) == [(0, 1, 0), (1, 2, 1), (2, 3, 0)]
    assert plan is not None and "in 2 processes" in plan.why
    came.append(Offer("c", 3, frozenset({2}), 2))
    assert parts(make_plan(Wanted((1, 1, 1), None), came)) == [(0, 1, 0), (1, 2, 1), (2, 3, 2)]


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=6),
    st.integers(1, 12),
    st.sampled_from([None, True, False]),
    st.data(),
)
def test_every_chunk_finds_its_way(
    lanes: list[int], came: int, fuse: bool | None, data: st.DataObject
) -> None:
    edges = len(lanes) - 1
    carried = data.draw(st.lists(st.integers(0, 10**9), min_size=edges, max_size=edges))
    plan = make_plan(Wanted(tuple(lanes), fuse, tuple(carried)), offers(came))
    assert plan is not None and Plan.of(plan.to_json()) == plan
    assert len({seat.ticket for seat in plan.seats}) == len(plan.seats) <= came
    covered = [position for seat in plan.seats if seat.lane == 0 for position in seat.stages]
    assert covered == list(range(len(lanes)))
    for seat in plan.seats:
        twins = [other for other in plan.seats if other.first == seat.first]
        assert [other.lane for other in twins] == list(range(seat.lanes))
        assert len(plan.before(seat)) == 1 or len(twins) == 1
        assert seat.lanes == 1 or 0 < seat.first < seat.stop < len(lanes)
        assert seat.lanes <= lanes[seat.first]


def test_a_plan_is_read_as_it_was_published() -> None:
    plan = make_plan(Wanted((1, 2, 1), False), offers(4))
    assert plan is not None
    plan = replace(plan, to_caller=True, memory="of one host")
    assert Plan.of(json.loads(json.dumps(plan.to_json()))) == plan


def test_chunks_go_through_redis_if_a_plan_knows_no_memory() -> None:
    plan = make_plan(Wanted((1, 1), False), offers(2))
    assert plan is not None and plan.via == "redis"
    assert replace(plan, memory="of one host").via == "memory"
    published = plan.to_json()
    del published["memory"]
    assert Plan.of(published).via == "redis"


def test_a_helper_is_read_as_it_has_offered_itself() -> None:
    offer = Offer("node", 7, frozenset({0, 2}), 3, "of one host")
    assert Offer.of(3, json.loads(json.dumps(offer.to_json()))) == offer
