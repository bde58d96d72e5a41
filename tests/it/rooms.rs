//! The rules of the house that keep every thing in its room.

use crate::tidy::{Violations, bites, code, holds, spares};

/// The names of losses are text in one file; everywhere else they are `store::Column`.
fn loss_names(path: &str, text: &str) -> Violations {
    if !path.starts_with("src/") || ["src/store/column.rs", "src/store/ensemble.rs"].contains(&path)
    {
        return Violations::new();
    }
    let words =
        ["member-", "logits-", "probabilities-", "subsets-", "subsets_", "without_", "soup-"];
    let begins = |rest: &str| rest.starts_with(|next: char| next == '{' || next.is_ascii_digit());
    let of = |line: &str, word: &str| {
        let mut found = line.match_indices(word);
        found.any(|(at, _)| line[..at].ends_with('"') && begins(&line[at + word.len()..]))
    };
    let named = |line: &str| words.iter().any(|word| of(line, word));
    let lines = code(path, text).into_iter().filter(|(_, line)| named(line));
    lines.map(|(number, _)| format!("{number}: a loss is named by `store::Column`")).collect()
}

#[test]
fn losses_are_named_in_one_file() {
    bites(loss_names, "src/cli/a.rs", "let x = format!(\"logits-{k}\");", "1: a loss is named by");
    spares(loss_names, "src/cli/a.rs", "let x = Column::First(average, k);");
    spares(loss_names, "src/store/column.rs", "let x = \"soup-2\";");
    holds(loss_names);
}
