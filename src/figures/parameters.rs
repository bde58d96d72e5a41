//! P1 over parameters: the tuned recipe per budget with its law, all laws together, the standard
//! recipe, and what one setting carried over all sizes does (mission L8).

use super::laws::BEYOND;
use super::scope::{drawn, lack, refused};
use super::{Finding, Part};
use crate::analysis::{Certificate, Fitted, Scope, Setting, over_sizes, same};
use crate::draw::chart::{
    Block, Datum, Grid, Label, Level, Line, Panel, Point, Series, Shape, Sheet, Sizes,
};
use crate::draw::palette::Paint;
use crate::draw::table::{Align, Table};
use crate::number::{amount, digits};

/// Settings over parameters.
fn points(settings: &[&Setting]) -> Vec<Point> {
    drawn(&over_sizes(settings))
}

/// The law of a budget's tuned points, or why there is none, as a finding.
fn tuned_law(scope: &Scope, d: f64) -> (Option<Fitted>, Finding) {
    let what = format!("regularized, N to infinity, D = {}", amount(d));
    match scope.tuned_law(d) {
        Ok(law) => {
            let finding = law.finding(what);
            (Some(law), finding)
        }
        Err(why) => (None, refused(what, why)),
    }
}

/// Columns of the table of optima.
const OPTIMA: [(&str, Align); 8] = [
    ("tokens D", Align::Left),
    ("size", Align::Left),
    ("epochs", Align::Right),
    ("lr", Align::Right),
    ("wd", Align::Right),
    ("loss", Align::Right),
    ("seeds", Align::Right),
    ("certificate", Align::Left),
];

/// (a) A panel per budget: the best run of each size, its law, a ring where no certificate is.
pub(super) fn by_budget(scope: &Scope) -> Part {
    const NAME: &str = "parameters-by-budget";
    let budgets: Vec<f64> =
        scope.budgets.iter().copied().filter(|&d| !scope.regularized(d).is_empty()).collect();
    if budgets.is_empty() {
        return Err(lack(NAME, "single models of known size, budget, epochs, lr and weight decay"));
    }
    let mut panels = Vec::new();
    let mut findings = Vec::new();
    let mut table = Table::new(&OPTIMA);
    let mut data = Vec::new();
    for &d in &budgets {
        let best = scope.regularized(d);
        let mut shown = points(&best);
        for (point, setting) in shown.iter_mut().zip(&best) {
            let verdict = scope.certificate(setting);
            point.ring = !verdict.holds();
            let name = scope.size_name(setting.n);
            let loss = setting.loss();
            table.push([
                amount(d),
                name.clone(),
                setting.epochs.to_string(),
                setting.lr.to_string(),
                setting.weight_decay.to_string(),
                format!("{loss:.4}"),
                setting.runs.len().to_string(),
                brief(verdict),
            ]);
            let what = format!("best {name} at D = {}", amount(d));
            let text = format!("{loss:.4} with {}; {}", setting.text(), verdict.text());
            findings.push(Finding::text(what, text));
            data.extend(setting_data(setting, &format!("{name} at D = {}", amount(d))));
        }
        let title = format!("D = {} tokens", amount(d));
        let mut panel = Panel::new(title, scope.n_scale(), scope.loss_scale());
        panel.height = if budgets.len() > 1 { Sizes::HALF } else { Sizes::WIDE };
        let (law, finding) = tuned_law(scope, d);
        findings.push(finding);
        let shape = scope.budget_shape(d);
        let name = format!("D = {}", amount(d));
        let mut series = Series::new(name.clone(), Paint::Purple, shape, shown);
        series.label = Label::None;
        panel.series.push(series);
        if let Some(law) = law {
            let label = Label::Legend(format!("{name}: {}", law.text()));
            panel.laws.push(law.layer(Paint::Purple, label, BEYOND));
            let level = law.level(Paint::Muted, "E", false);
            panel.levels.extend(level.map(|level| Level { label: Label::None, ..level }));
        }
        panels.push(panel);
    }
    let caption = format!(
        "Tuned single models over parameters, a panel per budget. Dashed: least-squares law with \
         its band; dotted: its asymptote. A ring marks an optimum without a certificate (a \
         neighbor on the grid of epochs, lr and weight decay is missing or better). {}",
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Tuned single models over parameters", caption);
    sheet.blocks.push(Block::Panels(panels));
    sheet.blocks.push(Block::Table(String::new(), Grid { table, data }));
    Ok((sheet, findings))
}

fn brief(verdict: Certificate) -> String {
    match verdict {
        verdict if verdict.holds() && verdict.edges > 0 => "holds, edge".to_owned(),
        verdict if verdict.holds() => "holds".to_owned(),
        verdict if verdict.off_grid > 0 => "off grid".to_owned(),
        verdict if verdict.better > 0 => format!("{} better", verdict.better),
        verdict => format!("{} missing", verdict.missing),
    }
}

/// Epochs, learning rate and weight decay of a setting, for the table of data.
fn setting_data(setting: &Setting, name: &str) -> Vec<Datum> {
    let numbers =
        [("epochs", setting.epochs), ("lr", setting.lr), ("weight decay", setting.weight_decay)];
    let datum = |(what, value): (&str, f64)| Datum {
        series: name.to_owned(),
        kind: "text",
        x_name: "parameters N".to_owned(),
        x: Some(setting.n),
        y_name: what.to_owned(),
        y: Some(value),
        records: setting.records(),
        ..Datum::default()
    };
    numbers.into_iter().map(datum).collect()
}

/// (b) The laws of all budgets on one axis.
pub(super) fn all_budgets(scope: &Scope) -> Part {
    const NAME: &str = "parameters-all-budgets";
    let mut panel = Panel::new("", scope.n_scale(), scope.loss_scale());
    let mut findings = Vec::new();
    let several = |d: &f64| scope.regularized(*d).len() > 1;
    for (index, d) in scope.budgets.iter().copied().filter(several).enumerate() {
        let shown = points(&scope.regularized(d));
        let paint = [Paint::Blue, Paint::Gold, Paint::Green, Paint::Purple, Paint::Vermillion];
        let paint = paint[index % paint.len()];
        let (law, finding) = tuned_law(scope, d);
        let name = format!("D = {}", amount(d));
        let mut series = Series::new(name.clone(), paint, scope.budget_shape(d), shown);
        if let Some(law) = &law {
            panel.laws.push(law.layer(
                paint,
                Label::Legend(format!("{name}: {}", law.text())),
                BEYOND,
            ));
        } else {
            series.line = Some(Line::Solid);
        }
        findings.push(finding);
        panel.series.push(series);
    }
    if panel.series.is_empty() {
        return Err(lack(NAME, "single models of at least two sizes at one budget"));
    }
    let caption = format!(
        "Tuned single models over parameters at every budget. Laws are A/N^alpha + E with N in {} \
         of parameters; in brackets the interval of E. {}",
        scope.n_unit.name,
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Tuned single models at every budget", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// (c) The standard recipe over parameters per budget: where larger models are worse.
pub(super) fn standard(scope: &Scope) -> Part {
    const NAME: &str = "standard-by-budget";
    let mut panel = Panel::new("", scope.n_scale(), scope.loss_scale());
    let mut findings = Vec::new();
    for &d in &scope.budgets {
        let best = scope.standard(d);
        if best.len() < 2 {
            continue;
        }
        let name = format!("D = {}", amount(d));
        let shown = points(&best);
        findings.push(monotone(format!("standard, {name}"), &shown));
        let mut series = Series::new(name, Paint::Vermillion, scope.budget_shape(d), shown);
        series.line = Some(Line::Solid);
        panel.series.push(series);
    }
    if panel.series.is_empty() {
        let decay = scope.options.standard_weight_decay;
        return Err(lack(NAME, format!("weight decay {decay} at two or more sizes of one budget")));
    }
    let caption = format!(
        "The standard recipe (weight decay {}) with epochs and lr tuned per size. {}",
        scope.options.standard_weight_decay,
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "The standard recipe over parameters", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// Whether losses fall all the way, and where they rise most, beside the error of that rise.
pub(super) fn monotone(what: String, points: &[Point]) -> Finding {
    let rise = |pair: &[Point]| pair[1].y - pair[0].y;
    let worst = points.windows(2).max_by(|a, b| rise(a).total_cmp(&rise(b)));
    let Some(pair) = worst else { return Finding::text(what, "one size only") };
    if rise(pair) <= 0.0 {
        return Finding::text(what, "loss falls with every larger size");
    }
    let error = match (pair[0].error(), pair[1].error()) {
        (Some(a), Some(b)) => {
            format!(" (standard error of the difference at most {})", digits(a.hypot(b)))
        }
        _ => " (no error known)".to_owned(),
    };
    let text = format!(
        "loss rises by {} from N = {} to {}{error}",
        digits(rise(pair)),
        amount(pair[0].x),
        amount(pair[1].x)
    );
    Finding::text(what, text)
}

/// (f) One weight decay, or one number of epochs, carried over all sizes (mission L8).
pub(super) fn transfer(scope: &Scope) -> Part {
    const NAME: &str = "transfer";
    let needs = || lack(NAME, "tuned single models of two or more sizes at one budget");
    let d = scope.budget().ok_or_else(needs)?;
    let tuned = scope.regularized(d);
    let [smallest, _, ..] = &tuned[..] else { return Err(needs()) };
    let (decay, epochs) = (smallest.weight_decay, smallest.epochs);
    let smallest_name = scope.size_name(smallest.n);
    let mut panel = Panel::new("", scope.n_scale(), scope.loss_scale());
    let recipes: [(String, Paint, Shape, Vec<&Setting>); 3] = [
        ("all tuned per size".to_owned(), Paint::Purple, Shape::Circle, tuned.clone()),
        (
            format!("weight decay {decay} everywhere"),
            Paint::Gold,
            Shape::Square,
            scope.best(d, |s| same(s.weight_decay, decay)),
        ),
        (
            format!("{epochs} epochs everywhere"),
            Paint::Sky,
            Shape::Triangle,
            scope.best(d, |s| same(s.epochs, epochs)),
        ),
    ];
    let mut findings = Vec::new();
    for (name, paint, shape, best) in recipes {
        let shown = points(&best);
        findings.push(monotone(format!("{name}, D = {}", amount(d)), &shown));
        let mut series = Series::new(name, paint, shape, shown);
        series.line = Some(Line::Solid);
        panel.series.push(series);
    }
    let caption = format!(
        "Settings of the smallest size ({smallest_name}) carried to the others, at D = {} tokens; \
         what is not carried is the best that was measured. {}",
        amount(d),
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Do the smallest size's settings transfer?", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// The floor of a built-in corpus as a line.
pub(super) fn floor_level(scope: &Scope) -> Option<Level> {
    let (floor, records) = scope.floor()?;
    Some(Level {
        name: "floor".to_owned(),
        label: Label::Direct(format!("exact floor {floor:.3}")),
        y: floor,
        low: None,
        high: None,
        band: false,
        paint: Paint::Ink,
        line: Line::Dotted,
        records,
    })
}
