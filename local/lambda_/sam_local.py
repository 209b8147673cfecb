"""The template under AWS's own emulator: `sam local` runs the built functions in Docker, on a running local stack.

    with docker.daemon(settings), sam_local.ready(settings) as emulator:
        outcome = emulator.invoke(case)                 # one container for one event
        with emulator.start_api() as base_url: ...      # the API with its authorizer, containers stay warm

Containers cannot reach the loopback, where the stack listens. They use this machine's address on the container network,
from which the stack's ports are forwarded. The layer is built with a deployments file that has this address, too.

`python -m local.lambda_.sam_local` prints whether `sam local` can run here. If not, it prints the reason in one line
and exits with status 3.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.lambda_ import docker, functions, image
from local.lambda_.forward import forwarded
from local.lambda_.invoke import Case
from local.lambda_.runtime import Outcome
from local.processes import end
from local.settings import HOST, REGION, STACK, Settings
from local.stack import providers, sam

INVOKE_SECONDS = 300
START_SECONDS = 60
CANNOT = 3  # the exit status if `sam local` cannot run here, in contrast to a failure
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class DidNotAnswer(Exception):
    """`sam local` returned no answer of the function; the message holds the end of its output."""


@dataclass(frozen=True)
class Emulator:
    """`sam local`, with the template built for it.

    `address` is this machine's address as containers see it; `image` describes the containers' image.
    """

    settings: Settings
    folder: Path
    address: str
    image: str

    def invoke(self, one: Case) -> Outcome:
        """Run an event with `sam local invoke`, with the rights of the function's role. Raises DidNotAnswer."""
        function = functions.load(self.settings, one.function)
        credentials = {name: value for name, value in function.environment.items() if name in CREDENTIALS}
        started = time.monotonic()
        ran = subprocess.run(
            self._command("invoke", functions.logical_id(self.settings, one.function), "--event", "-"),
            env=sam.environment(AWS_ENDPOINT_URL=self.settings.aws_url, **credentials),
            input=json.dumps(one.event),
            capture_output=True,
            text=True,
            timeout=INVOKE_SECONDS,
        )
        milliseconds = (time.monotonic() - started) * 1000
        try:
            answer = json.loads(ran.stdout)
        except ValueError:
            raise DidNotAnswer(f"{ran.stdout}\n{ran.stderr[-3000:]}") from None
        failed = isinstance(answer, dict) and "errorType" in answer
        return Outcome("", None if failed else answer, answer if failed else None, milliseconds, ran.stderr)

    @contextlib.contextmanager
    def start_api(self) -> Iterator[str]:
        """Serve the API with `sam local start-api` and yield its base URL. Functions run with the operator's rights.

        Raises DidNotAnswer.
        """
        port = _free_port()
        url = f"http://{HOST}:{port}"
        log = self.settings.folder / "logs" / "sam-local-start-api.log"
        command = self._command("start-api", "--host", HOST, "--port", str(port), "--warm-containers", "LAZY")
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*command, "--no-watch"],
                env=sam.environment(**self.settings.root_credentials),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait(process, url, log)
            yield url
        finally:
            end(process, 60)  # it removes its containers

    def _command(self, command: str, *arguments: str) -> list[str]:
        options = {
            "--template": str(self.folder / "build" / "template.yaml"),
            "--env-vars": str(self.folder / "environment.json"),
            "--layer-cache-basedir": str(self.folder / "layers"),
            "--region": REGION,
        }
        flat = [part for option in options.items() for part in option]
        values = {**sam.parameters(self.settings), "LocalEndpoint": self.seen(self.settings.aws_url)}
        overrides = ["--parameter-overrides", *(f"{name}={value}" for name, value in values.items())]
        return [str(sam.SAM), "local", command, *arguments, *flat, "--skip-pull-image", *overrides]

    def seen(self, text: str) -> str:
        """Return the text with the stack's addresses replaced by those that containers see."""
        for port in _ports(self.settings):
            text = text.replace(f"http://{HOST}:{port}", f"http://{self.address}:{port}")
        return text


@contextlib.contextmanager
def ready(settings: Settings) -> Iterator[Emulator]:
    """Build the template for `sam local` on a running stack, and let containers reach the stack.

    Raises SamFailed, NoDocker, NoImage and DockerFailed.
    """
    address = docker.gateway()
    folder = settings.folder / "sam-local"
    emulator = Emulator(settings, folder, address, image.ensure(sam.RUNTIME, sam.ARCH))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    deployments = folder / "deployments.toml"
    deployments.write_text(emulator.seen((settings.folder / "deployments.toml").read_text("utf-8")), "utf-8")
    sam.build(settings, deployments, folder / "build")
    _name_functions(folder / "build" / "template.yaml")
    (folder / "layers").mkdir()
    environments = {functions.logical_id(settings, name): _declared(emulator, name) for name in functions.names()}
    (folder / "environment.json").write_text(json.dumps(environments, indent=2))
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(forwarded(address, _ports(settings)))
        except OSError as error:
            raise docker.NoDocker(f"containers cannot come to this machine at {address}: {error}") from error
        yield emulator


def _name_functions(template: Path) -> None:
    """Write the deployed names of the functions into the template, and the authorizer's function instead of its alias.

    If a name is a `!Sub` or the authorizer is an alias, SAM CLI does not find the authorizer and lets every call pass
    (github.com/aws/aws-sam-cli/issues/7483, seen with 1.170.0).
    """
    content: dict[str, Any] = yaml.safe_load(template.read_text("utf-8"))
    authorizer = content["Resources"]["Api"]["Properties"]["Auth"]["Authorizers"]["KeyAuthorizer"]
    authorizer["FunctionArn"] = {"Fn::GetAtt": ["AuthorizerFunction", "Arn"]}
    for resource in content["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            name: str = resource["Properties"]["FunctionName"]["Fn::Sub"]
            resource["Properties"]["FunctionName"] = name.replace("${AWS::StackName}", STACK)
    template.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")


def _declared(emulator: Emulator, name: str) -> Mapping[str, str]:
    """Return a function's deployed environment, because `sam local` does not know the names of created resources."""
    client = emulator.settings.client("lambda")
    deployed = client.get_function_configuration(FunctionName=functions.deployed_name(name))
    return {key: emulator.seen(value) for key, value in deployed["Environment"]["Variables"].items()}


def _ports(settings: Settings) -> list[int]:
    """Return the ports that containers may reach: the local AWS and the simulators, but not the front."""
    return [settings.port + 1, *(settings.simulator_port(index) for index in range(len(providers.SIMULATORS)))]


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise DidNotAnswer(log.read_text(errors="replace")[-3000:])
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Check whether Docker and the image are available. Pull or make the image, which `make sam-local` then uses."""
    try:
        with docker.daemon(Settings.from_environment()):
            print(f"sam local has {image.ensure(sam.RUNTIME, sam.ARCH)}")
    except (docker.NoDocker, image.NoImage) as error:
        print(error)
        sys.exit(CANNOT)


if __name__ == "__main__":
    main()
