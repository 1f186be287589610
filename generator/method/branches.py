"""What stands between a pipeline and its denoiser while two prompts are drawn at once (variant "coupled")."""

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
class Drawing:
    """One call of the pipeline, of R encoded rows: a prompt's images stand beside each other."""

    original: list[Any]  # x's conditions, each of R rows
    carried: list[Any]  # the conditions that the pipeline got: ξ's, or x's where w_ξ is 0
    wxi: list[float]
    tau_gc: list[float]
    guided: bool
    clock: Clock | None = None
    calls: int = 0  # of the denoiser
    checked: Any = None  # the last condition seen to carry ξ


@dataclass
class Call:
    """One call of a denoiser in which an original takes part."""

    total: int  # rows of the pipeline's own
    images: int
    timestep: Tensor  # the sampler's
    active: Tensor  # images whose original takes part, in order
    safe: Tensor  # rows of their safe prompts; none in an unconditional call
    wxi: Tensor  # (len(active),)


class Branches:
    """Encodes both prompts, adds the original's rows to the denoiser's calls and sums them into the safe ones."""

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
        self.drawing: Drawing | None = None
        self.call: Call | None = None

    def install(self, stack: ExitStack) -> None:
        """Puts the stand-ins and hooks on the pipeline; the stack takes them off."""
        stand_ins = {"encode_prompt": self.encode}
        if hasattr(self.pipe, "check_inputs"):
            stock_check = self.pipe.check_inputs

            def check_inputs(*args: Any, **kwargs: Any) -> Any:
                self.drawing = None  # what an earlier call of the pipeline encoded
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
        """Stands in for the pipeline's encode_prompt: keeps x's conditions and returns ξ's (x's where w_ξ is 0)."""
        negative_apart = "negative_prompt" not in self.encode_signature.parameters
        if self.drawing is not None and negative_apart:
            self.drawing.guided = True
            return self.stock_encode(*args, **kwargs)
        check_sampler(self.pipe.scheduler)
        given = self.encode_signature.bind(*args, **kwargs).arguments
        outputs = list(self.stock_encode(*args, **kwargs))
        places = list(self.family.conditions.values())
        original = [outputs[place] for place in places]
        rows, prompts = len(original[0]), _count(given)
        safe_outputs = self.stock_encode(**self._safe_arguments(given, prompts))
        safe = [safe_outputs[place] for place in places]
        if not (self.family.ragged or self.family.row_lists) and safe[0].shape != original[0].shape:
            raise ValueError(
                f"The prompt's embeddings have shape {tuple(original[0].shape)}, the safe prompt's "
                f"{tuple(safe[0].shape)}: give the safe prompt as embeddings of the same length."
            )
        wxi = [w for w in _per_prompt(self.wxi, prompts, "wxi") for _ in range(rows // prompts)]
        tau_gc = [t for t in _per_prompt(self.tau_gc, prompts, "tau_gc") for _ in range(rows // prompts)]
        carried = _carried(torch.tensor([w == 0.0 for w in wxi]), original, safe, self.family.ragged)
        if self.family.ragged:
            original = lengthen(original, original[0].shape[1])
        guided = bool(given.get("do_classifier_free_guidance", False))
        self.drawing = Drawing(original, carried, wxi, tau_gc, guided)
        for place, condition in zip(places, carried, strict=True):
            outputs[place] = condition
        return tuple(outputs)

    def _safe_arguments(self, given: Mapping[str, Any], prompts: int) -> dict[str, Any]:
        """The arguments of x's encoding with all that is said of x taken out and ξ put in."""
        parameters = self.encode_signature.parameters
        said = {name: p for name, p in parameters.items() if "prompt" in name and not name.startswith("num_")}
        arguments: dict[str, Any] = {name: value for name, value in given.items() if name not in said}
        arguments |= {name: None for name, parameter in said.items() if parameter.default is parameter.empty}
        if "do_classifier_free_guidance" in parameters:
            arguments["do_classifier_free_guidance"] = False
        if isinstance(self.safe_prompt, Mapping):
            embeddings = {k: _per_prompt(v, prompts, "safe_prompt") for k, v in self.safe_prompt.items()}
            return arguments | {"prompt": None} | embeddings
        texts = [self.safe_prompt] if isinstance(self.safe_prompt, str) else self.safe_prompt
        return arguments | {"prompt": list(_per_prompt(texts, prompts, "safe_prompt"))}

    def add_original(self, network: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Before the denoiser: appends to its rows those of the original prompts that still take part."""
        self.call = None
        if (drawing := self.drawing) is None:
            raise UnsupportedPipelineError("The pipeline called its denoiser without calling encode_prompt first.")
        arguments = dict(inspect.signature(network.forward).bind(*args, **kwargs).arguments)
        if arguments.get("guess_mode"):
            raise UnsupportedPipelineError("guess_mode gives the ControlNet rows of its own; leave it out.")
        total = len(next(iter(arguments.values())))
        images, safe = self._safe_rows(arguments, total, drawing)
        timestep = self.family.timestep(self.pipe, arguments).flatten()[0]
        weights = self._weights(drawing, images, timestep)
        if not weights:
            return args, kwargs
        active = torch.tensor(list(weights))
        rows = active + safe.start if safe else active[:0]
        call = Call(total, images, timestep, active, rows, torch.tensor(list(weights.values()), dtype=torch.float64))
        copied = self._copied(call)
        if not len(copied) + len(rows):
            return args, kwargs
        self.call = call
        return (), self._append(arguments, call, copied, drawing)

    def _weights(self, drawing: Drawing, images: int, timestep: Tensor) -> dict[int, float]:
        """w_ξ at this timestep, of each image whose original takes part in it."""
        clock = drawing.clock = drawing.clock or Clock(self.pipe.scheduler)
        step, weights = clock.step(float(timestep)), {}
        for image in range(images):
            row = image * len(drawing.wxi) // images
            k = clock.original_steps(drawing.wxi[row], drawing.tau_gc[row])
            if step < k:
                weights[image] = weight(drawing.wxi[row], step, k, self.schedule)
        return weights

    def _copied(self, call: Call) -> Tensor:
        """The unconditional rows that the originals need of their own: none, as both branches leave one latent."""
        return call.active[:0]

    def _safe_rows(self, arguments: Mapping[str, Any], total: int, drawing: Drawing) -> tuple[int, range]:
        """How many images the call draws, and which of its rows carry their safe prompts: none if unconditional.

        Raises:
            UnsupportedPipelineError: where the rows that the pipeline guides towards carry something else.
        """
        text = get(arguments, next(iter(self.family.conditions)))
        images = len(drawing.wxi)
        if self.family.guidance == "second call":
            drawing.calls += 1
            if drawing.guided and drawing.calls % 2 == 0:
                return images, range(0)
        if isinstance(text, list):
            images = sum(any(row is own for own in drawing.carried[0]) for row in text)
        safe = range(images) if self.family.guidance == "behind" else range(total - images, total)
        if not (images and total in (images, 2 * images) and _carries(text, safe, total, drawing)):
            raise UnsupportedPipelineError(
                f"The denoiser got {total} rows for {images} images, or another condition than encode_prompt returned: "
                "dual latents know 1 or 2 rows an image and draw only where they see the safe prompt arrive."
            )
        return images, safe

    def _append(self, arguments: dict[str, Any], call: Call, copied: Tensor, drawing: Drawing) -> dict[str, Any]:
        """The denoiser's arguments with copies of some rows behind its own, and the active originals behind those."""
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
        chosen = call.active * len(drawing.wxi) // call.images
        original = [take(value, chosen, len(drawing.wxi)) for value in drawing.original]
        if self.family.ragged:
            length = max(own[0].shape[1], original[0].shape[1])
            own, original = lengthen(own, length), lengthen(original, length)
        for path, value, more in zip(paths, own, original, strict=True):
            put(arguments, path, join(value, take(value, copied, call.total), more, call.total))
        return arguments

    def fuse_original(self, _: Any, args: tuple[Any, ...], output: Any) -> Any:
        """After the denoiser: takes the original rows off and sums them into the rows of their safe prompts."""
        if (call := self.call) is None:
            return output
        predicted = torch.stack(output[0]) if isinstance(output[0], list) else output[0]
        prediction = predicted[: call.total].clone()
        prediction[call.safe] = fuse(predicted[call.total :], prediction[call.safe], call.wxi)
        return with_prediction(output, prediction)


def _carries(text: Any, safe: range, total: int, drawing: Drawing) -> bool:
    """Whether these rows of a condition are those that the pipeline was given; looks at each condition once."""
    if isinstance(text, list):
        return all(any(text[row] is own for own in drawing.carried[0]) for row in safe)
    if text is not drawing.checked:
        carried = drawing.carried[0].to(text).unsqueeze(1)
        rows = text.unflatten(0, (total, -1))[safe.start : safe.stop]
        if carried.shape[2:] != rows.shape[2:] or not bool((rows == carried).all()):
            return False
        drawing.checked = text
    return True


def _carried(stock: Tensor, original: list[Any], safe: list[Any], ragged: bool) -> list[Any]:
    """The conditions of x in the rows (B,) that draw it alone, and of ξ in the others."""
    if stock.all() or not stock.any():
        return original if stock.all() else safe
    if ragged:
        length = max(original[0].shape[1], safe[0].shape[1])
        original, safe = lengthen(original, length), lengthen(safe, length)
    return [choose(stock, one, other) for one, other in zip(original, safe, strict=True)]


def _count(given: Mapping[str, Any]) -> int:
    """How many prompts encode_prompt was given."""
    prompt = given.get("prompt")
    if prompt is None:
        return len(given["prompt_embeds"])
    return 1 if isinstance(prompt, str) else len(prompt)


def _per_prompt(values: Any, count: int, name: str) -> Any:
    """One value per prompt: as given, or the only one repeated."""
    if len(values) == 1 != count:
        return values.expand(count, *values.shape[1:]) if isinstance(values, Tensor) else list(values) * count
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries for {count} prompts; give one, or one per prompt.")
    return values
