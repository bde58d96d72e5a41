//! The hidden verb that labs start: one job on standard input, reports on standard output.

use std::io::{BufRead, Read};

use clap::Args;

use super::options::{Places, Running};
use super::print;
use super::signals::Interrupt;
use crate::lab::{Corpora, work};
use crate::spec::Job;
use crate::store::Store;
use crate::{Error, Result};

#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    running: Running,
}

pub(super) fn run(arguments: &WorkerArgs) -> Result<()> {
    let interrupt = &Interrupt::listen()?;
    let mut line = String::new();
    let mut input = std::io::stdin().lock();
    input.read_line(&mut line).map_err(|e| Error::usage(format!("no job arrived: {e}")))?;
    drop(input);
    let job: Job = serde_json::from_str(&line)
        .map_err(|cause| Error::usage(format!("the job cannot be read: {cause}")))?;
    // The end of the input means that the lab stopped or died.
    let stop = interrupt.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        stop.set();
    });
    let store = Store::open(&arguments.places.store)?;
    let corpora = Corpora::open(&arguments.places.corpus)?;
    let options = arguments.running.options()?;
    let mut last = std::time::Instant::now();
    let mut report = |report: crate::lab::Report| {
        // Steps can take less than a millisecond: ten reports a second are enough for anyone.
        let step = matches!(report, crate::lab::Report::Done { .. });
        if !step || last.elapsed().as_millis() >= 100 {
            last = std::time::Instant::now();
            let value = serde_json::to_value(&report).expect("reports are plain data");
            // Nobody listens any more: the lab has died, and its end of the other pipe, too.
            if print::try_json(&value).is_err() {
                interrupt.set();
            }
        }
    };
    work(&job, (&store, &corpora), &options, &mut report, &|| interrupt.is_set())?;
    Ok(())
}
