"""The API behind a real nginx with TLS, configured by `deploy/nginx/propriety.conf`."""

import datetime as dt
import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms

SITE = Path(__file__).parents[3] / "deploy" / "nginx" / "propriety.conf"
NAME = "guard.example.org"
MAIN = """{user}daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def certificate(folder: Path) -> None:
    """Writes a self-made certificate and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{NAME}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / f"{NAME}.key").write_bytes(pem)


@pytest.fixture(scope="module")
def behind_nginx(
    start_api: Callable[..., AbstractContextManager[Any]],
    worker: str,
    free_port: Callable[[], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx.Client]:
    """A client with a key, of the API behind nginx."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("no nginx: `apt-get install nginx-light` provides it")
    folder = tmp_path_factory.mktemp("nginx")
    database = open_database(f"sqlite:///{folder}/propriety.db")
    key = Tenants(database).create("acme", Terms(scopes=[Scope.MODERATE, Scope.DRAW]))
    database.dispose()
    certificate(folder)
    plain, secure = free_port(), free_port()
    with start_api(folder, keyless=False, generator_url=worker) as (url, _):
        site = SITE.read_text(encoding="utf-8")
        for ours, here in (
            ("listen 80;", f"listen 127.0.0.1:{plain};"),
            ("listen 443 ", f"listen 127.0.0.1:{secure} "),
            ("127.0.0.1:8000", url.removeprefix("http://")),
            ("/etc/ssl", str(folder)),
        ):
            assert ours in site
            site = site.replace(ours, here)
        (folder / "site.conf").write_text(site, encoding="utf-8")
        user = "user root; " if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user), encoding="utf-8")
        nginx = subprocess.Popen([program, "-p", str(folder), "-c", "nginx.conf"], stdin=subprocess.DEVNULL)
        tls = ssl.create_default_context(cafile=str(folder / f"{NAME}.pem"))
        headers = {"Authorization": f"Bearer {key}", "Host": NAME}
        try:
            with httpx.Client(
                base_url=f"https://127.0.0.1:{secure}", headers=headers, verify=tls, timeout=60, trust_env=False,
                event_hooks={"request": [by_name]},
            ) as client:  # fmt: skip
                for _ in range(100):
                    try:
                        client.get("/v1/models")
                        break
                    except httpx.ConnectError:
                        time.sleep(0.05)
                yield client
        finally:
            nginx.terminate()
            nginx.wait(10)


def by_name(request: httpx.Request) -> None:
    """Expect the certificate of the name, not of the address."""
    request.extensions["sni_hostname"] = NAME


def test_links_to_pictures_have_the_proxy_s_scheme_and_name_whatever_the_caller_claims(behind_nginx):
    forged = {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "127.0.0.1"}
    order = {"prompt": "a tree", "response_format": "url", "seed": 5}
    drawn = behind_nginx.post("/v1/images/generations", json=order, headers=forged).json()
    link = drawn["data"][0]["url"]
    assert link.startswith(f"https://{NAME}/v1/pictures/")
    picture = behind_nginx.get(httpx.URL(link).path, headers={"Authorization": ""})
    assert (picture.status_code, picture.content) == (200, b"5")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/v1/%2e%2e/readyz"])
def test_only_the_api_s_own_routes_are_reachable(behind_nginx, path):
    refused = behind_nginx.get(path)
    assert refused.status_code == 404
    assert "nginx" in refused.text


def test_a_stream_arrives(behind_nginx):
    body = {"messages": [{"role": "user", "content": "a tree on a hill"}], "stream": True}
    with behind_nginx.stream("POST", "/v1/chat/completions", json=body) as stream:
        assert "data: [DONE]" in list(stream.iter_lines())


def test_a_file_beyond_nginx_s_default_limit_is_kept(behind_nginx):
    line = {"custom_id": "1", "method": "POST", "url": "/v1/moderations", "body": {"input": "a tree", "x": "x" * 1000}}
    lines = b"".join(json.dumps(line | {"custom_id": str(number)}).encode() + b"\n" for number in range(5000))
    kept = behind_nginx.post("/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", lines)}).json()
    assert kept["bytes"] == len(lines) > 5 << 20
    assert behind_nginx.get(f"/v1/files/{kept['id']}/content").content == lines


@pytest.mark.parametrize(
    ("key", "status", "code"), [({}, 413, "request_too_large"), ({"Authorization": "x"}, 401, None)]
)
def test_a_refusal_comes_from_the_api_although_the_body_is_still_being_sent(behind_nginx, key, status, code):
    for _ in range(5):
        refused = behind_nginx.post("/v1/moderations", content=b" " * (8 << 20), headers=key)
        assert refused.status_code == status
        assert refused.json()["error"]["code"] == (code or "invalid_api_key")
