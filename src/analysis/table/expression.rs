//! Expressions over the columns of a table, such as `params*tokens`.
//!
//! Columns by their names (in backquotes where a name has other characters than letters, digits,
//! `_` and `.`), numbers, + - * / ^ and parentheses.

use crate::error::quoted;
use crate::exchange::sheet::{Column, Sheet};
use crate::{Error, Result};

/// Parentheses and signs within each other: more would be no formula but an attack on the stack.
const DEPTH_MAX: usize = 50;
/// Every operator is one call deeper where the expression is evaluated.
const BYTES_MAX: usize = 4096;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A constant.
    Number(f64),
    /// A column by its name.
    Column(String),
    /// The negative of something.
    Negative(Box<Expression>),
    /// Two of them with an operator between.
    Both(Box<Expression>, Operator, Box<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Plus,
    Minus,
    Times,
    Over,
    Power,
}

/// An expression with its columns found in a table.
struct Bound<'a> {
    sheet: &'a Sheet,
    expression: &'a Expression,
    columns: Vec<(&'a str, Column)>,
}

impl Expression {
    /// Parses a text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser { text, place: 0 };
        parser.all().map_err(|what| {
            let text = quoted(text);
            Error::usage(format!("`{text}` is no expression over columns: {what}"))
                .hint("write for example params*tokens or `unique tokens`/1e9, with + - * / ^ ( )")
        })
    }

    /// The logarithms of its values in all rows of a table; `text` is the expression as written.
    pub fn ln_values(&self, text: &str, sheet: &Sheet) -> Result<Vec<f64>> {
        let bound = self.bind(sheet)?;
        (0..sheet.rows().len()).map(|row| bound.ln_value(row, text)).collect()
    }

    /// Finds the columns in a table.
    fn bind<'a>(&'a self, sheet: &'a Sheet) -> Result<Bound<'a>> {
        let mut names = Vec::new();
        self.names(&mut names);
        let found = names.into_iter().map(|name| Ok((name, sheet.column(name)?)));
        Ok(Bound { sheet, expression: self, columns: found.collect::<Result<_>>()? })
    }

    fn names<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Number(_) => {}
            Self::Column(name) => names.push(name),
            Self::Negative(inner) => inner.names(names),
            Self::Both(left, _, right) => {
                left.names(names);
                right.names(names);
            }
        }
    }

    fn value(&self, column: &impl Fn(&str) -> Result<f64>) -> Result<f64> {
        Ok(match self {
            Self::Number(number) => *number,
            Self::Column(name) => column(name)?,
            Self::Negative(inner) => -inner.value(column)?,
            Self::Both(left, operator, right) => {
                let (left, right) = (left.value(column)?, right.value(column)?);
                match operator {
                    Operator::Plus => left + right,
                    Operator::Minus => left - right,
                    Operator::Times => left * right,
                    Operator::Over => left / right,
                    Operator::Power => libm::pow(left, right),
                }
            }
        })
    }
}

impl Bound<'_> {
    /// The logarithm of the value in a row, which must be positive and finite.
    fn ln_value(&self, row: usize, text: &str) -> Result<f64> {
        let column = |name: &str| {
            let found = self.columns.iter().find(|(known, _)| *known == name);
            let (_, column) = *found.expect("every column was found");
            let number = self.sheet.number(row, column);
            number.map_err(|error| error.hint("expressions are over columns of numbers"))
        };
        let value = self.expression.value(&column)?;
        if value > 0.0 && value.is_finite() {
            return Ok(libm::log(value));
        }
        let what = format!("{} is {value}, and not a positive number", quoted(text));
        let error = self.sheet.error(self.sheet.rows()[row].0, &what);
        Err(error.hint("distances are taken in the logarithm, which such numbers have not"))
    }
}

/// A text and how far it was read.
struct Parser<'a> {
    text: &'a str,
    place: usize,
}

impl Parser<'_> {
    fn all(&mut self) -> std::result::Result<Expression, String> {
        if self.text.len() > BYTES_MAX {
            return Err(format!("it is longer than {BYTES_MAX} bytes"));
        }
        let expression = self.sum(0)?;
        match self.peek() {
            None => Ok(expression),
            Some(other) => Err(format!("`{other}` follows where nothing was expected")),
        }
    }

    /// The next character that is no blank.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.place..];
        self.place += rest.len() - rest.trim_start().len();
        self.text[self.place..].chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.place += if found { wanted.len_utf8() } else { 0 };
        found
    }

    /// The longest beginning of the rest whose characters pass.
    fn word(&mut self, passes: impl Fn(char) -> bool) -> String {
        let rest = &self.text[self.place..];
        let word = &rest[..rest.find(|c| !passes(c)).unwrap_or(rest.len())];
        self.place += word.len();
        word.to_owned()
    }

    fn sum(&mut self, depth: usize) -> std::result::Result<Expression, String> {
        let mut left = self.product(depth)?;
        loop {
            let operator = match self.peek() {
                Some('+') => Operator::Plus,
                Some('-') => Operator::Minus,
                _ => return Ok(left),
            };
            self.place += 1;
            left = Expression::Both(Box::new(left), operator, Box::new(self.product(depth)?));
        }
    }

    fn product(&mut self, depth: usize) -> std::result::Result<Expression, String> {
        let mut left = self.power(depth)?;
        loop {
            let operator = match self.peek() {
                Some('*') => Operator::Times,
                Some('/') => Operator::Over,
                _ => return Ok(left),
            };
            self.place += 1;
            left = Expression::Both(Box::new(left), operator, Box::new(self.power(depth)?));
        }
    }

    fn power(&mut self, depth: usize) -> std::result::Result<Expression, String> {
        if depth > DEPTH_MAX {
            return Err("it is nested too deeply".to_owned());
        }
        if self.take('-') {
            return Ok(Expression::Negative(Box::new(self.power(depth + 1)?)));
        }
        let base = self.atom(depth)?;
        if !self.take('^') {
            return Ok(base);
        }
        let exponent = Box::new(self.power(depth + 1)?);
        Ok(Expression::Both(Box::new(base), Operator::Power, exponent))
    }

    fn atom(&mut self, depth: usize) -> std::result::Result<Expression, String> {
        match self.peek() {
            None => Err("it ends where a column or a number was expected".to_owned()),
            Some('(') => {
                self.place += 1;
                let inner = self.sum(depth + 1)?;
                if self.take(')') { Ok(inner) } else { Err("a `)` is missing".to_owned()) }
            }
            Some('`') => {
                self.place += 1;
                let name = self.word(|c| c != '`');
                if self.take('`') {
                    Ok(Expression::Column(name))
                } else {
                    Err("a ` is missing".to_owned())
                }
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => {
                Ok(Expression::Column(self.word(|c| c.is_alphanumeric() || c == '_' || c == '.')))
            }
            Some(other) => Err(format!("`{other}` stands where a column was expected")),
        }
    }

    fn number(&mut self) -> std::result::Result<Expression, String> {
        let mut text = self.word(|c| c.is_ascii_digit() || c == '.');
        let rest = &self.text[self.place..];
        let exponent = rest.strip_prefix(['e', 'E']);
        let digits = exponent.map(|rest| rest.strip_prefix(['+', '-']).unwrap_or(rest));
        if digits.is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit())) {
            let sign = self.text[self.place..].len() - digits.map_or(0, str::len);
            text += &self.text[self.place..self.place + sign];
            self.place += sign;
            text += &self.word(|c| c.is_ascii_digit());
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Expression::Number(number)),
            _ => Err(format!("`{}` is no number", quoted(&text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> f64 {
        let column = |name: &str| match name {
            "a" => Ok(3.0),
            "b.c_1" => Ok(4.0),
            "d e" => Ok(5.0),
            _ => Err(Error::data("none")),
        };
        Expression::parse(text).unwrap().value(&column).unwrap()
    }

    #[test]
    fn expressions_are_read_as_everyone_writes_them() {
        let check = |text: &str, expected: f64| {
            assert!((value(text) - expected).abs() < 1e-12, "{text}: {}", value(text));
        };
        check("a*b.c_1", 12.0);
        check(" a + b.c_1 * 2 ", 11.0);
        check("(a+b.c_1)*2", 14.0);
        check("`d e`/a/5", 1.0 / 3.0);
        check("2^a^2", 512.0);
        check("-a^2+1e1", 1.0);
        check("6e-1*1.5E+1", 9.0);
        check("a - 1 - 1", 1.0);
        check("2^-1", 0.5);
        check(&["a"; BYTES_MAX / 2].join("+"), 3.0 * (BYTES_MAX / 2) as f64);
    }

    #[test]
    fn other_texts_are_refused() {
        let refuse = |text: &str, expected: &str| {
            let error = Expression::parse(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
            assert_eq!(error.exit_code(), 2);
        };
        refuse("", "it ends where a column");
        refuse("a*", "it ends where a column");
        refuse("a b", "`b` follows");
        refuse("(a", "a `)` is missing");
        refuse("`a", "a ` is missing");
        refuse("a)", "`)` follows");
        refuse("a**b", "`*` stands where a column");
        refuse("1..2", "is no number");
        refuse("1e999", "is no number");
        refuse("a ü§ b", "follows where");
        refuse(&"(".repeat(1000), "nested too deeply");
        refuse(&"-".repeat(1000), "nested too deeply");
        refuse(&["a"; 100_000].join("+"), "longer than 4096 bytes");
    }
}
