"""The stand-ins and hooks that draw two prompts at once with a stock pipeline (variant "coupled")."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import wraps
from threading import get_ident
from typing import Any

import torch
from torch import Tensor

from generator.method.calls import DenoiserCall, PipelineCall
from generator.method.conditions import SafePrompt, encode_both
from generator.method.families import Family, get, put
from generator.method.rows import append_rows, fuse, join, lengthen, take, with_prediction
from generator.method.schedule import Schedule, UnsupportedPipelineError, check_sampler

NO_THREAD = -1


class Branches:
    """Variant "coupled".

    Encodes both prompts, adds the originals' rows to the denoiser's calls, and fuses them into the safe rows.

    If the pipeline's guidance is linear, the predictions are fused before it. If it is not, the pipeline guides the
    originals' predictions too, with copies of the unconditional ones, and the guided predictions are fused in the
    stand-in for the sampler's step. The denoiser has the same rows in both cases.
    """

    copies_unconditional = False  # both branches share one latent, so one unconditional row is enough

    def __init__(
        self,
        pipe: Any,
        family: Family,
        safe_prompt: SafePrompt,
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
        self.schedulers: list[Any] = []  # those that have a stand-in for their step

    def install(self, stack: ExitStack) -> None:
        """Puts the stand-ins and hooks on the pipeline; the stack removes them."""
        self.stack = stack
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
        outputs, self.pipeline_call = encode_both(
            self.stock_encode,
            self.encode_signature,
            args,
            kwargs,
            self.family,
            self.safe_prompt,
            self.wxi,
            self.tau_gc,
        )
        return tuple(outputs)

    def add_original(self, network: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Runs before the denoiser: appends rows for the original prompts that still take part."""
        self.denoiser_call = None
        pipeline_call = self._call_in_progress()
        network = getattr(network, "_orig_mod", network)  # compiled
        arguments = dict(inspect.signature(network.forward).bind(*args, **kwargs).arguments)
        if arguments.get("guess_mode"):
            raise UnsupportedPipelineError("guess_mode gives the ControlNet other rows than the denoiser; turn it off.")
        total = len(next(iter(arguments.values())))
        images, safe = self._safe_rows(arguments, total, pipeline_call)
        timestep = self.family.timestep(self.pipe, arguments).flatten()[0]
        weights = pipeline_call.weights(self.pipe, self.schedule, images, timestep)
        if not weights:
            return args, kwargs
        if getattr(network, "is_cache_enabled", False):
            raise UnsupportedPipelineError(
                f"{type(network).__name__} keeps results from one step for the next, but the number of rows changes "
                "between steps. Call disable_cache() on it."
            )
        call = self._denoiser_call(total, images, safe, timestep, weights)
        appended = len(call.copied) + len(call.safe)
        if appended or call.apart:
            self.denoiser_call = call
        return ((), self._append(arguments, call, pipeline_call)) if appended else (args, kwargs)

    def _call_in_progress(self) -> PipelineCall:
        if (pipeline_call := self.pipeline_call) is None:
            raise UnsupportedPipelineError(
                "The pipeline called its denoiser without calling encode_prompt first, or another thread called it."
            )
        if pipeline_call.thread != get_ident():
            pipeline_call.thread = NO_THREAD  # the other call is spoilt, too
            raise UnsupportedPipelineError("Two threads called the pipeline at once; use a pipeline for each thread.")
        return pipeline_call

    def _denoiser_call(
        self, total: int, images: int, safe: range, timestep: Tensor, weights: Mapping[int, float]
    ) -> DenoiserCall:
        active = torch.tensor(list(weights))
        apart = self._guides_apart()
        if apart:
            self._stand_in_for_step()
        return DenoiserCall(
            total,
            images,
            timestep,
            active,
            active + safe.start if safe else active[:0],
            torch.tensor(list(weights.values()), dtype=torch.float64),
            active if self.copies_unconditional and total - len(safe) else active[:0],
            apart,
        )

    def _guides_apart(self) -> bool:
        """Whether the pipeline guides the originals too.

        Raises:
            UnsupportedPipelineError: it should, but cannot.
        """
        nonlinear = self.family.nonlinear(self.pipe)
        if nonlinear and self.family.fixed_rows:
            raise UnsupportedPipelineError(
                f"{type(self.pipe).__name__} changes the norm of guided predictions, which is not linear, so a sum of "
                "predictions does not draw the sum of latents. Call it with cfg_normalization=False."
            )
        return nonlinear

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
        if not (images and total in (images, 2 * images) and pipeline_call.carries(text, safe, total)):
            raise UnsupportedPipelineError(
                f"The denoiser got {total} rows for {images} images, or another condition than encode_prompt returned. "
                "Dual latents need 1 or 2 rows per image, and the safe prompt as it was encoded."
            )
        return images, safe

    def _append(self, arguments: dict[str, Any], call: DenoiserCall, pipeline_call: PipelineCall) -> dict[str, Any]:
        """The denoiser's arguments: its own rows, then the copied rows, then the active originals."""
        paths = list(self.family.conditions)
        own = [get(arguments, path) for path in paths]
        arguments = append_rows(arguments, torch.cat([call.copied, call.safe]), call.total, self.family)
        original: list[Any] = [None] * len(paths)
        if len(call.safe):
            chosen = call.active * len(pipeline_call.wxi) // call.images
            original = [take(value, chosen, len(pipeline_call.wxi)) for value in pipeline_call.original]
            if self.family.ragged:
                length = max(own[0].shape[1], original[0].shape[1])
                own, original = lengthen(own, length), lengthen(original, length)
        for path, value, more in zip(paths, own, original, strict=True):
            if value is not None:
                put(arguments, path, join(value, call.copied, more, call.total))
        return arguments

    def fuse_original(self, _: Any, args: tuple[Any, ...], output: Any) -> Any:
        """Runs after the denoiser: fuses the originals' rows into the safe ones, or orders them for the guidance."""
        if (call := self.denoiser_call) is None:
            return output
        self._call_in_progress()
        predicted = torch.stack(output[0]) if isinstance(output[0], list) else output[0]
        return with_prediction(output, call.for_guidance(predicted) if call.apart else call.fused(predicted))

    def _stand_in_for_step(self) -> None:
        """Until the end of the context, the sampler's step takes guided predictions of both branches."""
        scheduler = self.pipe.scheduler
        if any(scheduler is one for one in self.schedulers):
            return
        self.schedulers.append(scheduler)
        stock_step = scheduler.step
        if "step" in vars(scheduler):  # the caller's own
            self.stack.callback(setattr, scheduler, "step", stock_step)
        else:
            self.stack.callback(delattr, scheduler, "step")

        @wraps(stock_step)
        def step(prediction: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
            if (call := self.denoiser_call) is None or not call.apart:
                return stock_step(prediction, timestep, sample, *args, **kwargs)
            self._call_in_progress()
            own, original = prediction.split([call.images, len(call.active)])
            return self.step_both(stock_step, call, own, original, timestep, sample, *args, **kwargs)

        scheduler.step = step

    def step_both(
        self,
        stock_step: Callable[..., Any],
        call: DenoiserCall,
        own: Tensor,
        original: Tensor,
        timestep: Any,
        sample: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """The sampler's step, from guided predictions of the images (B, …) and of their active originals."""
        fused = own.clone()
        fused[call.active] = fuse(original, own[call.active], call.wxi)
        return stock_step(fused, timestep, sample, *args, **kwargs)
