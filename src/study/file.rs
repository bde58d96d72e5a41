//! Study files: TOML that says what is studied.
//!
//! ```toml
//! study = "tune"              # the planner
//!
//! [base]                      # keys of a training spec, as in a spec file
//! model.preset = "pocket-150k"
//!
//! [plan]                      # what the planner may be told
//! mode = "regularized"
//! grid = { epochs = [8, 16, 32], lr = [0.01], weight_decay = [0.4, 0.8, 1.6, 3.2] }
//! ```

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::decided::check_sets;
use super::grid::Grid;
use super::{ensemble, scale, tune};
use crate::error::{quoted, suggest, toml_message};
use crate::spec::{Request, parse_toml};
use crate::{Error, Result};

/// A study as its file has it.
#[derive(Clone, Debug)]
pub struct StudyFile {
    name: String,
    base: String,
    /// What is studied.
    pub plan: Plan,
}

/// What is studied, by which planner.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// A search with a certificate.
    Tune(tune::Options),
    /// A grid of models and budgets with its laws.
    Scale(scale::Options),
    /// Members over seeds and their averages.
    Ensemble(ensemble::Options),
}

/// The kinds of studies by the value of `study`.
const KINDS: [&str; 3] = ["ensemble", "scale", "tune"];

/// What stands between a file's name and the message about its base.
const BASE: &str = ": [base]";

impl Plan {
    /// The verb that runs it.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Tune(_) => "tune",
            Self::Scale(_) => "scale",
            Self::Ensemble(_) => "ensemble",
        }
    }

    /// Refuses overrides of keys that the study decides.
    ///
    /// # Errors
    /// Names the key.
    pub fn check_sets(&self, sets: &[String]) -> Result<()> {
        match self {
            Self::Tune(_) => check_sets(sets),
            Self::Scale(_) => scale::check_sets(sets),
            Self::Ensemble(_) => Ok(()),
        }
    }

    /// Where hyper-parameters come from, if they are searched.
    #[must_use]
    pub fn grid(&self) -> Option<&Grid> {
        match self {
            Self::Tune(options) => Some(&options.grid),
            Self::Scale(options) => Some(&options.grid),
            Self::Ensemble(_) => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    study: String,
    #[serde(default)]
    base: toml::Table,
    #[serde(default)]
    plan: toml::Table,
}

impl StudyFile {
    /// Reads a study; `name` is the file's, for messages.
    ///
    /// # Errors
    /// If it is no TOML, names a planner that does not exist, or has a key that its planner does
    /// not know.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let bad = |cause: String| Error::usage(format!("{name}: {cause}"));
        let layout: Layout = parse_toml(text).map_err(bad)?;
        let plan = match layout.study.as_str() {
            "tune" => {
                let options: tune::Options = read(layout.plan, name)?;
                options.validate().map_err(|error| error.within(format!("{name}: [plan]")))?;
                Plan::Tune(options)
            }
            "scale" => {
                let options: scale::Options = read(layout.plan, name)?;
                options.validate().map_err(|error| error.within(format!("{name}: [plan]")))?;
                Plan::Scale(options)
            }
            "ensemble" => {
                let options: ensemble::Options = read(layout.plan, name)?;
                options.validate().map_err(|error| error.within(format!("{name}: [plan]")))?;
                Plan::Ensemble(options)
            }
            other => {
                let error = Error::usage(format!("{name}: there is no study `{}`", quoted(other)));
                let hint = suggest(other, KINDS);
                return Err(
                    error.hint(hint.unwrap_or_else(|| format!("there is {}", KINDS.join(", "))))
                );
            }
        };
        let base = toml::to_string(&layout.base)
            .map_err(|cause| Error::usage(format!("{name}: [base]: {cause}")))?;
        Ok(Self { name: format!("{name}{BASE}"), base, plan })
    }

    /// Whether a TOML text is a study rather than the spec of a run.
    #[must_use]
    pub fn is_study(text: &str) -> bool {
        parse_toml::<toml::Table>(text).is_ok_and(|table| table.contains_key("study"))
    }

    /// The error of giving the file to another verb than its own.
    #[must_use]
    pub fn is_not(&self, verb: &str) -> Error {
        let own = self.plan.verb();
        let name = self.name.trim_end_matches(BASE);
        Error::usage(format!("{name} is a study of kind `{own}`, not `{verb}`"))
            .hint(format!("run `scarce {own}`"))
    }

    /// The base with overrides, to be resolved against a corpus.
    #[must_use]
    pub fn request<'a>(&'a self, sets: &'a [String]) -> Request<'a> {
        Request { file: Some((&self.name, &self.base)), sets }
    }
}

fn read<T: DeserializeOwned>(plan: toml::Table, name: &str) -> Result<T> {
    plan.try_into().map_err(|cause: toml::de::Error| {
        Error::usage(format!("{name}: [plan]: {}", toml_message(&cause)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::spec::{CorpusFacts, Job, resolve};
    use crate::study::cell::Cell;
    use crate::study::grid::Setting;

    const TUNE: &str = "study = 'tune'\n[base]\nmodel.preset = 'pocket-150k'\n[plan]\n\
                        mode = 'regularized'\n";

    fn message(text: &str) -> String {
        StudyFile::parse("s.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn a_study_is_read() {
        let text = format!(
            "{TUNE}grid = {{ epochs = [8, 16], lr = [0.01], weight_decay = [0.8, 1.6] }}\n\
             starts = [{{ epochs = 8, lr = 0.01, weight_decay = 1.6 }}]\nseeds = 2\n"
        );
        let study = StudyFile::parse("s.toml", &text).unwrap();
        let Plan::Tune(options) = &study.plan else { panic!("{:?}", study.plan) };
        assert_eq!(options.grid.size(), 4);
        assert_eq!(options.starts, [Setting { epochs: 8.0, lr: 0.01, weight_decay: 1.6 }]);
        assert_eq!((options.seeds, options.members), (2, 5));
        assert!(study.request(&[]).file.unwrap().1.contains("preset = \"pocket-150k\""));
    }

    #[test]
    fn an_ensemble_study_is_read_and_told_from_a_spec() {
        let text = "study = 'ensemble'\n[plan]\nmembers = 3\nvary = 'all'\nsplit = 'test'\n";
        let study = StudyFile::parse("s.toml", text).unwrap();
        let Plan::Ensemble(options) = &study.plan else { panic!("{:?}", study.plan) };
        assert_eq!((options.members, options.vary), (3, ensemble::Vary::All));
        assert!(StudyFile::is_study(text));
        assert!(!StudyFile::is_study("[data]\nepochs = 8\n"));
    }

    #[test]
    fn every_study_that_is_shipped_can_be_resolved() {
        let corpus = CorpusFacts {
            id: "ab".repeat(32).parse().unwrap(),
            vocabulary: 256,
            train_tokens: 1 << 31,
        };
        let mut studies = 0;
        for folder in ["specs/paper", "specs/pocket"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap();
                if !text.contains("\nstudy = ") {
                    continue; // a single run
                }
                let study = StudyFile::parse(&path.display().to_string(), &text).unwrap();
                Cell::new(&study.request(&[]), &corpus, 0).unwrap();
                studies += 1;
            }
        }
        assert!(studies >= 8, "{studies}");
    }

    /// Canonical texts and ids of the specs that are shipped, of a mixture, of a run from the
    /// weights of another, and of one whose attention ends with documents: frozen, because a record
    /// is found by them.
    #[test]
    fn the_canonical_texts_of_shipped_specs_are_golden() {
        let corpus = CorpusFacts {
            id: "ab".repeat(32).parse().unwrap(),
            vocabulary: 256,
            train_tokens: 1 << 31,
        };
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = ["specs/paper", "specs/pocket"].map(|folder| {
            let entries = std::fs::read_dir(root.join(folder)).unwrap();
            let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| format!("{folder}/{}", name(entry.unwrap()))).collect();
            names.sort();
            names
        });
        let mut texts: Vec<(String, String)> = Vec::new();
        for name in files.concat() {
            let text = std::fs::read_to_string(root.join(&name)).unwrap();
            let base = match StudyFile::is_study(&text) {
                true => StudyFile::parse(&name, &text).unwrap().base,
                false => text,
            };
            texts.push((name, base));
        }
        let (other, start) = ("cd".repeat(32), "ef".repeat(32));
        texts.extend([
            ("mixture".to_owned(), format!("[[data.mixture]]\ncorpus = '{other}'\nshare = 0.25\n")),
            ("start".to_owned(), format!("[start]\nkind = 'from'\nrecord = '{start}'\n")),
            ("mask".to_owned(), "[data.mask]\nkind = 'within-documents'\n".to_owned()),
        ]);
        let mut golden = String::new();
        for (name, text) in texts {
            let request = Request { file: Some((&name, &text)), sets: &[] };
            let job = Job::Train(resolve(&request, &corpus).unwrap().spec);
            golden += &format!("# {name}\n{}id {}\n\n", job.canonical(), job.id());
        }
        golden::check("shipped-specs.txt", &golden);
    }

    #[test]
    fn contradictions_are_told_with_their_place() {
        let cases = [
            ("study = 'tun'", "did you mean `tune`?"),
            (&format!("{TUNE}prune = true"), "s.toml: [plan]: `prune`: runs are never pruned"),
            (&format!("{TUNE}seed_count = 2"), "unknown field `seed_count`"),
            (
                &format!("{TUNE}grid = {{ epochs = [], lr = [0.01], weight_decay = [0.8] }}"),
                "s.toml: [plan]: `grid`: the grid has no value for epochs",
            ),
            (&format!("{TUNE}seeds = 3\ncertificate_seeds = 2"), "must not be smaller"),
            (
                &format!("{TUNE}starts = [{{ epochs = 13, lr = 0.01, weight_decay = 1.6 }}]"),
                "`starts`: epochs = 13 is not on the grid",
            ),
            ("study = 'tune'\n[plan]\nmode = 'ensemble'\nmembers = 2", "at least 4 members"),
            ("study = 'ensemble'\n[plan]\nmembers = 1", "`members` = 1: an ensemble has 2 to"),
            ("study = 'ensemble'\n[plan]\nvary = 'seed'", "unknown variant `seed`"),
            ("study = 'tune'\n[bas]\n", "unknown field `bas`"),
        ];
        for (text, expected) in cases {
            let message = message(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
