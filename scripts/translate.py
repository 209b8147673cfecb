"""Translate the template to plain CloudFormation: `python scripts/translate.py > translated.json`.

`cfn-lint` and `sam validate --lint` do not check `Globals`. In the translation, every function has these properties.
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
    """A loader without policies: the translator would ask AWS for managed policies, but our template names none."""

    def load(self) -> dict[str, str]:
        """Return no policies."""
        return {}


def source() -> dict[str, Any]:
    """Return the template of the file, in CloudFormation's long form (`Fn::Sub`, `Ref`)."""
    return dict(yaml_parse(TEMPLATE.read_text("utf-8")))


def translated() -> dict[str, Any]:
    """Return plain CloudFormation, made by the SAM transform."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # the translator needs a region
    template = source()
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri"):
            if name in properties:
                properties[name] = f"s3://bucket/{properties[name]}"  # where `sam package` would have put it
    return dict(transform(template, {}, NoManagedPolicies()))


if __name__ == "__main__":
    json.dump(translated(), sys.stdout, indent=1)
