//! Which sizes are compared, at which settings, and which of them is best.

use super::{
    LEARNING_RATES, LR, LR_WIDTH, SCAN_EPOCHS_MAX, SIZES, Sized, TIMESCALE_EPOCHS,
    TOKENS_PER_PARAMETER, TOKENS_PER_PARAMETER_MIN, WEIGHT_DECAYS,
};
use crate::Result;
use crate::spec::preset;
use crate::study::cell::Cell;
use crate::study::grid::Setting;

/// All sizes with what the rules say for them, the smallest first; epochs are not set yet.
pub(super) fn ladder(cell: impl Fn(&str) -> Result<Cell>) -> Result<Vec<Sized>> {
    preset::ladder()
        .map(|model| {
            let cell = cell(model)?;
            let spec = cell.template();
            let lr =
                nearest(&LEARNING_RATES, LR * (LR_WIDTH / f64::from(spec.model.width)).min(1.0));
            // The inverse of the time scale 1 / (lr * decay * steps per epoch).
            let decay = 1.0 / (TIMESCALE_EPOCHS * lr * cell.steps_per_epoch());
            let weight_decay = nearest(&WEIGHT_DECAYS, decay);
            Ok(Sized {
                model,
                parameters: spec.model.parameters(),
                flops_per_token: super::speed::flops_per_token(spec),
                setting: Setting { epochs: 0.0, lr, weight_decay },
            })
        })
        .collect()
}

/// The value of a list that is closest by ratio.
pub(super) fn nearest(values: &[f64], value: f64) -> f64 {
    let distance = |other: &f64| libm::log(other / value).abs();
    values.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(value)
}

/// Tokens that a compute-optimal run would want: with C = 6 N D and D = 20 N, the square root of
/// C * 20 / 6.
pub(super) fn optimal_tokens(flops: f64) -> f64 {
    (flops * TOKENS_PER_PARAMETER / 6.0).sqrt()
}

/// The sizes for a comparison at equal compute, with the passes that each can afford.
///
/// Left out are sizes that would repeat the corpus too often or see too few tokens per parameter.
/// Of the others, those stay that are closest to the compute-optimal one by ratio.
pub(super) fn scanned(ladder: &[Sized], flops: f64, budget_tokens: u64) -> Vec<Sized> {
    let with_epochs = |size: &Sized| {
        let epochs = flops / (size.flops_per_token * budget_tokens as f64);
        Sized { setting: Setting { epochs: rounded(epochs), ..size.setting }, ..size.clone() }
    };
    let all: Vec<Sized> = ladder.iter().map(with_epochs).collect();
    let tokens = |size: &Sized| size.setting.epochs * budget_tokens as f64;
    let fits = |size: &&Sized| {
        size.setting.epochs <= SCAN_EPOCHS_MAX
            && tokens(size) >= TOKENS_PER_PARAMETER_MIN * size.parameters as f64
    };
    let mut kept: Vec<Sized> = all.iter().filter(fits).cloned().collect();
    if kept.is_empty() {
        // The largest model with too many passes, or the smallest with too few tokens.
        let many = all.iter().rev().find(|size| size.setting.epochs > SCAN_EPOCHS_MAX);
        let mut size = many.unwrap_or(&all[0]).clone();
        size.setting.epochs = size.setting.epochs.min(SCAN_EPOCHS_MAX);
        return vec![size];
    }
    let optimum = optimal_tokens(flops) / TOKENS_PER_PARAMETER;
    let distance = |size: &Sized| libm::log(size.parameters as f64 / optimum).abs();
    kept.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    kept.truncate(SIZES);
    kept.sort_by_key(|size| size.parameters);
    kept
}

/// Passes in two digits, never more than given.
pub(super) fn rounded(epochs: f64) -> f64 {
    let digit = 10.0_f64.powf(epochs.max(1e-9).log10().floor() - 1.0);
    let down = (epochs / digit + 1e-9).floor() * digit;
    // Decimal text and value are the same number, so that the spec is one a person would write.
    format!("{down:.9}").parse().unwrap_or(down)
}

/// The size with the lowest loss on a curve over the logarithm of the size: the vertex of the
/// parabola through the lowest point and its neighbors, or that point itself at an end.
pub(super) fn lowest(points: &[(f64, f64)]) -> Option<f64> {
    let best = (0..points.len()).min_by(|&a, &b| points[a].1.total_cmp(&points[b].1))?;
    if best == 0 || best + 1 == points.len() {
        return Some(points[best].0);
    }
    let [(x0, y0), (x1, y1), (x2, y2)] = [points[best - 1], points[best], points[best + 1]]
        .map(|(size, loss)| (libm::log(size), loss));
    let (left, right) = ((y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1));
    let curvature = (right - left) / (x2 - x0);
    if curvature <= 0.0 || curvature.is_nan() {
        return Some(points[best].0);
    }
    let vertex = f64::midpoint(x0, x1) - left / (2.0 * curvature);
    Some(libm::exp(vertex.clamp(x0, x2)))
}

/// The size of the ladder for longer runs: the largest that is not above `parameters`. Around its
/// lowest point the loss hardly depends on the size, while inference pays for every parameter of
/// every member, so that the smaller neighbor is taken. Where it would repeat the corpus too often,
/// the next larger one takes its place; the preset of the rule is returned with it.
pub(super) fn carried(
    ladder: &[Sized],
    parameters: f64,
    epochs: impl Fn(&Sized) -> f64,
) -> (Sized, &'static str) {
    let not_above = ladder.iter().rposition(|size| size.parameters as f64 <= parameters);
    let larger = &ladder[not_above.unwrap_or(0)..];
    let fits = |size: &&Sized| epochs(size) <= super::EPOCHS_MAX;
    let size = larger.iter().find(fits).unwrap_or(&larger[larger.len() - 1]);
    let epochs = rounded(epochs(size).min(super::EPOCHS_MAX));
    (Sized { setting: Setting { epochs, ..size.setting }, ..size.clone() }, larger[0].model)
}

/// Loss on `val`, infinite if it diverged.
pub(super) fn nats(run: &super::Trained) -> f64 {
    run.loss.as_ref().map_or(f64::INFINITY, |loss| loss.nats)
}
