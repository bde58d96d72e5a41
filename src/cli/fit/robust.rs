//! Laws by Huber's loss, with the least squares that they stand beside.

use super::{Answer, Answered, Question};
use crate::draw::table::{Align, Table};
use crate::laws::{
    Curve, Estimate, HUBER_DELTA, Parameter, RobustFit, Sample, Shape, fit_robust,
    fit_surface_robust,
};
use crate::number::{MISSING, digits, signed};
use crate::{Error, Result};

/// An error of the library as an answer.
pub(super) fn refused(error: &Error) -> Answer {
    let hint = error.hint_text().map(str::to_owned);
    let text = error.to_string();
    Answer::Refused(text.lines().next().unwrap_or_default().to_owned(), hint)
}

/// The robust law of one axis beside the least squares, where there is one.
pub(super) fn line(squares: Answer, curve: &Curve, question: &Question) -> Answer {
    match fit_robust(curve, &question.options, HUBER_DELTA) {
        Ok(fit) => Answer::Robust(Box::new(fit), Box::new(squares)),
        Err(why) => Answer::Refused(why.to_string(), Some(why.hint().to_owned())),
    }
}

/// The same for laws of several axes.
pub(super) fn surface(
    squares: Answer,
    samples: &[Sample],
    shape: Shape,
    question: &Question,
) -> Answer {
    let found: Result<RobustFit> =
        fit_surface_robust(samples, shape, &question.options, HUBER_DELTA);
    match found {
        Ok(fit) => Answer::Robust(Box::new(fit), Box::new(squares)),
        Err(error) => refused(&error),
    }
}

/// A parameter of an answer by least squares.
fn by_squares(answer: &Answer, parameter: Parameter) -> Option<&Estimate> {
    match (answer, parameter) {
        (Answer::Surface(fit), _) => fit.get(parameter),
        (Answer::Line(fit, _), Parameter::E) => Some(&fit.asymptote),
        (Answer::Line(fit, _), Parameter::A) => Some(&fit.coefficient),
        (Answer::Line(fit, _), Parameter::Alpha) => Some(&fit.exponent),
        _ => None,
    }
}

/// Every parameter by both, and how far they lie apart.
pub(super) fn parameters(question: &Question, answers: &[Answered]) -> Table {
    let mut table = Table::new(&[
        (question.group.as_deref().unwrap_or("group"), Align::Left),
        ("parameter", Align::Left),
        ("huber-log (bootstrap)", Align::Right),
        ("least squares (profile)", Align::Right),
        ("huber-log - least squares", Align::Right),
    ]);
    for answered in answers {
        let title = super::text::title(answered);
        let Answer::Robust(fit, squares) = &answered.answer else {
            table.push([title.as_str(), "no law", MISSING, MISSING, MISSING]);
            continue;
        };
        for (parameter, claim) in &fit.estimates {
            let other = by_squares(squares, *parameter).map(Estimate::claim);
            let difference = other.map(|other| claim.value - other.value);
            let plain = |value: f64| match value.abs() {
                size if size < 100.0 => signed(value),
                _ => digits(value),
            };
            table.push([
                title.clone(),
                parameter.to_string(),
                claim.to_string(),
                other.map_or_else(|| MISSING.to_owned(), |other| other.to_string()),
                difference.map_or_else(|| MISSING.to_owned(), plain),
            ]);
        }
    }
    table
}
