//! A cohort: E members of one shape that are stepped together.
//!
//! Each member has its own weights, optimizer, data order, learning rate and decay, and leaves a
//! record of its own. What a member computes does not depend on the others.

use scarce_engine::buffer::Region;
use scarce_engine::buffer::{Floats, cut_bytes};
use scarce_engine::ops::adamw;
use scarce_engine::pool::Pool;

use super::feed::Feed;
use crate::model::{Dropout, Lane, Model, NO_TARGET, Sequences, Weights};
use crate::optim::Optimizer;
use crate::spec::{Mask, TrainSpec};
use crate::store::TrainedOn;
use crate::{Error, Result};

/// Members of one shape and the working memory to step them.
#[derive(Debug)]
pub struct Cohort<'a> {
    model: Model,
    members: Vec<Member<'a>>,
    workers: Vec<Worker>,
    pool: &'a Pool,
}

/// One run in progress.
#[derive(Debug)]
struct Member<'a> {
    spec: TrainSpec,
    feed: Feed<'a>,
    weights: Weights,
    optimizer: Optimizer,
    /// One gradient per lane.
    gradients: Vec<Floats>,
    steps_done: u64,
    steps_total: u64,
    diverged: Option<u64>,
}

/// The working memory of one thread.
#[derive(Debug)]
struct Worker {
    lane: Lane,
    tokens: Vec<u32>,
    targets: Vec<u32>,
    starts: Vec<u32>,
}

/// What one lane of one member has to do, and what came of it.
struct LaneJob<'b, 'a> {
    spec: &'b TrainSpec,
    feed: &'b Feed<'a>,
    weights: &'b Weights,
    step: u64,
    rows: std::ops::Range<u64>,
    gradient: &'b mut Floats,
    loss_sum: f64,
    error: Option<Error>,
}

/// What a step of one member reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepResult {
    /// Mean training loss of the batch, in nats per token, before the update.
    pub loss_nats: f64,
    /// Global gradient norm before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the update.
    pub lr: f64,
}

impl<'a> Cohort<'a> {
    /// A cohort of members that start from weights drawn by their seeds.
    ///
    /// # Panics
    /// If there is no member, or members differ in shape, sequence length or batch: the lab only
    /// builds cohorts that agree.
    #[must_use]
    pub fn new(model: Model, members: Vec<(TrainSpec, Feed<'a>)>, pool: &'a Pool) -> Self {
        let first = &members.first().expect("a cohort has members").0;
        let batch = first.optim.batch_sequences();
        for (spec, _) in &members {
            let same = spec.model == first.model
                && spec.data.sequence_tokens == first.data.sequence_tokens
                && spec.optim.batch_sequences() == batch;
            assert!(same, "members of a cohort have one shape");
        }
        let lanes = model.lanes(batch as usize);
        let workers = pool.threads().min(lanes * members.len()).max(1);
        let sequences = model.pass_sequences(batch as usize);
        let positions = sequences * model.positions;
        let worker = |_| Worker {
            lane: Lane::new(&model, sequences),
            tokens: vec![0; positions],
            targets: vec![NO_TARGET; positions],
            starts: vec![0; positions],
        };
        let workers = (0..workers).map(worker).collect();
        let member = |(spec, feed)| Member::new(&model, spec, feed, lanes, pool);
        let members = members.into_iter().map(member).collect();
        Self { model, members, workers, pool }
    }

    /// The shape that all members share.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The number of members E.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// A member's spec.
    #[must_use]
    pub fn spec(&self, member: usize) -> &TrainSpec {
        &self.members[member].spec
    }

    /// A member's weights.
    #[must_use]
    pub fn weights(&self, member: usize) -> &Weights {
        &self.members[member].weights
    }

    /// Replaces a member's weights, for a start from another run, before its first step.
    pub fn set_weights(&mut self, member: usize, fill: impl FnOnce(&mut [f32])) {
        let weights = &mut self.members[member].weights;
        fill(&mut weights.values);
        weights.pack(self.pool);
    }

    /// What a member has read of each corpus so far.
    #[must_use]
    pub fn trained_on(&self, member: usize) -> Vec<TrainedOn> {
        let member = &self.members[member];
        member.feed.trained_on(member.steps_done)
    }

    /// Steps that a member has done, and all its steps.
    #[must_use]
    pub fn steps(&self, member: usize) -> (u64, u64) {
        let member = &self.members[member];
        (member.steps_done, member.steps_total)
    }

    /// The step at which a member's loss, gradient or weights stopped being finite.
    #[must_use]
    pub fn diverged(&self, member: usize) -> Option<u64> {
        self.members[member].diverged
    }

    /// Ends a member whose held-out loss is not finite after its last step.
    pub fn set_diverged(&mut self, member: usize) {
        let member = &mut self.members[member];
        member.diverged = Some(member.steps_done.saturating_sub(1));
    }

    /// Tokens of one step of one member.
    #[must_use]
    pub fn step_tokens(&self) -> u64 {
        let spec = &self.members[0].spec;
        u64::from(spec.optim.batch_sequences()) * u64::from(spec.data.sequence_tokens)
    }

    /// The state that a checkpoint holds: weights and both moments, with their names.
    #[must_use]
    pub fn state(&self, member: usize) -> [(&'static str, &[f32]); 3] {
        let Member { weights, optimizer, .. } = &self.members[member];
        [
            ("weights", &weights.values[..]),
            ("first-moment", &optimizer.first[..]),
            ("second-moment", &optimizer.second[..]),
        ]
    }

    /// Puts a member where a checkpoint was taken.
    pub fn restore(&mut self, member: usize, steps_done: u64, sections: &[Vec<f32>]) -> Result<()> {
        let parameters = self.model.parameters();
        if sections.len() != 3 || sections.iter().any(|section| section.len() != parameters) {
            return Err(Error::data("the checkpoint belongs to a model of another shape"));
        }
        let member = &mut self.members[member];
        let last = member.steps_total;
        if steps_done > last {
            return Err(Error::data(format!(
                "the checkpoint is of step {steps_done}, but the run has {last}"
            )));
        }
        member.weights.values.copy_from_slice(&sections[0]);
        member.optimizer.first.copy_from_slice(&sections[1]);
        member.optimizer.second.copy_from_slice(&sections[2]);
        member.steps_done = steps_done;
        member.weights.pack(self.pool);
        Ok(())
    }

    /// One step of every member that has steps left and has not diverged; `None` for the others.
    pub fn step(&mut self) -> Result<Vec<Option<StepResult>>> {
        let Self { model, members, workers, pool } = self;
        let losses = Self::gradients(model, members, workers, pool)?;
        let update = |(member, loss): (&mut Member<'_>, Option<f64>)| {
            loss.map(|loss| member.update(model, pool, loss))
        };
        Ok(members.iter_mut().zip(losses).map(update).collect())
    }

    /// Mean losses; the gradients stay in the members' lanes.
    fn gradients(
        model: &Model,
        members: &mut [Member<'a>],
        workers: &mut [Worker],
        pool: &Pool,
    ) -> Result<Vec<Option<f64>>> {
        let mut shares: Vec<_> = workers.iter_mut().map(|worker| (worker, Vec::new())).collect();
        let active: Vec<bool> = members.iter().map(Member::active).collect();
        let mut count = 0;
        for (index, member) in members.iter_mut().enumerate().filter(|(index, _)| active[*index]) {
            for job in member.lane_jobs() {
                let slot = count % shares.len();
                shares[slot].1.push((index, job));
                count += 1;
            }
        }
        pool.run(&mut shares, |_, (worker, jobs)| {
            jobs.iter_mut().for_each(|(_, job)| job.run(model, worker));
        });
        // Jobs went round the workers; taking them back in the same order keeps the sum's order.
        let mut queues: Vec<_> = shares.into_iter().map(|(_, jobs)| jobs.into_iter()).collect();
        let mut sums = vec![0.0; active.len()];
        for turn in 0..count {
            let slot = turn % queues.len();
            let (index, job) = queues[slot].next().expect("every job comes back");
            if let Some(error) = job.error {
                return Err(error);
            }
            sums[index] += job.loss_sum;
        }
        drop(queues);
        let mean = |(index, member): (usize, &Member<'_>)| {
            active[index].then(|| sums[index] / member.predicted_tokens())
        };
        Ok(members.iter().enumerate().map(mean).collect())
    }
}

impl<'a> Member<'a> {
    fn new(model: &Model, spec: TrainSpec, feed: Feed<'a>, lanes: usize, pool: &Pool) -> Self {
        let crate::spec::OptimSpec::Adamw { decay_norms, .. } = spec.optim;
        let runs = model.table.decay_runs(decay_norms);
        let mut region = Region::with_bytes(lanes * cut_bytes(model.parameters()));
        Self {
            weights: Weights::initial(model, spec.seeds.init, pool),
            optimizer: Optimizer::new(&spec.optim, &runs),
            gradients: (0..lanes).map(|_| region.floats(model.parameters())).collect(),
            steps_done: 0,
            steps_total: feed.steps(),
            diverged: None,
            spec,
            feed,
        }
    }

    fn active(&self) -> bool {
        self.steps_done < self.steps_total && self.diverged.is_none()
    }

    /// Targets of one batch: the last position of a sequence has none.
    fn predicted_tokens(&self) -> f64 {
        let rows = f64::from(self.spec.optim.batch_sequences());
        rows * f64::from(self.spec.data.sequence_tokens - 1)
    }

    /// One job per lane, each with its part of the batch's rows.
    fn lane_jobs(&mut self) -> Vec<LaneJob<'_, 'a>> {
        let rows = u64::from(self.spec.optim.batch_sequences());
        let lanes = self.gradients.len() as u64;
        let job = |(lane, gradient)| LaneJob {
            spec: &self.spec,
            feed: &self.feed,
            weights: &self.weights,
            step: self.steps_done,
            rows: rows * lane / lanes..rows * (lane + 1) / lanes,
            gradient,
            loss_sum: 0.0,
            error: None,
        };
        (0..).zip(&mut self.gradients).map(job).collect()
    }

    fn update(&mut self, model: &Model, pool: &Pool, loss_nats: f64) -> StepResult {
        let mut lanes: Vec<&mut [f32]> = self.gradients.iter_mut().map(|g| &mut g[..]).collect();
        let steps = (self.steps_done, self.steps_total);
        let values = &mut self.weights.values;
        let report = self.optimizer.step((model.kernels, pool), steps, values, &mut lanes);
        if loss_nats.is_finite() && report.is_finite {
            self.weights.pack(pool);
            self.steps_done += 1;
        } else {
            self.diverged = Some(self.steps_done);
        }
        StepResult { loss_nats, gradient_norm: report.gradient_norm, lr: report.lr }
    }
}

impl LaneJob<'_, '_> {
    /// Fills the lane's gradient with the sum over its rows.
    fn run(&mut self, model: &Model, worker: &mut Worker) {
        bytemuck::fill_zeroes(self.gradient);
        let sequences = worker.tokens.len() / model.positions;
        for row in self.rows.clone().step_by(sequences) {
            if let Err(error) = self.pass(model, worker, row) {
                self.error = Some(error);
                return;
            }
        }
    }

    /// Adds the gradients of the worker's number of rows, from `first` on.
    fn pass(&mut self, model: &Model, worker: &mut Worker, first: u64) -> Result<()> {
        let Worker { lane, tokens, targets, starts } = worker;
        let positions = model.positions;
        let rows = tokens.chunks_exact_mut(positions).zip(targets.chunks_exact_mut(positions));
        let rows = rows.zip(starts.chunks_exact_mut(positions));
        for (row, ((tokens, targets), starts)) in (first..).zip(rows) {
            self.feed.sequence(self.step, row, tokens, starts)?;
            targets[..positions - 1].copy_from_slice(&tokens[1..]);
        }
        let starts = match self.spec.data.mask {
            Mask::AcrossDocuments {} => None,
            Mask::WithinDocuments {} => Some(&starts[..]),
        };
        let sequences = Sequences { tokens, targets, starts };
        let dropout = Dropout {
            rate: self.spec.model.dropout,
            seed: self.spec.seeds.init,
            step: self.step,
            row: first,
        };
        let batch = f64::from(self.spec.optim.batch_sequences());
        let predicted = (positions - 1) as f64;
        let scale = (1.0 / (batch * predicted)) as f32;
        let of_model = (model, self.weights);
        self.loss_sum +=
            lane.forward_backward(of_model, sequences, Some(dropout), scale, self.gradient);
        Ok(())
    }
}

/// The L2 norm of all weights.
#[must_use]
pub(super) fn weight_norm(model: &Model, weights: &Weights) -> f64 {
    adamw::sum_squares(model.kernels, &weights.values).sqrt()
}
