"""The tests that only `make test-all` runs are single cells of a cross product, never a whole row or column."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any
from unittest.mock import Mock

from tests import rings
from tests.integration import fault_table, test_live_providers, test_pairs
from tests.lanes import BothEnds, Cost


def test_only_what_was_not_chosen_is_marked() -> None:
    first, second = rings.inner(["a", "b"], {"a"})
    assert first == "a"
    assert (second.values, [mark.name for mark in second.marks]) == (("b",), ["thorough"])


def test_the_ring_of_pairs_has_every_operation_of_every_target_and_every_source() -> None:
    ring, pairs = test_pairs.RING, test_pairs.PAIRS
    assert ring < set(pairs)
    assert {pair[::2] for pair in ring} == {pair[::2] for pair in pairs}
    assert {pair.source for pair in ring} == {pair.source for pair in pairs}


def test_the_ring_of_characters_has_one_and_two_at_every_target_and_every_source() -> None:
    ring, pairs = test_live_providers.RING, test_live_providers.PAIRS
    assert ring < set(pairs)
    assert {pair[1:] for pair in ring} == {pair[1:] for pair in pairs}
    assert {pair.source for pair in ring} == {pair.source for pair in pairs}


def test_the_ring_of_faults_has_every_fault_but_others_words_for_moderation() -> None:
    def faults(rows: list[fault_table.Row]) -> set[str]:
        return {row.fault for row in rows if not row.fault.startswith("moderation: ")}

    assert faults(fault_table.RING) == faults(fault_table.ROWS)
    kinds = {(row.server.findable, row.server.slow_files) for row in fault_table.ROWS}
    assert {(row.server.findable, row.server.slow_files) for row in fault_table.RING} == kinds


def test_the_first_worker_takes_files_from_the_front_and_the_others_from_the_end() -> None:
    tests = {name: {f"{name}.py::test": False} for name in ("a", "b", "c", "d")}
    scheduler: Any = BothEnds.__new__(BothEnds)
    scheduler.workqueue, scheduler.assigned_work = OrderedDict(tests), {}
    workers = [Mock(**{"gateway.id": f"gw{n}"}) for n in range(3)]
    scheduler.registered_collections = {worker: [*(next(iter(one)) for one in tests.values())] for worker in workers}
    for number in (0, 1, 2, 0):
        scheduler._assign_work_unit(workers[number])
    assert [[*scheduler.assigned_work[worker]] for worker in workers] == [["a", "b"], ["d"], ["c"]]


def test_what_runs_beside_each_other_shares_the_processors() -> None:
    cost = Cost()
    cost._over.set()
    cost._samples = [(0.0, 0.0), (1.0, 2.0), (2.0, 3.0)]
    cost._spans = [("unit", 0.0, 2.0), ("clients", 0.0, 1.0)]
    clock, work = cost._by_folder()
    assert (clock, work) == ({"unit": 2.0, "clients": 1.0}, {"unit": 2.0, "clients": 1.0})
