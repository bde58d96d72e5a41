//! The loop: resume, step, log, evaluate, checkpoint; end finished, diverged or interrupted.

use std::time::{Duration, Instant};

use super::cohort::{Cohort, StepResult, weight_norm};
use super::journal::{HeldOut, Journal, MetricsLine};
use crate::model::{Model, Weights};
use crate::store::cpu_seconds;
use crate::{Error, Result};

/// What does not change a result.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Time between checkpoints.
    pub checkpoint_interval: Duration,
    /// Steps between lines of `metrics.jsonl`; evaluations are always logged.
    pub log_steps: u64,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Which member of the cohort.
    pub member: usize,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Training loss of the last step, in nats per token.
    pub loss_nats: f64,
}

/// What the loop asks of the world above it.
pub trait Observer {
    /// Held-out losses of a member's weights. `last`: this is the final measurement.
    fn evaluate(
        &mut self,
        member: usize,
        model: &Model,
        weights: &Weights,
        last: bool,
    ) -> Result<Vec<HeldOut>>;

    /// Called after every step of every member.
    fn progress(&mut self, progress: Progress);

    /// Whether someone asked to stop: the loop then checkpoints and returns.
    fn interrupted(&self) -> bool;

    /// Called now and then, before a checkpoint: an error ends the run.
    fn check(&self) -> Result<()>;
}

/// How a member's run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    /// All steps were done.
    Finished,
    /// Loss, gradient, weights or held-out loss stopped being finite at this step.
    Diverged {
        /// Counted from 0.
        step: u64,
    },
}

/// Runs a cohort to its end. Each member has its journal, from whose checkpoint it was restored.
///
/// # Errors
/// [`Error::interrupted`] if the observer asked to stop: the state is then on disk. Anything that
/// reading data, evaluating or writing may fail with.
pub fn run(
    cohort: &mut Cohort<'_>,
    journals: &mut [Journal],
    settings: &Settings,
    observer: &mut dyn Observer,
) -> Result<Vec<Ended>> {
    let mut clock = Clock::start();
    while (0..cohort.members()).any(|member| is_active(cohort, member)) {
        if observer.interrupted() {
            observer.check()?;
            checkpoint(cohort, journals, &mut clock)?;
            let step = cohort.steps(0).0;
            return Err(Error::interrupted(format!("stopped after step {step}"))
                .hint("the same command goes on from there"));
        }
        let results = cohort.step()?;
        for (member, result) in results.into_iter().enumerate() {
            let Some(result) = result else { continue };
            after_step(cohort, member, result, (&mut *journals, settings), &mut clock, observer)?;
        }
        if clock.since_checkpoint.elapsed() >= settings.checkpoint_interval {
            observer.check()?;
            checkpoint(cohort, journals, &mut clock)?;
        }
    }
    let ended = |member| match cohort.diverged(member) {
        Some(step) => Ended::Diverged { step },
        None => Ended::Finished,
    };
    Ok((0..cohort.members()).map(ended).collect())
}

/// Times of this part of the run.
struct Clock {
    start: Instant,
    cpu_start_seconds: f64,
    since_checkpoint: Instant,
    /// When each member's last line was written, and at which step.
    last_line: Vec<(Instant, u64)>,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self {
            start: now,
            cpu_start_seconds: cpu_seconds(),
            since_checkpoint: now,
            last_line: Vec::new(),
        }
    }

    fn seconds(&self) -> (f64, f64) {
        (self.start.elapsed().as_secs_f64(), cpu_seconds() - self.cpu_start_seconds)
    }

    /// Steps per second of a member since its last line.
    fn steps_per_second(&mut self, member: usize, step: u64) -> f64 {
        if self.last_line.len() <= member {
            self.last_line.resize(member + 1, (self.start, step.saturating_sub(1)));
        }
        let (time, last) = self.last_line[member];
        self.last_line[member] = (Instant::now(), step);
        (step - last) as f64 / time.elapsed().as_secs_f64().max(1e-9)
    }
}

fn is_active(cohort: &Cohort<'_>, member: usize) -> bool {
    let (done, total) = cohort.steps(member);
    done < total && cohort.diverged(member).is_none()
}

fn checkpoint(cohort: &Cohort<'_>, journals: &mut [Journal], clock: &mut Clock) -> Result<()> {
    let seconds = clock.seconds();
    for (member, journal) in journals.iter_mut().enumerate() {
        if cohort.diverged(member).is_none() {
            journal.checkpoint(cohort, member, seconds)?;
        }
    }
    clock.since_checkpoint = Instant::now();
    Ok(())
}

fn after_step(
    cohort: &mut Cohort<'_>,
    member: usize,
    result: StepResult,
    (journals, settings): (&mut [Journal], &Settings),
    clock: &mut Clock,
    observer: &mut dyn Observer,
) -> Result<()> {
    let (step, steps) = cohort.steps(member);
    observer.progress(Progress { member, step, steps, loss_nats: result.loss_nats });
    if cohort.diverged(member).is_some() {
        return Ok(());
    }
    let last = step == steps;
    let evaluate = last || step.is_multiple_of(cohort.spec(member).evaluation_interval(steps));
    if !evaluate && !step.is_multiple_of(settings.log_steps) {
        return Ok(());
    }
    let speed = clock.steps_per_second(member, step) * cohort.step_tokens() as f64;
    let held_out = match evaluate {
        true => observer.evaluate(member, cohort.model(), cohort.weights(member), last)?,
        false => Vec::new(),
    };
    if !held_out.iter().all(HeldOut::is_finite) {
        cohort.set_diverged(member);
        return Ok(());
    }
    let (spec, weights) = (cohort.spec(member), cohort.weights(member));
    // Time spent on evaluation is not training time.
    clock.last_line[member].0 = Instant::now();
    let tokens = step * cohort.step_tokens();
    let own = (1.0 - spec.data.mixture_share()) * tokens as f64;
    journals[member].log(&MetricsLine {
        step,
        epoch: own / spec.data.budget_tokens as f64,
        tokens,
        train_loss_nats: result.loss_nats,
        lr: result.lr,
        gradient_norm: result.gradient_norm,
        weight_norm: weight_norm(cohort.model(), weights),
        tokens_per_second: speed,
        held_out,
    })
}
