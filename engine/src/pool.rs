//! Runs independent tasks on threads. Which thread runs a task never reaches a result.

use rayon::ThreadPool;
use rayon::prelude::*;

/// A fixed number of threads.
#[derive(Debug)]
pub struct Pool {
    /// `None` with one thread: then the caller's thread does the work and no other is created.
    threads: Option<ThreadPool>,
}

impl Pool {
    /// A pool of `threads` threads, at least one.
    ///
    /// # Panics
    /// If `threads` is zero or the operating system refuses to create them.
    pub fn new(threads: usize) -> Pool {
        Self::try_new(threads).expect("the operating system creates threads at start-up")
    }

    /// A pool of `threads` threads, at least one, or what the operating system has against them.
    ///
    /// # Panics
    /// If `threads` is zero.
    pub fn try_new(threads: usize) -> Result<Pool, String> {
        assert!(threads > 0, "a pool needs at least one thread");
        if threads == 1 {
            return Ok(Pool { threads: None });
        }
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let built = builder.thread_name(|index| format!("scarce-{index}")).build();
        built.map(|pool| Pool { threads: Some(pool) }).map_err(|cause| cause.to_string())
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.threads.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// Calls `work(index, task)` once for every task and returns when all are done.
    ///
    /// Idle threads take the next tasks, so tasks may differ in length; a task must not depend on
    /// when or where another one runs.
    pub fn run<T: Send>(&self, tasks: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
        match &self.threads {
            None => tasks.iter_mut().enumerate().for_each(|(index, task)| work(index, task)),
            Some(threads) => threads.install(|| {
                let tasks = tasks.par_iter_mut().with_max_len(1).enumerate();
                tasks.for_each(|(index, task)| work(index, task));
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_on_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads);
            assert_eq!(pool.threads(), threads);
            let mut tasks = vec![0_usize; 23];
            pool.run(&mut tasks, |index, task| *task += index + 1);
            assert_eq!(tasks, (1..=23).collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_thread_is_the_callers_own() {
        let caller = std::thread::current().id();
        let mut tasks = [caller];
        Pool::new(1).run(&mut tasks, |_, task| assert_eq!(*task, std::thread::current().id()));
    }
}
