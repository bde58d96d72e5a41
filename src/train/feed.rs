//! Which sequence each row of each batch is: a pure function of the step, so that a resumed run
//! needs no loader state.

use crate::Result;
use crate::data::{Corpus, Mixture, Sampler, SamplerPlan, total_steps};
use crate::spec::{CorpusId, Split, TrainSpec};

/// The sequences of a run: its budget, and the further corpora mixed in.
#[derive(Debug)]
pub struct Feed<'a> {
    /// The budget first, then the mixture's components in the spec's order.
    samplers: Vec<Sampler<'a>>,
    mixture: Mixture,
    batch_sequences: u64,
    steps: u64,
}

impl<'a> Feed<'a> {
    /// Plans the sequences of a run; `corpus` finds corpora by their ids.
    pub fn new(spec: &TrainSpec, corpus: impl Fn(CorpusId) -> Result<&'a Corpus>) -> Result<Self> {
        let data = &spec.data;
        let plan = |budget_tokens| SamplerPlan {
            sequence_tokens: data.sequence_tokens,
            budget_tokens,
            order: data.order,
            seed: spec.seeds.order,
        };
        let own = corpus(data.corpus)?.split(Split::Train);
        let mut samplers = vec![Sampler::new(own, plan(data.budget_tokens))?];
        for component in &data.mixture {
            // A further corpus is not cut: all its whole sequences take part (mission D5).
            let split = corpus(component.corpus)?.split(Split::Train);
            let sequence = u64::from(data.sequence_tokens);
            let whole = split.tokens() / sequence * sequence;
            let sampler = Sampler::new(split, plan(whole))
                .map_err(|e| e.within(format!("corpus {}", component.corpus.short())))?;
            samplers.push(sampler);
        }
        let shares: Vec<f64> = data.mixture.iter().map(|component| component.share).collect();
        let batch_sequences = u64::from(spec.optim.batch_sequences());
        let sequences = samplers[0].sequences();
        let steps = total_steps(sequences, batch_sequences, data.epochs, data.mixture_share())?;
        Ok(Self { samplers, mixture: Mixture::new(&shares)?, batch_sequences, steps })
    }

    /// Steps of the run (mission D4).
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Reads row `row` of the batch of `step` into `tokens`, and the first position of each
    /// position's document into `starts`.
    pub fn sequence(
        &self,
        step: u64,
        row: u64,
        tokens: &mut [u32],
        starts: &mut [u32],
    ) -> Result<()> {
        let assigned = self.mixture.assign(step * self.batch_sequences + row);
        let sampler = &self.samplers[assigned.component];
        let sequences = sampler.sequences();
        let (epoch, index) = (assigned.position / sequences, assigned.position % sequences);
        sampler.sequence(epoch, index, tokens, starts)
    }
}
