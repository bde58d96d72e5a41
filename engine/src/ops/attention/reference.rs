//! The naive version in f64: the specification of the kernels.

use super::AttentionShape;

/// One query head at one position.
struct Query<'a> {
    shape: &'a AttentionShape,
    qkv: &'a [f64],
    head: usize,
    position: usize,
    /// The first position that it sees.
    start: usize,
}

impl Query<'_> {
    /// Where in qkv the query lies.
    fn query_at(&self) -> usize {
        self.position * self.shape.qkv_width() + self.head * self.shape.head_dim
    }

    /// Where in qkv the key of position `s` lies.
    fn key_at(&self, s: usize) -> usize {
        let group = self.head / (self.shape.heads / self.shape.kv_heads);
        s * self.shape.qkv_width() + (self.shape.heads + group) * self.shape.head_dim
    }

    /// Where in qkv the value of position `s` lies.
    fn value_at(&self, s: usize) -> usize {
        self.key_at(s) + self.shape.kv_heads * self.shape.head_dim
    }

    fn dot(&self, a: &[f64], b: &[f64]) -> f64 {
        (0..self.shape.head_dim).map(|i| a[i] * b[i]).sum()
    }

    fn scale(&self) -> f64 {
        1.0 / (self.shape.head_dim as f64).sqrt()
    }

    /// The probabilities of the positions `start ..= position`, and the log-sum-exp.
    fn probabilities(&self) -> (Vec<f64>, f64) {
        let q = &self.qkv[self.query_at()..];
        let score = |s| self.scale() * self.dot(q, &self.qkv[self.key_at(s)..]);
        let scores: Vec<f64> = (self.start..=self.position).map(score).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
        let lse = largest + sum.ln();
        (scores.iter().map(|score| (score - lse).exp()).collect(), lse)
    }
}

/// All query heads at all positions, heads outermost.
fn queries<'a>(
    shape: &'a AttentionShape,
    qkv: &'a [f64],
    starts: Option<&'a [u32]>,
) -> impl Iterator<Item = Query<'a>> {
    let all = (0..shape.heads).flat_map(|head| (0..shape.positions).map(move |t| (head, t)));
    all.map(move |(head, position)| {
        let start = starts.map_or(0, |starts| starts[position] as usize);
        Query { shape, qkv, head, position, start }
    })
}

/// Returns o and lse.
pub fn forward(
    shape: &AttentionShape,
    qkv: &[f64],
    starts: Option<&[u32]>,
) -> (Vec<f64>, Vec<f64>) {
    let (d, width) = (shape.head_dim, shape.output_width());
    let mut o = vec![0.0; shape.positions * width];
    let mut all_lse = Vec::new();
    for query in queries(shape, qkv, starts) {
        let (p, lse) = query.probabilities();
        for (p, s) in p.iter().zip(query.start..) {
            for i in 0..d {
                o[query.position * width + query.head * d + i] += p * qkv[query.value_at(s) + i];
            }
        }
        all_lse.push(lse);
    }
    (o, all_lse)
}

/// Returns dqkv.
pub fn backward(
    shape: &AttentionShape,
    qkv: &[f64],
    starts: Option<&[u32]>,
    d_o: &[f64],
) -> Vec<f64> {
    let (d, width) = (shape.head_dim, shape.output_width());
    let mut dqkv = vec![0.0; qkv.len()];
    for query in queries(shape, qkv, starts) {
        let (p, _) = query.probabilities();
        let d_o = &d_o[query.position * width + query.head * d..][..d];
        let dp: Vec<f64> = (query.start..=query.position)
            .map(|s| query.dot(d_o, &qkv[query.value_at(s)..]))
            .collect();
        let delta: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
        for (at, s) in (query.start..=query.position).enumerate() {
            let ds = query.scale() * p[at] * (dp[at] - delta);
            for i in 0..d {
                dqkv[query.query_at() + i] += ds * qkv[query.key_at(s) + i];
                dqkv[query.key_at(s) + i] += ds * qkv[query.query_at() + i];
                dqkv[query.value_at(s) + i] += p[at] * d_o[i];
            }
        }
    }
    dqkv
}
