//! The built-in language: a back-off process defined by hashing, whose entropy is known exactly.
//!
//! It gives the quick start its corpus without any download, the same bits everywhere, and lets
//! every loss be shown as *excess over the true floor*.
//!
//! **Tokens.** 0..V. Token 0 starts a document and is never drawn. Every token has a hidden class.
//!
//! **Process.** An order-j context is the last j tokens, looked at through a view: order 1 sees the
//! token itself, higher orders see classes only. The hash of a context says whether it is *live*
//! (else it backs off whole) and, by breaking a stick a few times, gives preferred successors
//! s_i ~ p_0 with weights:
//!
//! ```text
//! p_j(w | u, k) = Σ_i [s_i = w] v_i Π_{l<i} (1 - v_l)  +  Π_l (1 - v_l) · p_{j-1}(w | u, k)
//! p_0(w)        = 1 / (w + q), normalized over 1..V          (Zipf, shifted by q)
//! ```
//!
//! The stick that is left over is the back-off mass. Each document has a latent topic k that
//! re-draws the successors of some contexts.
//!
//! **Floor.** The mean -ln p(x_t | x_<t) with the topic marginalized by exact forward filtering:
//! the true predictive distribution. No predictor that sees one document can do better in
//! expectation. A model whose window is shorter than a document lies slightly above it.
//!
//! **Bits.** Only integer hashing and the IEEE operations + - * / decide a token; `ln` appears in
//! the floor alone. The parameters are frozen: retuning them would change every number that was
//! ever measured on the language.

use super::hash::{fold, mix, unit};
use crate::spec::Split;

/// What an order's contexts see of the tokens before the drawn one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// The token itself.
    Token,
    /// Its class only.
    Class,
}

/// One context length: its view (as many tokens as the order) and its sticks.
#[derive(Clone, Debug)]
struct Order {
    view: View,
    successors: u64,
    /// Bounds of the uniform stick proportions v.
    stick_low: f64,
    stick_high: f64,
    /// Probability that a context is live.
    live: f64,
    /// Probability that a context's successors depend on the topic.
    topical: f64,
}

/// A language with exactly known next-token probabilities.
#[derive(Clone, Debug)]
pub struct Language {
    key: u64,
    topics: u32,
    document_tokens: usize,
    /// Orders 1, 2, ..
    orders: Vec<Order>,
    /// p_0 by token, and its running sum.
    zipf: Vec<f64>,
    zipf_cumulative: Vec<f64>,
    class: Vec<u64>,
}

/// A named amount of text in the built-in language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanguageSize {
    /// What `--synthetic` calls it.
    pub name: &'static str,
    /// Documents of the training split, of 128 tokens each.
    pub train_documents: u64,
    /// Documents of the validation and of the test split, each.
    pub held_out_documents: u64,
}

/// The named sizes. All are prefixes of the same endless language, so a smaller one nests in a
/// larger one and their held-out splits coincide.
pub const LANGUAGE_SIZES: [LanguageSize; 2] = [
    LanguageSize { name: "pocket", train_documents: 200, held_out_documents: 512 },
    LanguageSize { name: "pocket-large", train_documents: 1_600, held_out_documents: 512 },
];

impl Language {
    /// Language E: vocabulary 256, 8 classes, order 3, 2 topics, documents of 128 tokens.
    ///
    /// Its validation floor is 2.3208 nats per token, against 4.28 for a unigram model.
    #[must_use]
    pub fn pocket() -> Self {
        let (seed, vocabulary, classes, shift) = (1_u64, 256_u32, 8, 1.0);
        let key = mix(seed * 1_000_003 + 17);
        let order = |view, successors, stick_low, live, topical| Order {
            view,
            successors,
            stick_low,
            stick_high: 0.4,
            live,
            topical,
        };
        // A sequential sum, so that the normalization has the same last bit everywhere.
        let weight = |token: u32| 1.0 / (f64::from(token) + shift);
        let total: f64 = (1..vocabulary).map(weight).sum();
        let zipf: Vec<f64> =
            (0..vocabulary).map(|w| if w == 0 { 0.0 } else { weight(w) / total }).collect();
        let running = |sum: &mut f64, p: &f64| {
            *sum += p;
            Some(*sum)
        };
        Self {
            key,
            topics: 2,
            document_tokens: 128,
            orders: vec![
                order(View::Token, 4, 0.15, 1.0, 0.3),
                order(View::Class, 3, 0.15, 0.7, 0.0),
                order(View::Class, 2, 0.10, 0.3, 0.0),
            ],
            zipf_cumulative: zipf.iter().scan(0.0, running).collect(),
            zipf,
            class: (0..vocabulary).map(|w| fold(fold(key, 1), u64::from(w)) % classes).collect(),
        }
    }

    /// V, the number of tokens; token 0 starts documents and is never drawn.
    #[must_use]
    pub fn vocabulary(&self) -> u32 {
        self.zipf.len() as u32
    }

    /// The number of latent topics.
    #[must_use]
    pub fn topics(&self) -> u32 {
        self.topics
    }

    /// Tokens of every document, its start token included.
    #[must_use]
    pub fn document_tokens(&self) -> usize {
        self.document_tokens
    }

    /// The latent topic of a document, which a model never sees.
    #[must_use]
    pub fn topic(&self, split: Split, index: u64) -> u32 {
        (fold(self.document_key(split, index), 3) % u64::from(self.topics)) as u32
    }

    /// The tokens of document `index` of `split`: token 0, then `document_tokens() - 1` drawn ones.
    #[must_use]
    pub fn document(&self, split: Split, index: u64) -> Vec<u32> {
        let key = self.document_key(split, index);
        let topic = self.topic(split, index);
        let mut tokens = Vec::with_capacity(self.document_tokens);
        tokens.push(0);
        while tokens.len() < self.document_tokens {
            let draw = fold(key, 1000 + tokens.len() as u64);
            tokens.push(self.draw(draw, &tokens, topic));
        }
        tokens
    }

    /// p(token | history, topic): `history` is the document so far, oldest token first.
    ///
    /// # Panics
    /// If a token is not below the vocabulary.
    #[must_use]
    pub fn probability(&self, history: &[u32], token: u32, topic: u32) -> f64 {
        let mut probability = self.zipf[token as usize];
        for j in 1..=self.orders.len().min(history.len()) {
            let mut hit = 0.0;
            let rest = self.sticks(j, history, topic, |successor, weight| {
                if successor == token {
                    hit += weight;
                }
            });
            probability = hit + rest * probability;
        }
        probability
    }

    /// p(. | history, topic) for every token of the vocabulary; sums to 1.
    #[must_use]
    pub fn distribution(&self, history: &[u32], topic: u32) -> Vec<f64> {
        let mut probabilities = self.zipf.clone();
        for j in 1..=self.orders.len().min(history.len()) {
            let mut hits = vec![0.0; probabilities.len()];
            let rest = self.sticks(j, history, topic, |successor, weight| {
                hits[successor as usize] += weight;
            });
            for (probability, hit) in probabilities.iter_mut().zip(&hits) {
                *probability = hit + rest * *probability;
            }
        }
        probabilities
    }

    /// -ln p(x_t | x_<t) in nats for t = 1, 2, .. of one whole document, the topic marginalized by
    /// forward filtering. The result is one shorter than `tokens`: the start token is given.
    #[must_use]
    pub fn floor_nats(&self, tokens: &[u32]) -> Vec<f64> {
        let mut belief = vec![1.0 / f64::from(self.topics); self.topics as usize];
        (1..tokens.len())
            .map(|t| {
                for (topic, share) in (0..).zip(&mut belief) {
                    *share *= self.probability(&tokens[..t], tokens[t], topic);
                }
                let predictive: f64 = belief.iter().sum();
                belief.iter_mut().for_each(|share| *share /= predictive);
                -predictive.ln()
            })
            .collect()
    }

    fn document_key(&self, split: Split, index: u64) -> u64 {
        fold(fold(fold(self.key, 2), split_number(split)), index)
    }

    /// One draw from p(. | history, topic), by the hash `draw`.
    fn draw(&self, draw: u64, history: &[u32], topic: u32) -> u32 {
        for j in (1..=self.orders.len().min(history.len())).rev() {
            let (u, mut sum, mut chosen) = (unit(fold(draw, j as u64)), 0.0, None);
            self.sticks(j, history, topic, |successor, weight| {
                sum += weight;
                if chosen.is_none() && u < sum {
                    chosen = Some(successor);
                }
            });
            if let Some(token) = chosen {
                return token;
            }
        }
        self.draw_zipf(unit(fold(draw, 0)))
    }

    /// The token at which the running sum of p_0 passes `u`.
    fn draw_zipf(&self, u: f64) -> u32 {
        let token = self.zipf_cumulative.partition_point(|&sum| sum <= u);
        (token as u32).min(self.vocabulary() - 1)
    }

    /// Visits (successor, weight) of the order-`j` context that ends `history`; returns the mass
    /// that is left for the shorter context.
    fn sticks(
        &self,
        j: usize,
        history: &[u32],
        topic: u32,
        mut visit: impl FnMut(u32, f64),
    ) -> f64 {
        let order = &self.orders[j - 1];
        let mut context = fold(self.key, 16 + j as u64);
        for &token in history.iter().rev().take(j) {
            context = match order.view {
                View::Token => fold(context, u64::from(token)),
                View::Class => fold(context, self.class[token as usize]),
            };
        }
        let live = unit(fold(context, 5)) < order.live;
        if !live {
            return 1.0;
        }
        let topical = unit(fold(context, 7)) < order.topical;
        let context = fold(context, if topical { u64::from(topic) + 1 } else { 0 });
        let mut rest = 1.0;
        for i in 0..order.successors {
            let proportion = unit(fold(context, 100 + 2 * i));
            let stick = order.stick_low + (order.stick_high - order.stick_low) * proportion;
            visit(self.draw_zipf(unit(fold(context, 101 + 2 * i))), rest * stick);
            rest *= 1.0 - stick;
        }
        rest
    }
}

/// The number by which the generator knows a split; frozen with the language.
fn split_number(split: Split) -> u64 {
    match split {
        Split::Train => 0,
        Split::Val => 1,
        Split::Test => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documents, their tokens folded into one digest, and their floor in nats per prediction.
    fn measure(split: Split, documents: u64) -> (u64, f64) {
        let language = Language::pocket();
        let (mut digest, mut nats, mut predictions) = (0, 0.0, 0);
        for index in 0..documents {
            let tokens = language.document(split, index);
            digest = tokens.iter().fold(digest, |digest, &token| fold(digest, u64::from(token)));
            let floor = language.floor_nats(&tokens);
            nats += floor.iter().sum::<f64>();
            predictions += floor.len();
        }
        (digest, nats / predictions as f64)
    }

    /// Digest and floor were measured independently, by a prototype in numpy and one in Rust.
    #[test]
    fn the_512_validation_documents_are_those_of_the_prototype() {
        let (digest, floor_nats) = measure(Split::Val, 512);
        assert_eq!(digest, 0x56c7_8d7f_b764_3997);
        assert!((floor_nats - 2.320_797_842_190).abs() < 1e-11, "{floor_nats}");
    }

    #[test]
    fn distributions_sum_to_one_and_agree_with_single_probabilities() {
        let language = Language::pocket();
        for index in 0..8 {
            let document = language.document(Split::Train, index);
            for length in [0, 1, 2, 3, 4, 60, 127] {
                for topic in 0..language.topics() {
                    let all = language.distribution(&document[..length], topic);
                    let sum: f64 = all.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-12, "sum {sum}");
                    for (token, &p) in (0..).zip(&all) {
                        let single = language.probability(&document[..length], token, topic);
                        assert!((single - p).abs() < 1e-15, "token {token}: {single} {p}");
                    }
                }
            }
        }
    }

    /// Pearson's statistic over the tokens expected at least 5 times (the rest pooled), as a number
    /// of standard deviations from its mean. Tokens of probability 0 must not occur.
    fn chi_square_deviations(counts: &[u64], probabilities: &[f64]) -> f64 {
        let draws = counts.iter().sum::<u64>() as f64;
        let (mut statistic, mut cells, mut pooled) = (0.0, 0.0, (0.0, 0.0));
        for (&count, &p) in counts.iter().zip(probabilities) {
            assert!(p > 0.0 || count == 0, "a token of probability 0 was drawn");
            if p * draws < 5.0 {
                pooled = (pooled.0 + count as f64, pooled.1 + p * draws);
            } else {
                statistic += (count as f64 - p * draws).powi(2) / (p * draws);
                cells += 1.0;
            }
        }
        if pooled.1 >= 5.0 {
            statistic += (pooled.0 - pooled.1).powi(2) / pooled.1;
            cells += 1.0;
        }
        (statistic - (cells - 1.0)) / (2.0_f64 * (cells - 1.0)).sqrt()
    }

    #[test]
    fn draws_in_one_context_follow_its_distribution() {
        let language = Language::pocket();
        let history = &language.document(Split::Val, 7)[..40];
        let mut counts = vec![0; 256];
        for draw in 0..100_000 {
            counts[language.draw(fold(99, draw), history, 1) as usize] += 1;
        }
        let deviations = chi_square_deviations(&counts, &language.distribution(history, 1));
        assert!(deviations.abs() < 5.0, "{deviations} standard deviations");
    }

    #[test]
    fn documents_follow_the_predictive_distribution_of_their_start() {
        let mut language = Language::pocket();
        language.document_tokens = 3;
        // Second tokens of those documents whose first token is the commonest one.
        let first = 1;
        let weights: Vec<f64> =
            (0..2).map(|topic| language.probability(&[0], first, topic)).collect();
        let total: f64 = weights.iter().sum();
        let mut expected = vec![0.0; 256];
        for (topic, weight) in (0..).zip(&weights) {
            for (p, q) in expected.iter_mut().zip(language.distribution(&[0, first], topic)) {
                *p += weight / total * q;
            }
        }
        let mut counts = vec![0; 256];
        for index in 0..200_000 {
            let document = language.document(Split::Train, index);
            if document[1] == first {
                counts[document[2] as usize] += 1;
            }
        }
        assert!(counts.iter().sum::<u64>() > 5_000);
        let deviations = chi_square_deviations(&counts, &expected);
        assert!(deviations.abs() < 5.0, "{deviations} standard deviations");
    }

    #[test]
    fn the_filter_equals_brute_force_over_topics() {
        let language = Language::pocket();
        for index in 0..20 {
            let tokens = &language.document(Split::Test, index)[..24];
            // p(x_1..x_t) = mean over topics of the product of conditionals.
            let joint = |length: usize| -> f64 {
                let path = |topic| -> f64 {
                    (1..length)
                        .map(|t| language.probability(&tokens[..t], tokens[t], topic))
                        .product()
                };
                (0..2).map(path).sum::<f64>() / 2.0
            };
            for (t, nats) in (1..).zip(language.floor_nats(tokens)) {
                let brute = -(joint(t + 1) / joint(t)).ln();
                assert!((nats - brute).abs() < 1e-12, "token {t}: {nats} {brute}");
            }
        }
    }

    /// The topic is worth 0.0055 nats when told (documented: 2.3153 against 2.3208).
    #[test]
    fn knowing_the_topic_lowers_the_floor_as_documented() {
        let language = Language::pocket();
        let (mut nats, mut predictions) = (0.0, 0);
        for index in 0..512 {
            let tokens = language.document(Split::Val, index);
            let topic = language.topic(Split::Val, index);
            for t in 1..tokens.len() {
                nats -= language.probability(&tokens[..t], tokens[t], topic).ln();
                predictions += 1;
            }
        }
        let told_nats = nats / f64::from(predictions);
        assert!((told_nats - 2.3153).abs() < 5e-5, "{told_nats}");
    }

    #[test]
    fn splits_differ_and_sizes_have_distinct_names() {
        let language = Language::pocket();
        let [train, val, test] = Split::ALL.map(|split| language.document(split, 0));
        assert!(train != val && val != test && train != test);
        assert!(LANGUAGE_SIZES.windows(2).all(|pair| {
            pair[0].name != pair[1].name && pair[0].train_documents < pair[1].train_documents
        }));
    }
}
