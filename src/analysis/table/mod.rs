//! Laws of any table of losses: what `scarce fit` and `scarce predict` do, for a program that has a
//! table.

mod expression;
mod hold_out;
mod law_file;
mod question;
mod rows;

pub use expression::Expression;
pub use hold_out::HoldOut;
pub use law_file::{Findings, LawFile};
pub use question::{Answer, Answered, Group, Law, Objective, Question};
pub use rows::{Columns, Reader, Row};
