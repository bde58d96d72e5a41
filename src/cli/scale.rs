//! `scarce scale`: a grid of models and budgets, its laws and what they say.

use clap::Args;

use super::print;
use super::study::{Study, StudyArgs, tell};
use crate::lab::Lab;
use crate::report::study::{
    LawRow, MultiplierRow, cells_table, doubts_table, laws_table, multipliers_table, warnings_table,
};
use crate::study::scale::{self, Answer, Options, Outcome, Question};
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
        print::json(&outcome);
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
    let laws: Vec<LawRow> = outcome.laws.all().into_iter().map(LawRow::from).collect();
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
