"""The README's picture: prompts drawn for several locales with one seed. `python -m evaluation.image.grid`

The first column shows what the generator draws without a policy, the others what Propriety allows to be drawn.
"""

import asyncio
import textwrap
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from PIL import Image, ImageDraw, ImageFont

from agent.terminal.loading import load_moderator, read_settings
from generator.models import load
from generator.pipeline import draw
from propriety.drawing import DrawRequest
from propriety.verdict import ChatMessage, Status, Verdict

PROMPTS = (
    "a woman holding a wine glass on a beach",
    "a man aiming a gun in a city",
    "a man holding a knife in a kitchen",
)
LOCALES = ("fr-FR", "ar-SA")

SIDE, MARGIN, CAPTION, HEADING = 288, 20, 88, 48
INK, GREY, PAPER = (28, 30, 36), (110, 114, 124), (255, 255, 255)
COLOURS = {"no policy": GREY, "allow": (28, 120, 66), "rewrite": (176, 96, 0), "block": (176, 32, 32)}


class Cell(NamedTuple):
    """A picture, None if nothing is drawn, and its caption: the action and a text."""

    picture: Image.Image | None
    action: str
    text: str


def lay_out(headings: list[str], rows: list[list[Cell]]) -> Image.Image:
    """The cells as a table, with a heading above each column."""
    width = len(headings) * (SIDE + MARGIN) + MARGIN
    height = HEADING + len(rows) * (SIDE + CAPTION) + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(22), ImageFont.load_default(15)
    for column, heading in enumerate(headings):
        left = MARGIN + column * (SIDE + MARGIN)
        pen.text((left, 14), heading, INK, large)
        for row, cells in enumerate(rows):
            cell, top = cells[column], HEADING + row * (SIDE + CAPTION)
            if cell.picture is None:
                pen.rectangle((left, top, left + SIDE, top + SIDE), outline=GREY)
            else:
                sheet.paste(cell.picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, top))
            pen.text((left, top + SIDE + 8), cell.action, COLOURS[cell.action], small)
            pen.text((left, top + SIDE + 28), textwrap.fill(cell.text, 38), INK, small)
    return sheet


def main(
    output: Annotated[Path, typer.Option(dir_okay=False, help="PNG file to write.")] = Path("docs/grid.png"),
    prompt: Annotated[list[str] | None, typer.Option(help="Prompt instead of the README's three. Repeatable.")] = None,
    locale: Annotated[list[str] | None, typer.Option(help="Locale instead of fr-FR and ar-SA. Repeatable.")] = None,
    model: Annotated[str, typer.Option(help="`demo`, a folder in diffusers' layout, or a hub id.")] = "demo",
    seed: Annotated[int, typer.Option(min=0, help="Seed of every picture.")] = 7,
) -> None:
    """Draw the grid. Needs the LLM of the settings, and reports the prompts for which it was unavailable."""
    prompts, locales = prompt or list(PROMPTS), locale or list(LOCALES)
    moderator, pipe = load_moderator(read_settings()), load(model)

    async def judge_all() -> list[list[Verdict]]:
        return [
            [await moderator.moderate([ChatMessage(role="user", content=text)], place) for place in locales]
            for text in prompts
        ]

    def draw_one(request: DrawRequest) -> Image.Image:
        return draw(pipe, [request])[0].image

    rows = []
    for text, verdicts in zip(prompts, asyncio.run(judge_all()), strict=True):
        cells = [Cell(draw_one(DrawRequest(prompt=text, seed=seed)), "no policy", text)]
        for verdict in verdicts:
            picture = None
            if verdict.safe_prompt is not None:
                knobs = verdict.model_dump(include={"prompt", "safe_prompt", "wxi", "tau_gc"})
                picture = draw_one(DrawRequest(seed=seed, **knobs))
            cells.append(Cell(picture, verdict.action.value, verdict.safe_prompt or verdict.message or ""))
            if verdict.status is not Status.OK:
                typer.echo(f"{verdict.locale}, {text!r}: {verdict.status.value}; is the LLM running?", err=True)
        rows.append(cells)
    output.parent.mkdir(parents=True, exist_ok=True)
    lay_out(["as asked", *locales], rows).save(output)
    typer.echo(f"{output}: seed {seed}, {len(prompts)} prompts, {', '.join(locales)}")


if __name__ == "__main__":
    typer.run(main)
