"""Writes `parameter_counts/expected.json`: what `transformers` counts for each Llama preset.

    python tests/oracle/make_parameter_counts.py --golden FOLDER

Models are built on the meta device, so that nothing is allocated. Each count is checked against
the table `presets.csv` of the golden folder and against the formula of the paper's code.
"""

import argparse
import csv
import json
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

import llama
from llama import Shape

FOLDER = Path(__file__).parent / "parameter_counts"


def shape_of(row):
    return Shape(
        vocabulary=int(row["vocab"]),
        width=int(row["hidden"]),
        layers=int(row["layers"]),
        heads=int(row["heads"]),
        kv_heads=int(row["kv_heads"]),
        ffn=int(row["ffn"]),
        positions=int(row["max_seq_len"]),
        tied=row["tied_embeddings"] == "true",
        rope_theta=float(row["rope_theta"]),
    )


def formula(shape):
    """L*(2*h*h + 2*h*kv*hd + 3*h*i + 2*h) + h, and the embedding once or twice."""
    h, kv = shape.width, shape.kv_heads * shape.head_width
    inside = shape.layers * (2 * h * h + 2 * h * kv + 3 * h * shape.ffn + 2 * h) + h
    return inside + shape.vocabulary * h * (1 if shape.tied else 2), inside


def counted(shape):
    """Total and non-embedding parameters; the latter without token embedding and output head."""
    with torch.device("meta"):
        model = LlamaForCausalLM(llama.hugging_face_config(shape))
    tensors = dict(model.named_parameters())
    assert {name: tuple(t.shape) for name, t in tensors.items()} == llama.tensor_shapes(shape)
    embeddings = {"model.embed_tokens.weight", "lm_head.weight"}
    total = sum(t.numel() for t in tensors.values())
    inside = sum(t.numel() for name, t in tensors.items() if name not in embeddings)
    return total, inside


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--golden", type=Path, required=True, help="folder that holds presets.csv")
    table = parser.parse_args().golden / "presets.csv"
    counts = {}
    for row in csv.DictReader(table.open()):
        if row["family"] != "llama":
            continue
        shape = shape_of(row)
        golden = int(row["total_params"]), int(row["non_embedding_params"])
        assert counted(shape) == formula(shape) == golden, (row["key"], counted(shape), golden)
        counts[row["key"]] = {
            "total_parameters": golden[0],
            "non_embedding_parameters": golden[1],
            "tensors": len(llama.tensor_shapes(shape)),
        }
        print(f"{row['key']}: {golden[0]} and {golden[1]} agree")
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "expected.json").write_text(json.dumps(counts, indent=1) + "\n")


if __name__ == "__main__":
    main()
