//! Writing the built-in language as a corpus, with the exact floor of every split.

use std::collections::BTreeMap;
use std::path::Path;

use super::Prepared;
use crate::data::corpus::{CorpusWriter, Provenance, Vocabulary};
use crate::data::corpus::{InputFacts, SplitPolicy, Splits, SyntheticFacts};
use crate::data::language::{LANGUAGE_SIZES, Language, LanguageSize};
use crate::error::suggest;
use crate::spec::{Allowed, Split};
use crate::{Error, Result};

/// Writes the built-in language of a named size to `target`.
///
/// # Errors
/// If there is no such size, or as [`CorpusWriter`] does.
pub fn prepare_synthetic(name: &str, target: &Path, overwrite: bool) -> Result<Prepared> {
    prepare_language(named(name)?, target, overwrite)
}

/// Writes the built-in language of any size to `target`.
///
/// # Errors
/// As [`CorpusWriter`] does.
pub fn prepare_language(size: LanguageSize, target: &Path, overwrite: bool) -> Result<Prepared> {
    let language = Language::pocket();
    // Its tokens stand for one byte each, but for the start token, which stands for no text.
    let mut token_bytes = vec![1; language.vocabulary() as usize];
    token_bytes[0] = 0;
    let vocabulary =
        Vocabulary { size: language.vocabulary(), separator: Some(0), tokenizer: None };
    let mut writer = CorpusWriter::create(target, overwrite, vocabulary)?;
    writer.token_bytes(&token_bytes)?;
    let mut floor_nats = Splits::default();
    for split in Split::ALL {
        *floor_nats.get_mut(split) = Some(write_split(&language, size, split, &mut writer)?);
    }
    let (manifest, publication) = writer.finish(Provenance {
        synthetic: Some(SyntheticFacts {
            name: size.name.to_owned(),
            document_tokens: language.document_tokens() as u32,
        }),
        tokenizer: None,
        split_policy: SplitPolicy::Generated,
        duplicates: None,
        input: InputFacts::default(),
        allowed: Allowed::NONE,
        floor_nats,
        side: BTreeMap::new(),
    })?;
    Ok(Prepared { manifest, publication, notes: Vec::new() })
}

fn named(name: &str) -> Result<LanguageSize> {
    let names = LANGUAGE_SIZES.map(|size| size.name);
    LANGUAGE_SIZES.into_iter().find(|size| size.name == name).ok_or_else(|| {
        let error = Error::usage(format!("there is no built-in corpus `{name}`"));
        error
            .hint(suggest(name, names).unwrap_or_else(|| format!("there are {}", names.join(", "))))
    })
}

/// Writes one split; returns its floor in nats per predicted token.
fn write_split(
    language: &Language,
    size: LanguageSize,
    split: Split,
    writer: &mut CorpusWriter,
) -> Result<f64> {
    let documents = match split {
        Split::Train => size.train_documents,
        Split::Val | Split::Test => size.held_out_documents,
    };
    let (mut nats, mut predictions) = (0.0, 0);
    for index in 0..documents {
        let tokens = language.document(split, index);
        let floor = language.floor_nats(&tokens);
        nats += floor.iter().sum::<f64>();
        predictions += floor.len();
        writer.start_document(split, &tokens, tokens.len() as u64 - 1)?;
    }
    Ok(nats / predictions as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Corpus;

    #[test]
    fn the_pocket_corpus_is_as_documented() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("pocket");
        let prepared = prepare_synthetic("pocket", &directory, false).unwrap();
        // Frozen: every record on the pocket corpus names this id.
        assert_eq!(prepared.manifest.id.short(), "57ae8ecf4578");
        let corpus = Corpus::open(&directory).unwrap();
        let train = corpus.split(Split::Train);
        assert_eq!((train.tokens(), train.documents(), corpus.vocabulary()), (25_600, 200, 256));
        let floor_nats = corpus.split(Split::Val).floor_nats().unwrap();
        assert!((floor_nats - 2.320_797_842_190).abs() < 1e-11, "{floor_nats}");
        let language = corpus.language().unwrap();
        let mut tokens = vec![0; 128];
        corpus.split(Split::Test).read(128 * 7, &mut tokens).unwrap();
        assert_eq!(tokens, language.document(Split::Test, 7));
        assert_eq!(train.token_bytes(0), Some(0));
        assert_eq!(train.token_bytes(255), Some(1));
        let again = prepare_synthetic("pocket", &directory, false).unwrap();
        assert_eq!(again.publication, crate::data::Publication::AlreadyThere);
    }

    #[test]
    fn larger_sizes_nest_and_unknown_ones_are_refused() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("large");
        let prepared = prepare_synthetic("pocket-large", &directory, false).unwrap();
        assert_eq!(prepared.manifest.splits.train.tokens, 204_800);
        let corpus = Corpus::open(&directory).unwrap();
        let mut tokens = vec![0; 128];
        corpus.split(Split::Train).read(128 * 199, &mut tokens).unwrap();
        assert_eq!(tokens, Language::pocket().document(Split::Train, 199));
        let error = prepare_synthetic("poket", &directory, false).unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean `pocket`?"));
        let error = prepare_synthetic("wikipedia", &directory, false).unwrap_err();
        assert_eq!(error.hint_text(), Some("there are pocket, pocket-large"));
    }
}
