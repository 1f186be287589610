"""`propriety evaluate`: measure the moderator and the generator on the user's own data."""

import typer

from cli.evaluate.image import image
from cli.evaluate.text import text

app = typer.Typer(no_args_is_help=True, help="Measure the moderator and the generator on your own data.")
app.command()(text)
app.command()(image)
