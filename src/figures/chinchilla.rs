//! P10, P11: runs at equal work and their law in N and D; P12: the largest sizes against the law
//! of the others (mission L10, R11).

use std::collections::BTreeMap;

use super::laws::add_with_law;
use super::scope::{drawn, lack, point, refused};
use super::{Finding, Part};
use crate::analysis::{EqualWork, Measured, Run, Scope, WorkLaw, over_sizes, same};
use crate::draw::chart::{
    Block, Label, LawCurve, Line, Panel, Point, Scale, Series, Shape, Sheet, Swath, Ticks,
};
use crate::draw::palette::Paint;
use crate::laws::Claim;
use crate::number::{amount, digits};

const PAINTS: [Paint; 6] =
    [Paint::Blue, Paint::Gold, Paint::Green, Paint::Vermillion, Paint::Purple, Paint::Sky];

/// P10: points and law per budget of work.
pub(super) fn equal_work(scope: &Scope) -> Part {
    const NAME: &str = "iso-flop";
    let groups = scope.equal_work();
    if groups.is_empty() {
        return Err(lack(NAME, "three or more single runs at equal work (FLOP)"));
    }
    let mut panel = Panel::new("", scope.n_scale(), scope.loss_scale());
    panel.height = 240.0;
    for (index, group) in groups.iter().enumerate() {
        let best = group.best().into_iter();
        let mut points: Vec<Point> =
            best.map(|best| point(&Measured::mean(best.parameters, &[best.run]))).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        let name = format!("{:.0e} FLOP", group.flops);
        let paint = PAINTS[index % PAINTS.len()];
        panel.series.push(Series::new(name, paint, Shape::numbered(index), points));
    }
    let mut findings = Vec::new();
    let what = "L = E + A/N^alpha + B/D^beta, N and D in billions";
    match scope.work_law(&groups) {
        Err(why) => findings.push(refused(what, why)),
        Ok(law) => {
            for (index, group) in groups.iter().enumerate() {
                panel.laws.push(curve_of(&law, group, PAINTS[index % PAINTS.len()]));
            }
            for (parameter, estimate) in &law.fit.estimates {
                let warnings = law.fit.warnings.iter().map(ToString::to_string).collect();
                let name = format!("{what}: {}", parameter.name());
                findings.push(Finding::claim(name, estimate.claim(), warnings));
            }
            // N = 1e12 billion, as in the reference: the term in N is gone.
            for tokens in [0.2, 0.4, 0.8, 1.6] {
                let text = format!(
                    "{} (value of the best law alone, far outside of the runs)",
                    digits(law.loss(None, tokens * 1e9))
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

/// The law along the runs of one amount of work. It is drawn without a band: the intervals of its
/// parameters are printed.
fn curve_of(law: &WorkLaw, group: &EqualWork, paint: Paint) -> LawCurve {
    let swath = |(x, y)| Swath { x, y, low: None, high: None };
    LawCurve {
        name: "law in N and D".to_owned(),
        label: Label::None,
        paint,
        points: law.along(group, 32).into_iter().map(swath).collect(),
        band: false,
        parameters: Vec::new(),
        records: group.runs.iter().map(|own| own.run.origin.id().to_owned()).collect(),
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
            Some(point(&Measured::mean(f64::from_bits(lr), &[run])))
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
    rates.dedup_by(|a, b| same(*a, *b));
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
    let found = scope.extrapolation(d).ok_or_else(needs)?;
    let mut panel = Panel::new("", scope.n_scale(), scope.loss_scale());
    panel.height = 250.0;
    let standard = drawn(&over_sizes(&scope.standard(d)));
    if !standard.is_empty() {
        let mut series = Series::new("standard", Paint::Vermillion, Shape::Circle, standard);
        series.line = Some(Line::Solid);
        panel.series.push(series);
    }
    let count = found.fitted.len();
    let last = |losses: Option<&Measured>| losses.map_or(1.0, |measured| measured.x);
    let reach = last(found.held.last().map(|(m, _)| m)) / last(found.fitted.last());
    let series = Series::new("regularized", Paint::Purple, Shape::Circle, drawn(&found.fitted));
    let what = format!("law of the {count} smallest sizes, D = {}", amount(d));
    let mut findings = vec![add_with_law(&mut panel, what, (series, &found.law), 1.3 * reach)];
    let foretold = |(held, claim): &(Measured, Option<Claim>)| predicted(scope, held, *claim);
    findings.extend(found.held.iter().map(foretold));
    let held = found.held.iter().map(|(held, _)| point(held)).collect();
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
fn predicted(scope: &Scope, held: &Measured, claim: Option<Claim>) -> Finding {
    let what = format!("predicted loss of {}", scope.size_name(held.x));
    let Some(claim) = claim else { return refused(what, "no prediction") };
    let mut finding = Finding::claim(what, claim, Vec::new());
    let miss = claim.value - held.loss;
    let inside = if claim.interval.contains(held.loss) { "inside" } else { "outside" };
    finding.text = format!(
        "{claim}; measured {:.4}, {inside}; predicted minus measured {miss:+.4}",
        held.loss
    );
    finding
}
