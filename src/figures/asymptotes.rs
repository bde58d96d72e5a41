//! P3: all recipes together. Asymptotes in K of every size, their law in N (the joint asymptote),
//! the paper's Figure 1, and data efficiency.

use super::laws::{BEYOND, add_with_law, ends, short, with_tuned_law};
use super::parameters::floor_level;
use super::scope::{drawn, lack, over_total, refused};
use super::tokens::{largest_single, multiplier, recipes_panel};
use super::{Finding, Part};
use crate::analysis::{Fitted, InMembers, Members, RecipeKind, Scope, Worth, over_sizes, same};
use crate::draw::chart::{
    Block, Label, LawCurve, Line, Panel, Right, RightTick, Scale, Series, Shape, Sheet, Sizes,
    Swath, Ticks,
};
use crate::draw::palette::Paint;
use crate::laws::{Target, factor};
use crate::number::amount;

fn needs_ensembles(figure: &str) -> super::Lack {
    lack(figure, "ensembles with K >= 4, or K = 1 to 4, of a size: run `scarce scale`")
}

/// The axis of all parameters of an ensemble.
fn total_scale(scope: &Scope) -> Scale {
    let kind = if scope.runs.nominal { " (nominal)" } else { "" };
    Scale { name: format!("total parameters K x N{kind}"), ..scope.n_scale() }
}

/// A law in K as a curve over K x N.
fn law_over_total(stage: &InMembers, paint: Paint, label: Label, beyond: f64) -> LawCurve {
    let mut curve = stage.law.layer(paint, label, beyond);
    let n = stage.members.n;
    let move_ = |swath: &Swath| Swath { x: swath.x * n, ..*swath };
    curve.points = curve.points.iter().map(move_).collect();
    curve
}

fn ensemble_series(scope: &Scope, set: &Members, paint: Paint, name: String) -> Series {
    Series::new(name, paint, scope.budget_shape(set.d), over_total(set))
}

/// Standard and tuned single models with the tuned law.
fn singles(scope: &Scope, d: f64, panel: &mut Panel) -> Finding {
    let standard = drawn(&over_sizes(&scope.standard(d)));
    if !standard.is_empty() {
        let mut series = Series::new("standard", Paint::Vermillion, Shape::Circle, standard);
        series.line = Some(Line::Solid);
        panel.series.push(series);
    }
    with_tuned_law(scope, d, panel)
}

/// (a) Every recipe at one budget over all parameters, students as stars.
pub(super) fn overview(scope: &Scope) -> Part {
    const NAME: &str = "overview";
    let d = scope.budget().ok_or_else(|| needs_ensembles(NAME))?;
    let mut panel = Panel::new("", total_scale(scope), scope.loss_scale());
    let mut findings = vec![singles(scope, d, &mut panel)];
    let stages = scope.best_in_members(d);
    if stages.is_empty() {
        return Err(needs_ensembles(NAME));
    }
    for stage in &stages {
        let paint = scope.ensemble_paint(stage.members.n);
        let name = format!("ensembles of {}", scope.size_name(stage.members.n));
        findings.push(stage.law.finding(format!("{name}, K to infinity, D = {}", amount(d))));
        panel.laws.push(law_over_total(stage, paint, Label::None, 1.6));
        panel.series.push(ensemble_series(scope, stage.members, paint, name));
    }
    let students = super::distillation::student_points(scope, d);
    for (index, (name, point)) in students.into_iter().enumerate() {
        let paint = super::distillation::student_paint(index);
        panel.series.push(Series::new(name, paint, Shape::Star, vec![point]));
    }
    panel.levels.extend(floor_level(scope));
    panel.height = 260.0;
    let caption = format!(
        "All recipes at D = {} tokens over the parameters of all members together. Ensembles: the \
         mean of {} of independent models, of each size the setting with the lowest asymptote in \
         K. Stars: distilled students. {}",
        amount(d),
        scope.options.averaging.name(),
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Recipes over total parameters", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// (b) The tuned law against ensembles whose members have the tuned single model's settings.
pub(super) fn single_against_ensemble(scope: &Scope) -> Part {
    const NAME: &str = "single-against-ensemble";
    let needs = || lack(NAME, "an ensemble of members with the tuned single model's settings");
    let d = scope.budget().ok_or_else(needs)?;
    let tuned = scope.regularized(d);
    let is_tuned = |set: &&Members| {
        tuned.iter().any(|s| {
            same(s.n, set.n)
                && same(s.epochs, set.epochs)
                && same(s.lr, set.lr)
                && same(s.weight_decay, set.weight_decay)
        })
    };
    let sets = scope.members.iter().filter(|set| same(set.d, d)).filter(is_tuned);
    let fitted =
        sets.filter_map(|members| Some(InMembers { members, law: scope.k_law(members).ok()? }));
    let stage = fitted.max_by_key(|stage| stage.members.losses.len()).ok_or_else(needs)?;
    let mut panel = Panel::new("", total_scale(scope), scope.loss_scale());
    let mut findings = vec![singles(scope, d, &mut panel)];
    let name = format!("ensemble of {}, members tuned alone", scope.size_name(stage.members.n));
    findings.push(stage.law.finding(format!("{name}, K to infinity, D = {}", amount(d))));
    let paint = scope.ensemble_paint(stage.members.n);
    panel.laws.push(law_over_total(
        &stage,
        paint,
        Label::Legend(format!("{name}: {}", stage.law.text())),
        2.0,
    ));
    panel.series.push(ensemble_series(scope, stage.members, paint, name));
    let tuned_law = scope.tuned_law(d).ok();
    let level = tuned_law.and_then(|law| law.level(Paint::Purple, "regularized", false));
    panel.levels.extend(level);
    panel.levels.extend(stage.law.level(paint, "ensemble", false));
    let caption = format!(
        "Larger models against more models of one size with the same settings, at D = {} tokens. \
         Dotted: asymptotes. {}",
        amount(d),
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "One larger model or several small ones", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// A number of Figure 1 on its second axis.
fn tick(y: f64, worth: &Worth, paint: Paint, records: Vec<String>) -> Option<RightTick> {
    let [law, ..] = worth.as_ref().ok()?;
    let value = law.value.ok()?;
    let (low, high) = law.profile.map_or((None, None), ends);
    Some(RightTick { y, text: factor(value), paint, value: (value, low, high), records })
}

/// (c) Figure 1: recipes, asymptotes and the joint limit, with data efficiency as a second axis.
pub(super) fn figure_one(scope: &Scope) -> Part {
    const NAME: &str = "figure-1";
    let d = scope.budget().ok_or_else(|| needs_ensembles(NAME))?;
    let mut panel = Panel::new("", total_scale(scope), scope.loss_scale());
    panel.height = 270.0;
    let mut findings = vec![singles(scope, d, &mut panel)];
    let stages = scope.best_in_members(d);
    let most = |stage: &InMembers| stage.members.losses.len();
    let shown = stages
        .iter()
        .max_by(|a, b| most(a).cmp(&most(b)).then(b.members.n.total_cmp(&a.members.n)));
    let shown = shown.ok_or_else(|| needs_ensembles(NAME))?;
    let paint = scope.ensemble_paint(shown.members.n);
    let name = format!("ensembles of {}", scope.size_name(shown.members.n));
    findings.push(shown.law.finding(format!("{name}, K to infinity, D = {}", amount(d))));
    panel.laws.push(law_over_total(
        shown,
        paint,
        Label::Legend(format!("{name}: {}", shown.law.text())),
        2.0,
    ));
    panel.series.push(ensemble_series(scope, shown.members, paint, name.clone()));
    let mut marks: Vec<Mark> = Vec::new();
    let mut mark = |panel: &mut Panel, law: &Fitted, (name, short): (&str, &str), paint, band| {
        if let Some(level) = law.level(paint, short, band) {
            panel.levels.push(level);
            marks.push((name.to_owned(), law.target(), paint, law.records.clone()));
        }
    };
    if let Ok(law) = &scope.tuned_law(d) {
        let name = ("regularized asymptote", "regularized");
        mark(&mut panel, law, name, Paint::Purple, false);
    }
    let in_members = format!("{name}, K to infinity");
    mark(&mut panel, &shown.law, (&in_members, "ensemble"), paint, false);
    match scope.joint_law(d) {
        Ok(joint) => {
            mark(&mut panel, &joint, ("joint asymptote", "joint"), Paint::Gold, true);
            findings.push(joint.finding(format!("joint, K then N to infinity, D = {}", amount(d))));
        }
        Err(why) => {
            findings.push(refused(format!("joint, K then N to infinity, D = {}", amount(d)), why))
        }
    }
    findings.extend(efficiency(scope, d, &mut panel, marks));
    panel.levels.extend(floor_level(scope));
    let caption = format!(
        "The paper's Figure 1 at D = {} tokens. Dotted: asymptotes with their intervals; the \
         band is the joint one's. The right axis says how many times the data the standard recipe \
         would need for the same loss, by its law in D, where there is one. {}",
        amount(d),
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Infinite compute at a fixed budget of data", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// A loss of Figure 1 on its second axis.
type Mark = (String, Target, Paint, Vec<String>);

/// The second axis of Figure 1, and the multipliers that it shows.
fn efficiency(scope: &Scope, d: f64, panel: &mut Panel, mut marks: Vec<Mark>) -> Vec<Finding> {
    let Some(base) = scope.best_standard(d) else {
        return vec![refused("data efficiency", "no run of the standard recipe at this budget")];
    };
    if let Err(why) = scope.standard_law() {
        return vec![refused("data efficiency", why)];
    }
    let what = |name: &str| format!("data efficiency, {name}, D = {}", amount(d));
    let mut findings: Vec<Finding> = largest_single(scope, d).into_iter().collect();
    let largest = scope.best_in_members(d).into_iter().last();
    if let Some(stage) = largest
        && let Some(five) = stage.members.losses.iter().find(|m| (m.x - 5.0).abs() < 0.5)
    {
        let name = format!("five {}", scope.size_name(stage.members.n));
        let target = Target { loss: five.loss, error: stage.members.error() };
        let worth = scope.worth(target, base.target());
        findings.push(multiplier(what(&name), (target, base.target()), &worth));
    }
    let own = ("best standard".to_owned(), base.target(), Paint::Vermillion, base.records());
    marks.insert(0, own);
    let mut ticks = Vec::new();
    for (name, target, paint, records) in marks {
        let worth = scope.worth(target, base.target());
        findings.push(multiplier(what(&name), (target, base.target()), &worth));
        ticks.extend(tick(target.loss, &worth, paint, records));
    }
    panel.right = Some(Right { name: "times the data (standard)".to_owned(), ticks });
    findings
}

/// (d) The local exponent of the loss in parameters (mission L6).
pub(super) fn returns(scope: &Scope) -> Part {
    const NAME: &str = "returns";
    let mut y = Scale::logarithmic("-d ln L / d ln N");
    y.ticks = Ticks::Round;
    let mut panel = Panel::new("", scope.n_scale(), y);
    let mut findings = Vec::new();
    for (index, (d, law)) in scope.tuned_laws().into_iter().enumerate() {
        let (first, last) = law.span();
        let places =
            (0..=48).map(|step| first * libm::pow(3.0 * last / first, f64::from(step) / 48.0));
        let swath = |x: f64| {
            let y = law.fit().law.local_exponent(x);
            Swath { x: x * scope.n_unit.divisor, y, low: Some(y), high: Some(y) }
        };
        let paint = [Paint::Blue, Paint::Gold, Paint::Green, Paint::Purple][index % 4];
        let name = format!("regularized, D = {}", amount(d));
        let mut curve = law.layer(paint, Label::Direct(name.clone()), 1.0);
        curve.points = places.map(swath).collect();
        curve.band = false;
        panel.laws.push(curve);
        let at = |x: f64| {
            format!(
                "{:.4} at N = {}",
                law.fit().law.local_exponent(x),
                amount(x * scope.n_unit.divisor)
            )
        };
        let text = format!("{}, {} (of the law {})", at(first), at(last), law.text());
        findings.push(Finding::text(format!("returns, {name}"), text));
    }
    if panel.laws.is_empty() {
        return Err(lack(NAME, "tuned single models of four or more sizes at one budget"));
    }
    let caption = "The local exponent of the loss in parameters, A alpha / (A + E N^alpha), of the \
                   least-squares laws: what one more percent of parameters gives. The curves have \
                   no interval of their own; those of the laws are in the figures of the laws.";
    let mut sheet = Sheet::new(NAME, "Returns of parameters", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// (e) The three steps: laws in K, laws in N of their asymptotes, laws in D of the recipes.
pub(super) fn triptych(scope: &Scope) -> Part {
    const NAME: &str = "joint-scaling";
    let budgets: Vec<f64> =
        scope.budgets.iter().copied().filter(|&d| !scope.best_in_members(d).is_empty()).collect();
    let d = scope.budget().filter(|d| budgets.contains(d)).or(budgets.first().copied());
    let d = d.ok_or_else(|| needs_ensembles(NAME))?;
    let title = format!("1. Ensembles over K, D = {}", amount(d));
    let k_scale = Scale::logarithmic("members K").with_ticks(k_ticks(scope));
    let mut first = Panel::new(title, k_scale, scope.loss_scale());
    let mut findings = Vec::new();
    for stage in scope.best_in_members(d) {
        let name = scope.size_name(stage.members.n);
        let paint = scope.size_paint(stage.members.n);
        let label = Label::Legend(format!("{name}: {}", stage.law.text()));
        first.laws.push(stage.law.layer(paint, label, 2.0));
        let series = Series::new(name, paint, scope.budget_shape(d), drawn(&stage.members.losses));
        first.series.push(series);
    }
    let mut second = Panel::new("2. Their asymptotes over N", scope.n_scale(), scope.loss_scale());
    for (index, &d) in budgets.iter().enumerate() {
        let paint = [Paint::Gold, Paint::Blue, Paint::Green, Paint::Vermillion][index % 4];
        let asymptotes = |stage: &InMembers| stage.law.asymptote_point(stage.members.n);
        let shown = scope.best_in_members(d).iter().filter_map(asymptotes).collect();
        let series = Series::new(format!("D = {}", amount(d)), paint, scope.budget_shape(d), shown);
        let what = format!("joint, K then N to infinity, D = {}", amount(d));
        let law = scope.joint_law(d);
        findings.push(add_with_law(&mut second, what, (series, &law), BEYOND));
        findings.extend(other_order(scope, d));
    }
    let (mut third, more) = recipes_panel(scope, &RecipeKind::ALL);
    third.title = "3. Recipes over tokens D".to_owned();
    findings.extend(more);
    for panel in [&mut first, &mut second, &mut third] {
        panel.height = 190.0;
    }
    let caption = format!(
        "Joint scaling in three steps. Laws have N in {} and D in {}; in brackets the interval of \
         E. Bars of asymptotes are their own intervals, which the laws above do not know of. {}",
        scope.n_unit.name,
        scope.d_unit.name,
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Joint scaling", caption);
    sheet.blocks.extend([first, second, third].map(|panel| Block::Panels(vec![panel])));
    debug_assert!(
        sheet.blocks.iter().all(|b| matches!(b, Block::Panels(p) if p[0].height > Sizes::HALF))
    );
    Ok((sheet, findings))
}

/// The joint limit with N first (mission R6), where every size has the same K.
fn other_order(scope: &Scope, d: f64) -> Option<Finding> {
    let what = format!("joint, N then K to infinity, D = {}", amount(d));
    let fit = scope.both_orders(d)?;
    Some(match &fit.parameters_first {
        Err(why) => refused(what, why),
        Ok(limit) => {
            let gap =
                fit.gap().map_or_else(String::new, |gap| format!("; {gap:+.4} against K first"));
            let warnings = limit.law.warnings.iter().map(ToString::to_string).collect();
            let claim = limit.law.asymptote.claim();
            let mut finding = Finding::claim(what, claim, warnings);
            finding.text = format!("E = {}{gap}", short(claim));
            finding
        }
    })
}

/// Whole numbers of members.
pub(super) fn k_ticks(scope: &Scope) -> Ticks {
    let largest = scope.members.iter().flat_map(|set| &set.losses).map(|m| m.x).fold(1.0, f64::max);
    let largest = largest.min(1e4) as u32;
    let shown = (1..=largest).filter(|k| *k <= 10 || k.is_power_of_two() || *k % 10 == 0);
    Ticks::At(shown.map(|k| (f64::from(k), k.to_string())).collect())
}
