//! `scarce bench`: this program on the shapes of the PyTorch and JAX peers, and this machine's
//! ceilings.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand};
use scarce_engine::isa::Kernels;
use scarce_engine::ops::linear::{self, LinearWeights};
use scarce_engine::pool::Pool;
use scarce_engine::{buffer::Scratch, roofline};
use serde_json::json;

use super::options::{ThreadArgs, processors};
use super::print;
use crate::data::{Corpus, CorpusWriter, InputFacts, Provenance, SplitPolicy, Splits, Vocabulary};
use crate::draw::table::{Align, Table};
use crate::error::quoted_path;
use crate::lab::{Corpora, Lab, LocalLab, all_kernels, foreseen, numerics};
use crate::model::Model;
use crate::spec::{
    Allowed, CorpusFacts, FeedForward, Job, Precision, Request, Split, TrainSpec, resolve,
};
use crate::store::{Store, busy_seconds, cpu_seconds, peak_memory_bytes};
use crate::train::{Cohort, Feed};
use crate::{Error, Result};

/// Arguments of `scarce bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Full training steps on a synthetic stream
    Train(TrainBench),
    /// Peak rates of this machine, and the matrix products' share of them
    Roofline(RooflineBench),
    /// Four XS members, with one worker and then with two, one thread each
    Workers(WorkersBench),
}

#[derive(Debug, Args)]
struct WorkersBench {
    /// Steps of each member
    #[arg(long, value_name = "N", default_value_t = 60)]
    steps: u64,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TrainBench {
    /// Shape: XS (1.05 M parameters), S (6.84 M) or M (33.7 M)
    #[arg(long, value_parser = ["XS", "S", "M"], default_value = "XS")]
    config: String,
    /// Precision of the products
    #[arg(long, value_parser = ["f32", "bf16"], default_value = "bf16")]
    precision: String,
    /// Arithmetic of the products, instead of the one that a new store would choose for the
    /// precision: bf16-rounded, bf16-dot or bf16-amx
    #[arg(long, value_name = "NAME")]
    arithmetic: Option<String>,
    #[command(flatten)]
    threads: ThreadArgs,
    /// Members stepped together as one cohort
    #[arg(long, value_name = "E", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    members: u16,
    /// Timed steps, split over the windows
    #[arg(long, value_name = "N", default_value_t = 25)]
    steps: u64,
    /// Windows whose median is taken
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    windows: u64,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RooflineBench {
    /// Print one JSON line
    #[arg(long)]
    json: bool,
}

/// The AMX peak of one core that shares are given of, in FLOP/s (docs/LOG.md).
const REFERENCE_PEAK: f64 = 2.4e12;

/// Layers, width, heads, inner width, vocabulary, sequence, batch: the peers' shapes.
fn shape(config: &str) -> [u32; 7] {
    match config {
        "XS" => [4, 128, 4, 344, 1024, 256, 16],
        "S" => [6, 256, 8, 688, 4096, 256, 16],
        _ => [8, 512, 8, 1376, 8192, 512, 8],
    }
}

pub(super) fn run(arguments: &BenchArgs) -> Result<()> {
    match &arguments.what {
        What::Train(arguments) => train(arguments),
        What::Roofline(arguments) => roofline(arguments),
        What::Workers(arguments) => workers(arguments),
    }
}

/// Time of one worker over time of two, for four members that know nothing of each other.
fn workers(arguments: &WorkersBench) -> Result<()> {
    let folder = Folder::new()?;
    let shape = shape("XS");
    write_stream(&folder.0.join("corpus"), shape)?;
    let corpora = Corpora::open(&[folder.0.join("corpus")])?;
    let facts = super::options::facts(&corpora)?;
    let per_epoch = facts.train_tokens as f64 / f64::from(shape[5] * shape[6]);
    let mut jobs = Vec::new();
    for seed in 0..4 {
        let mut spec = bench_spec("bf16", shape, &facts)?;
        spec.data.epochs = arguments.steps as f64 / per_epoch;
        spec.seeds.init = seed;
        jobs.push(Job::Train(spec));
    }
    let mut seconds = Vec::new();
    for workers in [1, 2] {
        let store = Store::open(&folder.0.join(format!("store-{workers}")))?;
        let options = super::options::local_options(4, Some(workers), Some(1), false)?;
        let mut lab = LocalLab::new(store, &corpora, options, |_| (), || false);
        let start = Instant::now();
        lab.obtain(&jobs)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let ratio = seconds[1] / seconds[0];
    if arguments.json {
        print::json(
            &json!({ "seconds_one": seconds[0], "seconds_two": seconds[1], "ratio": ratio }),
        );
    } else {
        print::data(&format!(
            "four XS members of {} steps: one worker {:.2} s, two workers {:.2} s, ratio \
             {ratio:.3}\n",
            arguments.steps, seconds[0], seconds[1]
        ));
    }
    Ok(())
}

/// One timed window.
struct Window {
    tokens_per_second: f64,
    tokens_per_cpu_second: f64,
    foreign_share: f64,
}

fn train(arguments: &TrainBench) -> Result<()> {
    let start = Instant::now();
    let shape = shape(&arguments.config);
    let folder = Folder::new()?;
    write_stream(&folder.0.join("corpus"), shape)?;
    let corpus = Corpus::open(folder.0.join("corpus"))?;
    let threads = arguments.threads.count();
    let pool = Pool::new(threads);
    let spec = bench_spec(&arguments.precision, shape, &corpus.facts())?;
    let kernels = match &arguments.arithmetic {
        Some(name) => named_kernels(name, spec.precision)?,
        None => foreseen(None, spec.precision)?.kernels,
    };
    let model = Model::new(&spec.model, spec.data.sequence_tokens as usize, kernels);
    let mut members = Vec::new();
    for member in 0..u64::from(arguments.members) {
        let mut spec = spec.clone();
        spec.seeds.init = member;
        let feed = Feed::new(&spec, |_| Ok(&corpus))?;
        members.push((spec, feed));
    }
    let mut cohort = Cohort::new(model, members, &pool);
    cohort.step()?;
    let first_step_seconds = start.elapsed().as_secs_f64();
    cohort.step()?;
    let step_tokens = (cohort.step_tokens() * cohort.members() as u64) as f64;
    let per_window = (arguments.steps / arguments.windows.max(1)).max(1);
    let mut windows = Vec::new();
    for _ in 0..arguments.windows.max(1) {
        windows.push(window(&mut cohort, per_window, step_tokens)?);
    }
    let flops_per_token = spec.model.flops_per_token(spec.data.sequence_tokens) as f64;
    let clean: Vec<&Window> = windows.iter().filter(|w| w.foreign_share < 0.05).collect();
    let all: Vec<&Window> = windows.iter().collect();
    let speed = median(if clean.is_empty() { &all } else { &clean }, |w| w.tokens_per_second);
    let value = json!({
        "config": arguments.config, "precision": arguments.precision, "threads": threads,
        "members": arguments.members, "numerics": numerics(kernels).to_string(),
        "isa": kernels.isa().name(),
        "tokens_per_second": speed,
        "clean_windows": clean.len(),
        "tokens_per_cpu_second": median(&all, |w| w.tokens_per_cpu_second),
        "flops_per_second": speed * flops_per_token,
        "share_of_peak": speed * flops_per_token / (REFERENCE_PEAK * threads as f64),
        "peak_memory_bytes": peak_memory_bytes(),
        "seconds_to_first_step": first_step_seconds,
        "foreign_cpu_share": median(&all, |w| w.foreign_share),
    });
    if arguments.json {
        print::json(&value);
    } else {
        let lines = value.as_object().into_iter().flatten();
        print::data(&lines.map(|(key, value)| format!("{key:<24}{value}\n")).collect::<String>());
    }
    Ok(())
}

fn named_kernels(name: &str, precision: Precision) -> Result<Kernels> {
    let all = all_kernels(precision)?;
    all.iter().copied().find(|kernels| kernels.arithmetic().name() == name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|kernels| kernels.arithmetic().name()).collect();
        Error::usage("--arithmetic: this machine has none of that name in this precision")
            .hint(format!("it has {}", names.join(", ")))
    })
}

fn bench_spec(precision: &str, shape: [u32; 7], corpus: &CorpusFacts) -> Result<TrainSpec> {
    let [layers, width, heads, inner, vocabulary, sequence, batch] = shape;
    let sets = [
        format!("data.sequence_tokens={sequence}"),
        format!("optim.batch_sequences={batch}"),
        format!("precision={precision}"),
        "data.epochs=1000000".to_owned(),
        "optim.lr=1e-3".to_owned(),
    ];
    let mut spec = resolve(&Request { file: None, sets: &sets }, corpus)?.spec;
    spec.model.layers = layers;
    spec.model.width = width;
    (spec.model.heads, spec.model.kv_heads) = (heads, heads);
    spec.model.feed_forward = FeedForward::Swiglu { width: inner };
    spec.model.vocabulary = vocabulary;
    spec.validate()?;
    Ok(spec)
}

fn window(cohort: &mut Cohort<'_>, steps: u64, step_tokens: f64) -> Result<Window> {
    let (busy, cpu, time) = (busy_seconds(), cpu_seconds(), Instant::now());
    for _ in 0..steps {
        cohort.step()?;
    }
    let seconds = time.elapsed().as_secs_f64();
    let (busy, cpu) = (busy_seconds() - busy, cpu_seconds() - cpu);
    let tokens = steps as f64 * step_tokens;
    Ok(Window {
        tokens_per_second: tokens / seconds,
        tokens_per_cpu_second: tokens / cpu.max(0.01),
        foreign_share: ((busy - cpu) / (seconds * processors() as f64)).max(0.0),
    })
}

fn median(windows: &[&Window], value: impl Fn(&Window) -> f64) -> f64 {
    let mut values: Vec<f64> = windows.iter().map(|window| value(window)).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// A folder that is gone when the benchmark is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("scarce-bench-{}", std::process::id()));
        if path.exists() {
            return Err(Error::usage(format!("`{}` is in the way", quoted_path(&path))));
        }
        std::fs::create_dir(&path).map_err(|cause| Error::io("create", &path, &cause))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The peers' learnable stream: a noisy affine chain over the vocabulary, 64 batches long.
fn write_stream(target: &std::path::Path, shape: [u32; 7]) -> Result<()> {
    let [.., vocabulary, sequence, batch] = shape;
    let words = Vocabulary { size: vocabulary, separator: None, tokenizer: None };
    let mut writer = CorpusWriter::create(target, false, words)?;
    let mut state = 1_u64;
    let mut random = |below: u32| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(below)) as u32
    };
    for (split, sequences) in [(Split::Train, 64 * batch), (Split::Val, 1), (Split::Test, 1)] {
        for _ in 0..sequences {
            let mut tokens = vec![random(vocabulary)];
            while tokens.len() < sequence as usize {
                let chained = (tokens[tokens.len() - 1] * 5 + 7) % vocabulary;
                tokens.push(if random(5) == 0 { random(vocabulary) } else { chained });
            }
            writer.start_document(split, &tokens, 0)?;
        }
    }
    writer.finish(Provenance {
        synthetic: None,
        tokenizer: None,
        split_policy: SplitPolicy::Generated,
        duplicates: None,
        input: InputFacts::default(),
        allowed: Allowed::NONE,
        floor_nats: Splits::default(),
        side: std::collections::BTreeMap::new(),
    })?;
    Ok(())
}

fn roofline(arguments: &RooflineBench) -> Result<()> {
    let mut rows = Vec::new();
    let all = [all_kernels(Precision::F32)?, all_kernels(Precision::Bf16)?].concat();
    for kernels in all {
        let peak = rate(|| roofline::multiply_adds(kernels, 2_000_000));
        for [inputs, outputs] in [[128, 512], [256, 1024], [512, 2048], [512, 8192]] {
            let product = product_rate(kernels, 256, outputs, inputs);
            rows.push((kernels.arithmetic().name(), inputs, outputs, product, peak));
        }
    }
    if arguments.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(arithmetic, inputs, outputs, product, peak)| {
                json!({ "arithmetic": arithmetic, "rows": 256, "inputs": inputs, "outputs": outputs,
                    "flops_per_second": product, "peak_flops_per_second": peak })
            })
            .collect();
        print::json(&json!({ "threads": 1, "products": rows }));
        return Ok(());
    }
    let mut table = Table::new(&[
        ("arithmetic", Align::Left),
        ("rows x inputs x outputs", Align::Right),
        ("GFLOP/s", Align::Right),
        ("peak GFLOP/s", Align::Right),
        ("share", Align::Right),
    ]);
    for (arithmetic, inputs, outputs, product, peak) in rows {
        table.push([
            arithmetic.to_owned(),
            format!("256 x {inputs} x {outputs}"),
            format!("{:.1}", product / 1e9),
            format!("{:.1}", peak / 1e9),
            format!("{:.0} %", 100.0 * product / peak),
        ]);
    }
    print::data(&table.to_text());
    Ok(())
}

/// FLOP/s of the forward product `[rows, inputs] x [inputs, outputs]` with packed weights.
fn product_rate(kernels: Kernels, rows: usize, outputs: usize, inputs: usize) -> f64 {
    let mut weights = LinearWeights::new(kernels, outputs, inputs);
    weights.pack(&vec![0.01; outputs * inputs]);
    let (x, mut y) = (vec![0.5; rows * inputs], vec![0.0; rows * outputs]);
    let mut scratch = Scratch::with_bytes(linear::scratch_bytes(kernels, rows, outputs, inputs));
    rate(|| {
        for _ in 0..20 {
            linear::forward(kernels, &x, &weights, &mut y, &mut scratch);
        }
        20.0 * 2.0 * (rows * outputs * inputs) as f64
    })
}

/// The best of seven rates of `work`, which returns its FLOPs: interruptions only slow down.
fn rate(mut work: impl FnMut() -> f64) -> f64 {
    let once = |work: &mut dyn FnMut() -> f64| {
        let start = Instant::now();
        work() / start.elapsed().as_secs_f64()
    };
    (0..7).map(|_| once(&mut work)).fold(0.0, f64::max)
}
