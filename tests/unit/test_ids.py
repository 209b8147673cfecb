from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy import ids
from understudy.errors import NotFound
from understudy.ids import IdCodec, Kind, ManagedId

KEY = b"k" * 32
CODEC = IdCodec(KEY)
ORDINARY = ManagedId(Kind.VIDEO, "019abcdef0120123456789abcdef", "openai", "openai-main", "video_68d7512d07848190b3e4")
TEXT = CODEC.encode(ORDINARY, team="blue")

texts = st.text(st.characters(exclude_categories=["Cs"]))
fitting = texts.filter(lambda text: len(text.encode()) <= ids.MAX_ORIGINAL_BYTES)
short = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def refused(text: str, *, kind: Kind = Kind.VIDEO, team: str = "blue", codec: IdCodec = CODEC) -> None:
    """Check that the id is refused with the answer that every refused id gets."""
    with pytest.raises(NotFound) as caught:
        codec.decode(text, kind, team=team)
    assert caught.value.envelope() == ids.not_found(kind).envelope()
    assert caught.value.headers == {}


def payload(text: str) -> bytes:
    encoded = text.partition("_")[2]
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def spelled(raw: bytes, kind: Kind = Kind.VIDEO) -> str:
    return f"{kind}_{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"


@given(kind=st.sampled_from(Kind), record=short, provider=short, model_id=short, original=fitting, team=texts)
def test_what_goes_in_comes_out(
    kind: Kind, record: str, provider: str, model_id: str, original: str, team: str
) -> None:
    managed = ManagedId(kind, record, provider, model_id, original)
    text = CODEC.encode(managed, team=team)
    assert CODEC.decode(text, kind, team=team) == managed
    assert set(text.partition("_")[2]) <= set(string.ascii_letters + string.digits + "-_")


@pytest.mark.parametrize("original", ["char;abc;123", "a/b+c==", "../..", "\0", "models/veo/operations/1", "😀", ""])
def test_originals_with_structure_stay_whole(original: str) -> None:
    managed = ManagedId(Kind.CHARACTER, "r", "p", "m;model_id:x", original)
    text = CODEC.encode(managed, team="blue")
    assert CODEC.decode(text, Kind.CHARACTER, team="blue") == managed


@given(st.text(min_size=ids.MAX_ORIGINAL_BYTES + 1, alphabet=st.characters(exclude_categories=["Cs"])))
def test_an_original_that_is_too_long_stays_in_the_row(original: str) -> None:
    text = CODEC.encode(ManagedId(Kind.VIDEO, "record", "vertex_ai", "m", original), team="blue")
    assert CODEC.decode(text, Kind.VIDEO, team="blue") == ManagedId(Kind.VIDEO, "record", "vertex_ai", "m", "")


def test_the_longest_original_is_kept() -> None:
    original = "é" * (ids.MAX_ORIGINAL_BYTES // 2)
    text = CODEC.encode(ManagedId(Kind.VIDEO, "r", "p", "m", original), team="blue")
    assert CODEC.decode(text, Kind.VIDEO, team="blue").original_id == original


@pytest.mark.parametrize("kind", Kind)
def test_ordinary_ids_are_under_200_characters(kind: Kind) -> None:
    longest_usual = ManagedId(
        kind, ORDINARY.record, "hosted_vllm", "a-deployment-with-a-long-name", "video_" + "0" * 32
    )
    assert len(CODEC.encode(longest_usual, team="a team")) < 200


def test_ids_are_stable() -> None:
    assert CODEC.encode(ORDINARY, team="blue") == TEXT


def test_every_changed_bit_is_noticed() -> None:
    raw = payload(TEXT)
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        refused(spelled(bytes(changed)))


def test_every_changed_character_is_noticed() -> None:
    alphabet = string.ascii_letters + string.digits + "-_+/= .%\0é"
    for at in range(len(TEXT)):
        for character in alphabet:
            if character != TEXT[at]:
                refused(TEXT[:at] + character + TEXT[at + 1 :])


def test_every_cut_and_every_addition_is_noticed() -> None:
    for end in range(len(TEXT)):
        refused(TEXT[:end])
    for more in ["A", "=", "==", "\n", " ", "%00", "\0", "-", "garbage", TEXT]:
        refused(TEXT + more)
        refused(more + TEXT)


@given(st.binary(max_size=200))
def test_no_forged_payload_is_believed(raw: bytes) -> None:
    refused(spelled(raw))


@given(texts)
def test_no_text_is_believed(text: str) -> None:
    refused(text)
    refused(f"video_{text}")


@pytest.mark.parametrize("size", [100, 101, 102])
def test_there_is_one_spelling(size: int) -> None:
    """Other spellings of the same bytes are refused.

    They are standard base64, padding, and other values in the unused bits of the last character.
    """
    managed = ManagedId(Kind.VIDEO, "r" * (size - ids.TAG_BYTES - ids.MAC_BYTES - 6), "", "", "")
    text = CODEC.encode(managed, team="blue")
    raw = payload(text)
    assert len(raw) == size
    assert CODEC.decode(text, Kind.VIDEO, team="blue") == managed
    others = [f"video_{base64.b64encode(raw).decode()}", text + "=" * (-size % 3 or 3), text.upper(), text.lower()]
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    others += [text[:-1] + character for character in alphabet]
    for other in others:
        if other != text:
            refused(other)


def test_an_id_of_another_team_or_kind_is_unknown() -> None:
    refused(TEXT, team="red")
    refused(TEXT, team="")
    refused(TEXT, kind=Kind.CHARACTER)
    refused(TEXT.replace("video_", "character_"), kind=Kind.CHARACTER)
    refused(TEXT.replace("video_", "upload_"), kind=Kind.UPLOAD)


def test_an_endless_id_is_not_decoded() -> None:
    long = ManagedId(Kind.VIDEO, "r" * 1200, "p", "m", "o")
    text = CODEC.encode(long, team="blue")
    assert len(text) > ids.MAX_LENGTH
    refused(text)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_an_unknown_version_is_refused_even_with_a_good_mac(version: int) -> None:
    body = bytes([version]) + payload(TEXT)[1 : -ids.MAC_BYTES]
    refused(spelled(body + ids._mac(KEY, Kind.VIDEO, body)))


def test_litellm_ids_are_not_ours() -> None:
    inner = base64.b64encode(b"litellm:custom_llm_provider:openai;model_id:m;character_id:char_1").decode()
    refused(f"character_{inner}", kind=Kind.CHARACTER)
    refused("char_abc123", kind=Kind.CHARACTER)
    refused("video_xyz789")


@pytest.mark.parametrize("tail", ["", ";deployment_id:abc", ";served_model:sora-2;deployment_id:abc"])
@pytest.mark.parametrize("padding", ["=", ""])
def test_what_litellm_wraps_around_one_of_ours_is_ours(tail: str, padding: str) -> None:
    wrapped = f"litellm:custom_llm_provider:openai;model_id:sora-2;video_id:{TEXT}{tail}".encode()
    text = "video_" + base64.b64encode(wrapped).decode().rstrip("=")
    text += padding * (-len(text.removeprefix("video_")) % 4)
    assert CODEC.decode(text, Kind.VIDEO, team="blue") == ORDINARY
    refused(text, team="red")
    refused(text.replace("video_", "character_"), kind=Kind.CHARACTER)
    forged = base64.b64encode(wrapped.replace(TEXT.encode(), TEXT[:-1].encode())).decode()
    refused(f"video_{forged}")


class TestRotation:
    """The MAC key is replaced, and ids live longer than keys."""

    def codec(self, current: bytes, *others: bytes) -> IdCodec:
        self.asked = 0

        def read() -> tuple[bytes, ...]:
            self.asked += 1
            return others

        return IdCodec(current, read)

    def test_ids_of_the_key_before_are_read(self) -> None:
        codec = self.codec(b"new", b"new", KEY)
        assert codec.decode(TEXT, Kind.VIDEO, team="blue") == ORDINARY

    def test_an_environment_from_before_the_rotation_reads_ids_of_the_new_key(self) -> None:
        text = IdCodec(b"new").encode(ORDINARY, team="blue")
        assert self.codec(KEY, b"new", KEY).decode(text, Kind.VIDEO, team="blue") == ORDINARY

    def test_ids_of_a_key_that_is_gone_are_unknown(self) -> None:
        refused(TEXT, codec=self.codec(b"newest", b"newest", b"newer"))

    def test_the_team_counts_for_old_ids_too(self) -> None:
        refused(TEXT, codec=self.codec(b"new", b"new", KEY), team="red")

    def test_the_other_keys_are_only_asked_for_when_needed(self) -> None:
        codec = self.codec(KEY, b"new")
        assert codec.decode(TEXT, Kind.VIDEO, team="blue") == ORDINARY
        assert self.asked == 0

    def test_two_keys_may_share_their_key_id(self) -> None:
        def key_id(key: bytes) -> int:
            return payload(IdCodec(key).encode(ORDINARY, team="blue"))[1]

        twin = next(key for key in (b"%d" % n for n in range(100_000)) if key_id(key) == key_id(KEY))
        assert self.codec(twin, twin, KEY).decode(TEXT, Kind.VIDEO, team="blue") == ORDINARY
