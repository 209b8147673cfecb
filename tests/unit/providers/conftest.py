from __future__ import annotations

import pytest

from tests.fakes import account
from tests.fakes.account import Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return account.install(monkeypatch)
