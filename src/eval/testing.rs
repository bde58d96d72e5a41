//! Small untrained members for tests, and their whole distributions in f64.

use scarce_engine::isa::{Isa, Kernels, Precision};
use scarce_engine::pool::Pool;

use super::Windows;
use super::score::sequences;
use crate::data::{Corpus, prepare_synthetic};
use crate::model::{Lane, Model, NO_TARGET, Weights};
use crate::spec::{Mask, preset};

/// Tokens of a window of these members.
pub(super) const POSITIONS: usize = 128;

/// Calls `check` with the built-in corpus and members of seeds 0 to `count` - 1.
pub(super) fn with_members<R>(
    count: u64,
    check: impl FnOnce(&Corpus, &[(&Model, &Weights)]) -> R,
) -> R {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus");
    prepare_synthetic("pocket", &path, false).unwrap();
    let corpus = Corpus::open(&path).unwrap();
    let mut spec = preset::find("pocket-150k").unwrap().model(corpus.vocabulary());
    (spec.layers, spec.width) = (1, 32);
    let model = Model::new(&spec, POSITIONS, Kernels::new(Isa::detect(), Precision::F32));
    let pool = Pool::new(1);
    let mut weights: Vec<Weights> =
        (0..count).map(|seed| Weights::initial(&model, seed, &pool)).collect();
    // Sharper predictions, so that averaging has something to do.
    for weights in &mut weights {
        weights.values[model.table.head.clone()].iter_mut().for_each(|w| *w *= 8.0);
        weights.pack(&pool);
    }
    let members: Vec<(&Model, &Weights)> = weights.iter().map(|w| (&model, w)).collect();
    check(&corpus, &members)
}

/// The logarithms of the whole distributions of the members, `[V]` each, at every predicted token.
pub(super) fn logarithms(
    windows: &Windows<'_>,
    members: &[(&Model, &Weights)],
) -> Vec<Vec<Vec<f64>>> {
    let vocabulary = members[0].0.spec.vocabulary as usize;
    let mut result = Vec::new();
    for index in 0..windows.count() {
        let window = windows.window(index).unwrap();
        let predicted = window.targets.iter().filter(|&&target| target != NO_TARGET).count();
        let mut tokens = vec![Vec::new(); predicted];
        for (model, weights) in members {
            let mut lane = Lane::new(model, 1);
            lane.hidden(model, weights, sequences(&window, Mask::AcrossDocuments {}));
            let mut logits = vec![0.0; POSITIONS * vocabulary];
            lane.project(model, weights, 0..POSITIONS, &mut logits);
            for (row, token) in logits.chunks(vocabulary).zip(&mut tokens) {
                let normalizer = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
                token.push(row.iter().map(|&x| f64::from(x) - normalizer).collect());
            }
        }
        result.extend(tokens);
    }
    result
}

/// log Z of members at a token: Z = sum over v of exp(mean over i of log p_i(v)).
pub(super) fn log_z(members: &[Vec<f64>]) -> f64 {
    let mean = |v: usize| members.iter().map(|of| of[v]).sum::<f64>() / members.len() as f64;
    (0..members[0].len()).map(|v| mean(v).exp()).sum::<f64>().ln()
}
