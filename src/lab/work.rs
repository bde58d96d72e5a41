//! What a worker does with one job: claim it, run it, publish its record.

use std::time::Duration;

use super::bench::{Bench, WorkOptions};
use super::consent::consents;
use super::context::Corpora;
use super::progress::Report;
use super::{ensemble, evaluate, ngram, train};
use crate::spec::Job;
use crate::store::{Claim, Record, Store};
use crate::{Error, Result};

/// Runs one job unless its record exists, and returns the record. If another process works on the
/// job, waits for it.
///
/// # Errors
/// [`Error::interrupted`] once `interrupted` says so; the job can then be continued.
pub fn work(
    job: &Job,
    (store, corpora): (&Store, &Corpora),
    options: &WorkOptions,
    report: &mut dyn FnMut(Report),
    interrupted: &dyn Fn() -> bool,
) -> Result<Record> {
    let id = job.id();
    if let Some(record) = store.record(id)? {
        return Ok(record);
    }
    let of_job = std::slice::from_ref(job);
    let allowed = consents(of_job, (Some(store), corpora), options.allowed)?.used;
    let mut waiting = false;
    loop {
        if let Some(record) = store.record(id)? {
            return Ok(record);
        }
        match store.claim(id)? {
            Claim::Held(held) => {
                // Between the look and the claim somebody may have published.
                if store.has(id) {
                    let _ = held.clear();
                    continue;
                }
                let mut bench = Bench { store, corpora, options, report, interrupted, allowed };
                match job {
                    Job::Train(spec) => train::run(spec, &held, &mut bench)?,
                    Job::Evaluate(spec) => evaluate::run(spec, &mut bench)?,
                    Job::Ensemble(spec) => ensemble::run(spec, &mut bench)?,
                    Job::Ngram(spec) => ngram::run(spec, &mut bench)?,
                }
                if let Err(error) = held.clear() {
                    report(Report::Warning { text: error.to_string() });
                }
            }
            Claim::Taken { by } => {
                if !std::mem::replace(&mut waiting, true) {
                    report(Report::Waiting { on: by });
                }
                if interrupted() {
                    return Err(Error::interrupted("stopped while waiting for another process"));
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}
