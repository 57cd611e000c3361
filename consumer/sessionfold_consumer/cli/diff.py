"""``sessionfold diff``: the sessions in which two states differ."""

import click

command = click.Command("diff")
