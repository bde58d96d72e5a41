//! Which sequence each row of each batch is: a pure function of the step, so that a resumed run
//! needs no loader state.

use crate::data::{Corpus, Mixture, Sampler, SamplerPlan, total_steps};
use crate::spec::{CorpusId, Split, TrainSpec};
use crate::store::TrainedOn;
use crate::{Error, Result};

/// The sequences of a run: its budget, and the further corpora mixed in.
#[derive(Debug)]
pub struct Feed<'a> {
    /// The budget first, then the mixture's components in the spec's order.
    samplers: Vec<Sampler<'a>>,
    /// Where each sampler reads.
    corpora: Vec<CorpusId>,
    mixture: Mixture,
    sequence_tokens: u64,
    batch_sequences: u64,
    steps: u64,
}

impl<'a> Feed<'a> {
    /// Plans the sequences of a run; `corpus` finds corpora by their ids.
    ///
    /// # Errors
    /// If a corpus is not found, is too short for the spec, or if those of a mixture do not share
    /// their tokens.
    pub fn new(spec: &TrainSpec, corpus: impl Fn(CorpusId) -> Result<&'a Corpus>) -> Result<Self> {
        let data = &spec.data;
        let plan = |budget_tokens| SamplerPlan {
            sequence_tokens: data.sequence_tokens,
            budget_tokens,
            order: data.order,
            seed: spec.seeds.order,
        };
        let own = corpus(data.corpus)?;
        let mut samplers = vec![Sampler::new(own.split(Split::Train), plan(data.budget_tokens))?];
        let sequence_tokens = u64::from(data.sequence_tokens);
        for component in &data.mixture {
            // A further corpus is not cut: all its whole sequences take part (mission D5).
            let further = corpus(component.corpus)?;
            check_tokens(own, further)?;
            let split = further.split(Split::Train);
            if split.tokens() < sequence_tokens {
                return Err(Error::usage(format!(
                    "corpus {} of the mixture has {} training tokens, fewer than a sequence of \
                     {sequence_tokens}",
                    component.corpus.short(),
                    split.tokens()
                )));
            }
            let whole = split.tokens() / sequence_tokens * sequence_tokens;
            samplers.push(Sampler::new(split, plan(whole))?);
        }
        let further = data.mixture.iter().map(|component| component.corpus);
        let corpora = std::iter::once(data.corpus).chain(further).collect();
        let shares: Vec<f64> = data.mixture.iter().map(|component| component.share).collect();
        let batch_sequences = u64::from(spec.optim.batch_sequences());
        let sequences = samplers[0].sequences();
        let steps = total_steps(sequences, batch_sequences, data.epochs, data.mixture_share())?;
        let mixture = Mixture::new(&shares)?;
        Ok(Self { samplers, corpora, mixture, sequence_tokens, batch_sequences, steps })
    }

    /// What the first `steps` steps read of each corpus: the budget's first, then the mixture's.
    #[must_use]
    pub fn trained_on(&self, steps: u64) -> Vec<TrainedOn> {
        let counts = self.mixture.counts(steps * self.batch_sequences);
        let read = self.corpora.iter().zip(&self.samplers).zip(counts);
        read.map(|((&corpus, sampler), sequences)| TrainedOn {
            corpus,
            tokens: sequences * self.sequence_tokens,
            epochs: sequences as f64 / sampler.sequences() as f64,
        })
        .collect()
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

/// A token must mean the same in all corpora of a mixture.
fn check_tokens(own: &Corpus, further: &Corpus) -> Result<()> {
    if own.shares_tokens_with(further) {
        return Ok(());
    }
    let (ours, theirs) = (own.id().short(), further.id().short());
    let why = match (own.vocabulary(), further.vocabulary()) {
        (a, b) if a != b => format!("vocabularies of {a} and {b} tokens"),
        _ => "different tokenizers or separators".to_owned(),
    };
    Err(Error::usage(format!("corpora {ours} and {theirs} cannot be mixed: they have {why}"))
        .hint("prepare one of them with `--tokenizer OTHER/tokenizer.json`"))
}
