"""A Llama decoder written out, with the tensor names of Hugging Face, in the dtype of its weights.

It is the bridge between two needs: `transformers` computes norms and rotations in f32 whatever
the dtype of the weights, so it can't give an f64 reference; this file can, and each script checks
it against `transformers` in f32. A `Reading` holds the misunderstandings that an implementation
could contain; the scripts measure what each would change, so that a test's tolerance can be
shown to tell right from wrong.

B sequences, T positions, C width, H heads, G key/value heads, D head width, V vocabulary.
"""

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Llama3Scaling:
    """The frequency scaling of Llama 3.1 and later."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_positions: int


@dataclass(frozen=True)
class Shape:
    """What `config.json` says about a model."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    positions: int
    tied: bool = False
    norm_epsilon: float = 1e-5
    rope_theta: float = 10_000.0
    rope_scaling: Llama3Scaling | None = None

    @property
    def head_width(self):
        return self.width // self.heads


@dataclass(frozen=True)
class Reading:
    """How the definition is read. The defaults are right, every other value is a mistake."""

    interleaved_rotation: bool = False
    tiled_kv_heads: bool = False
    rotate_forward: bool = True
    norm_epsilon: float | None = None
    causal: bool = True
    gate_on_up: bool = False
    # or "none" (no scaling), "hard" (no smooth band), "every" (no bands, all slowed)
    scaling_bands: str = "all"


RIGHT = Reading()


def tensor_shapes(shape):
    """Every tensor of the model as name -> dimensions, in the order of the forward pass."""
    c, f, kv = shape.width, shape.ffn, shape.kv_heads * shape.head_width
    table = {"model.embed_tokens.weight": (shape.vocabulary, c)}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        table |= {
            prefix + "input_layernorm.weight": (c,),
            prefix + "self_attn.q_proj.weight": (c, c),
            prefix + "self_attn.k_proj.weight": (kv, c),
            prefix + "self_attn.v_proj.weight": (kv, c),
            prefix + "self_attn.o_proj.weight": (c, c),
            prefix + "post_attention_layernorm.weight": (c,),
            prefix + "mlp.gate_proj.weight": (f, c),
            prefix + "mlp.up_proj.weight": (f, c),
            prefix + "mlp.down_proj.weight": (c, f),
        }
    table["model.norm.weight"] = (c,)
    if not shape.tied:
        table["lm_head.weight"] = (shape.vocabulary, c)
    return table


def inverse_frequencies(shape, reading=RIGHT):
    """The D/2 rotation speeds in radians per position, f64."""
    half = shape.head_width // 2
    speeds = [shape.rope_theta ** (-i / half) for i in range(half)]
    scaling = shape.rope_scaling
    if scaling is None or reading.scaling_bands == "none":
        return torch.tensor(speeds, dtype=torch.float64)
    return torch.tensor(
        [scaled_speed(speed, scaling, reading) for speed in speeds], dtype=torch.float64
    )


def scaled_speed(speed, scaling, reading=RIGHT):
    """Short wavelengths stay, long ones are slowed by `factor`, those between are interpolated."""
    turns = scaling.original_positions * speed / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
    if reading.scaling_bands == "hard":
        smooth = float(smooth > 0)
    if reading.scaling_bands == "every":
        smooth = 0.0
    return (1 - smooth) * speed / scaling.factor + smooth * speed


def rotate(x, shape, reading):
    """RoPE on [B, heads, T, D]: element i is paired with i + D/2 (the half-split convention)."""
    angles = torch.outer(
        torch.arange(x.shape[2], dtype=torch.float64), inverse_frequencies(shape, reading)
    )
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    if not reading.rotate_forward:
        sin = -sin
    if reading.interleaved_rotation:
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def rms_norm(x, gain, shape, reading):
    """x / sqrt(mean(x^2) + epsilon) * gain over the width."""
    epsilon = shape.norm_epsilon if reading.norm_epsilon is None else reading.norm_epsilon
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * gain


def attention(x, weights, prefix, shape, reading):
    """Causal attention; query head h reads key/value head h // (H / G)."""
    b, t, c = x.shape

    def heads(name, count):
        projected = x @ weights[prefix + name].T
        return projected.view(b, t, count, shape.head_width).transpose(1, 2)

    q = rotate(heads("q_proj.weight", shape.heads), shape, reading)
    k = rotate(heads("k_proj.weight", shape.kv_heads), shape, reading)
    v = heads("v_proj.weight", shape.kv_heads)
    group = shape.heads // shape.kv_heads
    if reading.tiled_kv_heads:
        k, v = k.repeat(1, group, 1, 1), v.repeat(1, group, 1, 1)
    else:
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = q @ k.transpose(-1, -2) / math.sqrt(shape.head_width)
    if reading.causal:
        future = torch.ones(t, t, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(future, -math.inf)
    mixed = scores.softmax(-1) @ v
    return mixed.transpose(1, 2).reshape(b, t, c) @ weights[prefix + "o_proj.weight"].T


def swiglu(x, weights, prefix, reading):
    """down(silu(gate(x)) * up(x))."""
    gate = x @ weights[prefix + "gate_proj.weight"].T
    up = x @ weights[prefix + "up_proj.weight"].T
    if reading.gate_on_up:
        gate, up = up, gate
    return (torch.nn.functional.silu(gate) * up) @ weights[prefix + "down_proj.weight"].T


def logits(weights, ids, shape, reading=RIGHT):
    """Scores of the next token, [B, T, V], for ids [B, T]."""
    x = weights["model.embed_tokens.weight"][ids]
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        normed = rms_norm(x, weights[prefix + "input_layernorm.weight"], shape, reading)
        x = x + attention(normed, weights, prefix + "self_attn.", shape, reading)
        normed = rms_norm(x, weights[prefix + "post_attention_layernorm.weight"], shape, reading)
        x = x + swiglu(normed, weights, prefix + "mlp.", reading)
    x = rms_norm(x, weights["model.norm.weight"], shape, reading)
    head = "model.embed_tokens.weight" if shape.tied else "lm_head.weight"
    return x @ weights[head].T


def hugging_face_config(shape):
    """The same model as a `transformers.LlamaConfig`."""
    from transformers import LlamaConfig

    rope = {"rope_type": "default", "rope_theta": shape.rope_theta}
    if shape.rope_scaling is not None:
        rope |= {
            "rope_type": "llama3",
            "factor": shape.rope_scaling.factor,
            "low_freq_factor": shape.rope_scaling.low_freq_factor,
            "high_freq_factor": shape.rope_scaling.high_freq_factor,
            "original_max_position_embeddings": shape.rope_scaling.original_positions,
        }
    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.positions,
        rms_norm_eps=shape.norm_epsilon,
        rope_parameters=rope,
        tie_word_embeddings=shape.tied,
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="eager",
    )


def hugging_face_model(shape, weights):
    """A `transformers.LlamaForCausalLM` that holds these weights, f32, eager attention."""
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM(hugging_face_config(shape)).eval()
    result = model.load_state_dict(weights, strict=not shape.tied)
    assert not result.unexpected_keys and set(result.missing_keys) <= {"lm_head.weight"}, result
    return model
