//! Runs at equal work, and their law in N and D (mission R11).

use std::collections::BTreeMap;

use super::law::NoLaw;
use super::measured::mean;
use super::run::Run;
use super::scope::Scope;
use crate::laws::{self, Parameter, Sample, Shape, SurfaceFit, fit_surface};

/// Works this close are one budget of work.
const SAME_WORK: f64 = 0.15;

/// Largest N of the reference's law, in parameters.
const PARAMETERS_MAX: f64 = 3e9;

/// N and D of these laws are in billions.
const BILLION: f64 = 1e9;

/// A single run with known N, D and loss.
#[derive(Clone, Copy, Debug)]
pub struct Sized<'r> {
    /// The run.
    pub run: &'r Run,
    /// N.
    pub parameters: f64,
    /// D.
    pub tokens: f64,
    /// Nats per token.
    pub loss: f64,
}

/// Runs at one amount of work.
#[derive(Clone, Debug)]
pub struct EqualWork<'r> {
    /// The smallest work among them, FLOP; the others lie within a few percent of it.
    pub flops: f64,
    /// All of them.
    pub runs: Vec<Sized<'r>>,
}

/// The law L = E + A/N^alpha + B/D^beta of runs at equal work, N and D in billions.
#[derive(Clone, Debug)]
pub struct WorkLaw {
    /// The fit.
    pub fit: SurfaceFit,
}

impl<'r> EqualWork<'r> {
    /// The best run of every pair of N and D (mission R11), by N.
    #[must_use]
    pub fn best(&self) -> Vec<Sized<'r>> {
        let mut best: BTreeMap<(u64, u64), Sized> = BTreeMap::new();
        for &run in &self.runs {
            let pair = (run.parameters.to_bits(), run.tokens.to_bits());
            let known = best.entry(pair).or_insert(run);
            if run.loss < known.loss {
                *known = run;
            }
        }
        best.into_values().collect()
    }
}

impl WorkLaw {
    /// Loss at N parameters and D tokens by the best law; `None` for N takes that term away.
    #[must_use]
    pub fn loss(&self, parameters: Option<f64>, tokens: f64) -> f64 {
        let value = |parameter| self.fit.get(parameter).map_or(0.0, |estimate| estimate.value);
        let term = |over, x: f64, power| value(over) / libm::pow(x / BILLION, value(power));
        let of_size = parameters.map_or(0.0, |n| term(Parameter::A, n, Parameter::Alpha));
        value(Parameter::E) + of_size + term(Parameter::B, tokens, Parameter::Beta)
    }

    /// The law along runs of one amount of work, where N times D is their geometric mean: N and
    /// loss at `steps` + 1 places.
    #[must_use]
    pub fn along(&self, of: &EqualWork, steps: u32) -> Vec<(f64, f64)> {
        let products: Vec<f64> =
            of.runs.iter().map(|run| (run.parameters * run.tokens).ln()).collect();
        let product = mean(&products).exp();
        let sizes = of.runs.iter().map(|run| run.parameters);
        let (low, high) = sizes.fold((f64::INFINITY, 0.0_f64), |(l, h), n| (l.min(n), h.max(n)));
        let place = |step: u32| {
            let n = low * libm::pow(high / low, f64::from(step) / f64::from(steps));
            (n, self.loss(Some(n), product / n))
        };
        (0..=steps).map(place).collect()
    }
}

impl<'r> Scope<'r> {
    /// Single runs by their work, ascending; three or more of each.
    #[must_use]
    pub fn equal_work(&self) -> Vec<EqualWork<'r>> {
        let of = |run: &'r Run| {
            let (parameters, tokens) = (run.parameters?, run.budget_tokens?);
            Some((Sized { run, parameters, tokens, loss: run.loss?.nats }, run.flops?))
        };
        let single = |run: &&Run| run.is_plain() && !run.is_tagged("ignore");
        let mut runs: Vec<_> = self.runs.runs.iter().filter(single).filter_map(of).collect();
        runs.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut groups: Vec<EqualWork> = Vec::new();
        for (run, flops) in runs {
            match groups.last_mut() {
                Some(group) if flops <= group.flops * (1.0 + SAME_WORK) => group.runs.push(run),
                _ => groups.push(EqualWork { flops, runs: vec![run] }),
            }
        }
        groups.retain(|group| group.runs.len() >= 3);
        groups
    }

    /// The law of the best runs at every amount of work.
    ///
    /// # Errors
    /// Why there is none.
    pub fn work_law(&self, groups: &[EqualWork]) -> Result<WorkLaw, NoLaw> {
        let best = groups.iter().flat_map(EqualWork::best);
        let sample = |run: Sized| Sample {
            parameters: Some(run.parameters / BILLION),
            tokens: run.tokens / BILLION,
            epochs: None,
            loss: run.loss,
        };
        let within = best.filter(|run| run.parameters <= PARAMETERS_MAX);
        let samples: Vec<Sample> = within.map(sample).collect();
        let options = laws::Options { resamples: 20, ..self.fitting() };
        let fit = fit_surface(&samples, Shape::Chinchilla, &options);
        Ok(WorkLaw { fit: fit.map_err(|error| error.to_string())? })
    }
}
