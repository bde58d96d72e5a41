//! `scarce doctor`: what was detected, and which kernels are used.

use clap::Args;
use scarce_engine::isa::Isa;
use serde_json::json;

use super::options::processors;
use super::print;
use crate::Result;
use crate::lab::{kernels, numerics};
use crate::spec::Precision;
use crate::store::Machine;

/// Arguments of `scarce doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &DoctorArgs) -> Result<()> {
    let (f32, bf16) = (kernels(Precision::F32)?, kernels(Precision::Bf16)?);
    let machine = Machine::here(processors(), f32.isa().name());
    let detected = Isa::detect();
    let forced = std::env::var("SCARCE_ISA").ok();
    if arguments.json {
        print::json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "machine": machine,
            "detected_isa": detected.name(),
            "forced_isa": forced,
            "numerics": { "f32": numerics(f32), "bf16": numerics(bf16) },
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
    for (name, kernels) in [("f32", f32), ("bf16", bf16)] {
        let class = numerics(kernels).name();
        text += &format!("{name:<12}{} kernels, numerics class {class}\n", kernels.isa().name());
    }
    print::data(&text);
    Ok(())
}
