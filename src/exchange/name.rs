//! Names of runs in the reference implementation, where the name is the identity.
//!
//! ```text
//! {model}-{tokens}x{epochs}-{data}[+{teacher}^{weight}]-{cos|wsd}-lr{lr}-wd{wd}{tag}
//! ppl-eval-ensemble-{K}x-{name of the newest member}      an ensemble's evaluation
//! ss-{K}x-{name of the newest member}                     the same in the seed study
//! ```
//! Only an import under the reference's filter comes here: our own runs are known by their specs.

/// Budgets of the reference by their labels. One budget has two labels in its files.
const BUDGETS: [(&str, f64); 5] = [
    ("209M", 209_715_200.0),
    ("418M", 419_430_400.0),
    ("419M", 419_430_400.0),
    ("838M", 838_860_800.0),
    ("1.7B", 1_677_721_600.0),
];

/// What a name says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunName {
    /// Label of the model.
    pub model: String,
    /// Label of the unique tokens, such as `209M`.
    pub tokens: String,
    /// Passes over them.
    pub epochs: f64,
    /// Name of the real data.
    pub data: String,
    /// Teacher's data and its share of the mixture.
    pub teacher: Option<(String, f64)>,
    /// `cosine`, or `linear`, which names call `wsd`.
    pub schedule: String,
    /// Peak learning rate, rounded to the digits of the name.
    pub lr: f64,
    /// Weight decay, rounded to two digits.
    pub weight_decay: f64,
    /// Whatever follows, with its hyphen.
    pub tag: String,
    /// Sequences of a batch, if the tag says so.
    pub batch: Option<f64>,
    /// Seed of the initialization, if the tag says so.
    pub train_seed: Option<f64>,
    /// Seed of the order, if the tag says so.
    pub data_seed: Option<f64>,
    /// Members of an ensemble; absent for a training run.
    pub members: Option<f64>,
    /// Whether it belongs to the seed study.
    pub seed_study: bool,
}

impl RunName {
    /// Reads a name; `None` where it does not follow the convention.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (members, seed_study, rest) = newest_member(name)?;
        let mut parts = rest.splitn(7, '-');
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let model = next()?.to_owned();
        let (tokens, epochs) = next()?.split_once('x')?;
        let (data, teacher) = match next()?.split_once('+') {
            Some((data, mixed)) => {
                let (teacher, weight) = mixed.split_once('^')?;
                (data, Some((teacher.to_owned(), plain_number(weight)?)))
            }
            None => (rest.split('-').nth(2)?, None),
        };
        let schedule = match next()? {
            "cos" => "cosine",
            "wsd" => "linear",
            _ => return None,
        };
        let lr = plain_number(next()?.strip_prefix("lr")?)?;
        let weight_decay = plain_number(next()?.strip_prefix("wd")?)?;
        let tag = parts.next().map_or_else(String::new, |tag| format!("-{tag}"));
        let mut name = Self {
            model,
            tokens: tokens.to_owned(),
            epochs: plain_number(epochs)?,
            data: data.to_owned(),
            teacher,
            schedule: schedule.to_owned(),
            lr,
            weight_decay,
            tag,
            members,
            seed_study,
            ..Self::default()
        };
        name.read_tag();
        Some(name)
    }

    /// `-bs64`, `-seed4`, `-ts0-ds3`; everything else stays text.
    fn read_tag(&mut self) {
        let tag = std::mem::take(&mut self.tag);
        for part in tag.split('-') {
            let value = |prefix| part.strip_prefix(prefix).and_then(plain_number);
            if let Some(batch) = value("bs") {
                self.batch = Some(batch);
            } else if let Some(seed) = value("seed") {
                (self.train_seed, self.data_seed) = (Some(seed), Some(seed));
            } else if let Some(seed) = value("ts") {
                self.train_seed = Some(seed);
            } else if let Some(seed) = value("ds") {
                self.data_seed = Some(seed);
            }
        }
        self.tag = tag;
    }

    /// The seed families that a run of the seed study belongs to: what varies in it. The run with
    /// both seeds at 0 is shared by all.
    #[must_use]
    pub fn seed_families(&self) -> &'static [&'static str] {
        let zero = |seed: Option<f64>| seed.is_some_and(|seed| seed == 0.0);
        match (self.seed_study, zero(self.train_seed), zero(self.data_seed)) {
            (false, ..) => &[],
            (true, true, true) => &["train", "data", "both"],
            (true, true, false) => &["data"],
            (true, false, true) => &["train"],
            (true, false, false) => &["both"],
        }
    }

    /// The unique tokens of the real data behind so many steps: steps were truncated from
    /// base steps · epochs / (1 - w), so the base steps are whole if they come within one step.
    #[must_use]
    pub fn budget_tokens(&self, steps: f64, batch: f64, sequence_tokens: f64) -> f64 {
        let real = self.teacher.as_ref().map_or(1.0, |(_, weight)| 1.0 - weight);
        let exact = steps * real / self.epochs;
        let whole = exact.round();
        let off = (whole * self.epochs / real - steps).abs();
        let base_steps = if whole > 0.0 && off <= 1.0 { whole } else { exact };
        base_steps * batch * sequence_tokens
    }
}

/// Members, whether it is of the seed study, and the name of the newest member, of any name.
pub(super) fn newest_member(name: &str) -> Option<(Option<f64>, bool, &str)> {
    let ensemble = name.strip_prefix("ppl-eval-ensemble-");
    let study = name.strip_prefix("ss-");
    match ensemble.or(study) {
        Some(rest) => {
            let (members, member) = rest.split_once("x-")?;
            let members = plain_number(members).filter(|k| *k >= 1.0 && k.fract() == 0.0)?;
            Some((Some(members), study.is_some(), member))
        }
        None => Some((None, false, name)),
    }
}

/// A number of digits and at most one point: what the convention writes, and no `inf` or `nan`.
fn plain_number(text: &str) -> Option<f64> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain && text.len() <= 20)
}

/// The label of a number of tokens: `209M`, `1.7B`, `524.3K`. Millions are cut from ten on,
/// everything else is rounded to one decimal.
#[must_use]
pub fn token_label(tokens: u64) -> String {
    let decimal = |unit: f64, letter: &str| format!("{:.1}{letter}", tokens as f64 / unit);
    match tokens {
        1_000_000_000.. => decimal(1e9, "B"),
        10_000_000.. => format!("{}M", tokens / 1_000_000),
        1_000_000.. => decimal(1e6, "M"),
        1000.. => decimal(1e3, "K"),
        _ => tokens.to_string(),
    }
}

/// The budget that a label of the reference stands for, in tokens.
#[must_use]
pub fn budget_of_label(label: &str) -> Option<f64> {
    BUDGETS.iter().find(|(known, _)| *known == label).map(|(_, tokens)| *tokens)
}

/// The work in a name of the Chinchilla sweep, `...-{m}e+{p}-...`, in FLOP.
pub(super) fn flops(name: &str) -> Option<f64> {
    let (mantissa, exponent) = name.split_once('-')?.1.split_once("e+")?;
    let exponent = exponent.split('-').next()?;
    let exponent = exponent.parse::<i32>().ok().filter(|power| (0..=60).contains(power))?;
    Some(plain_number(mantissa)? * 10_f64.powi(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = include_str!("../../tests/golden/exchange/run_names.csv");
    const LABELS: &str = include_str!("../../tests/golden/exchange/token_labels.csv");

    fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
        table.lines().skip(1).map(|line| line.split(',').collect())
    }

    #[test]
    fn names_of_the_reference_are_read() {
        let mut count = 0;
        for row in rows(NAMES) {
            let name = RunName::parse(row[0]).unwrap_or_else(|| panic!("{}", row[0]));
            let number = |text: &str| text.parse::<f64>().unwrap();
            assert_eq!((name.model.as_str(), name.data.as_str()), (row[1], row[5]));
            assert_eq!(name.schedule, row[8]);
            let found = [name.epochs, name.lr, name.weight_decay].map(f64::to_bits);
            assert_eq!(found, [row[4], row[9], row[10]].map(|text| number(text).to_bits()));
            let teacher = (!row[6].is_empty()).then(|| (row[6].to_owned(), number(row[7])));
            assert_eq!((&name.teacher, name.tag.as_str()), (&teacher, row[11]));
            // Steps, truncated as the reference does, give the budget of the label.
            let real = name.teacher.as_ref().map_or(1.0, |(_, weight)| 1.0 - weight);
            let steps = (number(row[2]) * name.epochs / real).floor();
            let tokens = name.budget_tokens(steps, number(row[3]), 4096.0);
            assert_eq!(tokens.to_bits(), (number(row[2]) * number(row[3]) * 4096.0).to_bits());
            assert_eq!(token_label(tokens as u64), name.tokens);
            count += 1;
        }
        assert_eq!(count, 13);
    }

    #[test]
    fn labels_follow_the_rule() {
        for row in rows(LABELS) {
            assert_eq!(token_label(row[0].parse().unwrap()), row[1]);
        }
        let known = ["209M", "418M", "419M", "1.7B"].map(budget_of_label);
        assert_eq!(known[1], known[2]);
        assert_eq!(budget_of_label("203M"), None);
    }

    #[test]
    fn tags_and_ensembles() {
        let member = "300m4k-209Mx32-dclm-cos-lr0.0030-wd0.80";
        let name = RunName::parse(&format!("ppl-eval-ensemble-5x-{member}-seed4")).unwrap();
        assert_eq!(
            (name.members, name.train_seed, name.data_seed),
            (Some(5.0), Some(4.0), Some(4.0))
        );
        assert!(name.seed_families().is_empty());
        let families = |seeds: &str| {
            RunName::parse(&format!("ss-3x-{member}-{seeds}")).unwrap().seed_families()
        };
        assert_eq!(families("ts0-ds0"), ["train", "data", "both"]);
        assert_eq!(families("ts0-ds3"), ["data"]);
        assert_eq!(families("ts10-ds0"), ["train"]);
        assert_eq!(families("ts2-ds2"), ["both"]);
        // The reference fails at fractions of an epoch.
        assert_eq!(
            RunName::parse("a-10Mx0.5-d-wsd-lr0.1000-wd0.00").unwrap().epochs.to_bits(),
            0.5_f64.to_bits()
        );
        assert_eq!(flops("x-3e+18-abc"), Some(3e18));
        for bad in [
            "",
            "-",
            "a-b-c-d-e-f",
            "ss-x-",
            "ppl-eval-ensemble-0x-a",
            "é-1Mxé-+^-cos-lr-wd",
            "a-1Mxinf-d-cos-lr0.1-wd0",
            "a-1Mx1-d-cos-lr1e-3-wd0",
            "a-1Mx1-d+t-cos-lr0.1-wd0.1",
        ] {
            assert_eq!(RunName::parse(bad), None, "{bad}");
        }
        assert_eq!(flops("x-9e+999999999999-"), None);
    }
}
