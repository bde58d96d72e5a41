//! Claims: at most one process works on a job.
//!
//! On one host the claim is a lock on `work/ID/lock`, which the system releases when the process
//! dies, however it dies. Across hosts, where locks on network file systems cannot be trusted, it
//! is a lease: `work/ID/claim.json` names its owner and is renewed every few seconds; a lease that
//! has not been renewed for a minute is dead, and so is one dated more than a minute ahead. A host
//! is known by its name and its boot, because containers often share a name; a claim is known by a
//! random token. Two hosts that take over a dead lease in the same instant may both start; one of
//! them finds the other's token at its next renewal and stops, and publication is first-come
//! anyway.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::unix_seconds;
use crate::disk::{Lock, has_ending, list, regular, try_lock, unique_word, write_atomically};
use crate::{Error, Result};

/// Seconds between renewals.
const RENEWAL: Duration = Duration::from_secs(10);
/// A foreign lease that is further than this from now is dead.
const LEASE_SECONDS: u64 = 60;

/// File names inside of a working directory.
const LOCK: &str = "lock";
const LEASE: &str = "claim.json";

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
    /// The running system; empty where it does not tell, and in claims of older versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    boot: String,
    process: u32,
    /// Of this claim alone; empty in claims of older versions.
    #[serde(default)]
    token: String,
    renewed_unix_seconds: u64,
}

pub(super) fn claim(folder: &Path) -> Result<Claim> {
    let path = folder.join(LOCK);
    let taken = |by: &str| Ok(Claim::Taken { by: by.to_owned() });
    fs::create_dir_all(folder).map_err(|cause| Error::io("create", folder, &cause))?;
    let lock = match try_lock(&path, true).map_err(|cause| Error::io("lock", &path, &cause))? {
        Lock::Mine(lock) => lock,
        Lock::Busy => return taken("another process on this host"),
        Lock::Gone => return taken("a process that has just finished"),
    };
    if let Some(lease) = read(folder).filter(Lease::is_alive_elsewhere) {
        return taken(&format!("process {} on {}", lease.process, lease.host));
    }
    remove_temporary(folder);
    let lease = Lease::here();
    renew(folder, &lease)?;
    Ok(Claim::Held(Held::start(folder.to_owned(), lease, lock)))
}

/// Whether nobody works in this directory, so that nobody writes the record of its job either.
pub(super) fn is_free(folder: &Path) -> bool {
    let lock = try_lock(&folder.join(LOCK), false);
    let free = matches!(lock, Ok(Lock::Mine(_) | Lock::Gone));
    free && !read(folder).is_some_and(|lease| lease.is_alive_elsewhere())
}

impl Lease {
    /// A new claim of this process.
    fn here() -> Self {
        Self {
            host: host_name(),
            boot: boot(),
            process: std::process::id(),
            token: unique_word(),
            renewed_unix_seconds: unix_seconds(),
        }
    }

    /// Whether another host has renewed it lately. For this host the lock has decided already.
    fn is_alive_elsewhere(&self) -> bool {
        let here = self.host == host_name() && (self.boot.is_empty() || self.boot == boot());
        !here && unix_seconds().abs_diff(self.renewed_unix_seconds) < LEASE_SECONDS
    }
}

impl Held {
    fn start(folder: PathBuf, lease: Lease, lock: File) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = channel::<()>();
        let (thread_folder, thread_lease, thread_lost) =
            (folder.clone(), lease.clone(), Arc::clone(&lost));
        let renewer = std::thread::spawn(move || {
            while stopped.recv_timeout(RENEWAL) == Err(RecvTimeoutError::Timeout) {
                // A renewal that fails for want of disk is no loss: the lease only ages.
                if is_of(&thread_folder, &thread_lease) {
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

    /// Removes the working directory of a finished job, while nobody else can hold it.
    ///
    /// # Errors
    /// If a file cannot be removed. The record is out, so nothing is lost by that.
    pub fn clear(mut self) -> Result<()> {
        self.stop_renewing();
        if !is_of(&self.folder, &self.lease) {
            return Ok(());
        }
        let removed = || -> io::Result<()> {
            for entry in fs::read_dir(&self.folder)?.collect::<io::Result<Vec<_>>>()? {
                let path = entry.path();
                match entry.file_type()?.is_dir() {
                    true => fs::remove_dir_all(path)?,
                    false if entry.file_name() == LOCK => {}
                    false => fs::remove_file(path)?,
                }
            }
            // The lock goes last: whoever opens it before finds that it guards nothing any more.
            fs::remove_file(self.folder.join(LOCK))?;
            match fs::remove_dir(&self.folder) {
                // Somebody asks for the job in this instant, and will find its record.
                Err(cause) if cause.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
                removed => removed,
            }
        };
        removed().map_err(|cause| Error::io("remove", &self.folder, &cause))
    }

    fn stop_renewing(&mut self) {
        drop(self.stop.take());
        if let Some(renewer) = self.renewer.take() {
            let _ = renewer.join();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop_renewing();
        if is_of(&self.folder, &self.lease) {
            let _ = fs::remove_file(self.folder.join(LEASE));
        }
    }
}

fn read(folder: &Path) -> Option<Lease> {
    serde_json::from_str(&regular::read_small_text(&folder.join(LEASE)).ok()?).ok()
}

/// Whether the directory is still under this very claim.
fn is_of(folder: &Path, lease: &Lease) -> bool {
    read(folder).is_some_and(|now| now.token == lease.token)
}

fn renew(folder: &Path, lease: &Lease) -> Result<()> {
    let lease = Lease { renewed_unix_seconds: unix_seconds(), ..lease.clone() };
    let text = serde_json::to_vec(&lease).expect("a lease is plain data");
    write_atomically(&folder.join(LEASE), &text)
}

/// Removes what a killed process was writing here.
fn remove_temporary(folder: &Path) {
    let paths = list(folder).unwrap_or_default().into_iter();
    paths.filter(|path| has_ending(path, "tmp")).for_each(|path| drop(fs::remove_file(path)));
}

/// The host's name, or a constant: on one host the lock decides anyway.
fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "this host".to_owned(), |name| name.trim().to_owned())
}

/// A random word that the system drew when it was started, where it tells.
fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    boot.trim().to_owned()
}
