//! A corpus on disk, opened for reading: every file was compared with the manifest, and every
//! change while in use is a clean error.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{Manifest, PartFiles, Splits, TOKEN_BYTES_FILE, TOKENIZER_FILE};
use super::shard::{CheckedFile, TokenWidth};
use crate::data::language::{LANGUAGE_SIZES, Language};
use crate::spec::{CorpusFacts, CorpusId, Part, SideName, SideSet, Split};
use crate::token::Tokenizer;
use crate::{Error, Result};

/// An opened corpus.
#[derive(Debug)]
pub struct Corpus {
    directory: PathBuf,
    manifest: Manifest,
    splits: Splits<PartReader>,
    sides: BTreeMap<SideName, PartReader>,
    tokenizer: Option<CheckedFile>,
    token_bytes: Option<CheckedFile>,
}

impl Corpus {
    /// Opens a corpus directory and compares every file with its manifest.
    ///
    /// # Errors
    /// If it is no corpus, of a newer format, or if a file is missing, cut or changed.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = directory.as_ref();
        let manifest = Manifest::read(directory)?;
        let open = |name: &str| {
            manifest
                .files
                .get(name)
                .map(|facts| CheckedFile::open(directory.join(name), facts))
                .transpose()
        };
        let token_bytes_file = open(TOKEN_BYTES_FILE)?;
        let content = token_bytes_file.as_ref().map(CheckedFile::read_all).transpose()?;
        let token_bytes: Arc<[u16]> =
            bytemuck::pod_collect_to_vec(&content.unwrap_or_default()).into();
        let reader = |part: Part, files: PartFiles, tokens, bytes, floor_nats| {
            let listed = "the manifest was validated: it lists every part";
            let file = open(&files.tokens)?.expect(listed);
            let documents = open(&files.documents)?.expect(listed);
            let offsets = read_offsets(&documents, tokens)?;
            let (width, vocabulary) = (manifest.width, manifest.vocabulary);
            let token_bytes = Arc::clone(&token_bytes);
            Ok::<_, Error>(PartReader {
                part,
                file,
                documents,
                width,
                vocabulary,
                offsets,
                bytes,
                floor_nats,
                token_bytes,
            })
        };
        let split = |split| {
            let facts = manifest.splits.get(split);
            let files = PartFiles::of_split(split);
            reader(split.into(), files, facts.tokens, facts.bytes, facts.floor_nats)
        };
        let splits = Splits {
            train: split(Split::Train)?,
            val: split(Split::Val)?,
            test: split(Split::Test)?,
        };
        let mut sides = BTreeMap::new();
        for (name, facts) in &manifest.side {
            let part = Part::Side(SideSet { name: name.clone(), id: facts.id });
            let files = PartFiles::of_side(name);
            sides.insert(name.clone(), reader(part, files, facts.tokens, facts.bytes, None)?);
        }
        let (tokenizer, token_bytes) = (open(TOKENIZER_FILE)?, token_bytes_file);
        let directory = directory.to_owned();
        Ok(Self { directory, splits, sides, tokenizer, token_bytes, manifest })
    }

    /// Its content id.
    #[must_use]
    pub fn id(&self) -> CorpusId {
        self.manifest.id
    }

    /// V, the number of tokens.
    #[must_use]
    pub fn vocabulary(&self) -> u32 {
        self.manifest.vocabulary
    }

    /// What a spec is resolved against.
    #[must_use]
    pub fn facts(&self) -> CorpusFacts {
        CorpusFacts {
            id: self.id(),
            vocabulary: self.vocabulary(),
            train_tokens: self.splits.train.tokens(),
        }
    }

    /// The whole manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where it lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// One of its splits.
    #[must_use]
    pub fn split(&self, split: Split) -> &PartReader {
        self.splits.get(split)
    }

    /// Its side sets, in the order of their names.
    pub fn sides(&self) -> impl Iterator<Item = (SideSet, &PartReader)> {
        let set = |name: &SideName| SideSet { name: name.clone(), id: self.manifest.side[name].id };
        self.sides.iter().map(move |(name, reader)| (set(name), reader))
    }

    /// One of its parts.
    ///
    /// # Errors
    /// If it has no such side set, or another one of that name.
    pub fn part(&self, part: &Part) -> Result<&PartReader> {
        let side = match part {
            Part::Split(split) => return Ok(self.split(*split)),
            Part::Side(side) => side,
        };
        let (place, name) = (self.directory.display(), &side.name);
        match self.sides.get(name) {
            Some(reader) if reader.part == *part => Ok(reader),
            Some(_) => Err(Error::data(format!(
                "side set `{name}` of corpus `{place}` is not {}, which is asked for",
                side.id.short()
            ))
            .hint("it was prepared from another text")),
            None => Err(Error::data(format!("corpus `{place}` has no side set `{name}`"))
                .hint(format!("`scarce prepare` adds it by `--side {name}=PATH`"))),
        }
    }

    /// Its tokenizer; none for the built-in language and for corpora made of bare tokens.
    pub fn tokenizer(&self) -> Result<Option<Tokenizer>> {
        let Some(file) = &self.tokenizer else { return Ok(None) };
        let json = file.read_all()?;
        Tokenizer::from_json(&json).map(Some).map_err(|error| error.within(file.path().display()))
    }

    /// What its tokens mean: the hash of its `tokenizer.json`, or a word for the built-in language.
    /// None for corpora of bare tokens.
    #[must_use]
    pub fn tokenizer_hash(&self) -> Option<String> {
        let file = self.manifest.files.get(TOKENIZER_FILE).map(|facts| facts.blake3.clone());
        file.or_else(|| self.manifest.synthetic.as_ref().map(|_| "built-in".to_owned()))
    }

    /// Whether a token means the same in both, as far as they tell: vocabulary and separator are
    /// equal, and so are the tokenizers, where both have one.
    #[must_use]
    pub fn shares_tokens_with(&self, other: &Self) -> bool {
        let tokens = |corpus: &Self| (corpus.vocabulary(), corpus.manifest.separator);
        let tokenizer = |corpus: &Self| {
            corpus.manifest.files.get(TOKENIZER_FILE).map(|facts| facts.blake3.clone())
        };
        let tokenizers = tokenizer(self).zip(tokenizer(other));
        tokens(self) == tokens(other) && tokenizers.is_none_or(|(a, b)| a == b)
    }

    /// The built-in language, if the corpus is in it: gives the exact floor of every token.
    #[must_use]
    pub fn language(&self) -> Option<Language> {
        let facts = self.manifest.synthetic.as_ref()?;
        LANGUAGE_SIZES.iter().any(|size| size.name == facts.name).then(Language::pocket)
    }

    /// An error if a file was cut or written to since the corpus was opened; cheap, so that a long
    /// job can ask once in a while.
    pub fn check_unchanged(&self) -> Result<()> {
        self.files().try_for_each(CheckedFile::check_unchanged)
    }

    /// As [`Corpus::check_unchanged`], but hashes every file again, which finds any change that is
    /// still there. Takes as long as opening the corpus did.
    pub fn check_content(&self) -> Result<()> {
        self.files().try_for_each(CheckedFile::check_content)
    }

    /// All files that are held open.
    fn files(&self) -> impl Iterator<Item = &CheckedFile> {
        let parts = Split::ALL.iter().map(|&split| self.split(split)).chain(self.sides.values());
        let of_vocabulary = self.tokenizer.iter().chain(&self.token_bytes);
        parts.flat_map(|part| [&part.file, &part.documents]).chain(of_vocabulary)
    }
}

/// Document offsets: strictly increasing from 0 to the number of tokens.
fn read_offsets(file: &CheckedFile, tokens: u64) -> Result<Vec<u64>> {
    let offsets: Vec<u64> = bytemuck::pod_collect_to_vec(&file.read_all()?);
    let increasing = offsets.windows(2).all(|pair| pair[0] < pair[1]);
    if !increasing || offsets.first() != Some(&0) || offsets.last() != Some(&tokens) {
        return Err(Error::data(format!(
            "`{}` does not hold the offsets of {tokens} tokens in documents",
            file.path().display()
        )));
    }
    Ok(offsets)
}

/// The tokens of one split or side set.
#[derive(Debug)]
pub struct PartReader {
    part: Part,
    file: CheckedFile,
    documents: CheckedFile,
    width: TokenWidth,
    vocabulary: u32,
    offsets: Vec<u64>,
    bytes: u64,
    floor_nats: Option<f64>,
    token_bytes: Arc<[u16]>,
}

impl PartReader {
    /// Which part it is.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// V, the number of tokens; every token that is read lies below it.
    #[must_use]
    pub fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// Tokens, separators included.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.offsets[self.offsets.len() - 1]
    }

    /// Documents, each of at least one token.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.offsets.len() as u64 - 1
    }

    /// Bytes of text; 0 if the tokens came without text.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The exact entropy floor in nats per predicted token, where it is known.
    #[must_use]
    pub fn floor_nats(&self) -> Option<f64> {
        self.floor_nats
    }

    /// First token of document `index`, and the one after its last.
    ///
    /// # Panics
    /// If there is no such document.
    #[must_use]
    pub fn document_bounds(&self, index: u64) -> Range<u64> {
        self.offsets[index as usize]..self.offsets[index as usize + 1]
    }

    /// The document that holds the token at `position`; O(log documents).
    ///
    /// # Panics
    /// If there is no such token.
    #[must_use]
    pub fn document_at(&self, position: u64) -> u64 {
        assert!(position < self.tokens(), "token {position} of {}", self.tokens());
        self.offsets.partition_point(|&offset| offset <= position) as u64 - 1
    }

    /// Reads `tokens.len()` consecutive tokens from token `start` on.
    ///
    /// # Errors
    /// If the file was cut or damaged since it was opened.
    ///
    /// # Panics
    /// If the part does not have that many tokens.
    pub fn read(&self, start: u64, tokens: &mut [u32]) -> Result<()> {
        let end = start + tokens.len() as u64;
        assert!(end <= self.tokens(), "tokens {start}..{end} of {}", self.tokens());
        self.file.read_tokens(self.width, self.vocabulary, start, tokens)
    }

    /// Bytes of text that `token` stands for: 0 for separators, `None` if lengths are unknown
    /// because the tokens came without a tokenizer.
    #[must_use]
    pub fn token_bytes(&self, token: u32) -> Option<u32> {
        self.token_bytes.get(token as usize).map(|&bytes| u32::from(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::corpus::MANIFEST_FILE;
    use crate::data::corpus::testing::corpus;
    use std::fs;

    #[test]
    fn a_corpus_is_read_as_it_was_written() {
        let (_above, directory) = corpus(&[&[0, 1, 2], &[0, 3], &[0, 4, 5, 6]], 10);
        let corpus = Corpus::open(&directory).unwrap();
        let train = corpus.split(Split::Train);
        assert_eq!((train.tokens(), train.documents(), train.bytes()), (9, 3, 6));
        assert_eq!(train.document_bounds(1), 3..5);
        let documents: Vec<u64> = (0..9).map(|position| train.document_at(position)).collect();
        assert_eq!(documents, [0, 0, 0, 1, 1, 2, 2, 2, 2]);
        let mut tokens = [0; 4];
        train.read(2, &mut tokens).unwrap();
        assert_eq!(tokens, [2, 0, 3, 0]);
        assert_eq!(train.token_bytes(0), None);
        assert_eq!(corpus.facts().train_tokens, 9);
        assert_eq!(corpus.split(Split::Test).tokens(), 4);
        corpus.check_unchanged().unwrap();
    }

    #[test]
    fn the_id_depends_on_content_only() {
        let (_one, one) = corpus(&[&[0, 1], &[0, 2]], 10);
        let (_two, two) = corpus(&[&[0, 1], &[0, 2]], 10);
        let first = Corpus::open(one).unwrap().id();
        assert_eq!(first, Corpus::open(two).unwrap().id());
        for (documents, vocabulary) in [
            (vec![&[0, 1][..], &[0, 3]], 10),
            (vec![&[0, 1, 0, 2][..]], 10),
            (vec![&[0, 1][..], &[0, 2]], 11),
        ] {
            let (_above, other) = corpus(&documents, vocabulary);
            assert_ne!(first, Corpus::open(other).unwrap().id());
        }
    }

    #[test]
    fn damage_is_found_on_open() {
        let (_above, directory) = corpus(&[&[0, 1, 2], &[0, 3]], 10);
        for name in ["train.tokens", "val.documents", "test.tokens"] {
            let path = directory.join(name);
            let good = fs::read(&path).unwrap();
            let mut bad = good.clone();
            bad[0] ^= 1;
            fs::write(&path, &bad).unwrap();
            let error = Corpus::open(&directory).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            fs::write(&path, &bad[1..]).unwrap();
            assert!(Corpus::open(&directory).is_err());
            fs::remove_file(&path).unwrap();
            assert!(Corpus::open(&directory).is_err());
            fs::write(&path, &good).unwrap();
        }
        Corpus::open(&directory).unwrap();
    }

    #[test]
    fn a_cut_while_in_use_is_an_error() {
        let (_above, directory) = corpus(&[&[0, 1, 2], &[0, 3]], 10);
        let corpus = Corpus::open(&directory).unwrap();
        fs::write(directory.join("train.tokens"), b"\0\0").unwrap();
        let error = corpus.split(Split::Train).read(0, &mut [0; 5]).unwrap_err();
        assert!(error.to_string().contains("was cut short"), "{error}");
        assert!(corpus.check_unchanged().is_err());
    }

    #[test]
    fn hostile_manifests_are_errors() {
        let (_above, directory) = corpus(&[&[0, 1, 2], &[0, 3]], 10);
        let path = directory.join(MANIFEST_FILE);
        let good = fs::read_to_string(&path).unwrap();
        for (from, to) in [
            ("\"format\": 1", "\"format\": 2"),
            ("\"format\": 1", "\"format\": \"one\""),
            ("\"tokens\": 5", "\"tokens\": 18446744073709551615"),
            ("\"documents\": 2", "\"documents\": 18446744073709551615"),
            ("\"tokens\": 5", "\"tokens\": 0"),
            ("\"bytes\": 24", "\"bytes\": 18446744073709551615"),
            ("\"vocabulary\": 10", "\"vocabulary\": 0"),
            ("\"vocabulary\": 10", "\"vocabulary\": 4000000000"),
            ("\"separator\": 0", "\"separator\": 10"),
            ("\"width\": \"u16\"", "\"width\": \"u32\""),
            ("\"val.tokens\"", "\"../val.tokens\""),
            ("{", "["),
        ] {
            assert!(good.contains(from), "{from} is not in {good}");
            fs::write(&path, good.replacen(from, to, 1)).unwrap();
            let error = Corpus::open(&directory).unwrap_err();
            assert_eq!(error.exit_code(), 3, "{error}");
        }
        fs::write(&path, good).unwrap();
        Corpus::open(&directory).unwrap();
    }
}
