//! Losses above the exact floor, where the process that wrote the text is known.

use crate::Result;
use crate::data::Corpus;
use crate::eval::{Ledger, Windows, floor_ledger};
use crate::spec::Split;
use crate::store::{AboveFloor, Column, Loss};

/// Says of each loss on `split` how far it lies above the entropy of the very tokens that were
/// predicted; `ledger` has the losses' columns. Does nothing where the floor is not known: outside
/// of the built-in language, and for windows that are not its documents, whose predictions differ.
pub fn add_floors(
    losses: &mut [Loss],
    ledger: &Ledger,
    corpus: &Corpus,
    (split, sequence_tokens): (Split, usize),
) -> Result<()> {
    let Some(language) = corpus.language() else { return Ok(()) };
    if language.document_tokens() != sequence_tokens {
        return Ok(());
    }
    let windows = Windows::all(corpus.split(split), sequence_tokens)?;
    let floor = floor_ledger(&windows, &language)?;
    let floor_nats = floor.estimate(Column::Floor).expect("the column was just written").mean;
    for loss in losses.iter_mut().filter(|loss| loss.split == split) {
        let above = ledger.mean_difference(loss.name, &floor, Column::Floor)?;
        loss.above_floor = Some(AboveFloor {
            floor_nats,
            nats: above.mean,
            standard_error_nats: above.standard_error,
        });
    }
    Ok(())
}
