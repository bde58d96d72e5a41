//! Running the real program in scratch directories.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use scarce::data::{LANGUAGE_SIZES, LanguageSize, prepare_language};

/// The program, silent unless asked, without settings of the surrounding shell.
pub(crate) fn scarce<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scarce"));
    command.args(arguments).env_remove("SCARCE_ISA").stdin(Stdio::null());
    command.current_dir(scratch());
    command
}

/// Where the program runs: what a wrong flag makes it write must not lie in the repository.
pub(crate) fn scratch() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path()
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

/// Runs it with these bytes on standard input.
pub(crate) fn feed<A: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = A>,
    bytes: &[u8],
) -> Output {
    let mut command = scarce(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may refuse before it has read all of it.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    ended("an answer", child)
}

/// The pocket corpus, written once for all tests of this binary; with a sixteenth of its held-out
/// text, which every run reads.
pub(crate) fn pocket_corpus() -> &'static Path {
    static CORPUS: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = CORPUS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pocket");
        let size = LanguageSize { held_out_documents: 32, ..LANGUAGE_SIZES[0] };
        prepare_language(size, &path, false).unwrap();
        (folder, path)
    });
    path
}

/// How long anything may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until something is so; fails the test if it never is.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    assert!(comes_true(&mut is_so), "never: {what}");
}

fn comes_true(is_so: &mut dyn FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Starts it, with its answers for nobody.
pub(crate) fn start<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Child {
    scarce(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Starts it, with its answers for [`Child::wait_with_output`].
pub(crate) fn listen<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Child {
    scarce(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The output of a command that might wait for ever, and says less than a pipe holds.
pub(crate) fn ended(what: &str, mut child: Child) -> Output {
    let has_ended = comes_true(&mut || child.try_wait().unwrap().is_some());
    if !has_ended {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(has_ended, "{what}: it would not end: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Sends a signal by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// Files with this ending in the working directories of a store, in order.
pub(crate) fn working_files(store: &Path, ending: &str) -> Vec<PathBuf> {
    let runs = std::fs::read_dir(store.join("work")).into_iter().flatten().flatten();
    let files = runs.flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten().flatten());
    let paths = files.map(|file| file.path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    paths.sort();
    paths
}

/// Copies a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Whether the slow suite was asked for.
pub(crate) fn slow() -> bool {
    std::env::var_os("SCARCE_SLOW").is_some()
}
