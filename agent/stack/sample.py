"""The sample conversation of `propriety serve --demo`: the same requests, judged and drawn for two locales."""

from __future__ import annotations

import base64
from typing import Any

import httpx
from rich.console import Console

from agent.settings import Settings
from agent.stack import StartError

LOCALES = ("fr-FR", "ar-SA")
TURNS = ("Draw a woman on a beach.", "Now let her hold a wine glass.")
SEED = 7


def show_demo(settings: Settings, console: Console) -> None:
    """Hold the conversation through the running API for each locale; print the results and save the pictures.

    Raises:
        StartError: if the API responds with an error.
    """
    settings.output_dir.mkdir(parents=True, exist_ok=True)
    timeout_s = settings.generator_timeout_s + settings.llm_timeout_s
    headers = {"Authorization": f"Bearer {key}"} if (key := settings.key_to_send) else {}
    with httpx.Client(base_url=settings.local_url, headers=headers, timeout=timeout_s, trust_env=False) as client:
        for locale in LOCALES:
            _converse(client, settings, locale, console)


def _converse(client: httpx.Client, settings: Settings, locale: str, console: Console) -> None:
    messages: list[dict[str, str]] = []
    for turn in TURNS:
        messages.append({"role": "user", "content": turn})
        chat = _json(client.post("/v1/chat/completions", json={"messages": messages, "locale": locale}))
        reply = chat["choices"][0]["message"]["content"]
        messages.append({"role": "assistant", "content": reply})
    verdict = chat["verdict"]
    broken = ", ".join(violation["rule_id"] for violation in verdict["violations"]) or "no rule broken"
    console.print(
        f"{locale}: “{verdict['prompt']}” → {verdict['action']} ({broken}): {reply}", markup=False, soft_wrap=True
    )
    body = {"prompt": verdict["prompt"], "locale": locale, "seed": SEED}
    response = client.post("/v1/images/generations", json=body)
    if response.status_code == 400 and response.json()["error"]["code"] == "content_policy_violation":
        console.print("  not drawn", markup=False, soft_wrap=True)
        return
    picture = _json(response)["data"][0]
    path = settings.output_dir / f"demo-{locale}.png"
    path.write_bytes(base64.b64decode(picture["b64_json"]))
    console.print(f"  drawn: “{picture['revised_prompt']}”, saved as {path}", markup=False, soft_wrap=True)


def _json(response: httpx.Response) -> Any:
    if response.status_code != 200:
        raise StartError(
            f"the sample conversation failed: {response.request.url} returned {response.status_code}: "
            f"{response.text[:500]}"
        )
    body: Any = response.json()
    return body
