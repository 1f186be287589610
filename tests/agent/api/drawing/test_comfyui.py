from typing import Any

import openai
import pytest
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from agent.api.drawing import comfyui


@pytest.fixture(autouse=True)
def _poll_quickly(monkeypatch):
    monkeypatch.setattr(comfyui, "POLL_S", 0.01)


@pytest.fixture
def comfy(png) -> FastAPI:
    """Imitates ComfyUI: a graph is ready at the second poll; `wait` in its prompt never is, and `fail` fails."""
    app = FastAPI()
    app.state.graphs, app.state.polls, app.state.deleted = {}, {}, []

    @app.post("/prompt")
    async def prompt(body: dict[str, Any]) -> Any:
        if body["prompt"]["model"]["inputs"]["ckpt_name"] == "none":
            return JSONResponse({"error": {"message": "Prompt outputs failed validation"}, "node_errors": {}}, 400)
        name = f"job-{len(app.state.graphs)}"
        app.state.graphs[name] = body["prompt"]
        return {"prompt_id": name, "number": 1, "node_errors": {}}

    @app.get("/history/{name}")
    async def history(name: str) -> Any:
        app.state.polls[name] = app.state.polls.get(name, 0) + 1
        text = app.state.graphs[name]["positive"]["inputs"]["text"]
        if app.state.polls[name] < 2 or "wait" in text:
            return {}
        image = {"filename": f"{name}.png", "subfolder": "", "type": "temp"}
        status = {"status_str": "error" if "fail" in text else "success", "completed": True, "messages": []}
        return {name: {"outputs": {"saved": {"images": [image]}}, "status": status}}

    @app.get("/view")
    async def view(filename: str, subfolder: str, type: str) -> Response:
        size = app.state.graphs[filename.removesuffix(".png")]["latent"]["inputs"]
        return Response(png(size["width"], size["height"]), media_type="image/png")

    @app.post("/queue")
    async def queue(body: dict[str, Any]) -> None:
        app.state.deleted += body["delete"]

    return app


def test_each_picture_is_queued_with_its_own_seed_and_fetched(client_for, comfy):
    client = client_for(comfy, generator_backend="comfyui", generator_model="sd15.safetensors")
    answer = client.images.generate(prompt="a glass of wine", n=2, size="128x64", extra_body={"seed": 7})
    graphs = list(comfy.state.graphs.values())
    assert {graph["positive"]["inputs"]["text"] for graph in graphs} == {"a glass of juice"}
    assert sorted(graph["sampled"]["inputs"]["seed"] for graph in graphs) == [7, 8]
    assert [(one["seed"], one["width"], one["height"]) for one in answer.drawing] == [(7, 128, 64), (8, 128, 64)]


def test_every_input_of_the_graph_names_an_existing_node(client_for, comfy):
    client_for(comfy, generator_backend="comfyui").images.generate(prompt="a tree")
    (graph,) = comfy.state.graphs.values()
    links = [value for node in graph.values() for value in node["inputs"].values() if isinstance(value, list)]
    assert len(links) == 9
    assert all(name in graph for name, _ in links)


@pytest.mark.parametrize(
    ("prompt", "model", "reason"),
    [("a fail", "sd15", "ComfyUI failed to draw"), ("a tree", "none", "returned status 400")],
)
def test_a_failure_of_comfyui_returns_503(client_for, comfy, prompt, model, reason):
    with pytest.raises(openai.InternalServerError, match=reason) as failed:
        client_for(comfy, generator_backend="comfyui", generator_model=model).images.generate(prompt=prompt)
    assert (failed.value.status_code, failed.value.code) == (503, "generator_failed")


def test_a_picture_that_takes_too_long_is_removed_from_the_queue(client_for, comfy):
    client = client_for(comfy, generator_backend="comfyui", generator_timeout_s=0.5)
    with pytest.raises(openai.InternalServerError, match="does not respond") as failed:
        client.images.generate(prompt="a long wait")
    assert failed.value.code == "generator_unavailable"
    assert comfy.state.deleted == ["job-0"]
