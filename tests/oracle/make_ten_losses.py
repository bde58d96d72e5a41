"""Writes `ten_losses/`: ten training losses of a small Llama, for weight decay 0.1 and 3.2.

    python tests/oracle/make_ten_losses.py [--golden FOLDER]

`initial.safetensors` and `batches.json` are the input, `expected.json` what training must give.
The script checks itself: the model against `transformers` (loss and gradients, f32), AdamW against
`torch.optim.AdamW` with `clip_grad_norm_` (f64), the schedule against `lr_schedule.csv` of the
golden folder where one is given.
"""

import argparse
import csv
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file

import adamw
import llama
from adamw import AdamW, Rules
from llama import Reading, Shape

FOLDER = Path(__file__).parent / "ten_losses"
SHAPE = Shape(vocabulary=97, width=32, layers=2, heads=4, kv_heads=2, ffn=48, positions=24)
SEQUENCES, STEPS, PEAK, WARMUP_SHARE = 4, 10, 1e-2, 0.1
# (weight decay, clipping limit): at 1 each step is clipped, at 6 the first four are.
RUNS = ((0.1, 1.0), (3.2, 1.0), (0.1, 6.0))

# Each is one plausible misunderstanding of the model, the loss or the optimizer.
MISTAKES = {
    "interleaved_rotation": Reading(interleaved_rotation=True),
    "tiled_kv_heads": Reading(tiled_kv_heads=True),
    "norm_epsilon_1e-6": Reading(norm_epsilon=1e-6),
    "no_clipping": Rules(clip="off"),
    "always_normalized": Rules(clip="always"),
    "clipping_by_tensor": Rules(clip="by_tensor"),
    "clipping_after_adam": Rules(clip="after_adam"),
    "embeddings_decayed": Rules(decay_embeddings=True),
    "norms_decayed": Rules(decay_norms=True),
    "head_not_decayed": Rules(decay_head=False),
    "decay_not_scheduled": Rules(decay_scale="peak"),
    "decay_not_times_rate": Rules(decay_scale="none"),
    "decay_in_gradient": Rules(decay_scale="in_gradient"),
    "no_bias_correction": Rules(bias_correction=False),
    "epsilon_inside_root": Rules(epsilon_inside_root=True),
    "beta_2_0.999": Rules(beta_2=0.999),
    "linear_schedule": Rules(schedule="linear"),
    "schedule_one_step_early": Rules(schedule_offset=1),
    "no_warmup": Rules(warmup_steps=0),
}


def initial_weights(generator):
    """Normal cut at 3 sd over sqrt(fan-in) (embedding: over the width), gains spread around 1."""
    weights = {}
    for name, dimensions in llama.tensor_shapes(SHAPE).items():
        if name.endswith("norm.weight"):
            draw = generator.uniform(0.8, 1.2, dimensions)
        else:
            draw = generator.standard_normal(dimensions)
            while (outside := numpy.abs(draw) > 3).any():
                draw[outside] = generator.standard_normal(outside.sum())
            draw /= SHAPE.width if "embed" in name else math.sqrt(dimensions[1])
        weights[name] = torch.from_numpy(draw.astype(numpy.float32))
    return weights


def batches(generator):
    """Token ids [STEPS][B][T]: skewed tokens, each sequence repeating itself, so losses fall."""
    skew = 1 / numpy.arange(1, SHAPE.vocabulary + 1)
    skew /= skew.sum()

    def sequence():
        period = generator.integers(5, 10)
        motif = generator.choice(SHAPE.vocabulary, size=period, p=skew)
        return numpy.resize(motif, SHAPE.positions)

    return numpy.array([[sequence() for _ in range(SEQUENCES)] for _ in range(STEPS)])


def loss_of(weights, ids, reading=llama.RIGHT):
    """Mean of B * (T - 1) predictions: every position is read, the last one has no target."""
    scores = llama.logits(weights, ids, SHAPE, reading)[:, :-1]
    return torch.nn.functional.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten())


def loss_and_gradients(weights, ids, reading=llama.RIGHT):
    leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
    loss = loss_of(leaves, ids, reading)
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    return loss.item(), dict(zip(leaves, gradients))


def train(initial, ids, run, dtype, mistake=llama.RIGHT):
    """Ten updates; returns losses, gradient norms before clipping, final weights."""
    reading = mistake if isinstance(mistake, Reading) else llama.RIGHT
    rules = mistake if isinstance(mistake, Rules) else adamw.RIGHT
    weights = {name: w.to(dtype, copy=True) for name, w in initial.items()}
    optimizer = AdamW(weights, *run, rules)
    losses, norms = [], []
    for step in range(STEPS):
        loss, gradients = loss_and_gradients(weights, ids[step], reading)
        losses.append(loss)
        norms.append(adamw.global_norm(gradients.values()))
        rate = adamw.learning_rate(step, STEPS, PEAK, WARMUP_SHARE, rules)
        optimizer.update(weights, gradients, rate, PEAK)
    return losses, norms, weights


def train_with_torch(initial, ids, run, clip_epsilon):
    """The same run by `torch.optim.AdamW` and `clip_grad_norm_`, f64.

    `clip_grad_norm_` divides by `norm + 1e-6`. With `clip_epsilon` false the limit is raised by
    the same factor, which takes that away.
    """
    decay, clip_limit = run
    weights = {name: w.double().requires_grad_() for name, w in initial.items()}
    decayed = [w for name, w in weights.items() if adamw.is_decayed(name)]
    others = [w for name, w in weights.items() if not adamw.is_decayed(name)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}],
        betas=(adamw.BETA_1, adamw.BETA_2),
        eps=adamw.EPSILON,
    )
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(weights, ids[step])
        loss.backward()
        losses.append(loss.item())
        norm = adamw.global_norm(w.grad for w in weights.values())
        if norm > clip_limit:
            limit = clip_limit if clip_epsilon else clip_limit * (norm + 1e-6) / norm
            torch.nn.utils.clip_grad_norm_(list(weights.values()), limit)
        for group in optimizer.param_groups:
            group["lr"] = adamw.learning_rate(step, STEPS, PEAK, WARMUP_SHARE)
        optimizer.step()
    return losses, {name: w.detach() for name, w in weights.items()}


def largest_difference(a, b):
    """The largest absolute difference of two lists of numbers or two tables of tensors."""
    if isinstance(a, dict):
        return max((a[name].double() - b[name].double()).abs().max().item() for name in a)
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def check_optimizer(initial, ids):
    for run in RUNS:
        losses, _, weights = train(initial, ids, run, torch.float64)
        torch_losses, torch_weights = train_with_torch(initial, ids, run, clip_epsilon=False)
        epsilon_losses, _ = train_with_torch(initial, ids, run, clip_epsilon=True)
        by_loss = largest_difference(losses, torch_losses)
        by_weight = largest_difference(weights, torch_weights)
        by_epsilon = largest_difference(losses, epsilon_losses)
        assert by_loss < 1e-12 and by_weight < 1e-11, (by_loss, by_weight)
        assert by_epsilon < 1e-5, by_epsilon
        print(
            f"decay, clip {run}: torch.optim.AdamW differs by {by_loss:.1e} in a loss, "
            f"{by_weight:.1e} in a weight; its clipping epsilon changes a loss by {by_epsilon:.1e}"
        )


def check_model(initial, ids):
    model = llama.hugging_face_model(SHAPE, initial)
    theirs = model(ids[0], labels=ids[0]).loss
    theirs.backward()
    ours, gradients = loss_and_gradients(initial, ids[0])
    their_gradients = {name: w.grad for name, w in model.named_parameters()}
    by_loss = abs(theirs.item() - ours)
    by_gradient = largest_difference(gradients, their_gradients)
    scale = max(g.abs().max().item() for g in gradients.values())
    assert by_loss < 2e-6 and by_gradient < 1e-5 * scale, (by_loss, by_gradient)
    print(
        f"transformers differs by {by_loss:.1e} in the loss, "
        f"{by_gradient:.1e} in a gradient (largest {scale:.2f})"
    )


def check_schedule(table):
    rows = list(csv.DictReader(table.open()))
    for row in rows:
        total, warmup = int(row["total_steps"]), int(row["warmup_steps"])
        assert warmup == int(0.01 * total), row
        rate = adamw.learning_rate(int(row["step"]), total, float(row["peak_lr"]), 0.01)
        assert math.isclose(rate, float(row["lr"]), rel_tol=1e-9), (row, rate)
    print(f"{table.name}: {len(rows)} rows agree")


def sample_indices(gradient):
    """Flat indices of four elements: the largest gradient and three others that are not small."""
    order = gradient.abs().flatten().argsort(descending=True, stable=True)
    last = max(int((gradient != 0).sum()) // 2, 4) - 1
    return sorted({int(order[round(rank)]) for rank in numpy.linspace(0, last, 4)})


def summary(tensors, indices):
    """Per tensor the sum, the L2 norm (both exact to f64) and a few elements."""
    result = {}
    for name, tensor in tensors.items():
        values = tensor.double().flatten().tolist()
        result[name] = {
            "sum": math.fsum(values),
            "l2_norm": math.sqrt(math.fsum(v * v for v in values)),
            "elements": [values[i] for i in indices[name]],
        }
    return result


def mistakes_of(initial, ids, run, exact_losses):
    """How far each mistake moves a loss, leaving out those that can't show in this run."""
    changes = {}
    for name, mistake in MISTAKES.items():
        wrong = train(initial, ids, run, torch.float64, mistake)[0]
        changes[name] = largest_difference(wrong, exact_losses)
    return {name: change for name, change in changes.items() if change > 1e-12}


def expected_run(initial, ids, run, indices):
    exact_losses, exact_norms, exact_weights = train(initial, ids, run, torch.float64)
    losses, norms, weights = train(initial, ids, run, torch.float32)
    mistakes = mistakes_of(initial, ids, run, exact_losses)
    least = min(mistakes, key=mistakes.get)
    print(
        f"decay, clip {run}: losses {exact_losses[0]:.3f} .. {exact_losses[-1]:.3f}, f32 - f64 "
        f"{largest_difference(losses, exact_losses):.1e}, norms {min(norms):.2f} .. "
        f"{max(norms):.2f}, least mistake {least} {mistakes[least]:.1e}"
    )
    return {
        "weight_decay": run[0],
        "clip_limit": run[1],
        "losses_f64": exact_losses,
        "losses_f32": losses,
        "losses_f32_minus_f64_abs_max": largest_difference(losses, exact_losses),
        "gradient_norms_f64": exact_norms,
        "gradient_norms_f32": norms,
        "final_f64": summary(exact_weights, indices),
        "final_f32": summary(weights, indices),
        "final_f32_minus_f64_abs_max": largest_difference(weights, exact_weights),
        "loss_change_by_mistake": mistakes,
    }


def first_gradients(initial, ids):
    """Gradients of the first batch before clipping, and the elements that samples are taken of."""
    exact_weights = {name: w.double() for name, w in initial.items()}
    _, exact = loss_and_gradients(exact_weights, ids[0])
    _, rounded = loss_and_gradients(initial, ids[0])
    indices = {name: sample_indices(g) for name, g in exact.items()}
    return indices, {
        "indices": indices,
        "f64": summary(exact, indices),
        "f32": summary(rounded, indices),
        "f32_minus_f64_abs_max": largest_difference(exact, rounded),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--golden", type=Path, help="folder that holds lr_schedule.csv")
    golden = parser.parse_args().golden
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = numpy.random.default_rng(20_250_914)
    initial = initial_weights(generator)
    tokens = batches(generator)
    ids = torch.from_numpy(tokens)
    if golden is not None:
        check_schedule(golden / "lr_schedule.csv")
    check_model(initial, ids)
    check_optimizer(initial, ids)
    indices, gradients = first_gradients(initial, ids)
    expected = {
        "shape": asdict(replace(SHAPE, rope_scaling=None)),
        "learning_rates": [
            adamw.learning_rate(step, STEPS, PEAK, WARMUP_SHARE) for step in range(STEPS)
        ],
        "decayed": {name: adamw.is_decayed(name) for name in initial},
        "first_gradients": gradients,
        "runs": [expected_run(initial, ids, run, indices) for run in RUNS],
    }
    FOLDER.mkdir(exist_ok=True)
    save_file(initial, FOLDER / "initial.safetensors")
    (FOLDER / "batches.json").write_text(json.dumps(tokens.tolist()) + "\n")
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
