//! Which kernels a job gets: the instruction set of this machine, and one of the arithmetics that
//! it can do in the spec's precision.
//!
//! New work takes the arithmetic that is made for the instruction set, unless another one of the
//! same precision was measured to be faster by more than a tenth. A store keeps that choice, so
//! that all its runs on one kind of machine are of one numerics class. A run that goes on, or is
//! trained again, keeps the class that it has.

use std::time::Instant;

use scarce_engine::isa::{self, Arithmetic, Isa, Kernels};
use scarce_engine::roofline::Products;
use serde::Serialize;

use crate::spec::Precision;
use crate::store::{
    ArithmeticRate, ChosenArithmetic, ChosenFor, Machine, Numerics, Store, unix_seconds,
};
use crate::{Error, Result};

/// Another arithmetic has to be faster by this factor: less is not worth another class.
pub const WORTHWHILE_GAIN: f64 = 1.1;
/// How often each product is timed; the best counts, because interruptions only slow down.
const ROUNDS: usize = 16;

/// Kernels for new work, and why these.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The kernels.
    pub kernels: Kernels,
    /// Why their arithmetic was chosen.
    pub reason: Reason,
}

/// Why an arithmetic was chosen.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", content = "choice", rename_all = "lowercase")]
pub enum Reason {
    /// `SCARCE_ISA` names the instruction set: it has the arithmetic that is made for it.
    Forced,
    /// The instruction set has no other in this precision.
    Only,
    /// The store says so.
    Stored(ChosenArithmetic),
    /// It was measured just now, and no store keeps it.
    Measured(ChosenArithmetic),
}

/// The kernels for new work in a precision, as the store has chosen them. What it has not chosen
/// yet is measured, which takes some milliseconds, and kept.
pub fn kernels(store: &Store, precision: Precision) -> Result<Kernels> {
    let chosen = |here: &Here| settle(store, here, measure);
    Ok(decide(precision, |here| Ok(Reason::Stored(chosen(here)?)))?.kernels)
}

/// The kernels that [`kernels`] would give, without writing to the store, which may be missing.
pub fn foreseen(store: Option<&Store>, precision: Precision) -> Result<Choice> {
    decide(precision, |here| {
        let stored = match store {
            Some(store) => store.chosen_arithmetic(&here.chosen_for)?,
            None => None,
        };
        Ok(match stored {
            Some(stored) if here.is_settled(&stored) => Reason::Stored(stored),
            before => Reason::Measured(here.choose(before.as_ref(), measure)),
        })
    })
}

/// All kernels of this machine in a precision, the ones made for its instruction set first.
pub fn all_kernels(precision: Precision) -> Result<Vec<Kernels>> {
    let (isa, _) = instruction_set()?;
    Ok(candidates(isa, precision).map(|it| Kernels::with_arithmetic(isa, it)).collect())
}

/// The kernels of a numerics class, if this machine has them: for work that was begun in it.
pub(super) fn kernels_of(class: &Numerics, precision: Precision) -> Result<Option<Kernels>> {
    Ok(all_kernels(precision)?.into_iter().find(|kernels| numerics(*kernels) == *class))
}

/// The class of arithmetic of these kernels.
#[must_use]
pub fn numerics(kernels: Kernels) -> Numerics {
    Numerics {
        backend: "cpu".to_owned(),
        arithmetic: kernels.arithmetic().name().to_owned(),
        determinism: "exact".to_owned(),
        version: scarce_engine::NUMERICS_VERSION,
    }
}

/// The arithmetics of a precision, the one made for the instruction set first.
fn candidates(isa: Isa, precision: Precision) -> impl Iterator<Item = Arithmetic> {
    let precision = match precision {
        Precision::F32 => isa::Precision::F32,
        Precision::Bf16 => isa::Precision::Bf16,
    };
    Arithmetic::of(isa, precision)
}

/// The instruction set, and whether `SCARCE_ISA` names it, for tests and timing. `f32-reference` is
/// another name for `portable`, which no assumption is made for.
fn instruction_set() -> Result<(Isa, bool)> {
    let here = Isa::detect();
    let Some(forced) = std::env::var_os("SCARCE_ISA") else { return Ok((here, false)) };
    let name = forced.to_string_lossy();
    let isa = if name == "f32-reference" { Some(Isa::Portable) } else { Isa::parse(&name) };
    match isa {
        Some(isa) if isa <= here => Ok((isa, true)),
        Some(_) => Err(Error::usage(format!("SCARCE_ISA={name}: this machine has no {name}"))
            .hint(format!("the best it has is {}", here.name()))),
        None => Err(Error::usage(format!("SCARCE_ISA={name}: no such instruction set"))
            .hint("f32-reference, portable, avx2, avx512, avx512-bf16 or amx")),
    }
}

/// Asks `ask` where there is something to choose.
fn decide(precision: Precision, ask: impl FnOnce(&Here) -> Result<Reason>) -> Result<Choice> {
    let (isa, forced) = instruction_set()?;
    let here = Here::new(Machine::here(1, isa.name()).cpu, isa, precision);
    let reason = match here.candidates[..] {
        _ if forced => Reason::Forced,
        [_] => Reason::Only,
        _ => ask(&here)?,
    };
    let arithmetic = match &reason {
        Reason::Forced | Reason::Only => here.candidates[0],
        Reason::Stored(chosen) | Reason::Measured(chosen) => {
            here.parse(chosen).expect("a choice is one of the candidates")
        }
    };
    Ok(Choice { kernels: Kernels::with_arithmetic(isa, arithmetic), reason })
}

/// What a choice depends on.
struct Here {
    isa: Isa,
    chosen_for: ChosenFor,
    candidates: Vec<Arithmetic>,
}

impl Here {
    fn new(cpu: String, isa: Isa, precision: Precision) -> Self {
        let name = match precision {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        };
        let chosen_for = ChosenFor { cpu, isa: isa.name().to_owned(), precision: name.to_owned() };
        Self { isa, chosen_for, candidates: candidates(isa, precision).collect() }
    }

    /// The arithmetic of a choice, if this machine has it.
    fn parse(&self, chosen: &ChosenArithmetic) -> Option<Arithmetic> {
        Arithmetic::parse(&chosen.arithmetic).filter(|it| self.candidates.contains(it))
    }

    /// Whether a choice stands. Another version may have faster kernels.
    fn is_settled(&self, chosen: &ChosenArithmetic) -> bool {
        self.parse(chosen).is_some() && chosen.version == env!("CARGO_PKG_VERSION")
    }

    /// The arithmetic that was chosen before, else the one made for the instruction set; or the
    /// fastest one, if the gain is worth it.
    fn choose(
        &self,
        before: Option<&ChosenArithmetic>,
        measure: impl FnOnce(&Self) -> Vec<f64>,
    ) -> ChosenArithmetic {
        let rates = measure(self);
        let rate = |of: Arithmetic| {
            self.candidates.iter().zip(&rates).find(|(it, _)| **it == of).map_or(0.0, |(_, r)| *r)
        };
        let usual = before.and_then(|chosen| self.parse(chosen)).unwrap_or(self.candidates[0]);
        let fastest = |a: &Arithmetic, b: &Arithmetic| rate(*a).total_cmp(&rate(*b));
        let fastest = self.candidates.iter().copied().max_by(fastest).unwrap_or(usual);
        let worth = rate(fastest) > WORTHWHILE_GAIN * rate(usual);
        let rates = self.candidates.iter().zip(&rates).map(|(arithmetic, rate)| ArithmeticRate {
            arithmetic: arithmetic.name().to_owned(),
            flops_per_second: rate.round(),
        });
        ChosenArithmetic {
            chosen_for: self.chosen_for.clone(),
            arithmetic: if worth { fastest } else { usual }.name().to_owned(),
            rates: rates.collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            chosen_unix_seconds: unix_seconds(),
        }
    }
}

/// The store's choice, which is made now if there is none that stands.
fn settle(
    store: &Store,
    here: &Here,
    measure: impl FnOnce(&Here) -> Vec<f64>,
) -> Result<ChosenArithmetic> {
    let stored = store.chosen_arithmetic(&here.chosen_for)?;
    if let Some(stored) = stored.filter(|stored| here.is_settled(stored)) {
        return Ok(stored);
    }
    // Another process may have chosen since.
    store.choose_arithmetic(&here.chosen_for, |before| match before {
        Some(stored) if here.is_settled(stored) => stored.clone(),
        before => here.choose(before, measure),
    })
}

/// FLOP/s of each candidate over all products. They take turns, so that a busy moment is one for
/// all of them.
fn measure(here: &Here) -> Vec<f64> {
    let products = |it: &Arithmetic| Products::new(Kernels::with_arithmetic(here.isa, *it));
    let mut work: Vec<Products> = here.candidates.iter().map(products).collect();
    // FLOPs and the best seconds, of each product.
    let mut best = vec![[(0.0, f64::INFINITY); Products::COUNT]; work.len()];
    for _ in 0..ROUNDS {
        for index in 0..Products::COUNT {
            for (products, best) in work.iter_mut().zip(&mut best) {
                let start = Instant::now();
                let flops = products.run(index);
                best[index] = (flops, start.elapsed().as_secs_f64().min(best[index].1));
            }
        }
    }
    let whole = |best: &[(f64, f64)]| {
        best.iter().fold((0.0, 0.0), |(flops, seconds), it| (flops + it.0, seconds + it.1))
    };
    let rate = |(flops, seconds): (f64, f64)| flops / seconds.max(1e-9);
    best.iter().map(|best| rate(whole(best))).collect()
}

#[cfg(test)]
mod tests;
