//! Runs that share an id: copies of a name, the parts of a resumed run, one run in two files.

use std::collections::BTreeMap;

use crate::store::{ForeignHistory, ForeignRun, ForeignSource};

/// What becomes of a run whose id another run with another content has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuplicate {
    /// It is an error.
    Refuse,
    /// The first one stays.
    First,
    /// The last one stays.
    Last,
    /// All stay: the second `a` becomes `a#2`.
    Number,
    /// They are parts of one run, such as before and after it was resumed.
    Join,
}

/// A run on its way into the store.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The run.
    pub run: ForeignRun,
    /// Its course.
    pub history: ForeignHistory,
    /// Its file; the last one's, where it was joined.
    pub source: ForeignSource,
    /// Which of the files of an import that is.
    pub file: usize,
}

/// Leaves one of each id: the last one, or all of them joined. The order of first ones stays.
#[must_use]
pub fn settle(gathered: Vec<Gathered>, rule: OnDuplicate) -> Vec<Gathered> {
    let mut place: BTreeMap<String, usize> = BTreeMap::new();
    let mut settled: Vec<Gathered> = Vec::new();
    for next in gathered {
        let Some(&index) = place.get(&next.run.id) else {
            place.insert(next.run.id.clone(), settled.len());
            settled.push(next);
            continue;
        };
        let before = &mut settled[index];
        *before = match rule {
            OnDuplicate::Join => Gathered {
                run: join(&before.run, &next.run, &before.history, &next.history),
                history: join_courses(&before.history, &next.history),
                ..next
            },
            _ => next,
        };
    }
    settled
}

/// One run of two parts. Settings are those of the first, losses those of the larger step.
fn join(
    first: &ForeignRun,
    second: &ForeignRun,
    first_course: &ForeignHistory,
    second_course: &ForeignHistory,
) -> ForeignRun {
    // Without steps, the order in the file is the order in time.
    let backwards = second_course.step.last() < first_course.step.last();
    let (earlier, later) = if backwards { (second, first) } else { (first, second) };
    let mut run = later.clone();
    run.name = first.name.clone().or_else(|| second.name.clone());
    run.project = first.project.clone().or_else(|| second.project.clone());
    run.state = later.state.clone().or_else(|| earlier.state.clone());
    run.tags.extend(earlier.tags.iter().filter(|tag| !later.tags.contains(tag)).cloned());
    run.settings = settings(first, second);
    run.headline = later.headline.clone().or_else(|| earlier.headline.clone());
    for (set, loss) in &earlier.losses {
        // A later part that followed this set and has no loss of it has diverged.
        if later.headline.as_ref() != Some(set) {
            run.losses.entry(set.clone()).or_insert(*loss);
        }
    }
    for (name, value) in &earlier.other {
        run.other.entry(name.clone()).or_insert_with(|| value.clone());
    }
    run
}

/// The settings of the first part; what it does not say, the second one may.
fn settings(first: &ForeignRun, second: &ForeignRun) -> crate::store::ForeignSettings {
    let (a, b) = (&first.settings, &second.settings);
    let text = |a: &Option<String>, b: &Option<String>| a.clone().or_else(|| b.clone());
    let families = if a.seed_families.is_empty() { &b.seed_families } else { &a.seed_families };
    crate::store::ForeignSettings {
        model: text(&a.model, &b.model),
        parameters: a.parameters.or(b.parameters),
        // A part that was cut has seen fewer tokens than the whole.
        budget_tokens: larger(a.budget_tokens, b.budget_tokens),
        epochs: larger(a.epochs, b.epochs),
        data: text(&a.data, &b.data),
        teacher: text(&a.teacher, &b.teacher),
        teacher_weight: a.teacher_weight.or(b.teacher_weight),
        schedule: text(&a.schedule, &b.schedule),
        lr: a.lr.or(b.lr),
        weight_decay: a.weight_decay.or(b.weight_decay),
        batch: a.batch.or(b.batch),
        sequence_tokens: a.sequence_tokens.or(b.sequence_tokens),
        steps: larger(a.steps, b.steps),
        flops: larger(a.flops, b.flops),
        train_seed: a.train_seed.or(b.train_seed),
        data_seed: a.data_seed.or(b.data_seed),
        members: a.members.or(b.members),
        member: text(&a.member, &b.member),
        seed_families: families.clone(),
    }
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (one, other) => one.or(other),
    }
}

/// The steps of both parts; at a step that both have, the second one's losses.
fn join_courses(first: &ForeignHistory, second: &ForeignHistory) -> ForeignHistory {
    let mut steps: BTreeMap<u64, (Option<f64>, Option<f64>)> = BTreeMap::new();
    for part in [first, second] {
        let losses = part.train_loss_nats.iter().zip(&part.eval_loss_nats);
        for (step, (train, eval)) in part.step.iter().zip(losses) {
            let known = steps.entry(*step).or_default();
            *known = (train.or(known.0), eval.or(known.1));
        }
    }
    ForeignHistory {
        step: steps.keys().copied().collect(),
        train_loss_nats: steps.values().map(|losses| losses.0).collect(),
        eval_loss_nats: steps.values().map(|losses| losses.1).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(steps: &[u64], losses: &[(&str, f64)], lr: Option<f64>) -> Gathered {
        let mut run = ForeignRun { id: "a".to_owned(), ..ForeignRun::default() };
        run.losses = losses.iter().map(|(set, loss)| ((*set).to_owned(), *loss)).collect();
        run.headline = Some("eval".to_owned());
        run.settings.lr = lr;
        let history = ForeignHistory {
            step: steps.to_vec(),
            train_loss_nats: vec![None; steps.len()],
            eval_loss_nats: steps.iter().map(|step| Some(*step as f64)).collect(),
        };
        let source =
            ForeignSource { file: "f".to_owned(), format: "csv".to_owned(), blake3: String::new() };
        Gathered { run, history, source, file: 0 }
    }

    #[test]
    fn parts_of_a_run_become_one() {
        let (early, late) = (
            part(&[0, 10, 20], &[("eval", 4.0), ("train", 3.0)], Some(0.1)),
            part(&[15, 20, 30], &[("eval", 3.5)], None),
        );
        let expected = |joined: &[Gathered]| {
            let [only] = joined else { panic!("{joined:?}") };
            assert_eq!(only.history.step, [0, 10, 15, 20, 30]);
            assert_eq!((only.run.loss_nats(), only.run.settings.lr), (Some(3.5), Some(0.1)));
            assert_eq!(only.run.losses["train"].to_bits(), 3.0_f64.to_bits());
        };
        expected(&settle(vec![early.clone(), late.clone()], OnDuplicate::Join));
        expected(&settle(vec![late.clone(), early.clone()], OnDuplicate::Join));
        // A later part that diverged is not saved by an earlier one.
        let diverged = part(&[30, 40], &[], None);
        let joined = settle(vec![early.clone(), diverged], OnDuplicate::Join);
        assert_eq!(joined[0].run.loss_nats(), None);
        let last = settle(vec![early, late], OnDuplicate::Last);
        assert_eq!((last.len(), last[0].run.loss_nats()), (1, Some(3.5)));
    }
}
