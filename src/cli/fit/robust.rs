//! Laws by Huber's loss, with the least squares that they stand beside.

use super::{Answer, Question};
use crate::laws::{Curve, HUBER_DELTA, RobustFit, Sample, Shape, fit_robust, fit_surface_robust};
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
