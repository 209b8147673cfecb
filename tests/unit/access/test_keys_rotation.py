"""The rotation of API keys, as operators do it."""

from __future__ import annotations

import pytest

from understudy.access import keys
from understudy.store import table


def test_a_revoked_key_gets_no_successor(aws_stack: None) -> None:
    _, caller = keys.mint("blue")
    keys.revoke(caller.key_id)
    with pytest.raises(ValueError, match="is revoked and gets no successor"):
        keys.rotate(caller.key_id)


def test_a_key_is_rotated_once(aws_stack: None) -> None:
    _, caller = keys.mint("blue", models=("solo",))
    _, successor = keys.rotate(caller.key_id)
    assert (successor.team, successor.models) == ("blue", caller.models)
    with pytest.raises(ValueError, match="is revoked"):
        keys.rotate(caller.key_id)


def test_an_unknown_key_has_no_successor(aws_stack: None) -> None:
    with pytest.raises(table.RowChanged):
        keys.rotate("nobody")
