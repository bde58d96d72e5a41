//! P6: students beside the recipes that they are distilled from.

use super::laws::with_tuned_law;
use super::scope::{lack, over_total, point};
use super::{Finding, Part};
use crate::analysis::{Measured, Run, Scope, same};
use crate::draw::chart::{Arrow, Block, Label, Panel, Point, Scale, Series, Shape, Sheet, Upright};
use crate::draw::palette::Paint;
use crate::number::amount;

/// Students at a budget: the best of each teacher, with its name.
pub(super) fn student_points(scope: &Scope, d: f64) -> Vec<(String, Point)> {
    let mut best: Vec<(String, f64, Point)> = Vec::new();
    for run in &scope.runs.runs {
        let (Some(taught), Some(loss), Some(n), Some(budget)) =
            (&run.taught, run.loss, run.parameters, run.budget_tokens)
        else {
            continue;
        };
        if (budget / d - 1.0).abs() > 5e-3 || run.ensemble.is_some() {
            continue;
        }
        let name = format!("student of {}", taught.teacher);
        let point = point(&Measured::mean(n, &[run]));
        match best.iter_mut().find(|(known, size, _)| *known == name && same(*size, n)) {
            Some(known) if known.2.y > loss.nats => *known = (name, n, point),
            Some(_) => {}
            None => best.push((name, n, point)),
        }
    }
    best.into_iter().map(|(name, _, point)| (name, point)).collect()
}

/// The color of student number `index`; all are stars.
pub(super) fn student_paint(index: usize) -> Paint {
    [Paint::Ink, Paint::Gold, Paint::Sky, Paint::Vermillion][index % 4]
}

pub(super) fn students(scope: &Scope) -> Part {
    const NAME: &str = "distillation";
    let needs = || lack(NAME, "runs with a teacher's data mixed in (students)");
    let d = scope.budget().or_else(|| student_budget(&scope.runs.runs)).ok_or_else(needs)?;
    let students = student_points(scope, d);
    let (_, first) = students.first().ok_or_else(needs)?;
    let n = first.x;
    let x = Scale { name: "total parameters K x N".to_owned(), ..scope.n_scale() };
    let mut panel = Panel::new("", x, scope.loss_scale());
    panel.height = 250.0;
    let mut findings = Vec::new();
    if !scope.regularized(d).is_empty() {
        findings.push(with_tuned_law(scope, d, &mut panel));
    }
    let stages = scope.best_in_members(d);
    let stage = stages.iter().find(|stage| same(stage.members.n, n)).or(stages.first());
    let set = match stage {
        Some(stage) => Some(stage.members),
        None => scope.members.iter().find(|set| same(set.d, d) && same(set.n, n)),
    };
    let mut teacher: Option<Point> = None;
    if let Some(set) = set {
        let shown = over_total(set);
        teacher = shown.last().cloned();
        let name = format!("ensembles of {}", scope.size_name(set.n));
        if let Ok(law) = scope.k_law(set) {
            findings.push(law.finding(format!("{name}, K to infinity")));
            let mut curve =
                law.layer(Paint::Blue, Label::Legend(format!("{name}: {}", law.text())), 1.5);
            curve.points.iter_mut().for_each(|swath| swath.x *= set.n);
            panel.laws.push(curve);
        }
        panel.series.push(Series::new(name, Paint::Blue, Shape::Circle, shown));
    }
    for (index, (name, point)) in students.into_iter().enumerate() {
        if let Some(teacher) = &teacher {
            let from = (teacher.x, teacher.y);
            panel.arrows.push(Arrow { from, to: (point.x, point.y), paint: Paint::Muted });
            findings.push(retained(scope, &name, teacher, &point, d));
        }
        let paint = student_paint(index);
        panel.series.push(Series::new(name, paint, Shape::Star, vec![point]));
    }
    panel.uprights.push(Upright { label: format!("N = {}", amount(n)), x: n });
    let caption = format!(
        "Distilled students (stars) at D = {} tokens beside the tuned single models and the \
         ensembles of the students' size. Arrows lead from the largest measured ensemble of that \
         size, which need not be the students' teacher. {}",
        amount(d),
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Students and their teachers", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

fn student_budget(runs: &[Run]) -> Option<f64> {
    runs.iter().find(|run| run.taught.is_some() && run.loss.is_some())?.budget_tokens
}

/// How much of the ensemble's gain over the tuned single model a student keeps.
fn retained(scope: &Scope, name: &str, teacher: &Point, student: &Point, d: f64) -> Finding {
    let single = scope.regularized(d);
    let single = single.iter().find(|setting| same(setting.n, student.x));
    let Some(single) = single.map(|setting| setting.loss()) else {
        return Finding::text(name, format!("{:.4}", student.y));
    };
    let share = (single - student.y) / (single - teacher.y);
    let text = format!(
        "{:.4}: {:.1} % of the way from the tuned single model ({single:.4}) to the ensemble \
         ({:.4}); point values, no interval is known",
        student.y,
        100.0 * share,
        teacher.y
    );
    Finding::text(name, text)
}
