"""How the stages of a stream are divided among the processes that came."""

from __future__ import annotations

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


def test_stages_go_to_who_has_their_tasks() -> None:
    came = [Offer("a", 1, frozenset({0, 2}), 0), Offer("b", 2, frozenset({1}), 1)]
    assert make_plan(Wanted((1, 1, 1), None), came) is None
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
        assert len(plan.before(seat)) == 1 or len(twins) == 1 or seat.first == 0
        assert seat.lanes <= lanes[seat.first]
