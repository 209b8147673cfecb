"""The command `understudy`."""

from __future__ import annotations

from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from understudy_cli.doctor import doctor
from understudy_cli.jobs import jobs
from understudy_cli.keys import keys
from understudy_cli.redrive import redrive
from understudy_cli.smoke import smoke
from understudy_cli.storage import storage
from understudy_cli.upload import upload


class Commands(click.Group):
    """A group of commands that shows an error as one line, without a traceback."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command. Raises ClickException for an OSError, ValueError, RuntimeError or an error of the AWS SDK."""
        try:
            return super().invoke(context)
        except (click.exceptions.Exit, click.Abort):  # both are RuntimeErrors, too
            raise
        except (OSError, ValueError, RuntimeError) as error:
            raise click.ClickException(str(error)) from error
        except (BotoCoreError, ClientError) as error:
            cause = str(error).rstrip(".")
            message = f"AWS could not do this: {cause}. Remove the cause, then run the command again."
            raise click.ClickException(message) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="understudy")
def main() -> None:
    """Use or operate an Understudy gateway."""


for command in (upload, keys, storage, jobs, doctor, smoke, redrive):
    main.add_command(command)
