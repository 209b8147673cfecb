"""The template as CloudFormation gets it: `python scripts/translate.py > translated.json`.

`cfn-lint` and `sam validate --lint` do not look inside `Globals`; in the translation they stand in every function.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"


class NoManagedPolicies:
    """The translator asks AWS for the managed policies that a template calls by name; ours calls none."""

    def load(self) -> dict[str, str]:
        """None."""
        return {}


def source() -> dict[str, Any]:
    """The template as it stands in the file, in CloudFormation's long form (`Fn::Sub`, `Ref`)."""
    return dict(yaml_parse(TEMPLATE.read_text("utf-8")))


def translated() -> dict[str, Any]:
    """Plain CloudFormation, as the SAM transform makes it."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # the translator wants to know one
    template = source()
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri"):
            if name in properties:
                properties[name] = f"s3://bucket/{properties[name]}"  # where `sam package` would have put it
    return dict(transform(template, {}, NoManagedPolicies()))


if __name__ == "__main__":
    json.dump(translated(), sys.stdout, indent=1)
