//! Claims: at most one process works on a job.
//!
//! On one host the claim is a lock on `work/ID/lock`, which the system releases when the process
//! dies, however it dies. Across hosts, where locks on network file systems cannot be trusted, it
//! is a lease: `work/ID/claim.json` names its owner and is renewed every few seconds; a lease that
//! has not been renewed for a minute is dead. Two hosts that take over a dead lease in the same
//! instant may both start; one of them finds the other's name at its next renewal and stops, and
//! publication is first-come anyway.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::atomic::write_atomically;
use super::clock::unix_seconds;
use crate::{Error, Result};

/// Seconds between renewals.
const RENEWAL: Duration = Duration::from_secs(10);
/// A foreign lease that is older than this is dead.
const LEASE_SECONDS: u64 = 60;

/// The result of asking for a job.
#[derive(Debug)]
pub enum Claim {
    /// This process has it until the value is dropped.
    Held(Held),
    /// Another process has it.
    Taken {
        /// Who, in words.
        by: String,
    },
}

/// A claim that is held.
#[derive(Debug)]
pub struct Held {
    folder: PathBuf,
    lease: Lease,
    lost: Arc<AtomicBool>,
    stop: Option<Sender<()>>,
    renewer: Option<std::thread::JoinHandle<()>>,
    _lock: File,
}

/// Who holds a claim, as `claim.json` tells other hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    host: String,
    process: u32,
    renewed_unix_seconds: u64,
}

pub(super) fn claim(folder: &Path) -> Result<Claim> {
    fs::create_dir_all(folder).map_err(|cause| Error::io("create", folder, &cause))?;
    let path = folder.join("lock");
    let io = |cause: &std::io::Error| Error::io("lock", &path, cause);
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|cause| io(&cause))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Ok(Claim::Taken { by: "another process on this host".to_owned() });
        }
        Err(TryLockError::Error(cause)) => return Err(io(&cause)),
    }
    // The folder may have been cleared between creation and lock: then the lock guards nothing.
    if !path.is_file() {
        return Ok(Claim::Taken { by: "a process that has just finished".to_owned() });
    }
    let host = host_name();
    if let Some(lease) = read(folder)
        && lease.host != host
        && unix_seconds().saturating_sub(lease.renewed_unix_seconds) < LEASE_SECONDS
    {
        return Ok(Claim::Taken { by: format!("process {} on {}", lease.process, lease.host) });
    }
    let lease = Lease { host, process: std::process::id(), renewed_unix_seconds: unix_seconds() };
    renew(folder, &lease)?;
    Ok(Claim::Held(Held::start(folder.to_owned(), lease, lock)))
}

impl Held {
    fn start(folder: PathBuf, lease: Lease, lock: File) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = channel::<()>();
        let (thread_folder, thread_lease, thread_lost) =
            (folder.clone(), lease.clone(), Arc::clone(&lost));
        let renewer = std::thread::spawn(move || {
            while stopped.recv_timeout(RENEWAL) == Err(RecvTimeoutError::Timeout) {
                let ours = read(&thread_folder).is_some_and(|now| {
                    now.host == thread_lease.host && now.process == thread_lease.process
                });
                // A renewal that fails for want of disk is no loss: the lease only ages.
                if ours {
                    let _ = renew(&thread_folder, &thread_lease);
                } else {
                    thread_lost.store(true, Ordering::Relaxed);
                }
            }
        });
        Self { folder, lease, lost, stop: Some(stop), renewer: Some(renewer), _lock: lock }
    }

    /// The job's working directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// An error if another host has taken the job over.
    pub fn check(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) {
            let host = &self.lease.host;
            return Err(Error::interrupted(format!("{host} lost its claim to another host")));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(renewer) = self.renewer.take() {
            let _ = renewer.join();
        }
        if !self.lost.load(Ordering::Relaxed) {
            let _ = fs::remove_file(self.folder.join("claim.json"));
        }
    }
}

fn read(folder: &Path) -> Option<Lease> {
    serde_json::from_slice(&fs::read(folder.join("claim.json")).ok()?).ok()
}

fn renew(folder: &Path, lease: &Lease) -> Result<()> {
    let lease = Lease { renewed_unix_seconds: unix_seconds(), ..lease.clone() };
    let text = serde_json::to_vec(&lease).expect("a lease is plain data");
    write_atomically(&folder.join("claim.json"), &text)
}

/// The host's name, or a constant: on one host the lock decides anyway.
fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "this host".to_owned(), |name| name.trim().to_owned())
}
