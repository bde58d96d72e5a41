//! Looks for the mission's failure modes (F1 to F15) in what a study has measured.

use super::{Certificate, Mode};
use crate::Result;
use crate::eval::statistics::Verdict;
use crate::lab::Lab;
use crate::spec::JobId;
use crate::study::grid::{Axis, Setting, Step};
use crate::study::message::Message;
use crate::study::trial::Trial;

/// Evaluations before the middle of a run that must have looked worse for F5 to be told.
const LATE: usize = 2;
/// A gap between training and held-out loss below this is no overfitting to repair (F15).
const GAP_NATS: f64 = 0.1;

/// What a search's points show.
pub(super) fn of_tuning(
    lab: &dyn Lab,
    (mode, certificate, trials, paths): (Mode, &Certificate, &[Trial], &[Vec<Setting>]),
) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    messages.extend(edges(certificate));
    messages.extend(several_optima(certificate, trials, paths));
    if mode != Mode::Ensemble {
        messages.extend(overfitting(lab, certificate, trials)?);
        messages.extend(late_drop(lab, certificate, trials)?);
    }
    if mode == Mode::Regularized {
        messages.extend(no_overfitting(lab, certificate)?);
    }
    Ok(messages)
}

/// B9: the optimum at an end of its grid.
fn edges(certificate: &Certificate) -> Option<Message> {
    if certificate.edges.is_empty() {
        return None;
    }
    let name = |(axis, step): &(Axis, Step)| {
        let end = if *step == Step::Up { "largest" } else { "smallest" };
        format!("the {end} {}", axis.name())
    };
    let ends: Vec<String> = certificate.edges.iter().map(name).collect();
    let seen = format!("The optimum lies at {} of the grid", ends.join(" and "));
    Some(Message::new("B9", seen, "Widen the grid there: a certificate says nothing beyond it"))
}

/// F13: searches from several starts end at different points that can be told apart.
fn several_optima(
    certificate: &Certificate,
    trials: &[Trial],
    paths: &[Vec<Setting>],
) -> Option<Message> {
    let ends = paths.iter().filter_map(|path| path.last());
    let apart: Vec<&Setting> = ends.filter(|end| !certificate.flat.contains(end)).collect();
    let value = |at: &Setting| {
        trials.iter().find(|trial| trial.setting == *at).map_or(f64::NAN, |t| t.score.value())
    };
    let other = apart.first()?;
    let seen = format!(
        "Another start ended at {other} with {:.4}, {:.4} above the best",
        value(other),
        value(other) - certificate.center.score.value()
    );
    Some(Message::new("F13", seen, "The landscape has several optima: keep several starts"))
}

/// F2: more epochs lower the training loss and raise the held-out one.
fn overfitting(
    lab: &dyn Lab,
    certificate: &Certificate,
    trials: &[Trial],
) -> Result<Option<Message>> {
    let center = &certificate.center;
    let longer = |trial: &&Trial| {
        let (at, best) = (trial.setting, center.setting);
        at.epochs > best.epochs && Setting { epochs: best.epochs, ..at } == best
    };
    let worse = trials
        .iter()
        .filter(longer)
        .filter(|trial| !certificate.flat.contains(&trial.setting))
        .max_by(|a, b| a.setting.epochs.total_cmp(&b.setting.epochs));
    let Some(worse) = worse.filter(|trial| trial.score.value().is_finite()) else {
        return Ok(None);
    };
    let (here, there) = (train_loss(lab, center.records[0])?, train_loss(lab, worse.records[0])?);
    if there >= here {
        return Ok(None);
    }
    let seen = format!(
        "From {} to {} epochs the training loss falls from {here:.3} to {there:.3}, and the loss \
         on val rises from {:.4} to {:.4}",
        center.setting.epochs,
        worse.setting.epochs,
        center.score.value(),
        worse.score.value()
    );
    Ok(Some(Message::new("F2", seen, "This is overfitting: raise weight decay before epochs")))
}

/// F5: the best run looked worse than one that it beats in the end.
fn late_drop(
    lab: &dyn Lab,
    certificate: &Certificate,
    trials: &[Trial],
) -> Result<Option<Message>> {
    let center = &certificate.center;
    let weaker = |trial: &&Trial| {
        let (at, best) = (trial.setting, center.setting);
        at.weight_decay < best.weight_decay
            && Setting { weight_decay: best.weight_decay, ..at } == best
            && trial.score.value().is_finite()
    };
    let own = held_out(lab, center.records[0])?;
    for trial in trials.iter().filter(weaker) {
        let other = held_out(lab, trial.records[0])?;
        let earlier = own.len() / 2;
        let behind = own.iter().zip(&other).take(earlier).filter(|(a, b)| a > b).count();
        if behind >= LATE.max(earlier / 2) {
            let seen = format!(
                "Weight decay {} was behind weight decay {} at {behind} of the first {earlier} \
                 evaluations, and ended {:.4} ahead",
                center.setting.weight_decay,
                trial.setting.weight_decay,
                trial.score.value() - center.score.value()
            );
            let remedy = "This is normal: never stop such runs early";
            return Ok(Some(Message::new("F5", seen, remedy)));
        }
    }
    Ok(None)
}

/// F15: nothing to repair by weight decay.
fn no_overfitting(lab: &dyn Lab, certificate: &Certificate) -> Result<Option<Message>> {
    let center = &certificate.center;
    let smaller_ties = certificate.neighbors.iter().any(|neighbor| {
        neighbor.axis == Axis::WeightDecay
            && neighbor.step == Step::Down
            && neighbor.difference.verdict() != Verdict::Worse
    });
    if !smaller_ties || center.score.value().is_infinite() {
        return Ok(None);
    }
    let gap = center.score.value() - train_loss(lab, center.records[0])?;
    if gap >= GAP_NATS {
        return Ok(None);
    }
    let seen = format!(
        "The loss on val lies {gap:.3} above the training loss, and less weight decay does as well"
    );
    Ok(Some(Message::new(
        "F15",
        seen,
        "Data is not the limit here: train longer or larger before regularizing",
    )))
}

/// Mean training loss over the logged steps of the last epoch, in nats per token.
pub(super) fn train_loss(lab: &dyn Lab, run: JobId) -> Result<f64> {
    let lines = lab.metrics(run)?;
    let last = lines.last().map_or(0.0, |line| line.epoch);
    let recent = lines.iter().filter(|line| line.epoch > last - 1.0);
    let (sum, count) =
        recent.fold((0.0, 0.0), |(sum, count), line| (sum + line.train_loss_nats, count + 1.0));
    Ok(if count > 0.0 { sum / count } else { f64::NAN })
}

/// Losses on a sample of `val` during a run.
fn held_out(lab: &dyn Lab, run: JobId) -> Result<Vec<f64>> {
    let lines = lab.metrics(run)?;
    Ok(lines.iter().filter_map(|line| Some(line.held_out.first()?.loss_nats)).collect())
}
