"""A prompt judged by a running service, so that the command need not load what the service has loaded."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx

from agent.terminal.console import UNUSABLE, WRONG, fail
from propriety.verdict import Detector, Verdict

if TYPE_CHECKING:
    from agent.settings import Settings

CONNECT_TIMEOUT_S, LOCAL_CONNECT_TIMEOUT_S = 5.0, 0.25
RESPONSE_TIMEOUT_S = 300.0  # for a rewrite the service asks the LLM many times


def judged_by_service(settings: Settings, prompt: str, locale: str | None, detector: Detector | None) -> Verdict | None:
    """The service's verdict; None if PROPRIETY_URL is not set and nothing listens at the settings' address.

    Ends the command if the service refuses or fails: no other judge decides in its place.
    """
    url = (settings.url or settings.local_url).rstrip("/")
    body = {"model": f"propriety-{detector}" if detector else "propriety", "input": prompt, "locale": locale}
    try:
        return _verdict(url, _post(f"{url}/v1/moderations", body, settings))
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        if settings.url is None:
            return None
        fail(f"{url} cannot be reached ({error}); start the service, correct PROPRIETY_URL, or use --local", WRONG)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fail(f"{url} did not respond ({type(error).__name__} {error}); try again, or use --local", WRONG)


def _post(url: str, body: dict[str, str | None], settings: Settings) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    if key := settings.key_to_send:
        headers["Authorization"] = f"Bearer {key}"
    connect_s = CONNECT_TIMEOUT_S if settings.url else LOCAL_CONNECT_TIMEOUT_S
    return httpx.post(
        url,
        content=json.dumps(body),
        headers=headers,
        timeout=httpx.Timeout(RESPONSE_TIMEOUT_S, connect=connect_s),
        trust_env=settings.url is not None,  # no proxy leads to this machine's own service
    )


def _verdict(url: str, response: httpx.Response) -> Verdict:
    try:
        content = response.json()
        if not response.is_success:
            again = response.status_code == HTTPStatus.TOO_MANY_REQUESTS or response.is_server_error
            fail(f"{url}: {content['error']['message']}", WRONG if again else UNUSABLE)
        return Verdict.model_validate(content["results"][0]["decision"])
    except (ValueError, LookupError, TypeError):
        fail(
            f"{url} is not a Propriety service of this version: it responded with status {response.status_code} and "
            "something else than a verdict or an error; correct PROPRIETY_URL or PROPRIETY_PORT, or use --local",
            WRONG,
        )
