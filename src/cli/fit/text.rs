//! Laws as aligned tables for the terminal. No asymptote stands there without its interval.

use crate::analysis::table::{Answer, Answered, Law, Question};
use crate::draw::table::{Align, Table};
use crate::laws::{Estimate, Fit, HUBER_DELTA, JointFit, Noise, Parameter, SurfaceFit};
use crate::number::{MISSING, digits, signed};
use crate::report::study::{held_out, left_out, shapes, times};

/// Everything that is shown of all groups.
pub(super) fn page(question: &Question, answers: &[Answered]) -> String {
    let mut page = heading(question);
    let tables = match question.law {
        _ if question.robust => vec![parameters(question, answers)],
        Law::Power | Law::Reciprocal => {
            vec![lines(question, answers), doubts(question, answers), reached(answers)]
        }
        Law::Chinchilla | Law::Repeat => vec![surfaces(question, answers), quality(answers)],
        Law::Joint => vec![limits(question, answers), stages(question, answers)],
        Law::Auto => unreachable!("it has a page of its own"),
    };
    let tables = tables.into_iter().chain([furthest(question, answers)]);
    for table in tables.filter(|table| !table.rows().is_empty()) {
        page.push('\n');
        page += &table.to_text();
    }
    page
}

/// The law with the table's own words for its letters, and what the intervals rest on.
fn heading(question: &Question) -> String {
    let column = |letter: &str| {
        let found = question.axes.iter().find(|(known, _)| *known == letter);
        found.map(|(_, name)| name.as_str())
    };
    let (x, n) = (column("x").unwrap_or("x"), column("n"));
    let d = column("d").unwrap_or("D");
    let law = match question.law {
        Law::Power => format!("A / {x}^alpha + E"),
        Law::Reciprocal => format!("A / {x} + E"),
        Law::Chinchilla => format!("E + A / {}^alpha + B / {d}^beta", n.unwrap_or("N")),
        Law::Repeat => {
            let size = n.map_or_else(String::new, |n| format!(" + A / {n}^alpha"));
            let epochs = column("epochs").unwrap_or("epochs");
            format!(
                "E{size} + B / D'^beta, D' = {d} (1 + r_star (1 - exp(-({epochs} - 1) / r_star)))"
            )
        }
        Law::Joint => {
            let (n, k) = (n.unwrap_or("N"), column("k").unwrap_or("K"));
            format!("joint limit of {k} and {n}, each by A / x^alpha + E")
        }
        Law::Auto => unreachable!("it has a page of its own"),
    };
    let noise = match question.options.noise {
        Noise::Known { deviation } => format!("noise of a loss {} as given", digits(deviation)),
        _ => "noise from the scatter around the law".to_owned(),
    };
    let level = 100.0 * question.options.level;
    if question.robust {
        let noise = match question.options.noise {
            Noise::Known { .. } => noise,
            _ => "residuals redrawn".to_owned(),
        };
        return format!(
            "{} = {law}\nHuber's loss of ln L, delta {HUBER_DELTA} (Hoffmann et al. 2022, D.2); in \
             brackets {level} % bootstrap\nintervals ({noise}): a profile of this objective is no \
             likelihood\n",
            question.y
        );
    }
    format!(
        "{} = {law}\nleast squares; {noise}; in brackets {level} % profile-likelihood intervals\n",
        question.y
    )
}

pub(super) fn title(answered: &Answered) -> String {
    answered.name.clone().unwrap_or_else(|| "all rows".to_owned())
}

/// The points furthest off, and how many are far off.
fn furthest(question: &Question, answers: &[Answered]) -> Table {
    let deviations = if question.robust { "in robust sd" } else { "in sd" };
    let mut table = Table::new(&[
        (question.group.as_deref().unwrap_or("group"), Align::Left),
        ("largest residual", Align::Right),
        (deviations, Align::Right),
        ("line", Align::Right),
        ("beyond 4 robust sd", Align::Right),
        ("robust sd", Align::Right),
        ("excess kurtosis", Align::Right),
    ]);
    for answered in answers {
        let Some(found) = answered.answer.residuals() else { continue };
        let line = answered.lines.get(found.furthest).copied().unwrap_or_default();
        table.push([
            title(answered),
            signed(found.largest),
            format!("{:.1}", found.deviations),
            line.to_string(),
            format!("{} of {}", found.far, answered.points),
            digits(found.robust_deviation),
            format!("{:+.1}", found.excess_kurtosis),
        ]);
    }
    table
}

/// The fits of one axis among the answers.
fn fits(answers: &[Answered]) -> impl Iterator<Item = (&Answered, &Fit)> {
    answers.iter().filter_map(|answered| match &answered.answer {
        Answer::Line(fit, _) => Some((answered, &**fit)),
        _ => None,
    })
}

fn lines(question: &Question, answers: &[Answered]) -> Table {
    let e = format!("E ({})", question.y);
    let mut table = Table::new(&[
        (question.group.as_deref().unwrap_or("group"), Align::Left),
        ("points", Align::Right),
        (&e, Align::Right),
        ("alpha", Align::Right),
        ("A", Align::Right),
        ("R2", Align::Right),
    ]);
    for answered in answers {
        let (name, points) = (title(answered), answered.points.to_string());
        let [e, alpha, a, r2] = match &answered.answer {
            Answer::Line(fit, _) => [
                fit.asymptote.claim().to_string(),
                fit.exponent.claim().to_string(),
                fit.coefficient.claim().to_string(),
                format!("{:.5}", fit.r_squared),
            ],
            _ => ["no law", MISSING, MISSING, MISSING].map(str::to_owned),
        };
        table.push([name, points, e, alpha, a, r2]);
    }
    table
}

fn doubts(question: &Question, answers: &[Answered]) -> Table {
    let mut table = Table::new(&[
        (question.group.as_deref().unwrap_or("group"), Align::Left),
        ("E by bootstrap", Align::Right),
        ("E without one point (! not covered)", Align::Right),
        ("largest x: predicted - measured", Align::Right),
        ("noise of a loss", Align::Right),
        ("best shapes by AICc", Align::Left),
    ]);
    for (answered, fit) in fits(answers) {
        table.push([
            title(answered),
            fit.asymptote.bootstrap.to_string(),
            left_out(&fit.asymptote),
            held_out(fit.held_out),
            digits(fit.scatter.deviation),
            shapes(&fit.candidates),
        ]);
    }
    table
}

fn reached(answers: &[Answered]) -> Table {
    let mut table = Table::new(&[
        ("times more x", Align::Left),
        ("loss", Align::Right),
        ("by the law", Align::Right),
        ("linear in x", Align::Right),
        ("linear in ln x", Align::Right),
    ]);
    for answered in answers {
        let Answer::Line(_, reached) = &answered.answer else { continue };
        for (loss, found) in reached {
            let [law, linear, logarithmic] = found.each_ref().map(times);
            table.push([title(answered), loss.to_string(), law, linear, logarithmic]);
        }
    }
    table
}

/// The fits of several axes among the answers.
fn surface_fits(answers: &[Answered]) -> impl Iterator<Item = (&Answered, &SurfaceFit)> {
    answers.iter().filter_map(|answered| match &answered.answer {
        Answer::Surface(fit) => Some((answered, &**fit)),
        _ => None,
    })
}

fn surfaces(question: &Question, answers: &[Answered]) -> Table {
    let mut table = Table::new(&[
        (question.group.as_deref().unwrap_or("group"), Align::Left),
        ("parameter", Align::Left),
        ("value", Align::Right),
        ("by bootstrap", Align::Right),
        ("without one point (! not covered)", Align::Right),
    ]);
    for answered in answers {
        let Answer::Surface(fit) = &answered.answer else {
            table.push([title(answered).as_str(), "no law", MISSING, MISSING, MISSING]);
            continue;
        };
        for (parameter, estimate) in &fit.estimates {
            table.push([
                title(answered),
                parameter.to_string(),
                estimate.claim().to_string(),
                estimate.bootstrap.to_string(),
                left_out(estimate),
            ]);
        }
    }
    table
}

fn quality(answers: &[Answered]) -> Table {
    let mut table = Table::new(&[
        ("group", Align::Left),
        ("points", Align::Right),
        ("R2", Align::Right),
        ("mean |error| / loss", Align::Right),
        ("noise of a loss", Align::Right),
        ("largest compute: predicted - measured", Align::Right),
    ]);
    for (answered, fit) in surface_fits(answers) {
        table.push([
            title(answered),
            fit.points.to_string(),
            format!("{:.5}", fit.r_squared),
            format!("{:.3} %", 100.0 * fit.relative_error),
            digits(fit.scatter.deviation),
            held_out(fit.held_out),
        ]);
    }
    table
}

/// The joint fits among the answers.
fn joint_fits(answers: &[Answered]) -> impl Iterator<Item = (&Answered, &JointFit)> {
    answers.iter().filter_map(|answered| match &answered.answer {
        Answer::Joint(fit) => Some((answered, &**fit)),
        _ => None,
    })
}

fn limits(question: &Question, answers: &[Answered]) -> Table {
    let e = format!("joint E ({})", question.y);
    let mut table = Table::new(&[
        (question.group.as_deref().unwrap_or("group"), Align::Left),
        ("order", Align::Left),
        (&e, Align::Right),
        ("by bootstrap of both stages", Align::Right),
        ("alpha of the last law", Align::Right),
        ("laws", Align::Right),
    ]);
    for answered in answers {
        let Answer::Joint(fit) = &answered.answer else {
            table.push([title(answered).as_str(), "no law", MISSING, MISSING, MISSING, MISSING]);
            continue;
        };
        for (order, limit) in fit.orders() {
            let [e, bootstrap, alpha, laws] = match limit {
                Ok(limit) => [
                    limit.law.asymptote.claim().to_string(),
                    limit.bootstrap.to_string(),
                    limit.law.exponent.claim().to_string(),
                    limit.stages.len().to_string(),
                ],
                Err(_) => ["no law", MISSING, MISSING, MISSING].map(str::to_owned),
            };
            table.push([title(answered), order.name(), e, bootstrap, alpha, laws]);
        }
    }
    table
}

fn stages(question: &Question, answers: &[Answered]) -> Table {
    let mut table = Table::new(&[
        (question.group.as_deref().unwrap_or("group"), Align::Left),
        ("law of", Align::Left),
        ("points", Align::Right),
        ("E", Align::Right),
        ("alpha", Align::Right),
    ]);
    for (answered, fit) in joint_fits(answers) {
        for (order, limit) in fit.orders() {
            let [first, second] = order.axes();
            let found = limit.iter().flat_map(|limit| &limit.stages);
            for (at, fit) in found {
                table.push([
                    title(answered),
                    format!("{first} at {second} = {at}"),
                    fit.points.to_string(),
                    fit.asymptote.claim().to_string(),
                    fit.exponent.claim().to_string(),
                ]);
            }
        }
    }
    table
}

/// A parameter of an answer by least squares.
fn by_squares(answer: &Answer, parameter: Parameter) -> Option<&Estimate> {
    match (answer, parameter) {
        (Answer::Surface(fit), _) => fit.get(parameter),
        (Answer::Line(fit, _), Parameter::E) => Some(&fit.asymptote),
        (Answer::Line(fit, _), Parameter::A) => Some(&fit.coefficient),
        (Answer::Line(fit, _), Parameter::Alpha) => Some(&fit.exponent),
        _ => None,
    }
}

/// Every parameter by both, and how far they lie apart.
fn parameters(question: &Question, answers: &[Answered]) -> Table {
    let mut table = Table::new(&[
        (question.group.as_deref().unwrap_or("group"), Align::Left),
        ("parameter", Align::Left),
        ("huber-log (bootstrap)", Align::Right),
        ("least squares (profile)", Align::Right),
        ("huber-log - least squares", Align::Right),
    ]);
    for answered in answers {
        let title = title(answered);
        let Answer::Robust(fit, squares) = &answered.answer else {
            table.push([title.as_str(), "no law", MISSING, MISSING, MISSING]);
            continue;
        };
        for (parameter, claim) in &fit.estimates {
            let other = by_squares(squares, *parameter).map(Estimate::claim);
            let difference = other.map(|other| claim.value - other.value);
            let plain = |value: f64| match value.abs() {
                size if size < 100.0 => signed(value),
                _ => digits(value),
            };
            table.push([
                title.clone(),
                parameter.to_string(),
                claim.to_string(),
                other.map_or_else(|| MISSING.to_owned(), |other| other.to_string()),
                difference.map_or_else(|| MISSING.to_owned(), plain),
            ]);
        }
    }
    table
}
