//! What a corpus holds, for people: after `scarce prepare`, and for `scarce show`.

use crate::data::{
    Duplicates, InputFacts, LostFacts, Manifest, SplitFacts, SplitPolicy, SyntheticFacts,
    TokenizerFacts, TrainedFacts,
};
use crate::draw::table::{Align, Table};
use crate::spec::Split;

/// Its splits and side sets, a row each.
pub(super) fn parts(manifest: &Manifest) -> Table {
    let mut table = Table::new(&[
        ("part", Align::Left),
        ("documents", Align::Right),
        ("tokens", Align::Right),
        ("bytes", Align::Right),
        ("floor (nats/token)", Align::Right),
    ]);
    let mut row = |name: &str, documents: u64, tokens: u64, bytes: u64, floor: Option<f64>| {
        let numbers = [documents, tokens, bytes].map(|number| number.to_string());
        let floor = floor.map_or("-".to_owned(), |nats| format!("{nats:.4}"));
        table.push([name.to_owned()].into_iter().chain(numbers).chain([floor]));
    };
    for split in Split::ALL {
        let SplitFacts { documents, tokens, bytes, floor_nats } = *manifest.splits.get(split);
        row(split.name(), documents, tokens, bytes, floor_nats);
    }
    for (name, facts) in &manifest.side {
        row(&format!("{name} (side)"), facts.documents, facts.tokens, facts.bytes, None);
    }
    table
}

/// All that its manifest says, a line each, and its parts.
pub(super) fn describe(manifest: &Manifest) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| text += &format!("{key:<12}{value}\n");
    line("corpus", &manifest.id.to_string());
    for (name, facts) in &manifest.side {
        line("side", &format!("{name} {}", facts.id));
    }
    line("vocabulary", &format!("{} tokens", manifest.vocabulary));
    let separator = manifest.separator.map(|token| format!("token {token}"));
    line("separator", separator.as_deref().unwrap_or("none is known"));
    if let Some(SyntheticFacts { name, document_tokens }) = &manifest.synthetic {
        line("language", &format!("built in, {name}: documents of {document_tokens} tokens"));
    }
    if let Some(facts) = &manifest.tokenizer {
        line("tokenizer", &tokenizer(facts));
    }
    for (part, lost) in manifest.tokenizer.iter().flat_map(|facts| &facts.lost) {
        line("lost", &lost_text(part, lost));
    }
    if !manifest.allowed.is_empty() {
        line("allowed", &manifest.allowed.to_string());
    }
    line("splits", &policy(&manifest.split_policy));
    if let Some(shared) = &manifest.duplicates {
        line("duplicates", &duplicates("held-out", shared));
    }
    for (name, facts) in &manifest.side {
        if let Some(shared) = &facts.duplicates {
            line("duplicates", &duplicates(name.as_str(), shared));
        }
    }
    if manifest.input.file_count > 0 {
        let first = manifest.input.files.first().map_or("", String::as_str);
        line("input", &format!("{} files, {first} first", manifest.input.file_count));
    }
    let InputFacts { copies_left_out, copies_kept, .. } = manifest.input;
    if copies_left_out + copies_kept > 0 {
        line("copies", &format!("{copies_left_out} left out, {copies_kept} kept in training"));
    }
    line("written by", &manifest.written_by);
    format!("{text}\n{}", parts(manifest).to_text())
}

fn tokenizer(facts: &TokenizerFacts) -> String {
    let made = match facts.trained {
        Some(TrainedFacts { sample_bytes, seed }) => {
            format!("trained on {sample_bytes} bytes of the training split (seed {seed})")
        }
        None => "given".to_owned(),
    };
    let exact = if facts.token_bytes_exact { "exact" } else { "estimates" };
    format!("{made}; bytes of tokens are {exact}; separator {}", facts.separator)
}

fn lost_text(part: &str, lost: &LostFacts) -> String {
    let LostFacts { text_bytes, unknown_bytes, dropped_bytes } = lost;
    format!("{part}: {unknown_bytes} bytes unknown, {dropped_bytes} dropped, of {text_bytes}")
}

fn policy(policy: &SplitPolicy) -> String {
    match policy {
        SplitPolicy::Generated => "generated apart from each other".to_owned(),
        SplitPolicy::Documents { val_share, test_share } => {
            format!("by documents, shares {val_share} and {test_share}")
        }
        SplitPolicy::Sections { val_share, test_share, gap_bytes } => format!(
            "by sections, shares {val_share} and {test_share}, {gap_bytes} bytes left out between"
        ),
        SplitPolicy::Sequences { sequence_tokens, held_out_sequences } => {
            format!("{held_out_sequences} shuffled sequences of {sequence_tokens} tokens held out")
        }
    }
}

fn duplicates(what: &str, shared: &Duplicates) -> String {
    let Duplicates { held_out_documents, exact_documents, near_documents, shared_shingles } =
        *shared;
    format!(
        "of {held_out_documents} {what} documents {exact_documents} exact and {near_documents} \
         near, {:.2} % of shingles",
        100.0 * shared_shingles
    )
}
