//! What a tokenizer loses of each part of a corpus: told, and refused where it is much.

use std::collections::BTreeMap;

use crate::data::corpus::LostFacts;
use crate::spec::{Allowed, Consent};
use crate::token::LostText;
use crate::{Error, Result};

/// The share of a part's text that may be lost without anybody's consent. A few rare characters
/// change a loss less than its standard error; a percent of the text does not.
const SHARE_MAX: f64 = 0.01;

/// From so many bytes on a part is judged while it is still read.
const BYTES_EARLY: u64 = 4 << 20;

/// The losses of the parts so far.
pub(super) struct Losses {
    parts: BTreeMap<String, LostText>,
    allowed: Allowed,
}

impl Losses {
    pub(super) fn new(allowed: Allowed) -> Self {
        Self { parts: BTreeMap::new(), allowed }
    }

    /// Adds what was lost of a text of this part.
    pub(super) fn add(&mut self, part: &str, lost: LostText) {
        match self.parts.get_mut(part) {
            Some(sum) => sum.add(lost),
            None => {
                self.parts.insert(part.to_owned(), lost);
            }
        }
    }

    /// An error as soon as a part of some size loses too much.
    pub(super) fn check_early(&self) -> Result<()> {
        self.check(BYTES_EARLY)
    }

    /// An error if a part of at least so many bytes loses too much.
    fn check(&self, bytes_min: u64) -> Result<()> {
        let too_much = |lost: &LostText| lost.text_bytes >= bytes_min && lost.share() > SHARE_MAX;
        let mut parts = self.parts.iter().filter(|(_, lost)| too_much(lost));
        match parts.next() {
            Some((part, lost)) if !self.allowed.has(Consent::LostText) => Err(Error::data(
                format!("the tokenizer loses {}", describe(part, lost)),
            )
            .hint(format!(
                "use a byte-level tokenizer, or train one by leaving `--tokenizer` out; \
                         `{}` takes the loss",
                Consent::LostText.flag()
            ))),
            _ => Ok(()),
        }
    }

    /// Bytes of text of all parts.
    pub(super) fn text_bytes(&self) -> u64 {
        self.parts.values().map(|lost| lost.text_bytes).sum()
    }

    /// Whether nothing was lost.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.values().all(|lost| lost.bytes() == 0)
    }

    /// The last judgment: notes, facts for the manifest, and the consent that was needed.
    pub(super) fn judge(
        &self,
        notes: &mut Vec<String>,
    ) -> Result<(BTreeMap<String, LostFacts>, Allowed)> {
        self.check(0)?;
        let mut facts = BTreeMap::new();
        let mut needed = Allowed::NONE;
        for (part, lost) in self.parts.iter().filter(|(_, lost)| lost.bytes() > 0) {
            notes.push(format!("the tokenizer loses {}", describe(part, lost)));
            let LostText { text_bytes, unknown_bytes, dropped_bytes } = *lost;
            facts.insert(part.clone(), LostFacts { text_bytes, unknown_bytes, dropped_bytes });
            if lost.share() > SHARE_MAX {
                needed = needed.or(Consent::LostText.into());
            }
        }
        Ok((facts, needed))
    }
}

fn describe(part: &str, lost: &LostText) -> String {
    let percent = |bytes: u64| {
        let percent = 100.0 * bytes as f64 / lost.text_bytes.max(1) as f64;
        if percent < 0.01 { "less than 0.01 %".to_owned() } else { format!("{percent:.2} %") }
    };
    let (unknown, dropped) = (lost.unknown_bytes, lost.dropped_bytes);
    let how = match (unknown > 0, dropped > 0) {
        (true, true) => format!(
            "unknown tokens stand for {}, and {} is dropped or changed, such as spaces or case",
            percent(unknown),
            percent(dropped)
        ),
        (true, false) => "unknown tokens stand for it".to_owned(),
        _ => "it is dropped or changed, such as spaces or case".to_owned(),
    };
    format!("{} of the text of `{part}`: {how}", percent(lost.bytes()))
}
