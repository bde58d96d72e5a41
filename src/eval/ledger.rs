//! The token ledger: log-probabilities of every predicted token, one column per model.
//!
//! With it, probability means of any subset, paired differences and new clusterings need no
//! forward pass. It is stored as safetensors: `blocks` (u32) and one f32 vector per column.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

pub use super::windows::Tokens;

use super::statistics::{self, Estimate, PairedDifference};
use crate::store::{Column, Loss};
use crate::{Error, Result};

/// Log-probabilities in nats of the predicted tokens of a set of windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// Blocks and bytes of the tokens.
    pub tokens: Tokens,
    /// One column per model or average, in order.
    columns: Vec<(Column, Vec<f32>)>,
}

/// What the file says of itself beside its tensors.
#[derive(Serialize, Deserialize)]
struct Facts {
    /// Names in order.
    columns: Vec<Column>,
    /// Bytes of text of all predicted tokens.
    bytes: Option<u64>,
}

impl Ledger {
    /// A ledger without columns.
    #[must_use]
    pub fn new(tokens: Tokens) -> Self {
        Self { tokens, columns: Vec::new() }
    }

    /// Adds a column.
    ///
    /// # Panics
    /// If it does not have one number per token.
    pub fn push(&mut self, name: Column, log_probabilities: Vec<f32>) {
        assert_eq!(log_probabilities.len(), self.tokens.blocks.len(), "one number per token");
        self.columns.push((name, log_probabilities));
    }

    /// Names of the columns in order.
    pub fn names(&self) -> impl Iterator<Item = Column> {
        self.columns.iter().map(|(name, _)| *name)
    }

    /// A column.
    #[must_use]
    pub fn column(&self, name: Column) -> Option<&[f32]> {
        let column = self.columns.iter().find(|(column, _)| *column == name);
        column.map(|(_, numbers)| &numbers[..])
    }

    /// Sums of the losses (nats) and counts of the tokens of each block.
    #[must_use]
    pub fn block_sums(&self, name: Column) -> Option<(Vec<f64>, Vec<f64>)> {
        let mut column = self.column(name)?.iter();
        // Their numbers are not counted on: a block whose only token opens a window is skipped.
        let of_block = |block: &[u32]| {
            let numbers = column.by_ref().take(block.len());
            let sum = numbers.fold(0.0, |sum, &number| sum - f64::from(number));
            (sum, block.len() as f64)
        };
        Some(self.tokens.blocks.chunk_by(|a, b| a == b).map(of_block).unzip())
    }

    /// Mean loss of a column with its clustered standard error.
    #[must_use]
    pub fn estimate(&self, name: Column) -> Option<Estimate> {
        let (sums, counts) = self.block_sums(name)?;
        Some(statistics::estimate(&sums, &counts))
    }

    /// Mean loss of `name` minus that of `other_name` in another ledger of the same tokens.
    pub fn difference(
        &self,
        name: Column,
        other: &Self,
        other_name: Column,
    ) -> Result<PairedDifference> {
        let (left, right, counts) = self.pairs(name, other, other_name)?;
        Ok(statistics::paired_difference(&left, &right, &counts))
    }

    /// As [`Ledger::difference`] without its bootstrap interval, which takes far longer.
    pub fn mean_difference(
        &self,
        name: Column,
        other: &Self,
        other_name: Column,
    ) -> Result<Estimate> {
        let (left, right, counts) = self.pairs(name, other, other_name)?;
        let sums: Vec<f64> = left.iter().zip(&right).map(|(l, r)| l - r).collect();
        Ok(statistics::estimate(&sums, &counts))
    }

    /// Sums of the losses of two columns, and counts of the tokens, of each block.
    fn pairs(
        &self,
        name: Column,
        other: &Self,
        other_name: Column,
    ) -> Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
        if self.tokens.blocks != other.tokens.blocks {
            return Err(Error::usage("the two losses were not measured on the same tokens"));
        }
        let missing = |name: Column| Error::data(format!("the ledger has no column `{name}`"));
        let (left, counts) = self.block_sums(name).ok_or_else(|| missing(name))?;
        let (right, _) = other.block_sums(other_name).ok_or_else(|| missing(other_name))?;
        Ok((left, right, counts))
    }

    /// All columns as losses of a record; `split` is what was read.
    #[must_use]
    pub fn losses<P: Clone>(&self, split: P) -> Vec<Loss<P>> {
        let loss = |name: Column| {
            let estimate = self.estimate(name)?;
            let tokens = self.tokens.blocks.len() as u64;
            let total_nats = estimate.mean * tokens as f64;
            let bytes = self.tokens.bytes.filter(|&bytes| bytes > 0);
            Some(Loss {
                name,
                split: split.clone(),
                nats: estimate.mean,
                standard_error_nats: estimate.standard_error,
                clusters: estimate.clusters as u64,
                tokens,
                bits_per_byte: bytes.map(|b| total_nats / std::f64::consts::LN_2 / b as f64),
                above_floor: None,
            })
        };
        self.names().filter_map(loss).collect()
    }

    /// The ledger as a safetensors file.
    ///
    /// # Errors
    /// If a probability is no number, or zero: such a ledger has no loss.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        self.check_finite()?;
        let bad = |cause: safetensors::SafeTensorError| {
            Error::data(format!("the ledger has no safetensors form: {cause}"))
        };
        let length = vec![self.tokens.blocks.len()];
        let view = |dtype, bytes| TensorView::new(dtype, length.clone(), bytes).map_err(bad);
        let mut views = vec![(
            "blocks".to_owned(),
            view(Dtype::U32, bytemuck::cast_slice(&self.tokens.blocks))?,
        )];
        for (name, column) in &self.columns {
            let bytes = bytemuck::cast_slice(column);
            views.push((format!("log_probability.{name}"), view(Dtype::F32, bytes)?));
        }
        // The order of the columns and the bytes have no place in the tensors themselves. One entry
        // only: the format's writer puts several in random order, and files must be reproducible.
        let facts = Facts { columns: self.names().collect(), bytes: self.tokens.bytes };
        let facts = serde_json::to_string(&facts).expect("the facts are plain data");
        let metadata = BTreeMap::from([("ledger".to_owned(), facts)]);
        safetensors::serialize(views, Some(metadata.into_iter().collect())).map_err(bad)
    }

    fn check_finite(&self) -> Result<()> {
        let bad = |(_, column): &&(Column, Vec<f32>)| !column.iter().all(|x| x.is_finite());
        let Some((name, _)) = self.columns.iter().find(bad) else { return Ok(()) };
        Err(Error::data(format!("the loss of `{name}` is not finite on this text")).hint(
            "a model that gives a token no probability has diverged: train it with a smaller \
                   `optim.lr`",
        ))
    }

    /// Reads what [`Ledger::to_safetensors`] wrote. It takes no more memory than the file.
    pub fn from_safetensors(file: &[u8]) -> Result<Self> {
        let bad = |cause: &dyn std::fmt::Display| Error::data(format!("not a ledger: {cause}"));
        let (_, header) = SafeTensors::read_metadata(file).map_err(|cause| bad(&cause))?;
        let tensors = SafeTensors::deserialize(file).map_err(|cause| bad(&cause))?;
        let facts = header.metadata().as_ref().and_then(|map| map.get("ledger"));
        let facts = facts.ok_or_else(|| bad(&"it does not say what it holds"))?;
        let facts: Facts = serde_json::from_str(facts).map_err(|cause| bad(&cause))?;
        let tensor = |name: &str, dtype: Dtype| match tensors.tensor(name) {
            Ok(tensor) if tensor.dtype() == dtype && tensor.shape().len() == 1 => Ok(tensor),
            Ok(_) => Err(bad(&format!("`{name}` is no vector of {dtype:?}"))),
            Err(cause) => Err(bad(&cause)),
        };
        let blocks: Vec<u32> = bytemuck::pod_collect_to_vec(tensor("blocks", Dtype::U32)?.data());
        // Only a block of a single token that opens a window is skipped.
        let steps =
            blocks.windows(2).all(|pair| (pair[0]..=pair[0].saturating_add(2)).contains(&pair[1]));
        if !steps || blocks.first().is_some_and(|&first| first > 1) {
            return Err(bad(&"its blocks are not in order"));
        }
        // A column that is named twice would be read twice, and a file can name it very often.
        if facts.columns.iter().collect::<BTreeSet<_>>().len() < facts.columns.len() {
            return Err(bad(&"it names a column twice"));
        }
        let mut ledger = Self::new(Tokens { blocks, bytes: facts.bytes });
        for name in facts.columns {
            let numbers = tensor(&format!("log_probability.{name}"), Dtype::F32)?;
            let column: Vec<f32> = bytemuck::pod_collect_to_vec(numbers.data());
            if column.len() != ledger.tokens.blocks.len() {
                return Err(bad(&format!("column `{name}` has another length")));
            }
            ledger.push(name, column);
        }
        ledger.check_finite()?;
        Ok(ledger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Split;

    fn ledger() -> Ledger {
        let tokens = Tokens { blocks: vec![0, 0, 1, 3], bytes: Some(8) };
        let mut ledger = Ledger::new(tokens);
        ledger.push(Column::Model, vec![-1.0, -2.0, -3.0, -4.0]);
        ledger.push(Column::Ngram, vec![-1.5, -2.5, -3.5, -4.0]);
        ledger
    }

    #[test]
    fn a_ledger_survives_its_file() {
        let file = ledger().to_safetensors().unwrap();
        assert_eq!(file, ledger().to_safetensors().unwrap());
        assert_eq!(Ledger::from_safetensors(&file).unwrap(), ledger());
        assert!(Ledger::from_safetensors(&file[..file.len() - 1]).is_err());
    }

    #[test]
    fn a_ledger_that_asks_for_memory_or_holds_no_loss_is_an_error() {
        let mut ledger = ledger();
        ledger.tokens.blocks = vec![0, 0, 1, u32::MAX - 1];
        let (sums, counts) = ledger.block_sums(Column::Model).unwrap();
        assert_eq!((sums, counts), (vec![3.0, 3.0, 4.0], vec![2.0, 1.0, 1.0]));
        let error = Ledger::from_safetensors(&ledger.to_safetensors().unwrap()).unwrap_err();
        assert!(error.to_string().contains("blocks are not in order"), "{error}");
        for bad in [f32::NAN, f32::NEG_INFINITY] {
            let mut ledger = self::ledger();
            ledger.push(Column::Floor, vec![-1.0, bad, -1.0, -1.0]);
            let error = ledger.to_safetensors().unwrap_err().to_string();
            assert!(error.contains("the loss of `floor` is not finite"), "{error}");
        }
        let mut twice = self::ledger().to_safetensors().unwrap();
        let list = br#"[\"model\",\"ngram\"]"#;
        let place = twice.windows(list.len()).position(|window| window == list).unwrap();
        twice[place..][..list.len()].copy_from_slice(br#"[\"ngram\",\"ngram\"]"#);
        let error = Ledger::from_safetensors(&twice).unwrap_err();
        assert!(error.to_string().contains("it names a column twice"), "{error}");
    }

    #[test]
    fn losses_and_differences_come_from_blocks() {
        let ledger = ledger();
        let loss = &ledger.losses(Split::Val)[0];
        assert_eq!((loss.clusters, loss.tokens), (3, 4));
        assert!((loss.nats - 2.5).abs() < 1e-12);
        let bits = 10.0 / std::f64::consts::LN_2 / 8.0;
        assert!((loss.bits_per_byte.unwrap() - bits).abs() < 1e-12);
        let difference = ledger.difference(Column::Model, &ledger, Column::Ngram).unwrap();
        assert!((difference.estimate.mean + 0.375).abs() < 1e-7);
        let mean = ledger.mean_difference(Column::Model, &ledger, Column::Ngram).unwrap();
        assert_eq!(mean, difference.estimate);
        let mut foreign = ledger.clone();
        foreign.tokens.blocks[3] = 2;
        assert!(ledger.difference(Column::Model, &foreign, Column::Model).is_err());
    }
}
