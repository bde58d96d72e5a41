//! `scarce scale`: a grid of models and budgets, its laws and what they say.

use clap::Args;
use serde_json::{Value, json};

use super::print;
use super::study::{Study, StudyArgs, messages_json, tell};
use super::tune::trial_json;
use crate::lab::Lab;
use crate::laws::{Fit, Interval, Multiplier};
use crate::report::study::{
    LawRow, MultiplierRow, all_laws, cells_table, doubts_table, laws_table, multipliers_table,
    warnings_table,
};
use crate::spec::JobKind;
use crate::store::Loss;
use crate::study::scale::{
    self, Answer, CellResult, DataEfficiency, LawOf, Options, Outcome, Question, Single,
};
use crate::study::{Plan, StudyFile};
use crate::{Error, Result};

/// Arguments of `scarce scale`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every cell of the grid is tuned with a certificate on `val`; what was chosen is measured on `test`
(every read is logged), and all laws come from there. Records that the store knows cost nothing,
and an interrupted study goes on. `scarce report STUDY.toml` makes a page of it.")]
pub(super) struct ScaleArgs {
    #[command(flatten)]
    common: StudyArgs,
}

pub(super) fn run(arguments: &ScaleArgs) -> Result<()> {
    let study = arguments.common.open()?;
    let options = options(&study)?;
    scale::check_sets(&arguments.common.set)?;
    let request = arguments.common.request(study.file.as_ref());
    let facts = study.facts;
    let memory =
        arguments.common.ask(&study, scale::possible_runs((&request, &facts), options)?)?;
    let plan = |lab: &mut dyn Lab| scale::run(lab, (&request, &facts), options);
    if arguments.common.dry_run {
        return arguments.common.preview(&study, memory, plan);
    }
    let outcome = arguments.common.run(&study, "scaling", memory, plan)?;
    tell(&outcome.messages);
    if arguments.common.json {
        print::json(&as_json(&outcome)?);
    } else {
        print::data(&text(&outcome));
    }
    Ok(())
}

fn options(study: &Study) -> Result<&Options> {
    match &study.file {
        Some(StudyFile { plan: Plan::Scale(options), .. }) => Ok(options),
        Some(file) => Err(file.is_not("scale")),
        None => Err(Error::usage("a study file is needed: scarce scale STUDY.toml")
            .hint("specs/pocket/paper.toml is one to start from")),
    }
}

/// The result for people.
fn text(outcome: &Outcome) -> String {
    let mut text = cells_table(outcome).to_text();
    text += "\nlosses on test in nats/token, means over seeds ± one standard error over blocks of \
             text\n\n";
    let laws: Vec<LawRow> = all_laws(outcome).into_iter().map(LawRow::from).collect();
    for table in [laws_table(&laws), doubts_table(&laws), warnings_table(&laws)] {
        text += &format!("{}\n", table.to_text());
    }
    text += "in brackets 90 % profile intervals; `!`: E moves beyond its own without one point\n\n";
    if !outcome.laws.efficiency.is_empty() {
        let rows: Vec<MultiplierRow> =
            outcome.laws.efficiency.iter().map(MultiplierRow::from).collect();
        text += &multipliers_table(&rows).to_text();
        text += "\ntimes the budget that the standard recipe would need for the same loss\n\n";
    }
    for finding in &outcome.findings {
        if finding.question == Question::DataEfficiency {
            continue;
        }
        let answer = match finding.answer {
            Answer::Shown => "yes",
            Answer::NotShown => "does not show at this scale",
        };
        let at = finding.budget_tokens.map_or_else(String::new, |d| format!(" [{d} tokens]"));
        text += &format!("{}{at}\n  {answer}: {}\n", finding.question, finding.evidence);
    }
    text
}

pub(crate) fn as_json(outcome: &Outcome) -> Result<Value> {
    let laws = &outcome.laws;
    Ok(json!({
        "cells": outcome.cells.iter().map(cell_json).collect::<Vec<_>>(),
        "laws": all_laws(outcome).into_iter().map(law_json).collect::<Vec<_>>(),
        "data_efficiency": laws.efficiency.iter().map(efficiency_json).collect::<Vec<_>>(),
        "transfers": outcome.transfers.iter().map(|transfer| json!({
            "model": transfer.model, "carried": transfer.carried, "setting": transfer.setting,
            "run": transfer.run, "nats": transfer.difference.mean,
            "interval_nats": transfer.difference.interval.map(|i| [i.low, i.high]),
        })).collect::<Vec<_>>(),
        "findings": outcome.findings.iter().map(|finding| json!({
            "question": finding.question.to_string(), "budget_tokens": finding.budget_tokens,
            "shown": finding.answer == Answer::Shown, "evidence": finding.evidence,
        })).collect::<Vec<_>>(),
        "runs": outcome.records.iter().filter(|record| record.kind == JobKind::Train).count(),
        "messages": messages_json(&outcome.messages)?,
    }))
}

fn cell_json(cell: &CellResult) -> Value {
    let single = |single: &Single| {
        json!({
            "loss": loss_json(&single.loss), "of_seeds_nats": single.of_seeds,
            "runs": single.runs, "evaluation": single.evaluation,
            "best": trial_json(&single.certificate.center),
        })
    };
    let ensembles: Vec<Value> = cell
        .ensembles
        .iter()
        .map(|ensemble| {
            json!({
                "setting": ensemble.setting, "chosen": ensemble.chosen,
                "members": ensemble.members, "evaluation": ensemble.test.evaluation.id,
                "losses": ensemble.test.losses.iter().map(loss_json).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "model": cell.model, "parameters": cell.parameters, "budget_tokens": cell.budget_tokens,
        "standard": cell.standard.as_ref().map(single),
        "regularized": cell.regularized.as_ref().map(single),
        "ensembles": ensembles,
    })
}

fn loss_json(loss: &Loss) -> Value {
    json!({
        "nats": loss.nats, "standard_error_nats": loss.standard_error_nats,
        "above_floor_nats": loss.above_floor.as_ref().map(|above| above.nats),
    })
}

fn law_json(law: &LawOf) -> Value {
    let points: Vec<Value> =
        law.points.iter().map(|(x, y, record)| json!([x, y, record])).collect();
    let fit = law.fit().map(fit_json).map_err(|refusal| refusal.to_string());
    let (fit, refused) = match fit {
        Ok(fit) => (fit, Value::Null),
        Err(refusal) => (Value::Null, Value::from(refusal)),
    };
    json!({
        "name": law.name, "axis": law.axis, "points": points, "fit": fit, "refused": refused,
        "E_interval": law.asymptote().map(|end| ends(end.claim.interval)),
        "E_over": law.asymptote().map(|end| end.doubt.to_string()),
    })
}

fn fit_json(fit: &Fit) -> Value {
    json!({
        "A": fit.law.a, "alpha": fit.law.alpha, "E": fit.law.e, "r2": fit.r_squared,
        "intervals": {
            "A": ends(fit.coefficient.profile), "alpha": ends(fit.exponent.profile),
            "E": ends(fit.asymptote.profile), "level": fit.asymptote.profile.level,
        },
        "leave_one_out": fit.asymptote.leave_one_out,
        "warnings": fit.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn ends(interval: Interval) -> [Option<f64>; 2] {
    [interval.low.value(), interval.high.value()]
}

fn efficiency_json(row: &DataEfficiency) -> Value {
    let multiplier = |multiplier: &Multiplier| {
        json!({
            "interpolation": multiplier.interpolation.name(), "value": multiplier.value.ok(),
            "interval": multiplier.profile.or(multiplier.bootstrap).map(ends),
        })
    };
    let all = row.multipliers.as_ref().map(|all| all.iter().map(multiplier).collect::<Vec<_>>());
    json!({
        "budget_tokens": row.budget_tokens, "what": row.what, "loss_nats": row.target.loss,
        "loss_error_nats": row.target.error.map(|error| error.nats),
        "multipliers": all.ok(),
    })
}
