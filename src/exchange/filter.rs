//! Which runs of a file are taken: the filters of the reference, or none.

use super::name::{RunName, budget_of_label, flops, newest_member, token_label};
use crate::store::ForeignRun;

/// Sequences of a batch and tokens of a sequence behind the budgets of ensemble evaluations.
const REFERENCE_BATCH: (f64, f64) = (64.0, 4096.0);

/// Whose rules apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Every run is taken, and no name is read.
    #[default]
    All,
    /// The reference's rules for its training and ensemble runs; settings come from names.
    Reference,
    /// Its rules for the Chinchilla sweep; the work comes from names.
    Chinchilla,
}

/// What is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Whose rules apply.
    pub filter: Filter,
    /// Only runs with this tag.
    pub tag: Option<String>,
}

/// What a filter says of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken; with something to warn of.
    Taken(Option<String>),
    /// It is left out, for this reason.
    LeftOut(&'static str),
}

impl Choice {
    /// Judges a run and, under the reference's filters, completes its settings from its name.
    ///
    /// A filter can only use what a file says: a list without states or tags was filtered when it
    /// was made.
    pub fn judge(&self, run: &mut ForeignRun) -> Verdict {
        if let Some(tag) = &self.tag
            && !run.tags.contains(tag)
        {
            return Verdict::LeftOut("the tag is missing");
        }
        if self.filter == Filter::All {
            return Verdict::Taken(None);
        }
        if run.tags.iter().any(|tag| tag == "ignore") {
            return Verdict::LeftOut("it is tagged `ignore`");
        }
        if run.state.as_deref().is_some_and(|state| state != "finished") {
            return Verdict::LeftOut("it is not finished");
        }
        match self.filter {
            Filter::Reference => reference(run),
            _ => chinchilla(run),
        }
    }
}

/// The rules in the reference's order: `cda` in the id, sequence length, exactly one `x`, a budget
/// in millions or billions, a loss.
fn reference(run: &mut ForeignRun) -> Verdict {
    if run.id.contains("cda") {
        return Verdict::LeftOut("its id contains `cda`");
    }
    if run.settings.sequence_tokens.is_none() && run.settings.budget_tokens.is_none() {
        return Verdict::LeftOut("its configuration has no sequence length");
    }
    let id = run.id.clone();
    let Some((.., member)) = newest_member(&id) else {
        return Verdict::LeftOut("its name does not follow the convention");
    };
    if member.matches('x').count() != 1 {
        return Verdict::LeftOut("its name does not have exactly one `x`");
    }
    if !member.contains("Mx") && !member.contains("Bx") {
        return Verdict::LeftOut("its name has neither `Mx` nor `Bx`");
    }
    let Some(name) = RunName::parse(&id) else {
        return Verdict::LeftOut("its name does not follow the convention");
    };
    if name.members.is_some() && budget_of_label(&name.tokens).is_none() {
        return Verdict::LeftOut("its budget is not one of the reference's");
    }
    let note = complete(run, &name, member);
    // The set that the name speaks of is the one that counts.
    let set = name.data.clone();
    if run.losses.contains_key(&set) {
        run.headline = Some(set);
    }
    match run.loss_nats() {
        Some(_) => Verdict::Taken(note),
        None => Verdict::LeftOut("it has no loss"),
    }
}

/// Puts what the name says into the settings; names win, as in the reference. Says where name and
/// configuration disagree on the budget.
fn complete(run: &mut ForeignRun, name: &RunName, member: &str) -> Option<String> {
    let settings = &mut run.settings;
    settings.model = Some(name.model.clone());
    settings.epochs = Some(name.epochs);
    settings.data = Some(name.data.clone());
    settings.schedule = Some(name.schedule.clone());
    settings.lr = Some(name.lr);
    settings.weight_decay = Some(name.weight_decay);
    if let Some((teacher, weight)) = &name.teacher {
        settings.teacher = Some(teacher.clone());
        settings.teacher_weight = Some(*weight);
    }
    settings.train_seed = name.train_seed.or(settings.train_seed);
    settings.data_seed = name.data_seed.or(settings.data_seed);
    if name.members.is_some() {
        settings.members = name.members;
        settings.member = Some(member.to_owned());
        settings.seed_families = name.seed_families().iter().map(|&f| f.to_owned()).collect();
        settings.budget_tokens = budget_of_label(&name.tokens);
        // Steps and batch of an evaluation's configuration are not those of the training.
        (settings.batch, settings.sequence_tokens) =
            (Some(REFERENCE_BATCH.0), Some(REFERENCE_BATCH.1));
        settings.steps = None;
        return None;
    }
    settings.batch = settings.batch.or(name.batch);
    if let (Some(steps), Some(batch), Some(tokens)) =
        (settings.steps, settings.batch, settings.sequence_tokens)
    {
        settings.budget_tokens = Some(name.budget_tokens(steps, batch, tokens));
    }
    settings.budget_tokens = settings.budget_tokens.or_else(|| budget_of_label(&name.tokens));
    let budget = settings.budget_tokens.filter(|tokens| (0.0..1e18).contains(tokens))?;
    let label = token_label(budget as u64);
    let same = label == name.tokens || budget_of_label(&name.tokens) == Some(budget);
    (!same).then(|| format!("`{}`: the name says {}, the settings {label}", run.id, name.tokens))
}

/// The Chinchilla sweep: one epoch, and the work in the name.
fn chinchilla(run: &mut ForeignRun) -> Verdict {
    run.settings.flops = flops(&run.id).or(run.settings.flops);
    run.settings.epochs = run.settings.epochs.or(Some(1.0));
    if run.losses.contains_key("dclm") {
        run.headline = Some("dclm".to_owned());
    }
    if run.settings.flops.is_none() {
        return Verdict::LeftOut("its name does not say its work");
    }
    match run.loss_nats() {
        Some(_) => Verdict::Taken(None),
        None => Verdict::LeftOut("it has no loss"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = include_str!("../../tests/golden/exchange/run_names.csv");

    fn run(id: &str, steps: f64) -> ForeignRun {
        let mut run = ForeignRun { id: id.to_owned(), ..ForeignRun::default() };
        run.state = Some("finished".to_owned());
        run.settings.steps = Some(steps);
        run.settings.batch = Some(64.0);
        run.settings.sequence_tokens = Some(4096.0);
        for set in ["dclm", "octo", "paloma/c4"] {
            run.losses.insert(set.to_owned(), 3.5);
        }
        run
    }

    fn judge(run: &mut ForeignRun) -> Verdict {
        Choice { filter: Filter::Reference, tag: None }.judge(run)
    }

    #[test]
    fn the_reference_takes_its_names() {
        for row in NAMES.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>()) {
            let number = |index: usize| row[index].parse::<f64>().unwrap();
            let weight = row[7].parse::<f64>().unwrap_or(0.0);
            let mut run = run(row[0], (number(2) * number(4) / (1.0 - weight)).floor());
            // A second `x` in a teacher's name shuts distilled runs out, in the reference, too.
            let expected = match row[0].matches('x').count() {
                1 => Verdict::Taken(None),
                _ => Verdict::LeftOut("its name does not have exactly one `x`"),
            };
            assert_eq!(judge(&mut run), expected, "{}", row[0]);
            if expected == Verdict::Taken(None) {
                assert_eq!(run.settings.budget_tokens, Some(number(2) * number(3) * 4096.0));
                assert_eq!(run.headline.as_deref(), Some(row[5]));
                assert_eq!(run.settings.weight_decay, Some(number(10)));
            }
        }
    }

    #[test]
    fn each_rule_leaves_out_what_it_is_for() {
        const GOOD: &str = "300m4k-209Mx16-dclm-cos-lr0.0030-wd1.60-bs64";
        let check = |change: &dyn Fn(&mut ForeignRun), reason: &str| {
            let mut run = run(GOOD, 12_800.0);
            change(&mut run);
            let Verdict::LeftOut(found) = judge(&mut run) else { panic!("taken: {reason}") };
            assert!(found.contains(reason), "{found}");
        };
        check(&|run| run.tags = vec!["ignore".to_owned()], "ignore");
        check(&|run| run.state = Some("crashed".to_owned()), "not finished");
        check(&|run| run.id = "300m4kcda-209Mx1-d-cos-lr0.1-wd0".to_owned(), "cda");
        check(&|run| run.settings.sequence_tokens = None, "sequence length");
        check(&|run| run.id = "mixtral-209Mx1-d-cos-lr0.1-wd0".to_owned(), "exactly one");
        check(&|run| run.id = "300m4k-209Kx1-d-cos-lr0.1-wd0".to_owned(), "neither");
        check(&|run| run.id = "300m4k-209Mx1-d-lr0.1-wd0".to_owned(), "convention");
        check(&|run| run.losses.clear(), "no loss");
        check(
            &|run| run.id = format!("ppl-eval-ensemble-2x-{}", GOOD.replace("209", "203")),
            "budget",
        );
        let tagged = Choice { filter: Filter::All, tag: Some("a".to_owned()) };
        assert_eq!(tagged.judge(&mut run(GOOD, 1.0)), Verdict::LeftOut("the tag is missing"));
        // A budget that the name does not mean is said, not silently believed.
        let mut wrong = run(GOOD, 51_200.0);
        let Verdict::Taken(Some(note)) = judge(&mut wrong) else { panic!("{wrong:?}") };
        assert!(note.contains("the name says 209M, the settings 838M"), "{note}");
    }

    #[test]
    fn ensembles_and_the_sweep() {
        let member = "300m4k-419Mx32-dclm-cos-lr0.0030-wd0.80-seed4";
        let mut ensemble = run(&format!("ppl-eval-ensemble-5x-{member}"), 7.0);
        assert_eq!(judge(&mut ensemble), Verdict::Taken(None));
        let settings = &ensemble.settings;
        assert_eq!((settings.members, settings.budget_tokens), (Some(5.0), Some(419_430_400.0)));
        assert_eq!((settings.member.as_deref(), settings.steps), (Some(member), None));
        let mut sweep = run("dclm-3e+18-abc", 1.0);
        let choice = Choice { filter: Filter::Chinchilla, tag: None };
        assert_eq!(choice.judge(&mut sweep), Verdict::Taken(None));
        assert_eq!((sweep.settings.flops, sweep.settings.epochs), (Some(3e18), Some(1.0)));
    }
}
