//! What killed processes left behind: drafts of records, finished work and temporary files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::claim::Claim;
use super::{claim, clock, id_of};
use crate::disk::{has_ending, is_whole, list};
use crate::spec::JobId;

/// A temporary file of this age belongs to nobody: a living process needs it for moments.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Ending of a draft that is being removed.
const SWEPT: &str = "swept";

/// Removes abandoned drafts, work that has become a record, and temporary files of a store. What
/// cannot be removed stays.
///
/// A draft is written by whoever holds the claim of its job. So nobody writes it while the job can
/// be claimed, and a new holder gives its own draft another name.
pub(super) fn sweep(root: &Path) {
    let (work, records) = (root.join("work"), root.join("records"));
    for path in list(&work).unwrap_or_default() {
        if has_ending(&path, SWEPT) {
            let _ = fs::remove_dir_all(&path);
        } else if draft_of(&path).is_some_and(|id| claim::is_free(&work.join(id.to_string()))) {
            remove_draft(&path);
        } else if id_of(&path).is_some_and(|id| is_whole(&records.join(id.to_string()))) {
            // Killed between publishing its record and clearing up.
            if let Ok(Claim::Held(held)) = claim::claim(&path) {
                let _ = held.clear();
            }
        }
    }
    for folder in [root.to_owned(), root.join("names")] {
        let files = list(&folder).unwrap_or_default().into_iter();
        let temporary = files.filter(|path| has_ending(path, "tmp") && path.is_file());
        for path in temporary.filter(|path| clock::is_older(path, ABANDONED)) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The job of a folder `draft-ID.*.tmp`.
fn draft_of(path: &Path) -> Option<JobId> {
    let name = path.file_name()?.to_str()?;
    let id = name.strip_prefix("draft-")?.strip_suffix(".tmp")?.split('.').next()?;
    id.parse().ok()
}

/// Takes the folder out of the way first: should somebody publish it after all, he has all of it
/// or nothing.
fn remove_draft(path: &Path) {
    let aside = path.with_extension(SWEPT);
    if fs::rename(path, &aside).is_ok() {
        let _ = fs::remove_dir_all(&aside);
    }
}
