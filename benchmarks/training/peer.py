"""The same model in PyTorch on the CPU: the same frozen weights, the same adapter, autograd and torch's own Adam.

Two forms of it.  ``thin`` puts the two thin matrices of an adapter one after the other, as PEFT does; ``merged`` adds
their product to the frozen matrix first, as our own does, and leaves the way back to autograd.  The faster one counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch  # in the peers' environment only
import torch.nn.functional as F  # noqa: N812 - its usual name

from loops_nb.local.base_models import ALPHA_BY_RANK, BYTES, HEAD, size_of
from loops_nb.local.nn.base_weights import base_weights_of


class Peer:
    """A model in PyTorch that starts where one of ours stands.

    Parameters
    ----------
    base_model
        One whose ids are bytes.
    adapter
        Tensors of our own model by name; they are copied.
    merged
        Add adapters to the frozen matrices before each pass.
    """

    def __init__(self, base_model: str, adapter: Mapping[str, Any], *, merged: bool) -> None:
        self.size = size_of(base_model)
        base = base_weights_of(self.size)
        self._merged = merged
        self.weights = {name: torch.tensor(part.copy(), requires_grad=True) for name, part in adapter.items()}
        embedding, head = base.rows(range(BYTES))
        self._embedding = torch.tensor(embedding)
        self._frozen: dict[str, Any] = {HEAD: torch.tensor(head)}
        width, inner = self.size.width, self.size.inner
        for number, layer in enumerate(base.layers):
            for place, module in enumerate(("q_proj", "k_proj", "v_proj")):
                self._frozen[f"{number}.{module}"] = torch.tensor(
                    layer.qkv[:, place * width : (place + 1) * width].T.copy()
                )
            self._frozen[f"{number}.o_proj"] = torch.tensor(layer.o.T.copy())
            self._frozen[f"{number}.gate_proj"] = torch.tensor(layer.gate_up[:, :inner].T.copy())
            self._frozen[f"{number}.up_proj"] = torch.tensor(layer.gate_up[:, inner:].T.copy())
            self._frozen[f"{number}.down_proj"] = torch.tensor(layer.down.T.copy())
        self._turns: Any = None

    def optimizer(self, rate: float) -> Any:
        """Return torch's Adam with the SDK's parameters."""
        return torch.optim.Adam(self.weights.values(), lr=rate, betas=(0.9, 0.95), eps=1e-12)

    def loss(self, tokens: Any, targets: Any) -> Any:
        """Return the mean cross entropy of tokens and targets (sequences, length)."""
        stream = self._embedding[tokens]
        for number in range(self.size.layers):
            normed = F.rms_norm(stream, (self.size.width,), eps=1e-6)
            query, key, value = (self._project(normed, number, module) for module in ("q_proj", "k_proj", "v_proj"))
            query, key = self._turned(query), self._turned(key)
            mixed = F.scaled_dot_product_attention(query, key, self._heads(value), is_causal=True)
            stream = stream + self._project(mixed.transpose(1, 2).reshape(stream.shape), number, "o_proj")
            normed = F.rms_norm(stream, (self.size.width,), eps=1e-6)
            active = F.silu(self._project(normed, number, "gate_proj")) * self._project(normed, number, "up_proj")
            stream = stream + self._project(active, number, "down_proj")
        logits = self._project(F.rms_norm(stream, (self.size.width,), eps=1e-6), None, HEAD)
        return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))

    def step(self, optimizer: Any, tokens: Any, targets: Any) -> float:
        """Take one step with the gradient's norm clipped at one, and return the loss before it."""
        optimizer.zero_grad()
        loss = self.loss(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        optimizer.step()
        return float(loss.detach())

    def _project(self, values: Any, layer: int | None, module: str) -> Any:
        part = "self_attn" if module in {"q_proj", "k_proj", "v_proj", "o_proj"} else "mlp"
        name = (
            f"base_model.model.{module}" if layer is None else f"base_model.model.model.layers.{layer}.{part}.{module}"
        )
        thin, wide = self.weights[f"{name}.lora_A.weight"], self.weights[f"{name}.lora_B.weight"]
        frozen = self._frozen[module if layer is None else f"{layer}.{module}"]
        if self._merged:
            return F.linear(values, torch.addmm(frozen, wide, thin, alpha=ALPHA_BY_RANK))
        return F.linear(values, frozen) + F.linear(F.linear(values, thin), wide) * ALPHA_BY_RANK

    def _heads(self, flat: Any) -> Any:
        return flat.view(flat.shape[0], flat.shape[1], self.size.heads, -1).transpose(1, 2)

    def _turned(self, flat: Any) -> Any:
        length, pairs = flat.shape[1], self.size.width // self.size.heads // 2
        if self._turns is None or self._turns.shape[0] < length:
            angles = torch.arange(length)[:, None] * 10_000.0 ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
            self._turns = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
        split = torch.view_as_complex(flat.view(flat.shape[0], length, self.size.heads, pairs, 2))
        turned = torch.view_as_real(split * self._turns[:length, None, :])
        return turned.flatten(3).transpose(1, 2)
