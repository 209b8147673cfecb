"""The documentation is true where a program can check: generated files, links, commands, routes, examples, figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from understudy import providers
from understudy.deployments import config
from understudy.deployments.config import Deployments

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = (ROOT / "docs" / "deployments-file.md").read_text("utf-8")
ERRORS = (ROOT / "docs" / "errors.md").read_text("utf-8")
COSTS = (ROOT / "docs" / "costs.md").read_text("utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
ROUTES: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))["paths"]

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """Return the text without its fenced code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """Return the link fragments of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(document.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def routes_of(command: str) -> tuple[str, str] | None:
    """Return method and path of a curl command that calls the API, or None."""
    command = re.sub(r"\$\([^)]*\)", "ID", command)
    found = re.search(r'\$BASE(/[^"\s]*)', command)
    if not command.startswith("curl ") or found is None:
        return None
    explicit = re.search(r" -X (\w+)", command)
    posts = re.search(r" -[dF] ", command)
    path = re.sub(r"\$\w+", "ID", found[1]).partition("?")[0]
    return explicit[1] if explicit else "POST" if posts else "GET", path


def known(method: str, path: str) -> bool:
    """Return whether this is a route of the API."""
    for template, operations in ROUTES.items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in operations:
            return True
    return False


def curls() -> list[tuple[str, str]]:
    """Return every call of the API in the documents' shell blocks; a command ends at a line end outside quotes."""
    commands = [
        command
        for document in DOCUMENTS
        for block in blocks(document.read_text("utf-8"), "sh")
        for command in re.findall(r"(?:'[^']*'|\"[^\"]*\"|\\\n|[^\n])+", block)
    ]
    return [route for command in commands if (route := routes_of(command)) is not None]


@pytest.mark.parametrize("script", ["providers.py", "openapi.py", "faults.py"])
def test_what_is_generated_is_current(script: str) -> None:
    run = subprocess.run(
        [sys.executable, f"scripts/{script}", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_every_provider_is_in_the_table() -> None:
    table = (ROOT / "docs" / "providers.md").read_text("utf-8")
    for name in providers.names():
        assert f"## {name}\n" in table
        for model in providers.load(name).models:
            assert f"| [{name}](#{name}) | `{model}` |" in table


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = unquote(target).partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), target
        assert not fragment or fragment in anchors(linked), target


@each_document
def test_files_that_are_named_exist(document: Path) -> None:
    """Every path in a code span exists below the root, the document's folder or the layer's package."""
    places = [ROOT, document.parent, ROOT / "layers" / "understudy" / "understudy"]
    text = prose(document.read_text("utf-8"))
    for path in re.findall(r"`([\w.-]+(?:/[\w.-]+)+\.(?:py|toml|yaml|json|md|txt)|[\w/.-]+/)`", text):
        if path.startswith(
            ("media/", "drop", "uploads/", "demo/", ".venvs/", ".local/", "understudy/", "events/FUNCTION")
        ):
            continue  # made at run time, or keys of the bucket and names of secrets
        assert any((place / path).exists() for place in places), path


@each_document
def test_make_knows_what_is_asked_of_it(document: Path) -> None:
    text = document.read_text("utf-8")
    code = [*blocks(text, "sh"), *re.findall(r"`([^`\n]+)`", prose(text))]
    for line in (line for block in code for line in block.splitlines()):
        for target in re.findall(r"(?:^|[\s(])make (?:-s )?([a-z][a-z-]*)", line.partition(" # ")[0]):
            assert target in TARGETS, f"make {target}"


@each_document
def test_decisions_are_listed(document: Path) -> None:
    if document.parent.name == "adr" and document.name != "README.md":
        listed = (document.parent / "README.md").read_text("utf-8")
        assert f"[{document.name[:4]}]({document.name})" in listed
        assert document.read_text("utf-8").startswith(f"# {document.name[:4]}: ")


def test_the_deployments_of_the_page_can_be_used() -> None:
    examples = [block for block in blocks(DEPLOYMENTS, "toml") if "[deployments." in block]
    assert examples
    for example in examples:
        for deployment in Deployments.parse(example):
            provider = providers.load(deployment.provider)
            for upstream in deployment.models.values():
                profile = provider.profile(upstream, deployment.options)
                assert profile != provider.profile(upstream, {}), "its options change nothing"


def test_every_field_of_the_deployments_file_is_on_its_page() -> None:
    (example,) = [block for block in blocks(DEPLOYMENTS, "toml") if "[deployments." in block]
    fields = {field for table in tomllib.loads(example)["deployments"].values() for field in table}
    assert fields == config._FIELDS


def test_every_option_of_the_openai_shaped_is_on_the_page() -> None:
    folder = ROOT / "layers" / "understudy" / "understudy" / "providers"
    table = DEPLOYMENTS.partition("| option |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.splitlines()[2:])))
    code = "".join((folder / f"{name}.py").read_text("utf-8") for name in ("common", "openai", "azure", "hosted_vllm"))
    taken = set(re.findall(r'options(?:\.get\(|\[)"(\w+)"|"(\w+)" in options', code))
    names = {name for pair in taken for name in pair if name}
    for loop in re.findall(r"for name in \(([^)]+)\):\n\s+if name in options", code):
        names |= set(re.findall(r'"(\w+)"', loop))
    assert listed == names


@pytest.mark.parametrize(("method", "path"), curls())
def test_curl_lines_call_the_api(method: str, path: str) -> None:
    assert known(method, path), f"{method} {path}"


def test_there_are_curl_lines() -> None:
    called = set(curls())
    assert {("POST", "/videos/characters"), ("GET", "/videos/characters/ID"), ("POST", "/videos/uploads")} <= called
    assert {("POST", "/videos"), ("POST", "/videos/edits"), ("POST", "/videos/extensions")} <= called
    assert not known("PATCH", "/videos")
    assert not known("GET", "/videos/ID/nothing")


def test_codes_of_the_errors_table_are_those_of_the_code() -> None:
    source = (ROOT / "template.yaml").read_text("utf-8")
    for folder in ("layers", "functions"):
        source += "".join(file.read_text("utf-8") for file in (ROOT / folder).rglob("*.py"))
    cells = [row.split("|")[2] for row in re.findall(r"^\| \d.*$", ERRORS, re.MULTILINE)]
    codes = {code for cell in cells for code in re.findall(r"`(\w+)`", cell)}
    assert len(codes) > 40
    kinds = {f"{kind}_not_found" for kind in ("video", "character", "upload")}
    for code in codes - kinds:
        assert f'"{code}"' in source, code


def test_the_idle_cost_counts_what_the_template_has() -> None:
    """The table has the template's numbers of alarms and metrics, and its sums are right.

    CloudWatch bills each metric that an alarm reads.
    """
    template = (ROOT / "template.yaml").read_text("utf-8")
    idle, _, example = COSTS.partition("## Example")
    rows = [row.split("|") for row in idle.splitlines() if row.startswith("| ") and "$" in row]
    alarms, metrics = len(re.findall(r"Type: AWS::CloudWatch::Alarm", template)), template.count("MetricName:")
    assert f"{alarms} alarms that read {metrics} metrics" in COSTS
    assert template.count("Type: AWS::SecretsManager::Secret") == 1
    used_up, free = ([round(float(row[n].strip(" *$")) * 100) for row in rows] for n in (-3, -2))
    assert used_up[0] == metrics * 10
    assert free[0] == max(metrics - 10, 0) * 10
    for column in (used_up, free):
        assert sum(column[:-1]) == column[-1]
    figures = json.loads((ROOT / "docs" / "benchmarks.json").read_text("utf-8"))["cost"]
    *parts, whole = (float(cell) for cell in re.findall(r"\| \**\$([\d.]+)\** \|$", example, re.MULTILINE))
    assert parts == [used_up[-1] / 100, round(figures["per_thousand_videos"], 2)]
    assert whole == round(sum(parts), 2)
    for thousand in figures["per_thousand_executions"].values():
        assert f"cost ${thousand:.2f}" in example


def test_the_licence_and_the_changelog_agree_with_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert (ROOT / "LICENSE").read_text("utf-8").startswith(f"{project['license']} License")


def test_the_index_has_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


def test_the_readme_stays_a_front_page() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_every_way_in_which_a_job_fails_is_on_the_page_of_errors() -> None:
    """Every literal code that is passed to `transitions.fail` or `retries.stop` is on the page."""
    source = "".join(file.read_text("utf-8") for file in (ROOT / "layers" / "understudy" / "understudy").rglob("*.py"))
    given = set(re.findall(r'\b(?:transitions\.fail|stop)\(\s*job,\s*"(\w+)"', source))
    assert len(given) > 5
    for code in given:
        assert f"`{code}`" in ERRORS, code
