//! The laws of recipes: over sizes, members and budgets, and what losses are worth in data.

use super::law::{Axis, Fitted, NoLaw, ONES, Worth, asymptotes};
use super::measured::Measured;
use super::scope::{Members, Scope, Setting, over_seeds, same};
use crate::laws::{self, Base, Cell, JointFit, Replication, Target, fit_joint, multipliers};
use crate::number::amount;

/// Ensembles of one size at one budget with their law in K.
pub struct InMembers<'s> {
    /// The ensembles.
    pub members: &'s Members,
    /// Their law.
    pub law: Fitted,
}

/// A recipe over budgets.
pub struct Recipe {
    /// Which one.
    pub kind: RecipeKind,
    /// Its losses over D, ascending.
    pub losses: Vec<Measured>,
    /// Of asymptotes: the law of each.
    pub stages: Vec<Fitted>,
    /// The losses with their errors, in the same order.
    pub targets: Vec<Target>,
    /// The budgets whose law does not end: they have no loss here.
    pub endless: Vec<f64>,
    /// The law over D.
    pub law: Result<Fitted, NoLaw>,
}

/// What is compared over budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipeKind {
    /// The standard recipe at its best size: the yardstick of data efficiency.
    Standard,
    /// The asymptotes in N of the tuned recipe.
    Regularized,
    /// The asymptotes in K and then in N of ensembles.
    Joint,
}

/// Larger sizes against the law of the smaller ones.
pub struct Extrapolation {
    /// The sizes that the law is of, ascending.
    pub fitted: Vec<Measured>,
    /// The larger ones, with what the law says of each.
    pub held: Vec<(Measured, Option<laws::Claim>)>,
    /// The law.
    pub law: Result<Fitted, NoLaw>,
}

impl RecipeKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Regularized, Self::Joint];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard, best size",
            Self::Regularized => "regularized, N to infinity",
            Self::Joint => "joint, K and N to infinity",
        }
    }
}

/// The losses of settings over their sizes.
#[must_use]
pub fn over_sizes(settings: &[&Setting]) -> Vec<Measured> {
    settings.iter().map(|setting| setting.measured(setting.n)).collect()
}

/// The losses of settings over their budgets.
#[must_use]
pub fn over_budgets(settings: &[&Setting]) -> Vec<Measured> {
    settings.iter().map(|setting| setting.measured(setting.d)).collect()
}

impl<'r> Scope<'r> {
    /// A law of losses over an axis.
    fn law(
        &self,
        name: impl Into<String>,
        axis: Axis,
        losses: &[Measured],
        replication: &Replication,
    ) -> Result<Fitted, NoLaw> {
        let unit = match axis {
            Axis::Parameters => self.n_unit,
            Axis::Tokens => self.d_unit,
            Axis::Members => ONES,
        };
        Fitted::new(name, (axis, unit), losses, (replication, &self.fitting()))
    }

    /// The law of the tuned recipe over N at a budget.
    ///
    /// # Errors
    /// Why there is none.
    pub fn tuned_law(&self, d: f64) -> Result<Fitted, NoLaw> {
        let fit = || {
            let settings = self.regularized(d);
            let name = format!("regularized at D = {}", amount(d));
            self.law(name, Axis::Parameters, &over_sizes(&settings), &over_seeds(&settings))
        };
        match self.budgets.iter().position(|&budget| same(budget, d)) {
            Some(index) => self.shared.tuned[index].get_or_init(fit).clone(),
            None => fit(),
        }
    }

    /// The laws of the tuned recipe over N, for the budgets that have one.
    #[must_use]
    pub fn tuned_laws(&self) -> Vec<(f64, Fitted)> {
        self.budgets.iter().filter_map(|&d| Some((d, self.tuned_law(d).ok()?))).collect()
    }

    /// The law of the tuned recipe over N from seed number `seed` of every size. A seed is taken
    /// within the tuned setting of its size and never across settings (B14).
    pub fn law_of_seed(&self, d: f64, seed: usize) -> (Vec<Measured>, Result<Fitted, NoLaw>) {
        let loss = |setting: &&Setting| {
            let mut runs = setting.runs.clone();
            runs.sort_by_key(|run| (run.seeds, run.origin.id()));
            // The held-out text is the same for all: its error says nothing of seeds.
            Measured { error: None, ..Measured::mean(setting.n, &runs[seed..=seed]) }
        };
        let losses: Vec<Measured> = self.regularized(d).iter().map(loss).collect();
        let name = format!("seed {}", seed + 1);
        let law = self.law(name, Axis::Parameters, &losses, &Replication::None);
        (losses, law)
    }

    /// The law in K of a set of ensembles.
    ///
    /// # Errors
    /// Why there is none.
    pub fn k_law(&self, set: &Members) -> Result<Fitted, NoLaw> {
        let fit = || {
            let size = self.size_name(set.n);
            let name = format!("{size} members, {}, D = {}", set.text(), amount(set.d));
            self.law(name, Axis::Members, &set.losses, &set.replication)
        };
        set.law.get_or_init(fit).clone()
    }

    /// The law in K of the first `count` ensembles of a set (mission L7).
    ///
    /// # Errors
    /// Why there is none.
    pub fn first_k_law(&self, set: &Members, count: usize) -> Result<Fitted, NoLaw> {
        let all = count == set.losses.len();
        let name = if all { format!("all {count}") } else { format!("first {count}") };
        let known = if all { &set.replication } else { &Replication::None };
        self.law(name, Axis::Members, &set.losses[..count], known)
    }

    /// The law in K of ensembles of which nothing is known but their losses.
    ///
    /// # Errors
    /// Why there is none.
    pub fn k_law_of(&self, name: &str, losses: &[Measured]) -> Result<Fitted, NoLaw> {
        self.law(name, Axis::Members, losses, &Replication::None)
    }

    /// The ensembles of each size at a budget with the lowest asymptote in K (mission R5: chosen by
    /// the asymptote and not by K = 1), or those that the study chose. Every set with a law takes
    /// part: none is skipped for what its asymptote happens to be (B3).
    #[must_use]
    pub fn best_in_members(&self, d: f64) -> Vec<InMembers<'_>> {
        let best = |(n, _): &(f64, String)| {
            let sets = self.members.iter().filter(|set| same(set.n, *n) && same(set.d, d));
            let sets = sets.filter(|set| {
                self.options.chosen.as_ref().is_none_or(|chosen| chosen.members.contains(&set.ids))
            });
            let fitted = sets
                .filter_map(|members| Some(InMembers { members, law: self.k_law(members).ok()? }));
            fitted.min_by(|a, b| a.law.asymptote().total_cmp(&b.law.asymptote()))
        };
        self.sizes.iter().filter_map(best).collect()
    }

    /// The law in N of the asymptotes in K, whose asymptote is the joint one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn joint_law(&self, d: f64) -> Result<Fitted, NoLaw> {
        let stages = self.best_in_members(d);
        let (losses, replication) =
            asymptotes(stages.iter().map(|stage| (stage.members.n, &stage.law)));
        let name = format!("joint at D = {}", amount(d));
        self.law(name, Axis::Parameters, &losses, &replication)
    }

    /// Both limits in both orders (mission R6), where every size has the same K.
    #[must_use]
    pub fn both_orders(&self, d: f64) -> Option<JointFit> {
        let stages = self.best_in_members(d);
        let of = |stage: &InMembers| {
            let n = stage.members.n / self.n_unit.divisor;
            let cell = |m: &Measured| Cell { parameters: n, members: m.x, loss: m.loss };
            stage.members.losses.iter().map(cell).collect::<Vec<_>>()
        };
        let cells: Vec<Cell> = stages.iter().flat_map(of).collect();
        fit_joint(&cells, &self.fitting()).ok()
    }

    /// The best standard setting at a budget.
    #[must_use]
    pub fn best_standard(&self, d: f64) -> Option<&Setting<'r>> {
        self.best_of(self.standard(d))
    }

    /// The best standard setting of each budget: the yardstick of data efficiency.
    #[must_use]
    pub fn yardstick(&self) -> Vec<&Setting<'r>> {
        self.budgets.iter().filter_map(|&d| self.best_standard(d)).collect()
    }

    /// The law of the yardstick over D.
    ///
    /// # Errors
    /// Why there is none.
    pub fn standard_law(&self) -> Result<Fitted, NoLaw> {
        let fit = || {
            let best = self.yardstick();
            let name = format!("{}: law in D", RecipeKind::Standard.name());
            self.law(name, Axis::Tokens, &over_budgets(&best), &over_seeds(&best))
        };
        self.shared.standard.get_or_init(fit).clone()
    }

    /// How many times the data the standard recipe would need for a loss, relative to its own best
    /// at a budget, under three readings.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub fn worth(&self, target: Target, base: Target) -> Worth {
        let standard = self.standard_law()?;
        let resamples = self.options.resamples;
        let options = laws::Options { resamples, ..*standard.law.options() };
        multipliers(&standard.law.curve, &options, target, Base::Loss(base))
            .map_err(|refusal| refusal.to_string())
    }

    /// A recipe over budgets with its law.
    #[must_use]
    pub fn recipe(&self, kind: RecipeKind) -> Recipe {
        let name = format!("{}: law in D", kind.name());
        let of_stages = |laws: Vec<(f64, Fitted)>| {
            let (losses, replication) = asymptotes(laws.iter().map(|(d, law)| (*d, law)));
            let law = self.law(name.clone(), Axis::Tokens, &losses, &replication);
            let (ending, endless): (Vec<_>, Vec<_>) =
                laws.into_iter().partition(|(_, law)| law.has_asymptote());
            let targets = ending.iter().map(|(_, law)| law.target()).collect();
            let stages = ending.into_iter().map(|(_, law)| law).collect();
            let endless = endless.into_iter().map(|(d, _)| d).collect();
            Recipe { kind, losses, stages, targets, endless, law }
        };
        match kind {
            RecipeKind::Standard => {
                let best = self.yardstick();
                Recipe {
                    kind,
                    losses: over_budgets(&best),
                    stages: Vec::new(),
                    targets: best.iter().map(|setting| setting.target()).collect(),
                    endless: Vec::new(),
                    law: self.standard_law(),
                }
            }
            RecipeKind::Regularized => of_stages(self.tuned_laws()),
            RecipeKind::Joint => {
                let joint = |&d: &f64| Some((d, self.joint_law(d).ok()?));
                of_stages(self.budgets.iter().filter_map(joint).collect())
            }
        }
    }

    /// The best setting of a size at every budget: of the tuned recipe, else of whatever was tried.
    fn of_size(&self, n: f64) -> Vec<&Setting<'r>> {
        let best = |&d: &f64| {
            let regularized = self.regularized(d);
            let all = if regularized.is_empty() { self.best(d, |_| true) } else { regularized };
            all.into_iter().find(|setting| same(setting.n, n))
        };
        self.budgets.iter().filter_map(best).collect()
    }

    /// The losses of a size over D and their law.
    pub fn token_law(&self, n: f64) -> (Vec<Measured>, Result<Fitted, NoLaw>) {
        let settings = self.of_size(n);
        let losses = over_budgets(&settings);
        let name = format!("{}: law in D", self.size_name(n));
        let law = self.law(name, Axis::Tokens, &losses, &over_seeds(&settings));
        (losses, law)
    }

    /// The laws over D of the sizes, as far as they end, and the law of their asymptotes over N.
    pub fn token_asymptotes(&self) -> (Vec<(f64, Fitted)>, Result<Fitted, NoLaw>) {
        let of = |(n, _): &(f64, String)| Some((*n, self.token_law(*n).1.ok()?));
        let laws: Vec<(f64, Fitted)> =
            self.sizes.iter().filter_map(of).filter(|(_, law)| law.has_asymptote()).collect();
        let (losses, replication) = asymptotes(laws.iter().map(|(n, law)| (*n, law)));
        let law = self.law("asymptotes in D", Axis::Parameters, &losses, &replication);
        (laws, law)
    }

    /// The tuned law of all but the largest sizes, and what it says of these. The paper fits four
    /// sizes and predicts the rest; with fewer than six, all but the largest are fitted. `None` for
    /// fewer than five sizes.
    #[must_use]
    pub fn extrapolation(&self, d: f64) -> Option<Extrapolation> {
        let settings = self.regularized(d);
        let held = if settings.len() >= 6 { 2 } else { 1 };
        let count = settings.len().checked_sub(held).filter(|count| *count >= 4)?;
        let mut fitted = over_sizes(&settings);
        let held = fitted.split_off(count);
        let name = format!("law of the {count} smallest sizes, D = {}", amount(d));
        let law = self.law(name, Axis::Parameters, &fitted, &over_seeds(&settings[..count]));
        let foretold = |measured: Measured| {
            let place = measured.x / self.n_unit.divisor;
            let claim = law.as_ref().ok().and_then(|law| law.at(&[place]).first().copied());
            (measured, claim)
        };
        let held = held.into_iter().map(foretold).collect();
        Some(Extrapolation { fitted, held, law })
    }
}
