//! The lab on this machine: a pool of worker processes over one store.
//!
//! Each worker is this program again with the hidden verb `worker`: it reads one job from its
//! standard input, works on it and tells its progress on standard output. Its input staying open
//! means "go on"; the end of it means "checkpoint and stop", so that workers never outlive the
//! lab, however it dies. A worker that dies is replaced; its run goes on from its checkpoint.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::Lab;
use super::arithmetic::kernels;
use super::consent::consents;
use super::context::Corpora;
use super::cost::Foretold;
use super::memory::{Crowd, Demand};
use super::progress::{Overview, Report, Running};
use crate::disk::json_line;
use crate::eval::Ledger;
use crate::spec::{Allowed, Job, JobId, Precision, Split};
use crate::store::{Record, Store};
use crate::train::MetricsLine;
use crate::{Error, Result};

/// How the pool works; none of it changes a result.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Worker processes at a time. One member per core beats threads inside a run.
    pub workers: usize,
    /// Threads of each worker.
    pub threads: usize,
    /// Whether records keep trained weights.
    pub keep_weights: bool,
    /// What the person who asked has consented to.
    pub allowed: Allowed,
    /// The program to start as a worker.
    pub program: PathBuf,
}

/// Where the lab tells how it stands.
type Listener<'a> = dyn FnMut(&Overview) + 'a;

/// A [`Lab`] of worker processes.
pub struct LocalLab<'a> {
    store: Store,
    corpora: &'a Corpora,
    options: LocalOptions,
    listener: Box<Listener<'a>>,
    interrupted: Box<dyn Fn() -> bool + 'a>,
    /// The most that jobs so far were found to need together: what fitted once is not asked again,
    /// lest a study stop because the machine is busy for a while.
    fitted_bytes: u64,
}

impl std::fmt::Debug for LocalLab<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalLab({}, {:?})", self.store.root().display(), self.options)
    }
}

/// What the least job counts for.
const FLOPS_MIN: f64 = 1e9;

/// A worker that dies this often on one job is not unlucky: something is wrong with the job.
const DEATHS_MAX: u32 = 3;

impl<'a> LocalLab<'a> {
    /// A lab over a store. `listener` is told of every change, `interrupted` is asked often.
    #[must_use]
    pub fn new(
        store: Store,
        corpora: &'a Corpora,
        options: LocalOptions,
        listener: impl FnMut(&Overview) + 'a,
        interrupted: impl Fn() -> bool + 'a,
    ) -> Self {
        let (listener, interrupted) = (Box::new(listener), Box::new(interrupted));
        Self { store, corpora, options, listener, interrupted, fitted_bytes: 0 }
    }

    /// The store of this lab.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Floating-point operations of a job, for shares and times left: of small ones enough that the
    /// bar moves.
    fn flops(&self, job: &Job) -> Result<f64> {
        let places = (Some(&self.store), self.corpora);
        let foretold = Foretold::of(std::slice::from_ref(job), &[], places)?;
        Ok(foretold.flops.max(FLOPS_MIN))
    }

    /// Refuses jobs that lack consent or memory before any worker starts.
    fn check(&mut self, jobs: &[Job]) -> Result<()> {
        let LocalOptions { workers, threads, allowed, .. } = self.options;
        consents(jobs, (Some(&self.store), self.corpora), allowed)?;
        let crowd = Crowd { workers, threads };
        let demand = Demand::of(jobs, (&self.store, self.corpora), crowd)?;
        if demand.together_bytes > self.fitted_bytes {
            let largest = jobs.iter().find_map(|job| match job {
                Job::Train(spec) if jobs.len() == 1 => Some(spec),
                _ => None,
            });
            demand.check(largest, crowd)?;
            self.fitted_bytes = demand.together_bytes;
        }
        Ok(())
    }

    fn run_missing(&mut self, missing: Vec<Job>, known: usize) -> Result<()> {
        self.check(&missing)?;
        let mut queue = Vec::with_capacity(missing.len());
        for job in missing {
            queue.push(Task { flops: self.flops(&job)?, id: job.id(), job, deaths: 0 });
        }
        // The longest first, so that no core idles at the end.
        queue.sort_by(|a, b| b.flops.total_cmp(&a.flops));
        // Chosen before the workers start, while nothing disturbs the measurement.
        let asked = |precision| queue.iter().any(|task| task.job.precision() == Some(precision));
        for precision in [Precision::F32, Precision::Bf16].into_iter().filter(|it| asked(*it)) {
            kernels(&self.store, precision)?;
        }
        let total = known + queue.len();
        let whole: f64 = queue.iter().map(|task| task.flops).sum();
        let (sender, receiver) = channel();
        let mut crew = Crew {
            lab: self,
            queue: queue.into(),
            active: BTreeMap::new(),
            sender,
            finished: 0,
            finished_flops: 0.0,
            whole_flops: whole,
            known,
            total,
            start: Instant::now(),
        };
        crew.work(&receiver)
    }
}

impl Lab for LocalLab<'_> {
    fn obtain(&mut self, jobs: &[Job]) -> Result<Vec<Record>> {
        let unique: BTreeMap<JobId, &Job> = jobs.iter().map(|job| (job.id(), job)).collect();
        let (known, mut missing): (Vec<_>, Vec<_>) =
            unique.iter().partition(|(id, _)| self.store.has(**id));
        let mut done = known.len();
        // Jobs that read records wait until those are there.
        while !missing.is_empty() {
            let (ready, waiting): (Vec<_>, Vec<_>) = missing
                .into_iter()
                .partition(|(_, job)| job.needs().iter().all(|need| self.store.has(*need)));
            if ready.is_empty() {
                let (id, job) = waiting[0];
                let needs = job.needs().into_iter().filter(|need| !self.store.has(*need));
                let needs: Vec<String> = needs.map(|need| need.short()).collect();
                return Err(Error::usage(format!(
                    "job {} needs what the store does not have: {}",
                    id.short(),
                    needs.join(", ")
                )));
            }
            let count = ready.len();
            self.run_missing(ready.into_iter().map(|(_, job)| (*job).clone()).collect(), done)?;
            done += count;
            missing = waiting;
        }
        jobs.iter()
            .map(|job| {
                self.store.record(job.id())?.ok_or_else(|| {
                    Error::data(format!("record {} has gone away", job.id().short()))
                })
            })
            .collect()
    }

    fn ledger(&self, id: JobId, split: Split) -> Result<Ledger> {
        super::ledger(&self.store, id, split)
    }

    fn metrics(&self, id: JobId) -> Result<Vec<MetricsLine>> {
        super::metrics(&self.store, id)
    }
}

/// A job that waits or runs.
#[derive(Clone, Debug)]
struct Task {
    id: JobId,
    job: Job,
    flops: f64,
    deaths: u32,
}

/// A worker at work.
struct Worker {
    task: Task,
    child: Child,
    /// Closing it asks the worker to stop.
    input: Option<ChildStdin>,
    done: u64,
    total: u64,
    loss_nats: Option<f64>,
}

/// What the readers of the workers' output pass on.
enum Message {
    Report(JobId, Report),
    /// The worker closed its output; what it said on standard error.
    End(JobId, String),
}

/// The workers of one call of `obtain`.
struct Crew<'c, 'a> {
    lab: &'c mut LocalLab<'a>,
    queue: VecDeque<Task>,
    active: BTreeMap<JobId, Worker>,
    sender: Sender<Message>,
    finished: usize,
    finished_flops: f64,
    whole_flops: f64,
    known: usize,
    total: usize,
    start: Instant,
}

impl Crew<'_, '_> {
    fn work(&mut self, receiver: &Receiver<Message>) -> Result<()> {
        let mut stopping: Option<Error> = None;
        while !self.active.is_empty() || (stopping.is_none() && !self.queue.is_empty()) {
            if stopping.is_none() && (self.lab.interrupted)() {
                stopping = Some(
                    Error::interrupted("stopped")
                        .hint("finished records are kept; the same command goes on from there"),
                );
            }
            match &stopping {
                Some(_) => self.active.values_mut().for_each(|worker| drop(worker.input.take())),
                None => self.fill()?,
            }
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(Message::Report(id, report)) => self.hear(id, report),
                Ok(Message::End(id, said)) => {
                    if let Err(error) = self.end(id, &said) {
                        stopping.get_or_insert(error);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        self.tell(None);
        stopping.map_or(Ok(()), Err)
    }

    /// Starts workers while there is room and work.
    fn fill(&mut self) -> Result<()> {
        while self.active.len() < self.lab.options.workers.max(1)
            && let Some(task) = self.queue.pop_front()
        {
            let worker = self.start(task)?;
            self.active.insert(worker.task.id, worker);
            self.tell(None);
        }
        Ok(())
    }

    fn start(&self, task: Task) -> Result<Worker> {
        let program = &self.lab.options.program;
        let mut child = command(program, &self.lab.store, self.lab.corpora, &self.lab.options)
            .spawn()
            .map_err(|cause| Error::io("start", program, &cause))?;
        let (input, output, errors) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (sender, id) = (self.sender.clone(), task.id);
        std::thread::spawn(move || {
            // Errors are short; a worker that filled the pipe would block, so drain it aside.
            let errors = std::thread::spawn(move || {
                let mut said = String::new();
                let _ = errors.map(|mut errors| errors.read_to_string(&mut said));
                said
            });
            for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()) {
                let Ok(line) = line else { break };
                if let Ok(report) = serde_json::from_str(&line) {
                    let _ = sender.send(Message::Report(id, report));
                }
            }
            let _ = sender.send(Message::End(id, errors.join().unwrap_or_default()));
        });
        let mut worker = Worker { task, child, input, done: 0, total: 0, loss_nats: None };
        let line = json_line(&worker.task.job);
        if let Some(input) = &mut worker.input {
            // A worker that died at once is noticed by the end of its output.
            let _ = input.write_all(&line).and_then(|()| input.flush());
        }
        Ok(worker)
    }

    fn hear(&mut self, id: JobId, report: Report) {
        let Some(worker) = self.active.get_mut(&id) else { return };
        let short = id.short();
        let warning = match report {
            Report::Done { done, total, loss_nats } => {
                (worker.done, worker.total, worker.loss_nats) = (done, total, loss_nats);
                None
            }
            Report::Warning { text } => Some(format!("{short}: {text}")),
            Report::Waiting { on } => Some(format!("{short}: waiting for {on}")),
        };
        self.tell(warning);
    }

    /// A worker has ended: finished, failed, interrupted or dead.
    fn end(&mut self, id: JobId, said: &str) -> Result<()> {
        let Some(mut worker) = self.active.remove(&id) else { return Ok(()) };
        let status = worker.child.wait().ok();
        if self.lab.store.has(id) {
            self.finished += 1;
            self.finished_flops += worker.task.flops;
            self.tell(None);
            return Ok(());
        }
        let code = status.and_then(|status| status.code());
        if let Some(error) = code.and_then(|code| Error::heard(code, said)) {
            return Err(error);
        }
        let mut task = worker.task;
        task.deaths += 1;
        if task.deaths >= DEATHS_MAX {
            return Err(Error::data(format!(
                "worker for {} died {DEATHS_MAX} times, last with {}: {}",
                id.short(),
                status.map_or_else(|| "an unknown status".to_owned(), |s| s.to_string()),
                said.trim(),
            )));
        }
        self.tell(Some(format!("worker for {} died; starting it again", id.short())));
        self.queue.push_front(task);
        Ok(())
    }

    fn tell(&mut self, warning: Option<String>) {
        let running: Vec<Running> = self
            .active
            .values()
            .map(|worker| Running {
                id: worker.task.id,
                kind: worker.task.job.kind(),
                done: worker.done,
                total: worker.total,
                loss_nats: worker.loss_nats,
            })
            .collect();
        let partly =
            |worker: &Worker| worker.task.flops * worker.done as f64 / (worker.total.max(1)) as f64;
        let done_flops = self.finished_flops + self.active.values().map(partly).sum::<f64>();
        let share = done_flops / self.whole_flops.max(1.0);
        let elapsed = self.start.elapsed().as_secs_f64();
        (self.lab.listener)(&Overview {
            total: self.total,
            known: self.known,
            finished: self.finished,
            running,
            share,
            seconds_left: (share > 0.001).then(|| elapsed * (1.0 - share) / share),
            warning,
        });
    }
}

impl Drop for Crew<'_, '_> {
    fn drop(&mut self) {
        // Leaving early (an error while starting a worker): ask the others to stop and wait.
        for worker in self.active.values_mut() {
            drop(worker.input.take());
            let _ = worker.child.wait();
        }
    }
}

fn command(program: &Path, store: &Store, corpora: &Corpora, options: &LocalOptions) -> Command {
    let mut command = Command::new(program);
    command.arg("worker").arg("--store").arg(store.root());
    for directory in corpora.directories() {
        command.arg("--corpus").arg(directory);
    }
    command.args(["--threads", &options.threads.to_string()]);
    if !options.keep_weights {
        command.args(["--weights", "drop"]);
    }
    for consent in options.allowed.iter() {
        command.args(["--allow", consent.word()]);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
