//! The model and the optimizer against PyTorch and Hugging Face transformers (tests/oracle).

use std::path::PathBuf;

use scarce::model::{self, Lane, Model, NO_TARGET, Sequences, Weights};
use scarce::optim::Optimizer;
use scarce::spec::{Decay, FeedForward, Init, ModelSpec, OptimSpec, Rope, RopeScaling, Schedule};
use scarce_engine::isa::{Isa, Kernels, Precision};
use scarce_engine::pool::Pool;
use serde_json::Value;

fn read(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oracle").join(name);
    std::fs::read(&path).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&read(name)).unwrap()
}

fn kernels() -> Kernels {
    Kernels::new(Isa::detect(), Precision::F32)
}

/// Token and target rows; the last position of each has no target.
fn shifted(tokens: &[u32]) -> Vec<u32> {
    tokens[1..].iter().copied().chain([NO_TARGET]).collect()
}

fn weights(model: &Model, file: &str, pool: &Pool) -> Weights {
    let mut weights = Weights::zeroed(model);
    model::from_safetensors(&model.table, &read(file), &mut weights.values).unwrap();
    weights.pack(pool);
    weights
}

/// Losses and gradient norms of ten steps as PyTorch computes them in f64. Twenty plausible
/// mistakes move a loss by at least 2.3e-4; f32 rounding moves it by less than 1e-6.
#[test]
fn ten_steps_lose_as_in_pytorch() {
    let expected = json("ten_losses/expected.json");
    let batches: Vec<Vec<Vec<u32>>> =
        serde_json::from_slice(&read("ten_losses/batches.json")).unwrap();
    for run in expected["runs"].as_array().unwrap() {
        let number = |key: &str| run[key].as_f64().unwrap();
        let (losses, norms) = ten_steps(&batches, number("weight_decay"), number("clip_limit"));
        for (step, (loss, norm)) in losses.iter().zip(&norms).enumerate() {
            let loss_expected = run["losses_f64"][step].as_f64().unwrap();
            let norm_expected = run["gradient_norms_f64"][step].as_f64().unwrap();
            assert!((loss - loss_expected).abs() < 1e-5, "step {step}: {loss} {loss_expected}");
            assert!((norm / norm_expected - 1.0).abs() < 1e-5, "step {step}: {norm}");
        }
    }
}

fn ten_steps(batches: &[Vec<Vec<u32>>], decay: f64, clip: f64) -> (Vec<f64>, Vec<f64>) {
    let pool = Pool::new(1);
    let model = Model::new(&small(97, 32, 2, [4, 2], 48, false, plain_rope()), 24, kernels());
    let mut weights = weights(&model, "ten_losses/initial.safetensors", &pool);
    let spec = OptimSpec::Adamw {
        lr: 1e-2,
        weight_decay: decay,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        clip_norm: clip,
        decay_norms: false,
        batch_sequences: 4,
        schedule: Schedule { decay: Decay::Cosine, warmup_share: 0.1, min_lr_ratio: 0.0 },
    };
    let mut optimizer = Optimizer::new(&spec, &model.table.decay_runs(false));
    let mut lane = Lane::new(&model, 1);
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for (step, batch) in (0..).zip(batches) {
        let predicted = batch.iter().map(|row| row.len() - 1).sum::<usize>() as f64;
        let mut gradient = vec![0.0; model.parameters()];
        let mut loss = 0.0;
        for tokens in batch {
            let targets = shifted(tokens);
            let sequence = Sequences { tokens, targets: &targets, starts: None };
            let scale = (1.0 / predicted) as f32;
            let of_model = (&model, &weights);
            loss += lane.forward_backward(of_model, sequence, None, scale, &mut gradient);
        }
        let lanes = &mut [&mut gradient[..]];
        let report = optimizer.step((kernels(), &pool), (step, 10), &mut weights.values, lanes);
        weights.pack(&pool);
        losses.push(loss / predicted);
        norms.push(report.gradient_norm);
    }
    (losses, norms)
}

/// Forward logits of transformers for grouped queries, a tied head and Llama 3's rope scaling.
#[test]
fn logits_are_those_of_transformers() {
    for case in ["gqa_untied", "tied", "llama3_rope"] {
        let config = json(&format!("forward_logits/{case}/config.json"));
        let ids: Vec<Vec<u32>> = serde_json::from_value(
            json(&format!("forward_logits/{case}/case.json"))["input_ids"].clone(),
        )
        .unwrap();
        let pool = Pool::new(1);
        let model = Model::new(&from_config(&config), ids[0].len(), kernels());
        let weights = weights(&model, &format!("forward_logits/{case}/model.safetensors"), &pool);
        let file = read(&format!("forward_logits/{case}/logits.safetensors"));
        let file = safetensors::SafeTensors::deserialize(&file).unwrap();
        let expected = file.tensor("logits").unwrap();
        let expected = expected.data().chunks_exact(4);
        let mut expected = expected.map(|b| f32::from_le_bytes(b.try_into().unwrap()));

        let mut lane = Lane::new(&model, 1);
        let mut largest = 0.0_f32;
        for tokens in &ids {
            let targets = shifted(tokens);
            let sequence = Sequences { tokens, targets: &targets, starts: None };
            let mut logits = vec![0.0; tokens.len() * model.spec.vocabulary as usize];
            lane.hidden(&model, &weights, sequence);
            lane.project(&model, &weights, 0..tokens.len(), &mut logits);
            for logit in logits {
                largest = largest.max((logit - expected.next().unwrap()).abs());
            }
        }
        assert!(expected.next().is_none());
        assert!(largest < 1e-4, "{case}: {largest}");
    }
}

fn plain_rope() -> Rope {
    Rope { theta: 10_000.0, scaling: RopeScaling::None {} }
}

fn small(
    vocabulary: u32,
    width: u32,
    layers: u32,
    [heads, kv_heads]: [u32; 2],
    inner: u32,
    tied: bool,
    rope: Rope,
) -> ModelSpec {
    ModelSpec {
        layers,
        width,
        heads,
        kv_heads,
        feed_forward: FeedForward::Swiglu { width: inner },
        vocabulary,
        tied,
        rope,
        norm_epsilon: 1e-5,
        dropout: 0.0,
        init: Init::Width { scale: 0.6 },
    }
}

fn from_config(config: &Value) -> ModelSpec {
    let count = |key: &str| u32::try_from(config[key].as_u64().unwrap()).unwrap();
    let rope = &config["rope_parameters"];
    let real = |key: &str| rope[key].as_f64().unwrap();
    let scaling = match rope["rope_type"].as_str() {
        Some("llama3") => RopeScaling::Llama3 {
            factor: real("factor"),
            low_frequency_factor: real("low_freq_factor"),
            high_frequency_factor: real("high_freq_factor"),
            original_positions: real("original_max_position_embeddings") as u32,
        },
        _ => RopeScaling::None {},
    };
    small(
        count("vocab_size"),
        count("hidden_size"),
        count("num_hidden_layers"),
        [count("num_attention_heads"), count("num_key_value_heads")],
        count("intermediate_size"),
        config["tie_word_embeddings"].as_bool().unwrap(),
        Rope { theta: real("rope_theta"), scaling },
    )
}
