//! The mission's failure modes of ensembles: F3, F8 and F12.

use super::{FamilyOutcome, Options};
use crate::eval::statistics::Verdict;
use crate::spec::TrainSpec;
use crate::store::Average;
use crate::study::message::Message;

/// A gain of all members below this is none, however sure: nats per token.
const GAIN_MIN_NATS: f64 = 0.001;
/// The average of weights is at chance beyond this share of the way from a member to chance.
const CHANCE_SHARE: f64 = 0.5;

/// What the families show.
pub(super) fn of_ensembles(
    families: &[FamilyOutcome],
    base: &TrainSpec,
    options: &Options,
) -> Vec<Message> {
    let mut messages = Vec::new();
    for family in families {
        let no_gain = no_gain(family);
        // Members that are alike have no law and no soup worth a word.
        if no_gain.is_none() {
            messages.extend(asymptote_not_below(family, options));
            messages.extend(soups(family, base.model.vocabulary));
        }
        messages.extend(no_gain);
    }
    messages
}

/// F3: the members were tuned to be good alone.
fn asymptote_not_below(family: &FamilyOutcome, options: &Options) -> Option<Message> {
    let single = options.single_asymptote_nats?;
    let law = family.curve(Average::Logits).law.as_ref().ok()?;
    let claim = law.end().claim;
    let state = match claim.interval.high.value() {
        _ if claim.value >= single => "is not below",
        Some(high) if high < single => return None,
        _ => "is not shown to be below",
    };
    let seen = format!(
        "The asymptote of the ensemble ({}), {claim}, {state} that of single models, {single:.4}",
        family.family
    );
    let remedy = "Members that are best alone are not best together: try twice the epochs and \
                  half the weight decay, and choose by the asymptote (`scarce tune` in mode \
                  ensemble)";
    Some(Message::new("F3", seen, remedy))
}

/// F8: independent runs end in different basins.
fn soups(family: &FamilyOutcome, vocabulary: u32) -> Option<Message> {
    let soup = family.soups.last()?;
    if soup.to_single.verdict() != Verdict::Worse {
        return None;
    }
    let chance = libm::log(f64::from(vocabulary));
    let single = soup.loss.nats - soup.to_single.estimate.mean;
    let share = (soup.loss.nats - single) / (chance - single);
    let state = if share >= CHANCE_SHARE { "is at chance" } else { "is worse than one model" };
    let seen = format!(
        "The average of the weights of {} members ({}) {state}: {:.4} nats/token, a member \
         {single:.4}, guessing {chance:.4}",
        soup.members, family.family, soup.loss.nats
    );
    let remedy = "Average predictions, not weights, of runs that do not share a start";
    Some(Message::new("F8", seen, remedy))
}

/// F12: the members predict alike.
fn no_gain(family: &FamilyOutcome) -> Option<Message> {
    let gain = &family.diversity.log_z;
    let none = gain.verdict() != Verdict::Better || gain.estimate.mean > -GAIN_MIN_NATS;
    if !none {
        return None;
    }
    let alike =
        if family.diversity.divergence_nats > 0.0 { "nearly alike" } else { "alike in every bit" };
    let seen = format!(
        "{} members ({}) gain nothing: E[log Z] is {}, and they predict {alike}",
        family.members.len(),
        family.family,
        gain.estimate
    );
    let remedy = "Check that their seeds differ and that the varied seed matters for this spec \
                  (an order needs more than one batch, an init a random start); else the data \
                  have one view only";
    Some(Message::new("F12", seen, remedy))
}
