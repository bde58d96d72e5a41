//! What jobs need consent for, found out before any work: by the command that asks for them, so
//! that it is refused at once, and by the worker, whose record says what was allowed.
//!
//! Everything follows from the jobs, the corpora and the records of members; nothing from how or by
//! whom a job was asked for. So old specs and records are judged as new ones are.

use super::context::Corpora;
use crate::data::{Corpus, Mixture, total_steps};
use crate::spec::{
    Allowed, Consent, EnsembleSpec, EvaluateSpec, Job, JobId, Start, TrainSpec, preset,
};
use crate::store::{Record, Store};
use crate::{Error, Result};

/// Rounding that changes a request by more than this share needs consent.
const ROUNDING_MAX: f64 = 0.05;
/// Below this the difference is that of decimal and binary numbers.
const ROUNDING_MIN: f64 = 1e-9;

/// What was found out about jobs that may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consents {
    /// What they needed consent for, and got it.
    pub used: Allowed,
    /// What should be told, a line each: of roundings only the worst, of anything else once.
    pub notes: Vec<String>,
}

/// Something about a job that needs consent, or only words.
struct Finding {
    what: String,
    consent: Option<Consent>,
    /// Ways out, where consent is needed.
    hint: String,
    /// The share by which a request is changed; 0 for anything but rounding.
    change: f64,
}

/// Whether these jobs may run; `store` has the records of members.
///
/// # Errors
/// If consent is needed and not among `allowed`: says what would happen and what to do instead. If
/// a job is none at all.
pub fn consents(
    jobs: &[Job],
    (store, corpora): (Option<&Store>, &Corpora),
    allowed: Allowed,
) -> Result<Consents> {
    let (mut used, mut notes, mut worst) = (Allowed::NONE, Vec::new(), None::<Finding>);
    for job in jobs {
        for finding in findings(job, store, corpora)? {
            if let Some(consent) = finding.consent {
                if !allowed.has(consent) {
                    let hint = format!("{}; or {}", finding.hint, consent.flag());
                    return Err(Error::usage(finding.what).hint(hint));
                }
                used = used.or(consent.into());
            }
            if finding.change == 0.0 {
                if !notes.contains(&finding.what) {
                    notes.push(finding.what);
                }
            } else if worst.as_ref().is_none_or(|worst| finding.change > worst.change) {
                worst = Some(finding);
            }
        }
    }
    if let Some(worst) = worst {
        let scope = if jobs.len() > 1 { "; no run more" } else { "" };
        notes.push(format!("{}{scope}", worst.what));
    }
    Ok(Consents { used, notes })
}

fn findings(job: &Job, store: Option<&Store>, corpora: &Corpora) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    match job {
        Job::Train(spec) => {
            spec.validate()?;
            let corpus = corpora.get(spec.data.corpus)?;
            found.extend(roundings(spec)?);
            match spec.start {
                Start::Random {} => found.extend(vocabulary(spec, corpus)),
                Start::From { record } => found.extend(tokenizer(record, corpus, store, corpora)?),
            }
        }
        Job::Evaluate(EvaluateSpec { members, corpus, .. })
        | Job::Ensemble(EnsembleSpec { members, corpus, .. }) => {
            let corpus = corpora.get(*corpus)?;
            for &member in members {
                found.extend(tokenizer(member, corpus, store, corpora)?);
            }
        }
        Job::Ngram(_) => {}
    }
    Ok(found)
}

/// What whole steps and whole sequences make of the epochs and of the shares of a mixture.
fn roundings(spec: &TrainSpec) -> Result<Vec<Finding>> {
    let data = &spec.data;
    let sequences = data.budget_tokens / u64::from(data.sequence_tokens);
    let batch = u64::from(spec.optim.batch_sequences());
    let steps = total_steps(sequences, batch, data.epochs, data.mixture_share())?;
    let shares: Vec<f64> = data.mixture.iter().map(|component| component.share).collect();
    let rows = Mixture::new(&shares)?.counts(steps * batch);
    let mut found = Vec::new();
    let epochs = rows[0] as f64 / sequences as f64;
    let change = epochs / data.epochs - 1.0;
    if change.abs() > ROUNDING_MIN {
        let what = format!(
            "whole steps make {} epochs {} ({}): {steps} of {batch} sequences each, and the budget \
             has {sequences}",
            data.epochs,
            figure(epochs),
            percent(change)
        );
        let own = sequences as f64 / (1.0 - data.mixture_share());
        found.push(Finding::rounding(what, fitting(data.epochs, batch, own), change));
    }
    for (index, (&share, &rows)) in shares.iter().zip(&rows[1..]).enumerate() {
        let given = rows as f64 / (steps * batch) as f64;
        let change = given / share - 1.0;
        if change.abs() > ROUNDING_MAX {
            let what = format!(
                "`data.mixture.{index}.share` = {share} becomes {} ({}): {rows} of {} sequences",
                figure(given),
                percent(change),
                steps * batch
            );
            found.push(Finding::rounding(what, "more epochs come closer".to_owned(), change));
        }
    }
    Ok(found)
}

/// The batch and the epochs next to a request that whole steps can serve; an epoch is this many
/// sequences of the run.
fn fitting(epochs: f64, batch: u64, sequences: f64) -> String {
    let rows = epochs * sequences;
    let mut ways = Vec::new();
    let whole = rows.round() as u64;
    if whole > 0 && (rows - whole as f64).abs() < 1e-6 * rows {
        // More steps of fewer sequences: the next that come out even.
        let first = whole.div_ceil(batch);
        let even =
            (first..first.saturating_add(1000).min(whole + 1)).find(|n| whole.is_multiple_of(*n));
        let batch = even.map_or(1, |steps| whole / steps);
        ways.push(format!("optim.batch_sequences={batch}"));
    }
    let near = (rows / batch as f64).round().max(1.0);
    let fitting = near * batch as f64 / sequences;
    // Only numbers that a person would write: others are rounded again.
    let text = figure(fitting);
    if text.parse::<f64>().is_ok_and(|read| (read - fitting).abs() < 1e-12 * fitting) {
        ways.push(format!("data.epochs={text}"));
    }
    match ways.is_empty() {
        true => "take a smaller `optim.batch_sequences`".to_owned(),
        false => format!("{} fits", ways.join(" or ")),
    }
}

/// Rows for tokens that the corpus does not have.
fn vocabulary(spec: &TrainSpec, corpus: &Corpus) -> Option<Finding> {
    let (model, own) = (spec.model.vocabulary, corpus.vocabulary());
    let unused = model.checked_sub(own).filter(|&unused| unused > 0)?;
    if preset::fixes_vocabulary(&spec.model) {
        let what = format!(
            "the preset has {model} tokens and the corpus {own}: {unused} rows of the model stand \
             for no token"
        );
        return Some(Finding::note(what));
    }
    Some(Finding {
        what: format!(
            "`model.vocabulary` = {model} is larger than the corpus' vocabulary of {own}: {unused} \
             rows of the model would stand for no token"
        ),
        consent: Some(Consent::Vocabulary),
        hint: "without the key it is the corpus'".to_owned(),
        change: 0.0,
    })
}

/// A model that is read with other tokens than those that it was trained on.
fn tokenizer(
    member: JobId,
    corpus: &Corpus,
    store: Option<&Store>,
    corpora: &Corpora,
) -> Result<Option<Finding>> {
    // A member that is missing, or knows too few tokens, is told by the job itself.
    let Some(store) = store.filter(|store| store.has(member)) else { return Ok(None) };
    let (Job::Train(spec), Some(record)) = (store.job(member)?, store.record(member)?) else {
        return Ok(None);
    };
    let trained_on = |read: &crate::store::TrainedOn| read.corpus == corpus.id();
    if spec.data.corpus == corpus.id()
        || record.trained_on.iter().any(trained_on)
        || spec.model.vocabulary < corpus.vocabulary()
    {
        return Ok(None);
    }
    let (name, place) = (member.short(), corpus.id().short());
    let Some((theirs, ours)) = tokenizer_of(&record, &spec, corpora).zip(corpus.tokenizer_hash())
    else {
        let what = format!(
            "nothing tells whether {name} was trained with the tokenizer of corpus {place}; give \
             its own corpus {} as a further --corpus to have them compared",
            spec.data.corpus.short()
        );
        return Ok(Some(Finding::note(what)));
    };
    if theirs == ours {
        return Ok(None);
    }
    let what = format!(
        "{name} was trained with tokenizer {}, and corpus {place} has {}: the same numbers stand \
         for other text",
        shortened(&theirs),
        shortened(&ours)
    );
    let hint = "prepare the text with `--tokenizer` and the tokenizer.json of its own corpus";
    let consent = Some(Consent::Tokenizer);
    Ok(Some(Finding { what, consent, hint: hint.to_owned(), change: 0.0 }))
}

/// The tokenizer that a run was trained with, as its record has it; records of older versions do
/// not, so that its corpus is asked where that is given.
fn tokenizer_of(record: &Record, spec: &TrainSpec, corpora: &Corpora) -> Option<String> {
    let of_corpus = || corpora.get(spec.data.corpus).ok()?.tokenizer_hash();
    record.tokenizer.clone().or_else(of_corpus)
}

impl Finding {
    fn note(what: String) -> Self {
        Self { what, consent: None, hint: String::new(), change: 0.0 }
    }

    fn rounding(what: String, hint: String, change: f64) -> Self {
        let change = change.abs();
        let consent = (change > ROUNDING_MAX).then_some(Consent::Rounding);
        Self { what, consent, hint, change }
    }
}

/// A hash as people read it.
fn shortened(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// A number in at most four digits, without zeros at its end.
fn figure(value: f64) -> String {
    if value >= 1000.0 {
        return format!("{value:.0}");
    }
    let places = (3.0 - value.max(1e-9).log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn percent(change: f64) -> String {
    match 100.0 * change {
        large if large.abs() >= 10.0 => format!("{large:+.0} %"),
        small if small.abs() >= 0.01 => format!("{small:+.2} %"),
        tiny => format!("{tiny:+.0e} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_next_to_what_was_asked_for() {
        assert_eq!(fitting(4.0, 300, 200.0), "optim.batch_sequences=200 or data.epochs=4.5 fits");
        let large = "optim.batch_sequences=100 or data.epochs=1000 fits";
        assert_eq!(fitting(1.0, 100_000, 100.0), large);
        assert_eq!(fitting(0.001, 4, 200.0), "data.epochs=0.02 fits");
    }

    /// Every spec and study that is shipped asks for whole steps, in every cell.
    #[test]
    fn what_is_shipped_is_rounded_nowhere() {
        use crate::study::{Cell, Plan, StudyFile, scale, tune};
        let facts = crate::spec::CorpusFacts {
            id: "ab".repeat(32).parse().unwrap(),
            vocabulary: 256,
            train_tokens: 1 << 31,
        };
        let mut runs = Vec::new();
        for folder in ["specs/paper", "specs/pocket"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                let (name, text) =
                    (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
                if !StudyFile::is_study(&text) {
                    let file = Some((&*name, &*text));
                    let request = crate::spec::Request { file, sets: &[] };
                    runs.push(crate::spec::resolve(&request, &facts).unwrap().spec);
                    continue;
                }
                let study = StudyFile::parse(&name, &text).unwrap();
                let request = study.request(&[]);
                let cell = |seed| Cell::new(&request, &facts, seed).unwrap();
                runs.extend(match &study.plan {
                    Plan::Tune(options) => tune::possible_runs(&cell(options.seed), &options.grid),
                    Plan::Scale(options) => {
                        scale::possible_runs((&request, &facts), options).unwrap()
                    }
                    Plan::Ensemble(_) => vec![cell(0).template().clone()],
                });
            }
        }
        assert!(runs.len() > 100, "{}", runs.len());
        for spec in runs {
            let found = roundings(&spec).unwrap();
            assert!(found.is_empty(), "{}", found[0].what);
        }
    }

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        let cases = [(3.0, "3"), (2.6667, "2.667"), (1000.0, "1000"), (0.02, "0.02")];
        for (value, text) in cases {
            assert_eq!(figure(value), text);
        }
        assert_eq!(
            [-0.25, 999.0, 0.004_21, -1e-6].map(percent),
            ["-25 %", "+99900 %", "+0.42 %", "-1e-4 %"]
        );
    }
}
