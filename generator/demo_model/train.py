"""Train the demo model: autoencoder, then denoiser, then export. Each stage resumes from its folder.

    python -m generator.demo_model.train autoencoder
    python -m generator.demo_model.train classifier
    python -m generator.demo_model.train denoiser
    python -m generator.demo_model.train export

On a small or busy machine, run a stage in several single-threaded processes (`--batch` is per process):

    OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 -m generator.demo_model.train denoiser
"""

from pathlib import Path
from typing import Annotated

import typer

from generator.demo_model import autoencoder, classifier, denoiser, ranks
from generator.demo_model.data import load_pixels, random_scenes
from generator.demo_model.export import export as write

KEEP_LINES = "\b\n"  # click: do not rewrap the paragraph
app = typer.Typer(
    add_completion=False, help=(__doc__ or "").replace("\n\n    ", f"\n\n{KEEP_LINES}    "), rich_markup_mode=None
)

Work = Annotated[Path, typer.Option(help="Folder of checkpoints.")]
Minutes = Annotated[float, typer.Option(min=0.01, help="Planned training time; the learning rate decays over it.")]
Seed = Annotated[int, typer.Option(help="Seed of scenes, noise and order.")]
Scenes = Annotated[int, typer.Option(min=64, help="Number of training scenes, per process.")]
Batch = Annotated[int, typer.Option(min=1, help="Batch size, per process.")]
Rate = Annotated[float, typer.Option(help="Peak learning rate.")]

WORK = Path("out/demo_model")
WEIGHTS = Path(__file__).parent / "weights"


@app.command("autoencoder")
def train_autoencoder(
    work: Work = WORK,
    minutes: Minutes = 12,
    scenes: Scenes = 16_000,
    batch: Batch = 16,
    rate: Rate = 2e-3,
    seed: Seed = 1,
) -> None:
    """Train the autoencoder; a later denoiser needs its encoder unchanged."""
    autoencoder.train(work / "vae", minutes=minutes, scenes=scenes, batch=batch, rate=rate, seed=seed)
    ranks.leave()


@app.command("decoder")
def train_decoder(
    work: Work = WORK,
    minutes: Minutes = 10,
    scenes: Scenes = 16_000,
    batch: Batch = 16,
    rate: Rate = 1e-3,
    seed: Seed = 3,
) -> None:
    """Continue with the decoder only: sharper pictures, unchanged latents."""
    autoencoder.train(
        work / "vae", minutes=minutes, scenes=scenes, batch=batch, rate=rate, seed=seed, decoder_only=True
    )
    ranks.leave()


@app.command("classifier")
def train_classifier(
    scenes: Scenes = 16_000,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the scenes.")] = 10,
    seed: Seed = 5,
) -> None:
    """Train the attribute classifier, which evaluates the pictures."""
    classifier.train(classifier.WEIGHTS, scenes=scenes, epochs=epochs, seed=seed)


@app.command("denoiser")
def train_denoiser(
    work: Work = WORK,
    minutes: Minutes = 60,
    scenes: Scenes = 10_000,
    batch: Batch = 24,
    rate: Rate = 1e-3,
    seed: Seed = 7,
    begin_with: Annotated[Path | None, typer.Option(exists=True, help="Exported model to start from.")] = None,
    on_object: Annotated[float, typer.Option(help="Loss weight of latent cells under the held object.")] = 4.0,
    on_clothes: Annotated[float, typer.Option(help="Loss weight of latent cells under the clothes.")] = 2.0,
) -> None:
    """Train the U-Net and the text encoder on cached latents."""
    rank = ranks.join()
    vae = autoencoder.load(work / "vae")
    cached = denoiser.cache_examples(vae, scenes, seed + rank, on_object=on_object, on_clothes=on_clothes)
    denoiser.train(work / "denoiser.pt", cached, start=begin_with, minutes=minutes, batch=batch, rate=rate, seed=seed)
    ranks.leave()


@app.command()
def export(
    work: Work = WORK, folder: Annotated[Path, typer.Option(help="Folder to write the model to.")] = WEIGHTS
) -> None:
    """Write the averaged weights in float16, as a Stable Diffusion folder."""
    vae = autoencoder.load(work / "vae")
    training = denoiser.Training.start()
    training.load(work / "denoiser.pt")
    write(vae, training, folder)
    quality = autoencoder.reconstruction(vae.float(), load_pixels(random_scenes(200, 99)))
    typer.echo(
        f"step {training.step}, {training.seconds / 60:.0f} minutes, reconstruction {quality:.1f} dB, in {folder}"
    )


if __name__ == "__main__":
    app()
