//! Damaged inputs by the thousand: no panic, no abort, no long or unprintable message, bounded
//! memory and time, whatever `prepare`, `import runs`, specs and stores are given.
//!
//! Commands run inside child processes, each of which takes some hundred cases: this binary again,
//! with a limit on its memory and a list of cases in its environment. What a case is follows from
//! its number alone. `SCARCE_FUZZ=N` asks for N cases, `SCARCE_FUZZ_SEED=S` for others;
//! `SCARCE_FUZZ_CASE=I` runs the one case, `SCARCE_FUZZ_KIND=WORD` those of one kind. The files of
//! cases that fail are left in `target/fuzz`.

mod cases;
mod draw;
mod mutate;
mod samples;
mod structure;
mod world;

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cases::{KINDS, Maker};
use samples::Samples;
use world::World;

/// Cases of a child; a fresh one has forgotten everything.
const CASES_OF_CHILD: u64 = 250;
/// CPU seconds that a case may take.
const CPU_SECONDS_MAX: f64 = 20.0;
/// Seconds without a sign of life after which a child hangs, on a machine that has other work.
const SILENCE_SECONDS_MAX: u64 = 120;
/// Address space of a child, in KiB: 1 GiB.
const MEMORY_KIB: u64 = 1 << 20;
/// Failures after which there is no point in going on.
const FAILURES_MAX: usize = 60;
/// Begins the lines by which a child says where it is; no command may print it.
const MARK: char = '\u{1e}';

/// What the environment asks for.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seed() -> u64 {
    asked("SCARCE_FUZZ_SEED").unwrap_or(0)
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn damaged_inputs_are_read_or_refused() {
    let count = asked("SCARCE_FUZZ").unwrap_or(if crate::program::slow() { 20_000 } else { 150 });
    let kind = std::env::var("SCARCE_FUZZ_KIND").ok();
    let of_kind = |case: &u64| kind.as_deref().is_none_or(|kind| kind_of(*case) == kind);
    let cases: Vec<u64> = match asked("SCARCE_FUZZ_CASE") {
        Some(case) => vec![case],
        None => (0..count).filter(of_kind).collect(),
    };
    let folder = tempfile::tempdir().unwrap();
    World::make(folder.path());
    let groups: Vec<&[u64]> = cases.chunks(CASES_OF_CHILD as usize).collect();
    let next = AtomicU64::new(0);
    let failures = std::thread::scope(|scope| {
        let work = |worker: usize| {
            let (next, groups, folder) = (&next, &groups, folder.path());
            move || {
                let mut failures = Vec::new();
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed) as usize)
                    && failures.len() < FAILURES_MAX
                {
                    failures.extend(run_group(folder, worker, group));
                }
                failures
            }
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..processors).map(|n| scope.spawn(work(n))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    failures.iter().for_each(|failure| keep(folder.path(), failure));
    let shown: Vec<&str> = failures.iter().map(|failure| failure.text.as_str()).collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", shown.len(), cases.len(), shown.join("\n"));
}

/// A case that did not end as it must.
struct Failure {
    case: u64,
    text: String,
}

fn kind_of(case: u64) -> &'static str {
    KINDS[case as usize % KINDS.len()]
}

impl Failure {
    fn new(case: u64, what: &str) -> Self {
        let what: String = what.chars().take(1500).flat_map(char::escape_debug).collect();
        Self { case, text: format!("case {case} ({}): {what}", kind_of(case)) }
    }
}

/// Writes the files of a case that failed to where they can be looked at.
fn keep(world: &Path, failure: &Failure) {
    let folder =
        repository().join(format!("target/fuzz/{}-{}", kind_of(failure.case), failure.case));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let world = World::at(world);
    let maker =
        Maker { world: &world, samples: Samples::make(repository()), folder: folder.clone() };
    let lines = maker.make(seed(), failure.case);
    let lines: Vec<String> = lines.iter().map(|line| format!("{line:?}\n")).collect();
    fs::write(folder.join("said.txt"), format!("{}\n{}", failure.text, lines.concat())).unwrap();
}

/// Runs cases in children, a new one after each that dies.
fn run_group(world: &Path, worker: usize, cases: &[u64]) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut left = cases;
    while !left.is_empty() {
        let (mut found, done) = run_child(world, worker, left);
        failures.append(&mut found);
        left = &left[done.min(left.len())..];
    }
    failures
}

/// Runs a child over these cases. Returns what failed and how many cases are behind it.
fn run_child(world: &Path, worker: usize, cases: &[u64]) -> (Vec<Failure>, usize) {
    let folder = world.join(format!("worker-{worker}"));
    let list: Vec<String> = cases.iter().map(u64::to_string).collect();
    let limited = format!("ulimit -v {MEMORY_KIB}; exec \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &limited, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "fuzz::cases_of_a_child", "--nocapture", "--test-threads", "1"])
        // Damaged flags name folders of stores in passing.
        .current_dir(world)
        .env("SCARCE_FUZZ_CHILD", list.join(","))
        .env("SCARCE_FUZZ_WORLD", world)
        .env("SCARCE_FUZZ_FOLDER", &folder)
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (out, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let signs = AtomicU64::new(0);
    let (out, errors, hung) = std::thread::scope(|scope| {
        let out = scope.spawn(|| read_all(out, &signs));
        let errors = scope.spawn(|| read_all(errors, &signs));
        let hung = wait(&mut child, &signs);
        (out.join().unwrap(), errors.join().unwrap(), hung)
    });
    let status = child.wait().unwrap();
    let last: Vec<&str> = errors.lines().rev().take(12).collect();
    let nothing = format!("a child did nothing: {status}: {}", last.join(" | "));
    let (out, errors) = (parts(&out), parts(&errors));
    let mut failures = Vec::new();
    for (case, text, cpu_seconds) in &errors {
        let printed = out.iter().find(|part| part.0 == *case).map_or("", |part| &part.1);
        let end = match cpu_seconds {
            Some(seconds) if *seconds > CPU_SECONDS_MAX => {
                Some(format!("{seconds:.0} CPU seconds"))
            }
            Some(_) => None,
            None if hung => Some(format!("hangs: {text}")),
            None => Some(format!("{status}: {text}")),
        };
        let bad = end.or_else(|| rude_message(text)).or_else(|| rude_data(printed));
        failures.extend(bad.map(|what| Failure::new(*case, &what)));
    }
    assert!(!errors.is_empty(), "{nothing}");
    (failures, errors.len())
}

/// Reads a stream to its end and counts the signs of life.
fn read_all(mut stream: impl Read, signs: &AtomicU64) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 1 << 16]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        bytes.extend(&buffer[..count]);
        signs.fetch_add(1, Ordering::Relaxed);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for a child; kills it where it shows no sign of life for long. Returns whether it did.
fn wait(child: &mut Child, signs: &AtomicU64) -> bool {
    let (mut seen, mut since) = (0, Instant::now());
    while child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
        let now = signs.load(Ordering::Relaxed);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        if since.elapsed() > Duration::from_secs(SILENCE_SECONDS_MAX) {
            child.kill().unwrap();
            return true;
        }
    }
    false
}

/// What was printed for each case, and the CPU seconds of those that came to their end.
fn parts(text: &str) -> Vec<(u64, String, Option<f64>)> {
    let mut parts = Vec::new();
    for part in text.split(MARK) {
        if let Some((case, text)) = part.strip_prefix("begin ").and_then(|p| p.split_once('\n')) {
            parts.push((case.parse().unwrap(), text.to_owned(), None));
        } else if let Some(end) = part.strip_prefix("end ") {
            let seconds = end.split('\n').next().and_then(|number| number.parse().ok());
            parts.last_mut().unwrap().2 = seconds;
        }
    }
    parts
}

/// What is wrong with talk: a message, with its hint, of 500 bytes or more, or what cannot be seen.
fn rude_message(text: &str) -> Option<String> {
    let hidden = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}');
    let mut message = String::new();
    for line in text.lines() {
        if !line.starts_with("hint: ") {
            message.clear();
        }
        message += line;
        message.push('\n');
        if message.len() >= 500 {
            return Some(format!("a message of {} bytes: {message}", message.len()));
        }
        if line.contains(hidden) {
            return Some(format!("a message with hidden characters: {line}"));
        }
    }
    None
}

fn rude_data(text: &str) -> Option<String> {
    let hidden = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.lines().find(|line| line.contains(hidden)).map(|line| format!("data: {line}"))
}

/// The other side: a child runs the cases that its environment lists. Nothing in a plain run.
#[test]
fn cases_of_a_child() {
    let Ok(list) = std::env::var("SCARCE_FUZZ_CHILD") else { return };
    let path = |name: &str| PathBuf::from(std::env::var_os(name).unwrap());
    let (world, folder) = (World::at(&path("SCARCE_FUZZ_WORLD")), path("SCARCE_FUZZ_FOLDER"));
    exit_on_a_panic();
    let samples = Samples::make(repository());
    let maker = Maker { world: &world, samples, folder: folder.clone() };
    let mark = |text: String| {
        let text = format!("{MARK}{text}\n");
        std::io::stdout().write_all(text.as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    };
    for case in list.split(',') {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let lines = maker.make(seed(), case.parse().unwrap());
        mark(format!("begin {case}"));
        let start = scarce::store::cpu_seconds();
        for line in lines {
            let words = std::iter::once(OsString::from("scarce")).chain(line);
            let _ = scarce::cli::run_words(words);
        }
        mark(format!("end {}", scarce::store::cpu_seconds() - start));
    }
    let _ = fs::remove_dir_all(&folder);
}

/// A panic ends the process, as it does in the program, in whatever thread it was.
fn exit_on_a_panic() {
    std::panic::set_hook(Box::new(|panic| {
        if !scarce::token::panics_are_caught() {
            let _ = writeln!(std::io::stderr(), "{panic}");
            std::process::exit(1);
        }
    }));
}
