from __future__ import annotations

import pytest

from tests.fakes.clock import Clock
from tests.fakes.edges import Edges
from tests.unit.test_ids import payload, spelled
from understudy.errors import NotFound, Reason, Refused
from understudy.ids import Kind, ManagedId
from understudy.settings import settings
from understudy.store import clients, secrets

pytestmark = pytest.mark.usefixtures("aws_stack")

VIDEO = ManagedId(Kind.VIDEO, "record", "openai", "one", "video_1")


class TestProviderKeys:
    def test_from_secrets_manager(self) -> None:
        assert secrets.provider_key("secretsmanager:understudy/a") == "key-a"

    def test_from_a_parameter(self) -> None:
        clients.ssm().put_parameter(Name="/understudy/p", Value=" key-p\n", Type="SecureString")
        assert secrets.provider_key("ssm:/understudy/p") == "key-p"

    @pytest.mark.parametrize("reference", ["secretsmanager:{stack}/a", "ssm:/{stack}/p"])
    def test_the_stack_in_a_reference_is_this_stack(self, reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "staging")
        settings.cache_clear()
        clients.secretsmanager().create_secret(Name="staging/a", SecretString="key-s")
        clients.ssm().put_parameter(Name="/staging/p", Value="key-s", Type="SecureString")
        assert secrets.provider_key(reference) == "key-s"

    def test_none_is_none(self) -> None:
        assert secrets.provider_key(None) is None

    def test_it_is_kept_for_a_while_and_read_afresh_on_demand(self) -> None:
        assert secrets.provider_key("secretsmanager:understudy/a") == "key-a"
        clients.secretsmanager().put_secret_value(SecretId="understudy/a", SecretString="new")
        assert secrets.provider_key("secretsmanager:understudy/a") == "key-a"
        assert secrets.provider_key("secretsmanager:understudy/a", fresh=True) == "new"
        assert secrets.provider_key("secretsmanager:understudy/a") == "new"

    @pytest.mark.parametrize("reference", ["secretsmanager:understudy/none", "ssm:/understudy/none"])
    def test_one_that_leads_nowhere_is_ours_to_fix_and_may_move(self, reference: str) -> None:
        with pytest.raises(Refused) as caught:
            secrets.provider_key(reference)
        assert caught.value.reason is Reason.CREDENTIALS
        assert caught.value.movable

    @pytest.mark.parametrize("value", [" ", "two\nlines", "naïve", "tab\there", "nul\0"])
    def test_one_that_cannot_be_sent_is_never_sent(self, value: str) -> None:
        clients.secretsmanager().put_secret_value(SecretId="understudy/a", SecretString=value)
        with pytest.raises(Refused) as caught:
            secrets.provider_key("secretsmanager:understudy/a")
        assert caught.value.reason is Reason.CREDENTIALS
        assert value not in caught.value.message or not value.strip()

    def test_nor_is_a_binary_one(self) -> None:
        clients.secretsmanager().create_secret(Name="understudy/binary", SecretBinary=b"key")
        with pytest.raises(Refused):
            secrets.provider_key("secretsmanager:understudy/binary")


class TestIdCodec:
    """The MAC key rotates in Secrets Manager while execution environments are running."""

    def rotate(self, key: str) -> None:
        clients.secretsmanager().put_secret_value(SecretId="ids", SecretString=key)

    def cold(self) -> None:
        from tests.unit.conftest import cold_start

        cold_start()

    def test_an_id_is_read_after_a_rotation_and_not_after_two(self) -> None:
        text = secrets.id_codec().encode(VIDEO, team="blue")
        self.rotate("n" * 64)
        self.cold()
        assert secrets.id_codec().decode(text, Kind.VIDEO, team="blue") == VIDEO
        self.rotate("o" * 64)
        self.cold()
        with pytest.raises(NotFound):
            secrets.id_codec().decode(text, Kind.VIDEO, team="blue")

    def test_a_warm_environment_reads_ids_of_the_new_key(self) -> None:
        warm = secrets.id_codec()
        self.rotate("n" * 64)
        self.cold()
        text = secrets.id_codec().encode(VIDEO, team="blue")
        assert warm.decode(text, Kind.VIDEO, team="blue") == VIDEO

    def test_forged_ids_cost_a_call_a_minute_at_most(self, edges: Edges, clock: Clock) -> None:
        codec = secrets.id_codec()
        raw = payload(codec.encode(VIDEO, team="blue"))
        edges.touched.clear()
        for minute in (1, 2):
            for last in range(100):
                with pytest.raises(NotFound):
                    codec.decode(spelled(raw[:-2] + bytes((last, minute))), Kind.VIDEO, team="blue")
            assert edges.touched == ["GetSecretValue"] * 2 * minute  # the current and the one before
            clock.advance(secrets.CACHE_SECONDS + 1)

    def test_a_good_id_costs_none(self, edges: Edges) -> None:
        codec = secrets.id_codec()
        text = codec.encode(VIDEO, team="blue")
        edges.touched.clear()
        codec.decode(text, Kind.VIDEO, team="blue")
        assert edges.touched == []

    def test_a_secret_that_was_never_rotated_has_one_version(self) -> None:
        with pytest.raises(NotFound):
            secrets.id_codec().decode("video_AAAA" + "A" * 60, Kind.VIDEO, team="blue")
