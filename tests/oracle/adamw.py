"""AdamW, clipping and the learning-rate schedule as the paper's code does them, written out.

The order is: clip the gradient by its global norm; Adam's direction with bias correction; add the
decay of the weights as they were; scale both by the scheduled rate. With lr_t the rate, m and v
the corrected moments, the update is `w -= lr_t * (m / (sqrt(v) + epsilon) + decay * w)`.

`Rules` holds the right choices; its other values are mistakes that the oracle must tell apart.
"""

import math
from dataclasses import dataclass

import torch

BETA_1, BETA_2, EPSILON = 0.9, 0.95, 1e-8


@dataclass(frozen=True)
class Rules:
    """How training is read. The defaults are right, every other value is a mistake."""

    clip: str = "global"  # or "off", "always" (short ones grow), "by_tensor", "after_adam"
    decay_embeddings: bool = False
    decay_norms: bool = False
    decay_head: bool = True
    # or "peak" (not scheduled), "none" (not times the rate), "in_gradient" (before Adam)
    decay_scale: str = "scheduled"
    bias_correction: bool = True
    epsilon_inside_root: bool = False
    beta_2: float = BETA_2
    schedule: str = "cosine"  # or "linear"
    schedule_offset: int = 0  # 1: the first update already has a rate above 0
    warmup_steps: int | None = None


RIGHT = Rules()


def learning_rate(step, total_steps, peak, warmup_share, rules=RIGHT):
    """The rate at `step`, counted from 0 at the first update: linear from 0, then cosine to 0."""
    warmup = int(warmup_share * total_steps) if rules.warmup_steps is None else rules.warmup_steps
    step += rules.schedule_offset
    if step < warmup:
        return peak * step / warmup
    done = (step - warmup) / (total_steps - warmup)
    if rules.schedule == "linear":
        return peak * (1 - done)
    return peak * 0.5 * (1 + math.cos(math.pi * done))


def is_decayed(name, rules=RIGHT):
    """Every matrix but the token embedding; the output head too."""
    if name.endswith("norm.weight"):
        return rules.decay_norms
    if name == "model.embed_tokens.weight":
        return rules.decay_embeddings
    if name == "lm_head.weight":
        return rules.decay_head
    return True


def global_norm(tensors):
    """The square root of the sum of all squares, summed in f64 whatever the dtype."""
    return math.sqrt(sum(t.double().square().sum().item() for t in tensors))


def clipped(gradients, limit, rules=RIGHT):
    """Gradients scaled down to a global norm of `limit` where they exceed it, without epsilon."""
    if rules.clip in ("off", "after_adam"):
        return gradients
    norms = dict.fromkeys(gradients, global_norm(gradients.values()))
    if rules.clip == "by_tensor":
        norms = {name: global_norm([g]) for name, g in gradients.items()}
    floor = 0.0 if rules.clip == "always" else limit
    return {name: g * (limit / max(norms[name], floor)) for name, g in gradients.items()}


class AdamW:
    """State of the optimizer: two moments per tensor and the count of updates."""

    def __init__(self, weights, decay, clip_limit=1.0, rules=RIGHT):
        self.decay, self.clip_limit, self.rules, self.updates = decay, clip_limit, rules, 0
        self.first = {name: torch.zeros_like(w) for name, w in weights.items()}
        self.second = {name: torch.zeros_like(w) for name, w in weights.items()}

    def update(self, weights, gradients, rate, peak):
        """One update in place; `rate` is scheduled, scalars are f64, tensors keep their dtype."""
        rules = self.rules
        self.updates += 1
        if rules.decay_scale == "in_gradient":
            gradients = {
                name: g + self.decay * weights[name] if is_decayed(name, rules) else g
                for name, g in gradients.items()
            }
        gradients = clipped(gradients, self.clip_limit, rules)
        directions = {name: self.direction(name, g) for name, g in gradients.items()}
        if rules.clip == "after_adam":
            directions = clipped(directions, self.clip_limit)
        decay_rate = {"scheduled": rate, "peak": peak, "none": 1.0, "in_gradient": 0.0}
        for name, w in weights.items():
            decay = self.decay * decay_rate[rules.decay_scale] if is_decayed(name, rules) else 0.0
            w -= rate * directions[name] + decay * w

    def direction(self, name, gradient):
        """Adam's direction m / (sqrt(v) + epsilon), moments corrected by the count of updates."""
        rules, first, second = self.rules, self.first[name], self.second[name]
        first.mul_(BETA_1).add_(gradient, alpha=1 - BETA_1)
        second.mul_(rules.beta_2).addcmul_(gradient, gradient, value=1 - rules.beta_2)
        m, v = first, second
        if rules.bias_correction:
            m = m / (1 - BETA_1**self.updates)
            v = v / (1 - rules.beta_2**self.updates)
        if rules.epsilon_inside_root:
            return m / (v + EPSILON).sqrt()
        return m / (v.sqrt() + EPSILON)
