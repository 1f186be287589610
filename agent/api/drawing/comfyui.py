"""ComfyUI: queues a text-to-image graph (`POST /prompt`), polls for its end (`/history`) and fetches the picture."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx

from agent.api.drawing.safe_alone import drawn_alone
from agent.api.errors import ApiError
from agent.settings import Settings
from propriety.drawing import DrawRequest, DrawResponse

STEPS, GUIDANCE_SCALE, SAMPLER = 25, 7.0, "euler"
SIDE = 512  # pixels: ComfyUI does not know a model's own size
POLL_S = 0.25


async def draw(client: httpx.AsyncClient, settings: Settings, request: DrawRequest) -> DrawResponse:
    """Draw with the checkpoint file that `generator_model` names.

    ComfyUI draws a whole batch from one seed, so each picture is queued alone, with its own seed.
    """
    seeds = [(request.seed or 0) + index for index in range(request.n)]
    images = await asyncio.gather(
        *(_picture(client, _graph(settings.generator_model, request, seed)) for seed in seeds)
    )
    return drawn_alone(
        request,
        images,
        seeds=seeds,
        steps=STEPS,
        guidance_scale=GUIDANCE_SCALE,
        sampler=SAMPLER,
        model=settings.generator_model,
    )


async def _picture(client: httpx.AsyncClient, graph: dict[str, Any]) -> str:
    """One picture as base64. If the caller disconnects, it is removed from ComfyUI's queue."""
    queued = (await client.post("/prompt", json={"prompt": graph})).raise_for_status().json()["prompt_id"]
    try:
        while not (entry := (await client.get(f"/history/{queued}")).raise_for_status().json().get(queued)):
            await asyncio.sleep(POLL_S)
    except asyncio.CancelledError:
        await client.post("/queue", json={"delete": [queued]})
        raise
    if entry["status"]["status_str"] != "success":
        raise ApiError(503, "ComfyUI failed to draw; see its log.", "generator_failed")
    (image,) = (image for output in entry["outputs"].values() for image in output["images"])
    file = await client.get("/view", params={name: image[name] for name in ("filename", "subfolder", "type")})
    return base64.b64encode(file.raise_for_status().content).decode()


def _graph(checkpoint: str, request: DrawRequest, seed: int) -> dict[str, Any]:
    """Nodes by name; a pair [name, i] is the i-th output of another node."""

    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}

    return {
        "model": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "positive": node("CLIPTextEncode", text=request.final_prompt, clip=["model", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["model", 1]),
        "latent": node("EmptyLatentImage", width=request.width or SIDE, height=request.height or SIDE, batch_size=1),
        "sampled": node(
            "KSampler", model=["model", 0], positive=["positive", 0], negative=["negative", 0],
            latent_image=["latent", 0], seed=seed, steps=STEPS, cfg=GUIDANCE_SCALE, sampler_name=SAMPLER,
            scheduler="normal", denoise=1.0,
        ),
        "decoded": node("VAEDecode", samples=["sampled", 0], vae=["model", 2]),
        "saved": node("PreviewImage", images=["decoded", 0]),
    }  # fmt: skip
