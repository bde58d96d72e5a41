//! Files and folders, whatever they hold: whole or not at all, hashed, locked.
//!
//! A file is written under another name, flushed and renamed ([`write_atomically`]). So is a folder
//! of files ([`FreshFolder`]): its `manifest.json` is written last and names the hash of each, so
//! that a folder without one is never taken for whole.

mod atomic;
mod folder;
mod hashed;
mod json;
mod list;
mod lock;
pub mod manifest;
pub mod regular;
mod unique;

pub use atomic::{fresh_file, sync_directory, sync_folder, temporary_path, write_atomically};
pub use folder::{FreshFolder, InTheWay, Published, bring_back};
pub use hashed::{FileFacts, HashedFile};
pub use json::{json_file, json_line};
pub use list::{has_ending, is_empty, list};
pub use lock::{Lock, try_lock, wait_for_lock};
pub use manifest::{Files, MANIFEST_FILE, is_whole};
pub use regular::open_regular;
pub use unique::unique_word;
