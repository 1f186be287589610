"""`GET /healthz` and `GET /readyz`."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from agent.api.service import service_of

router = APIRouter()


@router.head("/healthz", include_in_schema=False)  # uptime checkers ask for the head alone
@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process responds."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses={503: {"description": "A part is unready; the body is that of a 200."}})
async def readyz(request: Request) -> JSONResponse:
    """200 if every part is `ok` or `degraded: …`, which still fails closed; otherwise 503 and what is wrong."""
    parts = await service_of(request.app).readiness.parts()
    states = {state.partition(":")[0] for state in parts.values()}
    status = "ok" if states <= {"ok"} else "degraded" if states <= {"ok", "degraded"} else "unready"
    return JSONResponse({"status": status, "parts": parts}, 503 if status == "unready" else 200)
