//! P10, P11: runs at equal work and their law in N and D; P12: the largest sizes against the law
//! of the others (mission L10, R11).

use std::collections::BTreeMap;

use super::parameters::points;
use super::scope::{Scope, lack, mean_point, over_seeds, refused};
use super::{Finding, Part};
use crate::laws::{Parameter, Sample, Shape as Surface, SurfaceFit, digits, fit_surface};
use crate::report::chart::{
    Block, Label, LawCurve, Line, Panel, Point, Scale, Series, Shape, Sheet, Swath, Ticks,
};
use crate::report::number::amount;
use crate::report::palette::Paint;
use crate::report::runs::Run;

const PAINTS: [Paint; 6] =
    [Paint::Blue, Paint::Gold, Paint::Green, Paint::Vermillion, Paint::Purple, Paint::Sky];

/// Works this close are one budget of work.
const SAME_WORK: f64 = 0.15;

/// Largest N of the reference's law, in parameters.
const PARAMETERS_MAX: f64 = 3e9;

/// A run with its N and D.
type RunOfSize<'r> = (&'r Run, f64, f64);

/// Single runs with known N, D, work and loss.
fn runs_with_work<'r>(scope: &Scope<'r>) -> Vec<(&'r Run, f64, f64, f64)> {
    let of = |run: &'r Run| {
        run.loss?;
        Some((run, run.parameters?, run.budget_tokens?, run.flops?))
    };
    let single = |run: &&Run| run.is_plain() && !run.is_tagged("ignore");
    scope.runs.runs.iter().filter(single).filter_map(of).collect()
}

/// Runs by their work, ascending; the rest of a group lies within a few percent of the first.
fn by_work<'r>(scope: &Scope<'r>) -> Vec<(f64, Vec<RunOfSize<'r>>)> {
    let mut runs = runs_with_work(scope);
    runs.sort_by(|a, b| a.3.total_cmp(&b.3));
    let mut groups: Vec<(f64, Vec<RunOfSize>)> = Vec::new();
    for (run, n, d, work) in runs {
        match groups.last_mut() {
            Some((first, group)) if work <= *first * (1.0 + SAME_WORK) => group.push((run, n, d)),
            _ => groups.push((work, vec![(run, n, d)])),
        }
    }
    groups.retain(|(_, group)| group.len() >= 3);
    groups
}

/// The best run of every pair of N and D (mission R11).
fn best_per_pair<'r>(runs: &[RunOfSize<'r>]) -> Vec<RunOfSize<'r>> {
    let mut best: BTreeMap<(u64, u64), RunOfSize> = BTreeMap::new();
    let loss = |run: &Run| run.loss.map_or(f64::INFINITY, |loss| loss.nats);
    for &(run, n, d) in runs {
        let known = best.entry((n.to_bits(), d.to_bits())).or_insert((run, n, d));
        if loss(run) < loss(known.0) {
            *known = (run, n, d);
        }
    }
    best.into_values().collect()
}

/// P10: points and law per budget of work.
pub(super) fn equal_work(scope: &Scope) -> Part {
    const NAME: &str = "iso-flop";
    let groups = by_work(scope);
    if groups.is_empty() {
        return Err(lack(NAME, "three or more single runs at equal work (FLOP)"));
    }
    let mut samples: Vec<Sample> = Vec::new();
    let mut panel = Panel::new("", scope.n_scale(), scope.loss_scale());
    panel.height = 240.0;
    for (index, (work, group)) in groups.iter().enumerate() {
        let best = best_per_pair(group);
        for (run, n, d) in best.iter().filter(|(_, n, _)| *n <= PARAMETERS_MAX) {
            let loss = run.loss.map_or(f64::NAN, |loss| loss.nats);
            samples.push(Sample { parameters: Some(n / 1e9), tokens: d / 1e9, epochs: None, loss });
        }
        let mut points: Vec<Point> =
            best.iter().map(|(run, n, _)| mean_point(*n, &[run])).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        let name = format!("{work:.0e} FLOP");
        let paint = PAINTS[index % PAINTS.len()];
        panel.series.push(Series::new(name, paint, Shape::numbered(index), points));
    }
    let mut findings = Vec::new();
    let what = "L = E + A/N^alpha + B/D^beta, N and D in billions";
    let mut options = scope.fitting();
    options.resamples = 20;
    match fit_surface(&samples, Surface::Chinchilla, &options) {
        Err(why) => findings.push(refused(what, why)),
        Ok(fit) => {
            for (index, (_, group)) in groups.iter().enumerate() {
                panel.laws.push(curve_of(&fit, group, PAINTS[index % PAINTS.len()]));
            }
            for (parameter, estimate) in &fit.estimates {
                let warnings = fit.warnings.iter().map(ToString::to_string).collect();
                let name = format!("{what}: {}", parameter.name());
                findings.push(Finding::claim(name, estimate.claim(), warnings));
            }
            // N = 1e12 billion, as in the reference: the term in N is gone.
            for tokens in [0.2, 0.4, 0.8, 1.6] {
                let value = |parameter| fit.get(parameter).map_or(f64::NAN, |e| e.value);
                let falling = value(Parameter::B) / libm::pow(tokens, value(Parameter::Beta));
                let text = format!(
                    "{} (value of the best law alone, far outside of the runs)",
                    digits(value(Parameter::E) + falling)
                );
                let name = format!("L at N = 1e12 billion, D = {tokens} billion");
                findings.push(Finding::text(name, text));
            }
        }
    }
    let caption = format!(
        "Single runs at equal work over parameters, the best of each pair of N and D. Dashed: the \
         law in N and D of all of them. {}",
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Runs at equal work", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// The law along the runs of one amount of work, where N times D is the same for all. It is drawn
/// without a band: the intervals of its parameters are printed.
fn curve_of(fit: &SurfaceFit, group: &[RunOfSize], paint: Paint) -> LawCurve {
    let products: Vec<f64> = group.iter().map(|(_, n, d)| (n * d).ln()).collect();
    let product = super::scope::mean(&products).exp();
    let sizes = group.iter().map(|(_, n, _)| *n);
    let (low, high) = sizes.fold((f64::INFINITY, 0.0_f64), |(l, h), n| (l.min(n), h.max(n)));
    let value = |parameter| fit.get(parameter).map_or(0.0, |estimate| estimate.value);
    let swath = |step: i32| {
        let n = low * libm::pow(high / low, f64::from(step) / 32.0);
        let of_size = value(Parameter::A) / libm::pow(n / 1e9, value(Parameter::Alpha));
        let of_data = value(Parameter::B) / libm::pow(product / n / 1e9, value(Parameter::Beta));
        Swath { x: n, y: value(Parameter::E) + of_size + of_data, low: None, high: None }
    };
    LawCurve {
        name: "law in N and D".to_owned(),
        label: Label::None,
        paint,
        points: (0..=32).map(swath).collect(),
        band: false,
        parameters: Vec::new(),
        records: group.iter().map(|(run, ..)| run.origin.id().to_owned()).collect(),
    }
}

/// P11: loss over the learning rate, a curve per size and tokens.
pub(super) fn learning_rates(scope: &Scope) -> Part {
    const NAME: &str = "iso-flop-lr";
    let mut curves: BTreeMap<(u64, u64), BTreeMap<u64, Vec<&Run>>> = BTreeMap::new();
    for run in scope.runs.runs.iter().filter(|run| run.is_plain() && run.loss.is_some()) {
        let (Some(n), Some(d), Some(lr)) = (run.parameters, run.budget_tokens, run.lr) else {
            continue;
        };
        let curve = curves.entry((n.to_bits(), d.to_bits())).or_default();
        curve.entry(lr.to_bits()).or_default().push(run);
    }
    curves.retain(|_, curve| curve.len() >= 2);
    let mut panel = Panel::new("", Scale::logarithmic("peak learning rate"), scope.loss_scale());
    let mut rates = Vec::new();
    let mut findings = Vec::new();
    for (index, ((n, d), curve)) in curves.into_iter().take(8).enumerate() {
        let (n, d) = (f64::from_bits(n), f64::from_bits(d));
        // Of several runs at a rate the best: other settings may differ.
        let best = |(lr, runs): (u64, Vec<&Run>)| {
            let loss = |run: &&&Run| run.loss.map_or(f64::INFINITY, |loss| loss.nats);
            let run = runs.iter().min_by(|a, b| loss(a).total_cmp(&loss(b)))?;
            Some(mean_point(f64::from_bits(lr), &[run]))
        };
        let points: Vec<Point> = curve.into_iter().filter_map(best).collect();
        rates.extend(points.iter().map(|point| point.x));
        let name = format!("N = {}, D = {}", amount(n), amount(d));
        if let Some(lowest) = points.iter().min_by(|a, b| a.y.total_cmp(&b.y)) {
            let text = format!("lowest {:.4} at lr {}", lowest.y, lowest.x);
            findings.push(Finding::text(name.clone(), text));
        }
        let paint = PAINTS[index % PAINTS.len()];
        let mut series = Series::new(name, paint, Shape::numbered(index), points);
        series.line = Some(Line::Solid);
        panel.series.push(series);
    }
    if panel.series.is_empty() {
        return Err(lack(NAME, "two or more learning rates of a size and budget"));
    }
    rates.sort_by(f64::total_cmp);
    rates.dedup_by(|a, b| super::scope::same(*a, *b));
    panel.x.ticks = Ticks::At(rates.iter().map(|rate| (*rate, rate.to_string())).collect());
    let caption = format!(
        "Loss over the learning rate, of several runs at a rate the best. {}",
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Loss over learning rate", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// P12: the tuned law of all but the largest sizes, and what it says of these.
pub(super) fn extrapolation(scope: &Scope) -> Part {
    const NAME: &str = "extrapolation";
    let needs = || lack(NAME, "tuned single models of five or more sizes at one budget");
    let d = scope.budget().ok_or_else(needs)?;
    let settings = scope.regularized(d);
    let tuned = points(&settings);
    // The paper fits four sizes and predicts the rest; with fewer than six, all but the largest.
    let fitted = if tuned.len() >= 6 { tuned.len() - 2 } else { tuned.len().saturating_sub(1) };
    if fitted < 4 {
        return Err(needs());
    }
    let seeds = over_seeds(&settings[..fitted]);
    let mut panel = Panel::new("", scope.n_scale(), scope.loss_scale());
    panel.height = 250.0;
    let mut findings = Vec::new();
    let standard = points(&scope.standard(d));
    if !standard.is_empty() {
        let mut series = Series::new("standard", Paint::Vermillion, Shape::Circle, standard);
        series.line = Some(Line::Solid);
        panel.series.push(series);
    }
    let held: Vec<Point> = tuned[fitted..].to_vec();
    let what = format!("law of the {fitted} smallest sizes, D = {}", amount(d));
    match scope.n_law(what.clone(), &tuned[..fitted], &seeds) {
        Ok(law) => {
            let reach = held.last().map_or(1.0, |p| p.x / tuned[fitted - 1].x);
            let label = Label::Legend(format!("law: {}", law.text()));
            panel.laws.push(law.layer(Paint::Purple, label, 1.3 * reach));
            findings.push(law.finding(what));
            findings.extend(held.iter().map(|point| predicted(scope, &law, point)));
        }
        Err(why) => findings.push(refused(what, why)),
    }
    let fitted = tuned[..fitted].to_vec();
    panel.series.push(Series::new("regularized", Paint::Purple, Shape::Circle, fitted));
    panel.series.push(Series::new("not fitted", Paint::Ink, Shape::Star, held));
    let caption = format!(
        "Tuned single models at D = {} against the law of the smaller ones; stars were not \
         fitted. {}",
        amount(d),
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Does the law hold for larger sizes?", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// A held-out size: measured, and what the law says with its interval.
fn predicted(scope: &Scope, law: &super::laws::Fitted, point: &Point) -> Finding {
    let what = format!("predicted loss of {}", scope.size_name(point.x));
    let place = [point.x / scope.n_unit.divisor];
    match crate::laws::predictions(law.curve(), law.options(), &place).as_deref() {
        Ok([claim]) => {
            let mut finding = Finding::claim(what, *claim, Vec::new());
            let miss = claim.value - point.y;
            let inside = if claim.interval.contains(point.y) { "inside" } else { "outside" };
            finding.text = format!(
                "{claim}; measured {:.4}, {inside}; predicted minus measured {miss:+.4}",
                point.y
            );
            finding
        }
        _ => refused(what, "no prediction"),
    }
}
