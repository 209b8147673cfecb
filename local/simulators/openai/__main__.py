"""The command line; see the package's docstring."""

from __future__ import annotations

from typing import get_args

from local.simulators.openai import __doc__ as description
from local.simulators.openai.api import OpenAIProvider
from local.simulators.openai.settings import Flavour, defaults
from local.simulators.openai.vllm import VllmProvider
from local.simulators.shared import command


def main() -> None:
    """Serve one flavour. This function does not return."""
    options = command.parser("openai", description)
    options.add_argument("--flavour", choices=get_args(Flavour), default="openai")
    options.add_argument("--models", help="names that are served, by comma")
    arguments = options.parse_args()
    models = {"models": arguments.models.split(",")} if arguments.models else {}
    settings = command.chosen(defaults(arguments.flavour), arguments, **models)
    kind = VllmProvider if arguments.flavour == "vllm" else OpenAIProvider
    command.run("openai", kind(arguments.state, settings, arguments.flavour), arguments)


if __name__ == "__main__":
    main()
