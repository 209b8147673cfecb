"""AWS's image is preferred to the stand-in, and the stand-in is built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.lambda_ import debian, docker, image


class Docker:
    """Records the commands; `label` is the label of the existing image, or None if there is no image."""

    def __init__(self, label: str | None, *, registry: bool = False) -> None:
        self.label, self.registry = label, registry
        self.given: list[str] = []

    def run(self, *arguments: str, stdin: object = None) -> str:
        self.given.append(arguments[0])
        if arguments[0] == "pull" and not self.registry:
            raise docker.DockerFailed("no such host")
        if arguments[:2] == ("image", "ls"):
            return "" if self.label is None else "0123456789ab"
        return self.label or ""


def _ensure(monkeypatch: pytest.MonkeyPatch, fake: Docker, runtime: str = "python3.13") -> str:
    monkeypatch.setattr(docker, "run", fake.run)
    return image.ensure(runtime, "x86_64")


def test_an_image_that_is_there_and_not_ours_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Docker(label="")
    assert _ensure(monkeypatch, fake) == "AWS's image public.ecr.aws/lambda/python:3.13-x86_64"
    assert "pull" not in fake.given


@pytest.mark.parametrize("label", [None, "an older recipe"])
def test_a_registry_that_can_be_reached_gives_aws_s(monkeypatch: pytest.MonkeyPatch, label: str | None) -> None:
    fake = Docker(label, registry=True)
    assert _ensure(monkeypatch, fake).endswith("-x86_64, pulled")
    assert "import" not in fake.given


@pytest.mark.parametrize("label", [None, "an older recipe"])
def test_a_stand_in_is_made_when_there_is_none_of_this_recipe(
    monkeypatch: pytest.MonkeyPatch, label: str | None
) -> None:
    made: list[tuple[str, ...]] = []
    monkeypatch.setattr(image, "_make", lambda *what: made.append(what))
    assert _ensure(monkeypatch, Docker(label)).startswith("a stand-in for public.ecr.aws/lambda/python:3.13-x86_64")
    recipe = made[0][2]
    assert made == [("public.ecr.aws/lambda/python:3.13-x86_64", "python3.13", recipe)]
    _ensure(monkeypatch, Docker(recipe))
    assert len(made) == 1


def test_a_python_that_debian_does_not_have_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(image.NoImage, match=r"no stand-in for python3\.12"):
        _ensure(monkeypatch, Docker(None), "python3.12")


def test_packages_that_cannot_be_had_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(image.NoImage, match="this machine has no apt"):
        _ensure(monkeypatch, Docker(None))


def test_what_apt_says_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, script in {"apt-get": "[ $1 = indextargets ] && echo mirror || exit 100", "dpkg-deb": ""}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script} ")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(debian, "KEYRING", Path(__file__))
    with pytest.raises(debian.NotFetched, match="`apt-get --quiet update` failed"):
        debian.unpack("trixie", ["dash"], tmp_path / "root", tmp_path / "scratch")
