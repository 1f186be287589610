"""ComfyUI: the graph of a text-to-image checkpoint is queued (`POST /prompt`), awaited (`/history`) and fetched."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx

from agent.api.drawing.order import Drawn, Order, drawn_alone
from agent.api.errors import ApiError
from agent.settings import Settings

STEPS, GUIDANCE_SCALE, SAMPLER = 25, 7.0, "euler"
SIDE = 512  # ComfyUI has no size of a model's own
POLL_S = 0.25


async def draw(client: httpx.AsyncClient, settings: Settings, order: Order) -> Drawn:
    """`generator_model` is the file name of a checkpoint there.

    ComfyUI draws a batch from the one seed, so each picture of several is queued with its own.
    """
    seeds = [order.seed + index for index in range(order.n)]
    images = await asyncio.gather(*(_picture(client, _graph(settings.generator_model, order, seed)) for seed in seeds))
    return drawn_alone(
        order,
        images,
        seeds=seeds,
        steps=STEPS,
        guidance_scale=GUIDANCE_SCALE,
        sampler=SAMPLER,
        model=settings.generator_model,
    )


async def _picture(client: httpx.AsyncClient, graph: dict[str, Any]) -> str:
    """One picture, base64. A caller that leaves takes it out of ComfyUI's queue."""
    queued = (await client.post("/prompt", json={"prompt": graph})).raise_for_status().json()["prompt_id"]
    try:
        while not (entry := (await client.get(f"/history/{queued}")).raise_for_status().json().get(queued)):
            await asyncio.sleep(POLL_S)
    except asyncio.CancelledError:
        await client.post("/queue", json={"delete": [queued]})
        raise
    if entry["status"]["status_str"] != "success":
        raise ApiError(503, "ComfyUI failed to draw; its log says why.", "generator_failed")
    (image,) = (image for output in entry["outputs"].values() for image in output["images"])
    file = await client.get("/view", params={name: image[name] for name in ("filename", "subfolder", "type")})
    return base64.b64encode(file.raise_for_status().content).decode()


def _graph(checkpoint: str, order: Order, seed: int) -> dict[str, Any]:
    """Nodes by name; a pair [name, i] is the i-th output of another."""

    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}

    return {
        "model": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "positive": node("CLIPTextEncode", text=order.safe_prompt, clip=["model", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["model", 1]),
        "latent": node("EmptyLatentImage", width=order.width or SIDE, height=order.height or SIDE, batch_size=1),
        "sampled": node(
            "KSampler", model=["model", 0], positive=["positive", 0], negative=["negative", 0],
            latent_image=["latent", 0], seed=seed, steps=STEPS, cfg=GUIDANCE_SCALE, sampler_name=SAMPLER,
            scheduler="normal", denoise=1.0,
        ),
        "decoded": node("VAEDecode", samples=["sampled", 0], vae=["model", 2]),
        "saved": node("PreviewImage", images=["decoded", 0]),
    }  # fmt: skip
