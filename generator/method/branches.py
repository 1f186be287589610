"""The stand-ins and hooks that draw two prompts at once with a stock pipeline (variant "coupled")."""

import inspect
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from generator.method.families import Family, get, put
from generator.method.rows import append_rows, choose, fuse, join, lengthen, take, with_prediction
from generator.method.schedule import Clock, Schedule, UnsupportedPipelineError, check_sampler, weight


@dataclass
class PipelineCall:
    """One call of the pipeline, with R encoded rows; the images of one prompt are adjacent."""

    original: list[Any]  # x's conditions, R rows each
    carried: list[Any]  # the conditions that the pipeline got: ξ's, or x's where w_ξ is 0
    wxi: list[float]
    tau_gc: list[float]
    guided: bool
    clock: Clock | None = None
    calls: int = 0  # of the denoiser
    checked: Any = None  # the last condition that was found to carry ξ


@dataclass
class DenoiserCall:
    """One call of a denoiser in which at least one original takes part."""

    total: int  # the pipeline's own rows
    images: int
    timestep: Tensor  # the sampler's
    active: Tensor  # images whose original takes part, in order
    safe: Tensor  # rows of their safe prompts; empty in an unconditional call
    wxi: Tensor  # (len(active),)


class Branches:
    """Encodes both prompts, adds the originals' rows to the denoiser's calls, and fuses them into the safe rows."""

    def __init__(
        self,
        pipe: Any,
        family: Family,
        safe_prompt: str | Sequence[str] | Mapping[str, Any],
        wxi: list[float],
        tau_gc: list[float],
        schedule: Schedule,
    ) -> None:
        self.pipe, self.family, self.schedule = pipe, family, schedule
        self.safe_prompt, self.wxi, self.tau_gc = safe_prompt, wxi, tau_gc
        self.stock_encode = pipe.encode_prompt
        self.encode_signature = inspect.signature(pipe.encode_prompt)
        self.pipeline_call: PipelineCall | None = None
        self.denoiser_call: DenoiserCall | None = None

    def install(self, stack: ExitStack) -> None:
        """Puts the stand-ins and hooks on the pipeline; the stack removes them."""
        stand_ins = {"encode_prompt": self.encode}
        if hasattr(self.pipe, "check_inputs"):
            stock_check = self.pipe.check_inputs

            def check_inputs(*args: Any, **kwargs: Any) -> Any:
                self.pipeline_call = None  # forget the previous one
                return stock_check(*args, **kwargs)

            stand_ins["check_inputs"] = check_inputs
        for name, stand_in in stand_ins.items():
            setattr(self.pipe, name, stand_in)
            stack.callback(delattr, self.pipe, name)
        for name in (*self.family.conditioners, *self.family.denoisers):
            if (network := getattr(self.pipe, name, None)) is not None:
                stack.callback(network.register_forward_pre_hook(self.add_original, with_kwargs=True).remove)
                if name in self.family.denoisers:
                    stack.callback(network.register_forward_hook(self.fuse_original).remove)

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        """Replaces the pipeline's encode_prompt: keeps x's conditions and returns ξ's (x's where w_ξ is 0)."""
        encodes_negative_separately = "negative_prompt" not in self.encode_signature.parameters
        if self.pipeline_call is not None and encodes_negative_separately:
            self.pipeline_call.guided = True
            return self.stock_encode(*args, **kwargs)
        check_sampler(self.pipe.scheduler)
        given = self.encode_signature.bind(*args, **kwargs).arguments
        outputs = list(self.stock_encode(*args, **kwargs))
        places = list(self.family.conditions.values())
        original = [outputs[place] for place in places]
        rows, prompts = len(original[0]), _count_prompts(given)
        safe_outputs = self.stock_encode(**self._safe_arguments(given, prompts))
        safe = [safe_outputs[place] for place in places]
        if not (self.family.ragged or self.family.row_lists) and safe[0].shape != original[0].shape:
            raise ValueError(
                f"The prompt's embeddings have shape {tuple(original[0].shape)}, the safe prompt's "
                f"{tuple(safe[0].shape)}. Pass the safe prompt as embeddings of the same length."
            )
        wxi = [w for w in _per_prompt(self.wxi, prompts, "wxi") for _ in range(rows // prompts)]
        tau_gc = [t for t in _per_prompt(self.tau_gc, prompts, "tau_gc") for _ in range(rows // prompts)]
        carried = _carried(torch.tensor([w == 0.0 for w in wxi]), original, safe, self.family.ragged)
        if self.family.ragged:
            original = lengthen(original, original[0].shape[1])
        guided = bool(given.get("do_classifier_free_guidance", False))
        self.pipeline_call = PipelineCall(original, carried, wxi, tau_gc, guided)
        for place, condition in zip(places, carried, strict=True):
            outputs[place] = condition
        return tuple(outputs)

    def _safe_arguments(self, given: Mapping[str, Any], prompts: int) -> dict[str, Any]:
        """The arguments that encoded x, with ξ in place of everything that describes x."""
        parameters = self.encode_signature.parameters
        about_prompts = {name: p for name, p in parameters.items() if "prompt" in name and not name.startswith("num_")}
        arguments: dict[str, Any] = {name: value for name, value in given.items() if name not in about_prompts}
        arguments |= {name: None for name, parameter in about_prompts.items() if parameter.default is parameter.empty}
        if "do_classifier_free_guidance" in parameters:
            arguments["do_classifier_free_guidance"] = False
        if isinstance(self.safe_prompt, Mapping):
            embeddings = {k: _per_prompt(v, prompts, "safe_prompt") for k, v in self.safe_prompt.items()}
            return arguments | {"prompt": None} | embeddings
        texts = [self.safe_prompt] if isinstance(self.safe_prompt, str) else self.safe_prompt
        return arguments | {"prompt": list(_per_prompt(texts, prompts, "safe_prompt"))}

    def add_original(self, network: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Runs before the denoiser: appends rows for the original prompts that still take part."""
        self.denoiser_call = None
        if (pipeline_call := self.pipeline_call) is None:
            raise UnsupportedPipelineError("The pipeline called its denoiser without calling encode_prompt first.")
        arguments = dict(inspect.signature(network.forward).bind(*args, **kwargs).arguments)
        if arguments.get("guess_mode"):
            raise UnsupportedPipelineError("guess_mode gives the ControlNet other rows than the denoiser; turn it off.")
        total = len(next(iter(arguments.values())))
        images, safe = self._safe_rows(arguments, total, pipeline_call)
        timestep = self.family.timestep(self.pipe, arguments).flatten()[0]
        weights = self._weights(pipeline_call, images, timestep)
        if not weights:
            return args, kwargs
        active = torch.tensor(list(weights))
        rows = active + safe.start if safe else active[:0]
        call = DenoiserCall(
            total, images, timestep, active, rows, torch.tensor(list(weights.values()), dtype=torch.float64)
        )
        copied = self._copied(call)
        if not len(copied) + len(rows):
            return args, kwargs
        self.denoiser_call = call
        return (), self._append(arguments, call, copied, pipeline_call)

    def _weights(self, pipeline_call: PipelineCall, images: int, timestep: Tensor) -> dict[int, float]:
        """w_ξ at this timestep, for each image whose original takes part."""
        clock = pipeline_call.clock = pipeline_call.clock or Clock(self.pipe.scheduler)
        step, weights = clock.step(float(timestep)), {}
        for image in range(images):
            row = image * len(pipeline_call.wxi) // images
            k = clock.original_steps(pipeline_call.wxi[row], pipeline_call.tau_gc[row])
            if step < k:
                weights[image] = weight(pipeline_call.wxi[row], step, k, self.schedule)
        return weights

    def _copied(self, call: DenoiserCall) -> Tensor:
        """The unconditional rows to copy for the originals: none, as both branches share one latent."""
        return call.active[:0]

    def _safe_rows(self, arguments: Mapping[str, Any], total: int, pipeline_call: PipelineCall) -> tuple[int, range]:
        """The number of images of the call, and the rows of their safe prompts: none if the call is unconditional.

        Raises:
            UnsupportedPipelineError: the rows that the pipeline guides towards do not carry the safe prompts.
        """
        text = get(arguments, next(iter(self.family.conditions)))
        images = len(pipeline_call.wxi)
        if self.family.guidance == "second call":
            pipeline_call.calls += 1
            if pipeline_call.guided and pipeline_call.calls % 2 == 0:
                return images, range(0)
        if isinstance(text, list):
            images = sum(any(row is own for own in pipeline_call.carried[0]) for row in text)
        safe = range(images) if self.family.guidance == "behind" else range(total - images, total)
        if not (images and total in (images, 2 * images) and _carries(text, safe, total, pipeline_call)):
            raise UnsupportedPipelineError(
                f"The denoiser got {total} rows for {images} images, or another condition than encode_prompt returned. "
                "Dual latents need 1 or 2 rows per image, and the safe prompt as it was encoded."
            )
        return images, safe

    def _append(
        self, arguments: dict[str, Any], call: DenoiserCall, copied: Tensor, pipeline_call: PipelineCall
    ) -> dict[str, Any]:
        """The denoiser's arguments: its own rows, then the copied rows, then the active originals."""
        paths = list(self.family.conditions)
        own = [get(arguments, path) for path in paths]
        rows = torch.cat([copied, call.safe])
        for name, value in arguments.items():
            if name in self.family.row_lists:
                arguments[name] = value + take(value, rows, call.total)
            elif name not in self.family.shared:
                arguments[name] = append_rows(value, rows, call.total)
        if not len(call.safe):
            return arguments
        chosen = call.active * len(pipeline_call.wxi) // call.images
        original = [take(value, chosen, len(pipeline_call.wxi)) for value in pipeline_call.original]
        if self.family.ragged:
            length = max(own[0].shape[1], original[0].shape[1])
            own, original = lengthen(own, length), lengthen(original, length)
        for path, value, more in zip(paths, own, original, strict=True):
            put(arguments, path, join(value, take(value, copied, call.total), more, call.total))
        return arguments

    def fuse_original(self, _: Any, args: tuple[Any, ...], output: Any) -> Any:
        """Runs after the denoiser: removes the originals' rows and fuses them into the rows of their safe prompts."""
        if (call := self.denoiser_call) is None:
            return output
        predicted = torch.stack(output[0]) if isinstance(output[0], list) else output[0]
        prediction = predicted[: call.total].clone()
        prediction[call.safe] = fuse(predicted[call.total :], prediction[call.safe], call.wxi)
        return with_prediction(output, prediction)


def _carries(text: Any, safe: range, total: int, pipeline_call: PipelineCall) -> bool:
    """Whether these rows of a condition are the ones that encode_prompt returned; checks each condition once."""
    if isinstance(text, list):
        return all(any(text[row] is own for own in pipeline_call.carried[0]) for row in safe)
    if text is not pipeline_call.checked:
        carried = pipeline_call.carried[0].to(text).unsqueeze(1)
        rows = text.unflatten(0, (total, -1))[safe.start : safe.stop]
        if carried.shape[2:] != rows.shape[2:] or not bool((rows == carried).all()):
            return False
        pipeline_call.checked = text
    return True


def _carried(stock: Tensor, original: list[Any], safe: list[Any], ragged: bool) -> list[Any]:
    """x's conditions in the rows (B,) that draw x alone, ξ's in the others."""
    if stock.all() or not stock.any():
        return original if stock.all() else safe
    if ragged:
        length = max(original[0].shape[1], safe[0].shape[1])
        original, safe = lengthen(original, length), lengthen(safe, length)
    return [choose(stock, one, other) for one, other in zip(original, safe, strict=True)]


def _count_prompts(given: Mapping[str, Any]) -> int:
    """The number of prompts in encode_prompt's arguments."""
    prompt = given.get("prompt")
    if prompt is None:
        return len(given["prompt_embeds"])
    return 1 if isinstance(prompt, str) else len(prompt)


def _per_prompt(values: Any, count: int, name: str) -> Any:
    """One value per prompt: as given, or a single one repeated."""
    if len(values) == 1 != count:
        return values.expand(count, *values.shape[1:]) if isinstance(values, Tensor) else list(values) * count
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries for {count} prompts; pass one, or one per prompt.")
    return values
