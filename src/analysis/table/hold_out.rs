//! Which runs are held out: `largest:EXPR[=COUNT|SHARE]`.

use super::expression::Expression;
use crate::error::quoted;
use crate::{Error, Result};

/// The share that is held out where nothing is said.
const SHARE: f64 = 0.1;

/// The largest runs by an expression over columns.
#[derive(Clone, Debug, PartialEq)]
pub struct HoldOut {
    /// The expression as it was written.
    pub text: String,
    /// What runs are ordered by.
    pub expression: Expression,
    amount: Amount,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Count(usize),
    Share(f64),
}

impl HoldOut {
    /// Parses what was written.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: String| {
            Error::usage(format!("--hold-out {}: {what}", quoted(text)))
                .hint("write largest:params*tokens=21, or =12% for a share of the runs")
        };
        let Some(rest) = text.strip_prefix("largest:") else {
            return Err(wrong("it does not begin with `largest:`".to_owned()));
        };
        let (expression, amount) = match rest.rsplit_once('=') {
            None => (rest, Amount::Share(SHARE)),
            Some((expression, amount)) => {
                let known = Amount::parse(amount.trim());
                let what = || {
                    format!("`{}` is neither a count nor a share between 0 and 1", quoted(amount))
                };
                (expression, known.ok_or_else(|| wrong(what()))?)
            }
        };
        let text = expression.trim().to_owned();
        Ok(Self { expression: Expression::parse(expression)?, text, amount })
    }

    /// How many of so many runs; ties may make it more.
    pub fn count(&self, runs: usize) -> usize {
        match self.amount {
            Amount::Count(count) => count,
            Amount::Share(share) => ((share * runs as f64).round() as usize).max(1),
        }
    }
}

impl Amount {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(count) = text.parse::<usize>() {
            return (count > 0).then_some(Self::Count(count));
        }
        let share = match text.strip_suffix('%') {
            Some(percent) => percent.trim_end().parse::<f64>().ok()? / 100.0,
            None => text.parse::<f64>().ok()?,
        };
        (share > 0.0 && share < 1.0).then_some(Self::Share(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_shares() {
        let count = |text: &str| HoldOut::parse(text).unwrap().count(182);
        assert_eq!(count("largest:params*tokens=21"), 21);
        assert_eq!(count("largest: a = 12% "), 22);
        assert_eq!(count("largest:a=0.12"), 22);
        assert_eq!(count("largest:a"), 18);
        let refuse = |text: &str, expected: &str| {
            let error = HoldOut::parse(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
            assert_eq!(error.exit_code(), 2);
        };
        refuse("smallest:a", "does not begin with");
        refuse("largest:", "it ends where a column");
        refuse("largest:a=0", "`0` is neither a count");
        refuse("largest:a=-3", "`-3` is neither");
        refuse("largest:a=1.5", "`1.5` is neither");
        refuse("largest:a=120%", "neither a count nor a share");
        refuse("largest:a=nan", "neither a count nor a share");
    }
}
