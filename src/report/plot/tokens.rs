//! Laws in tokens: recipes over budgets with their data efficiency (P1 d), and a law per size and
//! of the sizes' asymptotes (P13).

use super::asymptotes::{self, joint};
use super::laws::Fitted;
use super::parameters::floor_level;
use super::scope::{Scope, Setting, lack, over_seeds, refused};
use super::{Finding, Part};
use crate::laws::{self, Base, NO_ASYMPTOTE, Replication, Target, multipliers};
use crate::report::chart::{Block, Label, Line, Panel, Point, Series, Shape, Sheet};
use crate::report::number::amount;
use crate::report::palette::Paint;

/// How far beyond the largest budget a law is drawn.
const BEYOND: f64 = 2.0;

/// The best standard setting at a budget.
pub(super) fn best_standard<'s>(scope: &'s Scope, d: f64) -> Option<&'s Setting<'s>> {
    scope.standard(d).into_iter().min_by(|a, b| a.loss().total_cmp(&b.loss()))
}

/// The best standard setting of each budget: the yardstick of data efficiency.
fn yardstick<'s>(scope: &'s Scope) -> Vec<&'s Setting<'s>> {
    scope.budgets.iter().filter_map(|&d| best_standard(scope, d)).collect()
}

/// The law of the yardstick.
pub(super) fn standard_law(scope: &Scope) -> Result<Fitted, String> {
    let best = yardstick(scope);
    scope.d_law("standard law in D", &over_budgets(&best), &over_seeds(&best))
}

/// The asymptote of the tuned recipe in N, for the budgets that have one.
pub(super) fn regularized_asymptotes(scope: &Scope) -> Vec<(f64, Fitted)> {
    let law = |&d: &f64| {
        let settings = scope.regularized(d);
        let (points, seeds) = (super::parameters::points(&settings), over_seeds(&settings));
        let law = scope.n_law(format!("regularized at D = {}", amount(d)), &points, &seeds).ok()?;
        Some((d, law))
    };
    scope.budgets.iter().filter_map(law).collect()
}

/// How many times the data the standard recipe would need for a loss, under three readings.
pub(super) fn multiplier(
    scope: &Scope,
    what: impl Into<String>,
    target: Target,
    base: Target,
    standard: &Fitted,
) -> Finding {
    let what = what.into();
    let options = laws::Options { resamples: scope.options.resamples, ..*standard.options() };
    match multipliers(standard.curve(), &options, target, Base::Loss(base)) {
        Err(why) => refused(what, why),
        Ok([law, linear, logarithmic]) => {
            let text = format!(
                "law {law}, lines in D {linear}, lines in ln D {logarithmic}; loss {:.4} \
                 against {:.4}",
                target.loss, base.loss
            );
            let claim = law.claim().ok();
            // The law's own warnings stand beside its asymptote.
            Finding { what, claim, text, warnings: Vec::new() }
        }
    }
}

/// A recipe over budgets.
struct Recipe {
    name: &'static str,
    paint: Paint,
    shape: Shape,
    points: Vec<Point>,
    replication: Replication,
    /// The losses with their errors, in the order of the points.
    targets: Vec<Target>,
}

const REGULARIZED: &str = "regularized, N to infinity";
const JOINT: &str = "joint, K and N to infinity";

/// The three recipes over budgets, with laws where they can be; used by P1 and P3.
pub(super) fn recipes_panel(scope: &Scope, with_joint: bool) -> (Panel, Vec<Finding>) {
    let mut findings = Vec::new();
    let best = yardstick(scope);
    let mut recipes = vec![Recipe {
        name: "standard, best size",
        paint: Paint::Vermillion,
        shape: Shape::Circle,
        points: over_budgets(&best),
        replication: over_seeds(&best),
        targets: best.iter().map(|setting| setting.target()).collect(),
    }];
    let mut asymptotes = |name, (paint, shape), laws: Vec<(f64, Fitted)>| {
        let (ending, endless): (Vec<_>, Vec<_>) =
            laws.into_iter().partition(|(_, law)| law.has_asymptote());
        for (d, _) in endless {
            findings.push(refused(format!("{name}, D = {}", amount(d)), NO_ASYMPTOTE));
        }
        let points = ending.iter().filter_map(|(d, law)| law.asymptote_point(*d)).collect();
        let replication = Replication::of_stages(ending.iter().map(|(_, law)| &law.law));
        let targets = ending.iter().map(|(_, law)| law.target()).collect();
        Recipe { name, paint, shape, points, replication, targets }
    };
    let of_regularized = regularized_asymptotes(scope);
    recipes.push(asymptotes(REGULARIZED, (Paint::Purple, Shape::Square), of_regularized));
    if with_joint {
        let joints = scope.budgets.iter().filter_map(|&d| Some((d, joint(scope, d).ok()?)));
        recipes.push(asymptotes(JOINT, (Paint::Gold, Shape::Diamond), joints.collect()));
    }
    let mut panel = Panel::new("Recipes over tokens", scope.d_scale(), scope.loss_scale());
    panel.levels.extend(floor_level(scope));
    let standard = standard_law(scope);
    for recipe in recipes {
        if recipe.points.is_empty() {
            findings.push(refused(format!("{}, law in D", recipe.name), "no point"));
            continue;
        }
        let name = format!("{}: law in D", recipe.name);
        match scope.d_law(name, &recipe.points, &recipe.replication) {
            Ok(law) => {
                findings.push(law.finding(format!("{}, D to infinity", recipe.name)));
                let label = Label::Legend(format!("{}: {}", recipe.name, law.text()));
                panel.laws.push(law.layer(recipe.paint, label, BEYOND));
            }
            Err(why) => findings.push(refused(format!("{}, D to infinity", recipe.name), why)),
        }
        if let (Ok(standard), false) = (&standard, recipe.paint == Paint::Vermillion) {
            findings.extend(per_budget(scope, &recipe, standard));
        }
        let mut series = Series::new(recipe.name, recipe.paint, recipe.shape, recipe.points);
        let lawless = panel.laws.iter().all(|law| law.paint != recipe.paint);
        series.line = (lawless && series.points.len() > 1).then_some(Line::Solid);
        panel.series.push(series);
    }
    (panel, findings)
}

/// The multiplier of a recipe at each of its budgets.
fn per_budget(scope: &Scope, recipe: &Recipe, standard: &Fitted) -> Vec<Finding> {
    let of = |(point, &target): (&Point, &Target)| {
        let base = best_standard(scope, point.x)?;
        let what = format!("data efficiency, {}, D = {}", recipe.name, amount(point.x));
        Some(multiplier(scope, what, target, base.target(), standard))
    };
    recipe.points.iter().zip(&recipe.targets).filter_map(of).collect()
}

/// P1 (d): the standard recipe and the tuned one's asymptotes over budgets.
pub(super) fn recipes(scope: &Scope) -> Part {
    const NAME: &str = "data-laws";
    if yardstick(scope).len() < 2 {
        let decay = scope.options.standard_weight_decay;
        return Err(lack(NAME, format!("weight decay {decay} at two or more budgets")));
    }
    let (mut panel, mut findings) = recipes_panel(scope, false);
    panel.title = String::new();
    if let Some(d) = scope.budget() {
        findings.extend(largest_single(scope, d));
    }
    let caption = format!(
        "The standard recipe's best loss and the asymptotes of the tuned recipe over unique \
         tokens. Laws are A/D^alpha + E with D in {} of tokens; in brackets the interval of E. {}",
        scope.d_unit.name,
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Recipes over unique tokens", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// The data efficiency of the largest tuned single model.
pub(super) fn largest_single(scope: &Scope, d: f64) -> Option<Finding> {
    let (standard, base) = (standard_law(scope).ok()?, best_standard(scope, d)?);
    let best = scope.regularized(d);
    let best = best.iter().min_by(|a, b| a.loss().total_cmp(&b.loss()))?;
    let name = scope.size_name(best.n);
    let what = format!("data efficiency, best single model ({name}), D = {}", amount(d));
    Some(multiplier(scope, what, best.target(), base.target(), &standard))
}

/// P13: loss over tokens for every size, with laws.
pub(super) fn by_size(scope: &Scope) -> Part {
    const NAME: &str = "tokens-by-size";
    let mut panel = Panel::new("", scope.d_scale(), scope.loss_scale());
    let mut findings = Vec::new();
    for (n, name) in &scope.sizes {
        let settings = of_size(scope, *n);
        let (shown, seeds) = (over_budgets(&settings), over_seeds(&settings));
        if shown.len() < 2 {
            continue;
        }
        let paint = scope.size_paint(*n);
        let what = format!("{name}, D to infinity");
        let mut series = Series::new(name.clone(), paint, Shape::Circle, shown);
        match scope.d_law(format!("{name}: law in D"), &series.points, &seeds) {
            Ok(law) => {
                let label = Label::Legend(format!("{name}: {}", law.text()));
                panel.laws.push(law.layer(paint, label, BEYOND));
                findings.push(law.finding(what));
            }
            Err(why) => {
                findings.push(refused(what, why));
                series.line = Some(Line::Solid);
            }
        }
        panel.series.push(series);
    }
    if panel.series.is_empty() {
        return Err(lack(NAME, "single models of one size at two or more budgets"));
    }
    panel.levels.extend(floor_level(scope));
    let caption = format!(
        "Tuned single models of each size over unique tokens. Laws are A/D^alpha + E with D in {} \
         of tokens; in brackets the interval of E. {}",
        scope.d_unit.name,
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Loss over unique tokens, per size", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// The best setting of a size at every budget.
fn of_size<'s>(scope: &'s Scope, n: f64) -> Vec<&'s Setting<'s>> {
    let best = |&d: &f64| {
        // The best of whatever was tried: the standard recipe's where there is no other.
        let regularized = scope.regularized(d);
        let all = if regularized.is_empty() { scope.best(d, |_| true) } else { regularized };
        all.into_iter().find(|setting| super::scope::same(setting.n, n))
    };
    scope.budgets.iter().filter_map(best).collect()
}

fn over_budgets(settings: &[&Setting]) -> Vec<Point> {
    settings.iter().map(|setting| setting.point(setting.d)).collect()
}

/// P13: the asymptotes of these laws over parameters.
pub(super) fn asymptotes_by_size(scope: &Scope) -> Part {
    const NAME: &str = "tokens-asymptotes";
    let law = |(n, name): &(f64, String)| {
        let settings = of_size(scope, *n);
        let (points, seeds) = (over_budgets(&settings), over_seeds(&settings));
        let law = scope.d_law(format!("{name}: law in D"), &points, &seeds).ok()?;
        law.has_asymptote().then_some((*n, law))
    };
    let laws: Vec<(f64, Fitted)> = scope.sizes.iter().filter_map(law).collect();
    let points = laws.iter().filter_map(|(n, law)| law.asymptote_point(*n)).collect();
    let replication = Replication::of_stages(laws.iter().map(|(_, law)| &law.law));
    let mut panel = Panel::new("", scope.n_scale(), scope.loss_scale());
    panel.y.name = "asymptote in D (nats per token)".to_owned();
    let findings = asymptotes::with_n_law(
        scope,
        &mut panel,
        "asymptotes in D, N to infinity",
        (Series::new("D to infinity", Paint::Purple, Shape::Circle, points), &replication),
    );
    if laws.is_empty() {
        return Err(lack(NAME, "a size with four or more budgets, for a law in D"));
    }
    let caption = format!(
        "Asymptotes of the laws in D over parameters; bars are their intervals (open ends reach \
         the frame). {}",
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Asymptotes in tokens over parameters", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}
