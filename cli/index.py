"""`propriety index`: encode the concepts, and show what the nearest-neighbour detector sees in a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from agent.terminal.console import console, fail
from agent.terminal.loading import policy_of, read_settings
from agent.terminal.progress import progress_bar

if TYPE_CHECKING:
    from agent.policy.concept_bank import ConceptBank
    from agent.policy.model import Policy
    from agent.retrieval.encoder import Encoder
    from agent.retrieval.index import ConceptIndex
    from agent.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Encode the concept bank, and look up which concepts a prompt is near to.")

BATCH = 32  # phrases between two moves of the progress bar


@app.command()
def build() -> None:
    """Encode the concepts that have no vector yet. Prints the concepts of each policy, and the vectors' file.

    Any command does the same at its first start, without a progress bar. Use this to prepare a container image or a
    machine. After an interruption, run it again: it continues where it stopped.

    Example: propriety index build

    Exit status: 0 all is encoded; 2 a policy or the concept bank is wrong; 130 interrupted.
    """
    from agent.retrieval.concepts import bare_twins, concepts_under
    from agent.retrieval.vectors import kept_vectors, vectors_file

    settings = read_settings()
    policies, bank, encoder = _loaded(settings)
    concepts = {locale: concepts_under(policy, bank) for locale, policy in policies.items()}
    texts = {concept.text: None for rows in concepts.values() for concept in [*rows, *bare_twins(rows)]}
    with kept_vectors(settings.data_dir, encoder) as known, progress_bar("Encoding") as progress:
        missing = [text for text in texts if text not in known]
        task = progress.add_task("", total=len(missing))
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            known.update(zip(batch, encoder.encode(batch), strict=True))
            progress.advance(task, len(batch))
    table = Table("policy", "concepts", "unsafe under it")
    for locale, rows in concepts.items():
        table.add_row(locale, str(len(rows)), str(sum(concept.rule_id is not None for concept in rows)))
    console.print(table)
    path = vectors_file(settings.data_dir, encoder)
    console.print(
        f"{len(missing)} of {len(texts)} phrases encoded by {encoder.name}; the vectors are in {path}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="The prompt.")],
    locale: Annotated[
        str | None, typer.Option(help="BCP-47 locale, such as ar-SA; default: the setting `default_locale`.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many stretches of the prompt to show for each rule.")] = 3,
) -> None:
    """Show for each rule which words of a prompt are nearest to which concept, and so why it was caught or missed.

    Similarities are cosines. `safe` is the similarity to the nearest concept that is safe under the policy. The margin
    is how much nearer the unsafe concept is: above 0 the words are on the unsafe side, and the detector's probability
    rises with the margin. If a prompt is wrongly caught, add a safe phrase to
    concepts/; if it is missed, add an unsafe one.

    Example: propriety index search --locale ar-SA "a woman holding a wine glass on a beach"

    Exit status: 0 shown; 2 the text is empty, or the locale, a policy or the concept bank is wrong.
    """
    from agent.prompt.compose import is_plain
    from agent.prompt.normalise import variants
    from agent.retrieval.index import ConceptIndex, IndexedBank
    from agent.retrieval.vectors import kept_vectors

    settings = read_settings()
    if not text.strip() or not is_plain(text):
        problem = "expected a prompt in plain Unicode that is not empty"
        raise typer.BadParameter(problem, param_hint="TEXT")
    policies, bank, encoder = _loaded(settings)
    policy = policy_of(policies, locale or settings.default_locale)
    with kept_vectors(settings.data_dir, encoder) as known:
        index = ConceptIndex(policy, IndexedBank(bank, encoder, known))
    for reading in variants(text):
        if reading != text:
            console.print(f"Read as: {reading}", markup=False, highlight=False, soft_wrap=True)
        console.print(_table(index, policy, reading, top))


def _table(index: ConceptIndex, policy: Policy, text: str, top: int) -> Table:
    table = Table(Column("rule", overflow="fold"), "margin", "similarity", "safe", "words", "nearest unsafe concept")
    windows_by_rule = index.search(text).windows
    for rule_id, windows in sorted(windows_by_rule.items(), key=lambda item: -item[1][0].margin):
        for window in windows[:top]:
            figures = (window.margin, window.similarity, window.similarity - window.margin)
            table.add_row(rule_id, *(f"{figure:.3f}" for figure in figures), window.span.text, window.concept.text)
        table.add_section()
    if far := [rule.id for rule in policy.rules if rule.id not in windows_by_rule]:
        table.caption = f"No words near: {', '.join(far)}"
    return table


def _loaded(settings: Settings) -> tuple[dict[str, Policy], ConceptBank, Encoder]:
    from agent.policy.concept_bank import load_bank
    from agent.policy.files import load_policies
    from agent.policy.source import PolicyError
    from agent.retrieval.encoder import load_encoder

    try:
        bank = load_bank(settings.policies_dir)
        return load_policies(settings.policies_dir, bank=bank), bank, load_encoder(settings.encoder)
    except PolicyError as error:
        fail(error)
