//! What is damaged, and which commands then read it. A case is a function of its seed and number.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::draw::Draws;
use super::mutate::mutate;
use super::samples::{Sample, Samples, wandb_log, wandb_records};
use super::world::World;

/// Command lines without the program's name.
pub(super) type Lines = Vec<Vec<OsString>>;

/// The kinds of cases; case number N is of kind N modulo their count.
pub(super) const KINDS: [&str; 13] = [
    "text",
    "tokens",
    "tokenizer",
    "runs",
    "runs",
    "spec",
    "study",
    "sets",
    "flags",
    "corpus",
    "store",
    "store",
    "store",
];

/// A place where a case puts its files, and what it may read.
pub(super) struct Maker<'w> {
    pub(super) world: &'w World,
    pub(super) samples: Samples,
    /// An empty folder.
    pub(super) folder: PathBuf,
}

impl Maker<'_> {
    /// Writes the files of a case and says what reads them.
    pub(super) fn make(&self, seed: u64, case: u64) -> Lines {
        let mut draws = Draws::new(seed, case);
        match KINDS[case as usize % KINDS.len()] {
            "text" => self.text(&mut draws),
            "tokens" => self.tokens(&mut draws),
            "tokenizer" => self.tokenizer(&mut draws),
            "runs" => self.runs(&mut draws),
            "spec" => self.spec(&mut draws),
            "study" => self.study(&mut draws),
            "sets" => self.sets(&mut draws),
            "flags" => self.flags(&mut draws),
            "corpus" => self.corpus(&mut draws),
            _ => self.store(&mut draws),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Damages one of the samples and writes it under its name, now and then under another's.
    fn damaged(&self, samples: &[Sample], draws: &mut Draws) -> (PathBuf, &'static str) {
        let (name, content) = &samples[draws.below(samples.len())];
        let others: Vec<&[u8]> = samples.iter().map(|(_, content)| &content[..]).collect();
        let content = damaged(name, content, &others, draws);
        let shown = if draws.once_in(40) { samples[draws.below(samples.len())].0 } else { name };
        let path = self.path(shown);
        fs::write(&path, content).unwrap();
        (path, name)
    }

    fn prepare(&self, input: &Path, more: &str) -> Vec<OsString> {
        let out = self.path("out");
        line("prepare --threads 1 --force --out", &[&out, input], more)
    }

    fn text(&self, draws: &mut Draws) -> Lines {
        let (path, _) = self.damaged(&self.samples.texts, draws);
        let tokenizer = self.world.corpus.join("tokenizer.json");
        let more = draws.of(&[
            "--vocab 300",
            "--vocab 260 --invalid-utf8 replace",
            "--vocab 280 --text-field raw.content",
            "--vocab 275 --format jsonl --invalid-utf8 replace --allow lost-text",
            "--vocab 270 --seed 3 --val-share 0.4 --test-share 0.3",
            "",
        ]);
        let mut words = self.prepare(&path, more);
        if more.is_empty() {
            words.extend(["--tokenizer".into(), tokenizer.into()]);
        }
        vec![words, line("show", &[&self.path("out")], "")]
    }

    fn tokens(&self, draws: &mut Draws) -> Lines {
        let (path, _) = self.damaged(&self.samples.tokens, draws);
        let more = draws.of(&[
            "--vocab 300 --separator 0",
            "--vocab 128256",
            "--vocab 251 --paper-split --sequence-tokens 16 --held-out-sequences 4",
            "",
        ]);
        vec![self.prepare(&path, more), line("show", &[&self.path("out")], "--json")]
    }

    fn tokenizer(&self, draws: &mut Draws) -> Lines {
        let (path, _) = self.damaged(&self.samples.tokenizers, draws);
        let text = self.path("b.txt");
        fs::write(&text, &self.samples.texts[6].1).unwrap();
        let mut words = self.prepare(&text, draws.of(&["", "--allow lost-text", "--separator li"]));
        words.extend(["--tokenizer".into(), path.into()]);
        vec![words]
    }

    fn runs(&self, draws: &mut Draws) -> Lines {
        let (path, _) = self.damaged(&self.samples.runs, draws);
        let store = self.path("store");
        let more = draws.of(&[
            "",
            "",
            "--map loss=final_loss",
            "--map lr= --as x",
            "--filter reference",
            "--filter chinchilla --json",
            "--format csv",
            "--format jsonl",
        ]);
        let list = draws.of(&["", "--csv", "--json", "--where lr=0.003"]);
        vec![
            line("import runs --store", &[&store, &path], more),
            line("runs --foreign --store", &[&store], list),
        ]
    }

    fn spec(&self, draws: &mut Draws) -> Lines {
        let (path, _) = self.damaged(&self.samples.specs, draws);
        let (corpora, store) = (&self.world.corpora(), self.path("store"));
        let train = line("train --dry-run", &[&path], "");
        let show = line("show --spec", &[&path], draws.of(&["", "--json"]));
        let more = line("--store", &[&store], "");
        vec![[train, corpora.clone(), more].concat(), [show, corpora.clone()].concat()]
    }

    fn study(&self, draws: &mut Draws) -> Lines {
        let (path, verb) = self.damaged(&self.samples.studies, draws);
        let verb = if draws.once_in(20) { "report" } else { verb };
        let dry = if verb == "report" { "" } else { "--dry-run" };
        let words = line(verb, &[&path], dry);
        let store = line("--store", &[&self.path("store")], "");
        vec![[words, self.world.corpora(), store].concat()]
    }

    /// `--set` with damaged words.
    fn sets(&self, draws: &mut Draws) -> Lines {
        const SETS: [&str; 16] = [
            "optim.lr=0.003",
            "optim.batch_sequences=16",
            "data.epochs=4",
            "data.budget_tokens=4096",
            "data.sequence_tokens=64",
            "model.preset=pocket-20k",
            "model.width=64",
            "model.layers=2",
            "model.heads=4",
            "model.vocabulary=280",
            "model.feed_forward.width=24",
            "data.mixture=[{corpus = \"d932\", share = 0.5}]",
            "optim.schedule.decay=cosine",
            "evaluation.points=20",
            "evaluation.sample_tokens=16384",
            "start.kind=from",
        ];
        let mut words = line("train --dry-run --store", &[&self.path("store")], "");
        for _ in 0..1 + draws.below(3) {
            let mut set = draws.of(&SETS).as_bytes().to_vec();
            if !draws.once_in(4) {
                let others: Vec<&[u8]> = SETS.iter().map(|set| set.as_bytes()).collect();
                mutate(&mut set, &others, draws);
            }
            words.extend(["--set".into(), argument(set)]);
        }
        vec![[words, self.world.corpora()].concat()]
    }

    /// Flags and words in any order, with damaged values.
    fn flags(&self, draws: &mut Draws) -> Lines {
        const VERBS: [&str; 12] = [
            "show",
            "runs",
            "eval",
            "verify",
            "import runs",
            "train --dry-run",
            "tune --dry-run",
            "ensemble --dry-run",
            "scale --dry-run",
            "prepare",
            "fit",
            "report",
        ];
        const FLAGS: [&str; 24] = [
            "--store",
            "--corpus",
            "--set",
            "--split",
            "--json",
            "--threads",
            "--against",
            "--sides",
            "--spec",
            "--where",
            "--columns",
            "--foreign",
            "--csv",
            "--map",
            "--format",
            "--as",
            "--filter",
            "--tag",
            "--mode",
            "--seeds",
            "--members",
            "--grid",
            "--allow",
            "--out",
        ];
        const VALUES: [&str; 12] = [
            "nowhere", "1", "train", "test", "a.csv", "loss=y", "lr=0.1", "rounding", "all",
            "5e15", "0", "a,b",
        ];
        let mut words = line(draws.of(&VERBS), &[], "");
        for _ in 0..draws.below(6) {
            let words_of: &[&str] = if draws.once_in(2) { &FLAGS } else { &VALUES };
            let mut word = draws.of(words_of).as_bytes().to_vec();
            if draws.once_in(2) {
                let values: Vec<&[u8]> = VALUES.iter().map(|value| value.as_bytes()).collect();
                mutate(&mut word, &values, draws);
            }
            words.push(argument(word));
        }
        vec![words]
    }

    /// A corpus with one damaged file, whose hashes mostly agree with the damage.
    fn corpus(&self, draws: &mut Draws) -> Lines {
        let corpus = self.path("corpus");
        World::copy(&self.world.corpus, &corpus);
        let path = self.damage_one(&corpus, draws);
        if !draws.once_in(4) {
            super::world::agree_corpus(&corpus, &path);
        }
        let train = draws.of(&["train --threads 1", "train --dry-run", "train --threads 1 --json"]);
        let more = line("--corpus", &[&corpus], "");
        let store = line("--store", &[&self.path("store")], "");
        let train = line(train, &[&self.world.spec], "");
        vec![line("show", &[&corpus], draws.of(&["", "--json"])), [train, more, store].concat()]
    }

    /// A store with one damaged file, whose hashes mostly agree with the damage.
    fn store(&self, draws: &mut Draws) -> Lines {
        let store = self.path("store");
        World::copy(&self.world.store, &store);
        let path = self.damage_one(&store, draws);
        let path = match draws.once_in(4) {
            true => path,
            false => super::world::agree_store(&store, path),
        };
        let place = path.strip_prefix(&store).unwrap().to_path_buf();
        let mut parts = place.iter().map(|part| part.to_str().unwrap());
        let (top, id) = (parts.next().unwrap(), parts.next().unwrap_or("x"));
        let reads: &[&str] = match top {
            "records" => {
                &["runs", "runs --json", "show ID", "verify ID", "eval ID", "show ID --json"]
            }
            "foreign" => &["runs --foreign", "runs --foreign --csv", "runs --foreign --json"],
            "names" => &["show x", "runs", "eval x", "verify x"],
            "work" => &["train"],
            "test-reads.jsonl" => &["eval x --split test", "ensemble --dry-run"],
            _ => &["runs", "show x"],
        };
        let one = |draws: &mut Draws| {
            let words = draws.of(reads).replace("ID", id);
            let mut line = line(&words, &[], "");
            if words == "train" {
                line.push(self.world.unfinished.clone().into());
            }
            if ["train", "eval", "ensemble"].iter().any(|verb| words.starts_with(verb)) {
                line.extend(self.world.corpora());
            }
            if words.starts_with("eval") || words == "train" {
                line.extend(["--threads".into(), "1".into()]);
            }
            line.extend(["--store".into(), store.clone().into()]);
            line
        };
        vec![one(draws), one(draws)]
    }

    /// Damages one of the files below a folder and returns its path.
    fn damage_one(&self, folder: &Path, draws: &mut Draws) -> PathBuf {
        let files = World::files(folder);
        let path = files[draws.below(files.len())].clone();
        let content = fs::read(&path).unwrap();
        let other = fs::read(&files[draws.below(files.len())]).unwrap();
        let mut bad = content.clone();
        mutate(&mut bad, &[&content, &other], draws);
        fs::write(&path, bad).unwrap();
        path
    }
}

/// Words, paths and more words as one line.
fn line(words: &str, paths: &[&Path], more: &str) -> Vec<OsString> {
    let words = words.split_whitespace().map(OsString::from);
    let paths = paths.iter().map(|path| path.as_os_str().to_owned());
    words.chain(paths).chain(more.split_whitespace().map(OsString::from)).collect()
}

/// Bytes as a word of a command line: those hold no NUL and are not endless.
fn argument(mut bytes: Vec<u8>) -> OsString {
    bytes.retain(|&byte| byte != 0);
    bytes.truncate(100_000);
    #[cfg(unix)]
    return std::os::unix::ffi::OsStringExt::from_vec(bytes);
    #[cfg(not(unix))]
    return String::from_utf8_lossy(&bytes).into_owned().into();
}

/// The content, damaged: below its packing or checksums in half of the cases that have any.
fn damaged(name: &str, content: &[u8], others: &[&[u8]], draws: &mut Draws) -> Vec<u8> {
    let inside = draws.once_in(2);
    let unpacked = |mut reader: Box<dyn std::io::Read + '_>| {
        let mut plain = Vec::new();
        reader.read_to_end(&mut plain).unwrap();
        plain
    };
    let mut plain = match name.rsplit('.').next() {
        Some("gz") if inside => unpacked(Box::new(flate2::read::GzDecoder::new(content))),
        Some("zst") if inside => zstd::decode_all(content).unwrap(),
        Some("wandb") if inside => {
            let mut records = wandb_records();
            for _ in 0..1 + draws.below(3) {
                let chosen = draws.below(records.len());
                let others = records.clone();
                let others: Vec<&[u8]> = others.iter().map(|record| &record[..]).collect();
                mutate(&mut records[chosen], &others, draws);
            }
            return wandb_log(&records);
        }
        _ => {
            let mut bytes = content.to_vec();
            mutate(&mut bytes, others, draws);
            return bytes;
        }
    };
    mutate(&mut plain, others, draws);
    if name.ends_with("zst") {
        return zstd::encode_all(&plain[..], 1).unwrap();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &plain).unwrap();
    encoder.finish().unwrap()
}
