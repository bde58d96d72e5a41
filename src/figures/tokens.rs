//! Laws in tokens: recipes over budgets with their data efficiency (P1 d), and a law per size and
//! of the sizes' asymptotes (P13).

use super::laws::{self, add_with_law};
use super::parameters::floor_level;
use super::scope::{drawn, lack, refused};
use super::{Finding, Part};
use crate::analysis::{Recipe, RecipeKind, Scope, Worth};
use crate::draw::chart::{Block, Panel, Series, Shape, Sheet};
use crate::draw::palette::Paint;
use crate::laws::{NO_ASYMPTOTE, Target};
use crate::number::amount;

/// How far beyond the largest budget a law is drawn.
const BEYOND: f64 = 2.0;

/// What a loss is worth in data, under three readings.
pub(super) fn multiplier(
    what: impl Into<String>,
    (target, base): (Target, Target),
    worth: &Worth,
) -> Finding {
    match worth {
        Err(why) => refused(what, why),
        Ok([law, linear, logarithmic]) => {
            let text = format!(
                "law {law}, lines in D {linear}, lines in ln D {logarithmic}; loss {:.4} \
                 against {:.4}",
                target.loss, base.loss
            );
            // The law's own warnings stand beside its asymptote.
            Finding { what: what.into(), claim: law.claim().ok(), text, warnings: Vec::new() }
        }
    }
}

/// The recipes over budgets, with laws where they can be; used by P1 and P3.
pub(super) fn recipes_panel(scope: &Scope, kinds: &[RecipeKind]) -> (Panel, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut panel = Panel::new("Recipes over tokens", scope.d_scale(), scope.loss_scale());
    panel.levels.extend(floor_level(scope));
    for &kind in kinds {
        let recipe = scope.recipe(kind);
        let name = kind.name();
        for &d in &recipe.endless {
            findings.push(refused(format!("{name}, D = {}", amount(d)), NO_ASYMPTOTE));
        }
        if recipe.losses.is_empty() {
            findings.push(refused(format!("{name}, law in D"), "no point"));
            continue;
        }
        let (paint, shape) = match kind {
            RecipeKind::Standard => (Paint::Vermillion, Shape::Circle),
            RecipeKind::Regularized => (Paint::Purple, Shape::Square),
            RecipeKind::Joint => (Paint::Gold, Shape::Diamond),
        };
        let points = match kind {
            RecipeKind::Standard => drawn(&recipe.losses),
            _ => {
                let ends = recipe.losses.iter().zip(&recipe.stages);
                ends.filter_map(|(loss, law)| law.asymptote_point(loss.x)).collect()
            }
        };
        let series = Series::new(name, paint, shape, points);
        let what = format!("{name}, D to infinity");
        findings.push(add_with_law(&mut panel, what, (series, &recipe.law), BEYOND));
        if kind != RecipeKind::Standard && scope.standard_law().is_ok() {
            findings.extend(per_budget(scope, &recipe));
        }
    }
    (panel, findings)
}

/// The multiplier of a recipe at each of its budgets.
fn per_budget(scope: &Scope, recipe: &Recipe) -> Vec<Finding> {
    let of = |(d, &target): (f64, &Target)| {
        let base = scope.best_standard(d)?.target();
        let what = format!("data efficiency, {}, D = {}", recipe.kind.name(), amount(d));
        Some(multiplier(what, (target, base), &scope.worth(target, base)))
    };
    recipe.losses.iter().map(|loss| loss.x).zip(&recipe.targets).filter_map(of).collect()
}

/// P1 (d): the standard recipe and the tuned one's asymptotes over budgets.
pub(super) fn recipes(scope: &Scope) -> Part {
    const NAME: &str = "data-laws";
    if scope.yardstick().len() < 2 {
        let decay = scope.options.standard_weight_decay;
        return Err(lack(NAME, format!("weight decay {decay} at two or more budgets")));
    }
    let kinds = [RecipeKind::Standard, RecipeKind::Regularized];
    let (mut panel, mut findings) = recipes_panel(scope, &kinds);
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

/// The data efficiency of the best tuned single model.
pub(super) fn largest_single(scope: &Scope, d: f64) -> Option<Finding> {
    scope.standard_law().ok()?;
    let base = scope.best_standard(d)?.target();
    let best = scope.best_of(scope.regularized(d))?;
    let name = scope.size_name(best.n);
    let what = format!("data efficiency, best single model ({name}), D = {}", amount(d));
    Some(multiplier(what, (best.target(), base), &scope.worth(best.target(), base)))
}

/// P13: loss over tokens for every size, with laws.
pub(super) fn by_size(scope: &Scope) -> Part {
    const NAME: &str = "tokens-by-size";
    let mut panel = Panel::new("", scope.d_scale(), scope.loss_scale());
    let mut findings = Vec::new();
    for (n, name) in &scope.sizes {
        let (losses, law) = scope.token_law(*n);
        if losses.len() < 2 {
            continue;
        }
        let paint = scope.size_paint(*n);
        let series = Series::new(name.clone(), paint, Shape::Circle, drawn(&losses));
        let what = format!("{name}, D to infinity");
        findings.push(add_with_law(&mut panel, what, (series, &law), BEYOND));
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

/// P13: the asymptotes of these laws over parameters.
pub(super) fn asymptotes_by_size(scope: &Scope) -> Part {
    const NAME: &str = "tokens-asymptotes";
    let (laws, law) = scope.token_asymptotes();
    let points = laws.iter().filter_map(|(n, law)| law.asymptote_point(*n)).collect();
    let mut panel = Panel::new("", scope.n_scale(), scope.loss_scale());
    panel.y.name = "asymptote in D (nats per token)".to_owned();
    let series = Series::new("D to infinity", Paint::Purple, Shape::Circle, points);
    let what = "asymptotes in D, N to infinity";
    let findings = vec![add_with_law(&mut panel, what, (series, &law), laws::BEYOND)];
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
