//! Running the real program in scratch directories.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The program, silent unless asked, without settings of the surrounding shell.
pub(crate) fn scarce<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scarce"));
    command.args(arguments).env_remove("SCARCE_ISA").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    scarce(arguments).output().unwrap()
}

/// Runs it and returns what it printed; fails the test if it failed.
pub(crate) fn answer<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and standard error of a command that must fail.
pub(crate) fn failure<A: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = A>,
) -> (i32, String) {
    let output = run(arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The pocket corpus, written once for all tests of this binary.
pub(crate) fn pocket_corpus() -> &'static Path {
    static CORPUS: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = CORPUS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pocket");
        answer(["prepare", "--synthetic", "pocket", "--out", path.to_str().unwrap()]);
        (folder, path)
    });
    path
}

/// Whether the slow suite was asked for.
pub(crate) fn slow() -> bool {
    std::env::var_os("SCARCE_SLOW").is_some()
}
