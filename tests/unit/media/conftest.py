from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from tests.unit.media.fake_s3 import BUCKET, FakeS3
from understudy_media.limits import Deadline
from understudy_media.storage import MediaStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def s3(tmp_path: Path) -> FakeS3:
    folder = tmp_path / "s3"
    folder.mkdir()
    return FakeS3(folder)


@pytest.fixture
def store(s3: FakeS3) -> MediaStore:
    # The fake has the calls that are used, and not the hundred others.
    return MediaStore(cast("S3Client", s3), BUCKET)


@pytest.fixture
def deadline() -> Deadline:
    return Deadline(60)
