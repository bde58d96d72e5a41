//! Opening a store: what becomes one, and what is left alone.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::sweep::sweep;
use super::{FORMAT_VERSION, Store};
use crate::disk::{is_empty, list, regular, write_atomically};
use crate::{Error, Result};

/// The file that makes a folder a store.
const FORMAT: &str = "format";

impl Store {
    /// Opens a store for work, creating it if the folder is missing or empty.
    ///
    /// # Errors
    /// If the folder holds something else, or a store of a newer version.
    pub fn open(root: &Path) -> Result<Self> {
        let store = Self { root: root.to_owned() };
        if !store.is_known()? {
            fs::create_dir_all(root).map_err(|cause| Error::io("create", root, &cause))?;
            store.found()?;
        }
        for part in ["records", "work"] {
            let path = root.join(part);
            fs::create_dir_all(&path).map_err(|cause| Error::io("create", &path, &cause))?;
        }
        sweep(root);
        Ok(store)
    }

    /// Opens a store to look at it, which writes nothing; `None` if there is none.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn look(root: &Path) -> Result<Option<Self>> {
        let store = Self { root: root.to_owned() };
        Ok(store.is_known()?.then_some(store))
    }

    /// Whether the folder says that it is a store of a version that this program knows.
    fn is_known(&self) -> Result<bool> {
        let path = self.root.join(FORMAT);
        match regular::read_small_text(&path) {
            Ok(text) => self.check_format(&text).map(|()| true),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
            Err(cause) if cause.kind() == ErrorKind::NotADirectory => Ok(false),
            Err(cause) => Err(Error::io("read", &path, &cause)),
        }
    }

    /// Makes an empty folder a store. Another process may do the same in this moment.
    fn found(&self) -> Result<()> {
        let root = &self.root;
        for path in list(root)? {
            if !is_of_a_new_store(&path) && !self.is_known()? {
                return Err(Error::usage(format!(
                    "`{}` is no store, and not empty: it holds `{}`",
                    root.display(),
                    path.file_name().unwrap_or_default().display()
                ))
                .hint("give another --store: a folder that is empty or does not exist yet"));
            }
        }
        let text = format!("scarce-store {FORMAT_VERSION}\n");
        write_atomically(&root.join(FORMAT), text.as_bytes())
    }

    fn check_format(&self, text: &str) -> Result<()> {
        let version = text.trim().strip_prefix("scarce-store ").and_then(|v| v.parse::<u32>().ok());
        match version {
            Some(version) if version <= FORMAT_VERSION => Ok(()),
            Some(version) => Err(Error::data(format!(
                "the store `{}` has format {version}, this program reads up to {FORMAT_VERSION}",
                self.root.display()
            ))
            .hint("it was written by a newer version: update scarce, or use another --store")),
            None => Err(Error::data(format!("`{}` is not a scarce store", self.root.display()))
                .hint("its `format` file is damaged or belongs to something else")),
        }
    }
}

/// Whether this may lie in a folder that is about to become a store: what a process leaves that is
/// killed while it makes one, and what every new file system holds.
fn is_of_a_new_store(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match &*name {
        "lost+found" => true,
        "records" | "work" => is_empty(path),
        name => name == FORMAT || name.starts_with("format.") && name.ends_with(".tmp"),
    }
}
