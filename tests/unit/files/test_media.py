"""Files of ours that a provider gets: what happens to an order if S3 fails, or if the file is gone."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.fakes.stage import Reply, Stage
from tests.fakes.upstream import Upstream
from understudy.access.keys import Limits
from understudy.errors import OutcomeUnknown, Reason, Refused
from understudy.files import uploads
from understudy.files.media import media_at
from understudy.files.uploads import Upload
from understudy.jobs import orders
from understudy.jobs.job import Job
from understudy.store import bucket, object_reader, table
from understudy.store.bucket import File

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x05\0\0\0\x02\xd0\x08\x02\0\0\0" + b"\0" * 50
DAY = 86_400
DATA = bytes(range(256)) * 4096  # 1 MiB, more than is read when it is opened
BUSY = ClientError({"Error": {"Code": "SlowDown", "Message": "busy"}}, "GetObject")
GONE = ClientError({"Error": {"Code": "NoSuchKey", "Message": "gone"}}, "GetObject")
LATE = ReadTimeoutError(endpoint_url="s3")


class FlakyS3:
    """An S3 with one object. Each download breaks after byte `good`, with the next error, until none is left."""

    def __init__(self, errors: list[Exception], good: int) -> None:
        self.errors, self.good, self.begun = errors, good, list[int]()

    def get_object(self, *, Range: str, **_: Any) -> dict[str, Any]:
        start = int(Range.removeprefix("bytes=").split("-")[0])
        self.begun.append(start)
        data = io.BytesIO(DATA)
        data.seek(start)
        if not self.errors:
            return {"Body": data}
        error = self.errors.pop(0)
        if start >= self.good:
            raise error

        def read(most: int) -> bytes:
            if data.tell() >= self.good:
                raise error
            return data.read(min(most, self.good - data.tell()))

        return {"Body": SimpleNamespace(read=read, close=data.close)}


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> Callable[..., FlakyS3]:
    def install(*errors: Exception, good: int = 0) -> FlakyS3:
        s3 = FlakyS3(list(errors), good)
        monkeypatch.setattr(object_reader, "s3", lambda: s3)
        return s3

    return install


def opened() -> Any:
    return media_at("media/a", filename="a.mp4", mime_type="video/mp4", byte_count=len(DATA)).open()


Flaky = Callable[..., FlakyS3]


class TestRead:
    @pytest.mark.parametrize("error", [BUSY, LATE])
    @pytest.mark.parametrize("good", [0, 100, 300_000])
    def test_a_download_that_breaks_goes_on_where_it_broke(self, flaky: Flaky, error: Exception, good: int) -> None:
        s3 = flaky(error, good=good)
        file = opened()
        file.seek(0, io.SEEK_END)
        file.seek(0)
        assert b"".join(iter(lambda: file.read(65_536), b"")) == DATA
        assert s3.begun == [0, good]

    @pytest.mark.parametrize(("error", "reason"), [(BUSY, "unavailable"), (LATE, "unavailable"), (GONE, "invalid")])
    def test_one_that_never_begins_is_refused(self, flaky: Flaky, error: Exception, reason: str) -> None:
        flaky(*[error] * 5)
        with pytest.raises(Refused) as refused:
            opened()
        assert refused.value.reason is Reason(reason)

    def test_one_that_breaks_for_good_while_it_is_sent(self, flaky: Flaky) -> None:
        """A part of the request is at the provider, and nobody knows what it makes of that."""
        flaky(*[BUSY] * 5, good=300_000)
        file = opened()
        assert file.read(65_536) == DATA[:65_536]
        with pytest.raises(OutcomeUnknown):
            list(iter(lambda: file.read(65_536), b""))

    def test_one_that_breaks_for_good_before_it_is_sent(self, flaky: Flaky) -> None:
        """Providers that want base64 get a request only when the whole file is read."""
        flaky(*[BUSY] * 5, good=300_000)
        with pytest.raises(Refused):
            opened().read()

    def test_one_that_ends_too_early(self, flaky: Flaky) -> None:
        flaky()
        media = media_at("media/a", filename="a.mp4", mime_type="video/mp4", byte_count=len(DATA) + 1).open()
        with pytest.raises(Refused):
            media.read()


def create_with_image(stage: Stage, model: str = "solo") -> Reply:
    form: list[tuple[str, Any]] = [("prompt", "x"), ("model", model), ("input_reference", ("a.png", PNG, "image/png"))]
    return stage.call("create_video", form=form)


def spent(stage: Stage) -> tuple[int, int]:
    month = time.strftime("%Y-%m", time.gmtime(stage.clock.now))
    row = table.get(table.budget_key(stage.caller.key_id, month)) or {}
    return row.get("committed", 0), row.get("spent", 0)


class TestOrder:
    @pytest.fixture(autouse=True)
    def key(self, stage: Stage) -> None:
        stage.sign_in("blue", limits=Limits(budget=10_000_000))

    def test_nothing_is_ordered_or_owed_if_the_file_cannot_be_read(
        self, stage: Stage, upstream: Upstream, flaky: Flaky
    ) -> None:
        flaky(*[BUSY] * 50)
        reply = create_with_image(stage)
        assert (reply.status, upstream.submits()) == (500, [])
        stage.later()
        assert (stage.listed(), spent(stage)) == ([], (0, 0))

    def test_an_order_that_waits_is_sent_when_the_file_can_be_read(
        self, stage: Stage, upstream: Upstream, flaky: Flaky
    ) -> None:
        stage.milliseconds = 5000
        assert create_with_image(stage).status == 200
        s3 = flaky(*[BUSY] * 6)
        upstream.instant = True
        stage.later()
        assert s3.errors == []
        assert len(upstream.submits()) == 1
        assert stage.listed()[0]["status"] == "completed"

    @pytest.mark.parametrize("milliseconds", [5000, 28_000], ids=["run_job sends it", "the call sends it"])
    def test_it_says_nothing_against_a_deployment(
        self, stage: Stage, upstream: Upstream, flaky: Flaky, milliseconds: int
    ) -> None:
        """No circuit opens, and the order is not given to one deployment after the other."""
        stage.milliseconds = milliseconds
        flaky(*[BUSY] * 3)
        create_with_image(stage, "sora-2")
        before = [job.deployment for job in Job.page("blue", limit=2, newest_first=True, after=None)]
        stage.run(4)
        assert list(table.each(table.Key(table.CIRCUIT, ""), "")) == []
        assert [job.deployment for job in Job.page("blue", limit=2, newest_first=True, after=None)] == before
        assert len(before) == (1 if milliseconds == 5000 else 0)

    @pytest.mark.parametrize("milliseconds", [5000, 28_000], ids=["run_job sends it", "the call sends it"])
    def test_nothing_is_owed_if_the_order_cannot_be_put_together(
        self, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, milliseconds: int
    ) -> None:
        """The table or S3 is away when the order is built."""

        def fail(*_: Any) -> Any:
            raise RuntimeError("the table is away")

        stage.milliseconds = milliseconds
        monkeypatch.setattr(orders, "_cast", fail)
        reply = stage.create(model="solo")
        assert reply.status == (200 if milliseconds == 5000 else 500)
        stage.later(6)
        errors = [job.error["code"] for job in Job.page("blue", limit=5, newest_first=True, after=None) if job.error]
        assert errors == (["internal_error"] if milliseconds == 5000 else [])
        assert (upstream.submits(), spent(stage)) == ([], (0, 0))


@pytest.mark.usefixtures("stage")
class TestUploads:
    def upload(self) -> Upload:
        made = uploads.new("blue", "image", "a.png", "image/png", 10)
        claimed = uploads.claim(made, None, 60)
        assert claimed
        uploads.finish(claimed, File(bucket.input_key("blue", made.id, "image.png"), "image/png", 10))
        found = uploads.find("blue", made.id)
        assert found
        return found

    def test_one_is_good_until_a_day_before_its_bytes_may_go(self, stage: Stage) -> None:
        upload = self.upload()
        stage.clock.advance((bucket.INPUT_DAYS - 1) * DAY - 60)
        assert uploads.usable(upload, "image", "image") == upload.file

    @pytest.mark.parametrize("days", [bucket.INPUT_DAYS - 1, bucket.INPUT_DAYS, 29])
    def test_an_older_one_is_refused(self, stage: Stage, upstream: Upstream, days: int) -> None:
        form = {"purpose": "image", "filename": "a.png", "bytes": 10, "mime_type": "image/png"}
        public_id = stage.call("create_upload", json_body=form).body["id"]
        row = next(table.each(table.upload_key("blue", ""), "upload#"))
        upload = uploads.find("blue", row["id"])
        assert upload
        claimed = uploads.claim(upload, None, 60)
        assert claimed
        uploads.finish(claimed, File(bucket.input_key("blue", upload.id, "image.png"), "image/png", 10))
        stage.clock.advance(days * DAY)
        reply = stage.create(model="solo", input_reference={"upload_id": public_id})
        assert (reply.status, reply.error["code"]) == (400, "upload_expired")
        assert upstream.heard == []
        assert stage.listed() == []
