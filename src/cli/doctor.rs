//! `scarce doctor`: what was detected, and which kernels are used.

use std::path::{Path, PathBuf};

use clap::Args;
use scarce_engine::isa::Isa;
use serde_json::json;

use super::options::{MAKES_STORES, existing_store, processors};
use super::print;
use crate::Result;
use crate::lab::{Choice, Reason, WORTHWHILE_GAIN, foreseen, numerics};
use crate::spec::Precision;
use crate::store::{ChosenArithmetic, Machine, Store, utc};

/// Arguments of `scarce doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Store whose choice of kernels is shown; default: scarce-store, where there is one
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &DoctorArgs) -> Result<()> {
    let store = match &arguments.store {
        Some(path) => Some(existing_store(path, MAKES_STORES)?),
        None => Store::look(Path::new("scarce-store")).ok().flatten(),
    };
    let choice = |precision| foreseen(store.as_ref(), precision);
    let (f32, bf16) = (choice(Precision::F32)?, choice(Precision::Bf16)?);
    let machine = Machine::here(processors(), f32.kernels.isa().name());
    let detected = Isa::detect();
    let forced = std::env::var("SCARCE_ISA").ok();
    if arguments.json {
        print::json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "machine": machine,
            "detected_isa": detected.name(),
            "forced_isa": forced,
            "numerics": { "f32": numerics(f32.kernels), "bf16": numerics(bf16.kernels) },
            "reasons": { "f32": f32.reason, "bf16": bf16.reason },
        }));
        return Ok(());
    }
    let mut text = format!("scarce      {}\n", env!("CARGO_PKG_VERSION"));
    text += &format!("processor   {}, {} logical\n", machine.cpu, machine.processors);
    text += &format!("system      {}\n", machine.system);
    text += &format!("detected    {}\n", detected.name());
    if let Some(forced) = forced {
        text += &format!("forced      {forced} (SCARCE_ISA)\n");
    }
    for (name, choice) in [("f32", f32), ("bf16", bf16)] {
        let (isa, class) = (choice.kernels.isa().name(), numerics(choice.kernels));
        text += &format!("{name:<12}{isa} kernels, numerics class {class}\n");
        for line in reason(&choice, store.as_ref()) {
            text += &format!("{:<12}{line}\n", "");
        }
    }
    print::data(&text);
    Ok(())
}

/// Why these kernels, in sentences.
fn reason(choice: &Choice, store: Option<&Store>) -> Vec<String> {
    match &choice.reason {
        Reason::Forced => vec!["the arithmetic that SCARCE_ISA stands for".to_owned()],
        Reason::Only => vec!["the only arithmetic of this precision here".to_owned()],
        Reason::Stored(chosen) => {
            let place = store.map_or_else(String::new, |store| store.root().display().to_string());
            let when = utc(chosen.chosen_unix_seconds);
            vec![rates(chosen), verdict(chosen), format!("chosen for `{place}` at {when}")]
        }
        Reason::Measured(chosen) => vec![
            rates(chosen),
            verdict(chosen),
            "measured now; a store measures before its first run, and keeps its choice".to_owned(),
        ],
    }
}

fn rates(chosen: &ChosenArithmetic) -> String {
    let rate = |rate: &crate::store::ArithmeticRate| {
        format!("{} {:.1} GFLOP/s", rate.arithmetic, rate.flops_per_second / 1e9)
    };
    chosen.rates.iter().map(rate).collect::<Vec<_>>().join(", ")
}

/// What the rates say about the choice.
fn verdict(chosen: &ChosenArithmetic) -> String {
    let rate = |name: &str| {
        let found = chosen.rates.iter().find(|rate| rate.arithmetic == name);
        found.map_or(0.0, |rate| rate.flops_per_second)
    };
    let mine = rate(&chosen.arithmetic);
    let others = chosen.rates.iter().filter(|rate| rate.arithmetic != chosen.arithmetic);
    let next = others.max_by(|a, b| a.flops_per_second.total_cmp(&b.flops_per_second));
    let Some(next) = next else { return format!("{} was chosen", chosen.arithmetic) };
    let percent = |a: f64, b: f64| format!("{:.0} %", 100.0 * (a / b.max(1.0) - 1.0));
    if mine >= next.flops_per_second {
        let by = percent(mine, next.flops_per_second);
        return format!("{} is faster by {by}", chosen.arithmetic);
    }
    let by = percent(next.flops_per_second, mine);
    let fact =
        format!("{} stays, although {} is faster by {by}", chosen.arithmetic, next.arithmetic);
    // Else somebody has written it.
    let small = next.flops_per_second <= WORTHWHILE_GAIN * mine;
    let needed = percent(WORTHWHILE_GAIN, 1.0);
    if small { format!("{fact}: a change needs more than {needed}") } else { fact }
}
