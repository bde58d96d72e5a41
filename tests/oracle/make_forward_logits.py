"""Writes `forward_logits/`: small random Llama models and what `transformers` computes with them.

    python tests/oracle/make_forward_logits.py

Per case a model folder as Hugging Face writes it (`config.json`, `model.safetensors`), the same
configuration in the older form that most published folders have (`config.transformers4.json`),
`logits.safetensors` (tensor `logits`, f32 [B, T, V]) and `case.json`: the input ids, the distance
of these f32 logits from f64 ones, and what each mistake of `llama.Reading` would change.
"""

import json
import math
import shutil
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file

import llama
from llama import Llama3Scaling, Reading, Shape

HERE = Path(__file__).parent
SEQUENCES = 2

# `original_positions` 48 puts the eight wavelengths (6.3, 32, 167 ... positions) into all three
# bands: below 48 / 4 they stay, above 48 / 1 they are slowed, and 32 lies between.
SCALING = Llama3Scaling(
    factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_positions=48
)

CASES = {
    "gqa_untied": Shape(
        vocabulary=53, width=48, layers=2, heads=6, kv_heads=2, ffn=40, positions=40
    ),
    "tied": Shape(
        vocabulary=61, width=40, layers=2, heads=5, kv_heads=5, ffn=64, positions=40, tied=True
    ),
    "llama3_rope": Shape(
        vocabulary=53, width=32, layers=2, heads=2, kv_heads=1, ffn=64, positions=64,
        rope_theta=500_000.0, rope_scaling=SCALING,
    ),
}

MISTAKES = {
    "interleaved_rotation": Reading(interleaved_rotation=True),
    "backward_rotation": Reading(rotate_forward=False),
    "tiled_kv_heads": Reading(tiled_kv_heads=True),
    "norm_epsilon_1e-6": Reading(norm_epsilon=1e-6),
    "not_causal": Reading(causal=False),
    "gate_and_up_exchanged": Reading(gate_on_up=True),
    "rope_not_scaled": Reading(scaling_bands="none"),
    "rope_without_smooth_band": Reading(scaling_bands="hard"),
    "rope_all_scaled": Reading(scaling_bands="every"),
}


def random_weights(shape, seed):
    """Weights large enough that attention is far from uniform and gains far from one."""
    generator = numpy.random.default_rng(seed)
    weights = {}
    for name, dimensions in llama.tensor_shapes(shape).items():
        draw = generator.standard_normal(dimensions)
        if name.endswith("norm.weight"):
            draw = 1 + 0.3 * draw
        elif name == "model.embed_tokens.weight":
            # Small rows let the epsilon of the first norm show.
            draw = draw * (0.02 if not shape.tied else 1 / math.sqrt(shape.width))
        else:
            sharper = 2.0 if "q_proj" in name or "k_proj" in name else 1.0
            draw = draw * sharper / math.sqrt(dimensions[1])
        weights[name] = torch.from_numpy(draw.astype(numpy.float32))
    return weights


def older_config(config):
    """The configuration as `transformers` 4 wrote it: flat `rope_theta`, `rope_scaling` or null."""
    older = {key: value for key, value in config.items() if key != "rope_parameters"}
    rope = dict(config["rope_parameters"])
    older["rope_theta"] = rope.pop("rope_theta")
    older["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    older["torch_dtype"] = older.pop("dtype")
    del older["transformers_version"]  # Derived here, written by no release.
    return dict(sorted(older.items()))


def largest(tensor):
    return tensor.abs().max().item()


def write_case(name, shape, seed):
    """Computes one case, checks it three ways, writes it, and prints one line."""
    from transformers import LlamaForCausalLM

    folder = HERE / "forward_logits" / name
    shutil.rmtree(folder, ignore_errors=True)
    weights = random_weights(shape, seed)
    ids = numpy.random.default_rng(seed + 1).integers(
        shape.vocabulary, size=(SEQUENCES, shape.positions)
    )
    ids_tensor = torch.from_numpy(ids)
    llama.hugging_face_model(shape, weights).save_pretrained(folder)
    (folder / "generation_config.json").unlink()

    # What counts is what `transformers` computes from the files, not from the model in memory.
    read_back = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    expected = read_back(ids_tensor).logits
    exact_weights = {name: value.double() for name, value in weights.items()}
    exact = llama.logits(exact_weights, ids_tensor, shape)
    rounding = largest(expected.double() - exact)
    assert rounding < 2e-5 * largest(exact), f"{name}: llama.py and transformers differ: {rounding}"

    config = json.loads((folder / "config.json").read_text())
    older = folder / "config.transformers4.json"
    older.write_text(json.dumps(older_config(config), indent=2) + "\n")
    check_older_config(folder, older, ids_tensor, expected)

    mistakes = {}
    for mistake, reading in MISTAKES.items():
        change = largest(llama.logits(exact_weights, ids_tensor, shape, reading) - exact)
        if change > 0:
            mistakes[mistake] = change
    save_file({"logits": expected.contiguous()}, folder / "logits.safetensors")
    case = {
        "input_ids": ids.tolist(),
        "logits_abs_max": largest(exact),
        "f32_minus_f64_abs_max": rounding,
        "abs_max_change_by_mistake": mistakes,
    }
    (folder / "case.json").write_text(json.dumps(case) + "\n")
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert size < 150_000, f"{name}: {size} bytes"
    least = min(mistakes.values())
    print(f"{name}: {size} bytes, f32 - f64 {rounding:.1e}, least mistake {least:.1e}")


def check_older_config(folder, older, ids, expected):
    """The older form must describe the same model, bit for bit."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_dict(json.loads(older.read_text()))
    model = LlamaForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager"
    )
    assert torch.equal(model.eval()(ids).logits, expected), f"{older}: other logits"


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    speeds = llama.inverse_frequencies(CASES["llama3_rope"])
    plain = llama.inverse_frequencies(CASES["llama3_rope"], Reading(scaling_bands="none"))
    bands = [(plain / speeds)[i].item() for i in range(3)]
    assert bands[0] == 1 and 1 < bands[1] < 32 and abs(bands[2] - 32) < 1e-9, bands
    for seed, (name, shape) in enumerate(CASES.items()):
        write_case(name, shape, 1000 * (seed + 1))


if __name__ == "__main__":
    main()
