//! What must hold for every law: exact recovery, invariance, exact intervals, same bits, speed.

use super::draws::Draws;
use super::*;

/// Losses of a law at x = 1..=count, with normal noise of this deviation.
fn noisy(law: &PowerLaw, count: u32, deviation: f64, number: u64) -> Vec<(f64, f64)> {
    let mut draws = Draws::new(number);
    let points = (1..=count).map(f64::from);
    points.map(|x| (x, law.value(x) + deviation * draws.normal())).collect()
}

fn quick() -> Options {
    Options { resamples: 200, ..Options::default() }
}

fn near(found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs() / expected.abs().max(1e-3);
    assert!(error < tolerance, "{found}, not {expected}");
}

#[test]
fn noiseless_power_laws_are_recovered() {
    for alpha in [0.05, 0.25, 0.5, 1.0, 1.7, 4.0] {
        for (a, e) in [(0.5, 3.2), (0.01, 2.0), (12.0, 0.3)] {
            for scale in [1e-3, 1.0, 1e9] {
                let law = PowerLaw { a, alpha, e };
                let points: Vec<_> =
                    (1..=6).map(|k| (scale * f64::from(k), law.value(f64::from(k)))).collect();
                let fit = fit(&Curve::new(&points).unwrap(), &quick()).unwrap();
                near(fit.law.alpha, alpha, 1e-6);
                near(fit.law.e, e, 1e-5);
                near(fit.law.a, a * scale.powf(alpha), 1e-4);
                assert!(fit.asymptote.profile.width().unwrap() < 1e-4 * (a + e));
                assert!(fit.r_squared > 1.0 - 1e-12);
            }
        }
    }
}

#[test]
fn the_unit_of_x_and_the_order_of_points_do_not_matter() {
    let law = PowerLaw { a: 0.5, alpha: 0.7, e: 3.0 };
    let points = noisy(&law, 8, 0.002, 7);
    let options = quick();
    let reference = fit(&Curve::new(&points).unwrap(), &options).unwrap();
    let reversed: Vec<_> = points.iter().rev().copied().collect();
    assert_eq!(fit(&Curve::new(&reversed).unwrap(), &options).unwrap(), reference);
    for scale in [1e-6, 0.3, 1e9] {
        let scaled: Vec<_> = points.iter().map(|(x, y)| (x * scale, *y)).collect();
        let fit = fit(&Curve::new(&scaled).unwrap(), &options).unwrap();
        near(fit.law.e, reference.law.e, 1e-6);
        near(fit.law.alpha, reference.law.alpha, 1e-6);
        near(fit.law.a, reference.law.a * scale.powf(fit.law.alpha), 1e-6);
        let ends = |fit: &Fit| [fit.asymptote.profile.low, fit.asymptote.profile.high];
        for (found, expected) in ends(&fit).into_iter().zip(ends(&reference)) {
            near(found.value().unwrap(), expected.value().unwrap(), 1e-5);
        }
    }
}

/// For a law that is linear in its parameters the profile interval is Student's, exactly.
#[test]
fn the_profile_of_a_linear_law_is_the_t_interval() {
    for (count, number) in [(3, 1), (4, 2), (8, 3)] {
        let points = noisy(&PowerLaw { a: 0.5, alpha: 1.0, e: 3.0 }, count, 0.01, number);
        for level in [0.5, 0.9, 0.99] {
            let options = Options { family: Family::Reciprocal, level, ..quick() };
            let fit = fit(&Curve::new(&points).unwrap(), &options).unwrap();
            // The textbook's line of y over z = 1 / x.
            let n = f64::from(count);
            let mean = points.iter().map(|(x, _)| 1.0 / x).sum::<f64>() / n;
            let squares: f64 = points.iter().map(|(x, _)| (1.0 / x - mean).powi(2)).sum();
            let slope = points.iter().map(|(x, y)| (1.0 / x - mean) * y).sum::<f64>() / squares;
            let intercept = points.iter().map(|(_, y)| y).sum::<f64>() / n - slope * mean;
            let residual: f64 =
                points.iter().map(|(x, y)| (y - intercept - slope / x).powi(2)).sum();
            let t = two_sided_t(level, points.len() - 2);
            let error = (residual / (n - 2.0) * (1.0 / n + mean * mean / squares)).sqrt();
            let slope_error = (residual / (n - 2.0) / squares).sqrt();
            let expected =
                [(fit.asymptote, intercept, t * error), (fit.coefficient, slope, t * slope_error)];
            for (estimate, value, half) in expected {
                near(estimate.value, value, 1e-12);
                if value > half {
                    near(estimate.profile.low.value().unwrap(), value - half, 1e-10);
                }
                near(estimate.profile.high.value().unwrap(), value + half, 1e-10);
            }
        }
    }
}

/// The bootstrap of a linear law has Student's percentiles, up to its own chance.
#[test]
fn the_bootstrap_of_a_linear_law_is_the_t_interval() {
    let points = noisy(&PowerLaw { a: 0.5, alpha: 1.0, e: 3.0 }, 5, 0.01, 11);
    let options = Options { family: Family::Reciprocal, ..Options::default() };
    let fit = fit(&Curve::new(&points).unwrap(), &options).unwrap();
    let (profile, bootstrap) = (fit.asymptote.profile, fit.asymptote.bootstrap);
    let width = profile.width().unwrap();
    let apart = |a: End, b: End| (a.value().unwrap() - b.value().unwrap()).abs() / width;
    assert!(apart(profile.low, bootstrap.low) < 0.03, "{profile} {bootstrap}");
    assert!(apart(profile.high, bootstrap.high) < 0.03, "{profile} {bootstrap}");
}

#[test]
fn the_same_points_give_the_same_bits() {
    let points = noisy(&PowerLaw { a: 0.5, alpha: 1.0, e: 3.0 }, 5, 0.01, 5);
    let curve = Curve::new(&points).unwrap();
    assert_eq!(fit(&curve, &quick()).unwrap(), fit(&curve, &quick()).unwrap());
}

#[test]
fn known_noise_narrows_the_interval_and_is_checked() {
    let points = noisy(&PowerLaw { a: 0.5, alpha: 1.0, e: 3.0 }, 5, 0.005, 21);
    let curve = Curve::new(&points).unwrap();
    let with = |noise| fit(&curve, &Options { noise, ..quick() }).unwrap();
    let width = |fit: &Fit| fit.asymptote.profile.width().unwrap();
    let unknown = with(Noise::Residuals);
    let known = with(Noise::Known { deviation: 0.005 });
    let measured = with(Noise::Measured { deviation: 0.005, degrees: 4 });
    assert!(width(&known) < width(&measured) && width(&measured) < width(&unknown));
    let doubt = |warning: &Warning| matches!(warning, Warning::ScatterExceedsNoise { .. });
    assert!(!known.warnings.iter().any(doubt));
    let optimist = with(Noise::Known { deviation: 0.0002 });
    assert!(optimist.warnings.iter().any(doubt), "{:?}", optimist.warnings);
}

fn warnings_of(points: &[(f64, f64)]) -> Vec<String> {
    let fit = fit(&Curve::new(points).unwrap(), &quick()).unwrap();
    fit.warnings.iter().map(Warning::to_string).collect()
}

#[test]
fn warnings_say_what_is_wrong() {
    let check = |points: &[(f64, f64)], expected: &str| {
        let found = warnings_of(points);
        assert!(found.iter().any(|text| text.contains(expected)), "{found:?}");
    };
    let clean = noisy(&PowerLaw { a: 0.5, alpha: 1.0, e: 3.0 }, 8, 0.0005, 31);
    assert_eq!(warnings_of(&clean), Vec::<String>::new());
    check(&clean[..4], "4 points are few");
    let drowned = noisy(&PowerLaw { a: 0.01, alpha: 1.0, e: 3.0 }, 8, 0.02, 4);
    check(&drowned, "noise exceeds signal");
    check(&drowned, "a constant loss is not excluded");
    check(&drowned, "not monotone: the loss rises by");
    let straight: Vec<_> = (1..=6).map(|k| (f64::from(k), 4.0 - 0.1 * f64::from(k))).collect();
    check(&straight, "E is zero");
    check(&straight, "far extrapolation");
    let step = [(1.0, 4.0), (2.0, 3.0), (3.0, 3.0), (4.0, 3.0), (5.0, 3.0)];
    check(&step, "bound of the search");
    let steep = [(1.0, 4.0), (2.0, 3.03), (3.0, 3.0), (4.0, 3.001), (5.0, 3.0)];
    check(&steep, "implausibly large");
}

#[test]
fn a_law_that_ends_nowhere_has_no_asymptote() {
    let fit = |loss: fn(f64) -> f64| {
        let points: Vec<_> = (0..6).map(|step| 2_f64.powi(step)).map(|x| (x, loss(x))).collect();
        fit(&Curve::new(&points).unwrap(), &quick()).unwrap()
    };
    assert!(fit(|x| 3.0 + 0.5 / x).has_asymptote());
    assert!(fit(|x| if x < 2.0 { 4.0 } else { 3.0 }).has_asymptote(), "at the steep bound");
    assert!(!fit(|x| 4.0 - 0.1 * x.ln()).has_asymptote(), "straight in ln x");
    assert!(!fit(|x| 4.0 - 0.02 * x).has_asymptote(), "ever steeper");
}

#[test]
fn refusals_are_typed() {
    let refuse = |losses: &[f64], family| {
        let points: Vec<_> = (1..).map(f64::from).zip(losses.iter().copied()).collect();
        fit(&Curve::new(&points).unwrap(), &Options { family, ..quick() }).unwrap_err()
    };
    let few = |points, needed| Refusal::TooFewPoints { points, needed };
    assert_eq!(refuse(&[3.0], Family::Power), few(1, 4));
    assert_eq!(refuse(&[3.0, 2.0, 1.5], Family::Power), few(3, 4));
    assert_eq!(refuse(&[3.0, 2.0], Family::Reciprocal), few(2, 3));
    assert_eq!(refuse(&[3.0, 3.1, 3.2, 3.3, 3.4], Family::Power), Refusal::NoDecrease);
    assert_eq!(refuse(&[3.0; 5], Family::Power), Refusal::NoDecrease);
    let law = PowerLaw { a: 1.0, alpha: 9.0, e: 3.0 };
    let points: Vec<_> = (1..=5).map(|k| (1e40 * f64::from(k), law.value(f64::from(k)))).collect();
    assert_eq!(fit(&Curve::new(&points).unwrap(), &quick()).unwrap_err(), Refusal::Unit);
}

#[test]
fn the_shape_that_made_the_points_wins() {
    let best = |law: &PowerLaw, deviation: f64| {
        let points = noisy(law, 12, deviation, 77);
        fit(&Curve::new(&points).unwrap(), &quick()).unwrap().candidates[0].name()
    };
    assert_eq!(best(&PowerLaw { a: 0.5, alpha: 0.4, e: 3.0 }, 0.001), "power");
    assert_eq!(best(&PowerLaw { a: 0.5, alpha: 1.0, e: 3.0 }, 0.001), "reciprocal");
    assert_eq!(best(&PowerLaw { a: 0.001, alpha: 1.0, e: 3.0 }, 0.1), "constant");
    // With as few points as this the criterion does not exist for a power law.
    let points = noisy(&PowerLaw { a: 0.5, alpha: 0.4, e: 3.0 }, 5, 0.001, 1);
    let fit = fit(&Curve::new(&points).unwrap(), &quick()).unwrap();
    let power = fit.candidates.iter().find(|c| c.family == Some(Family::Power)).unwrap();
    assert_eq!(power.criterion, None);
}

#[test]
fn predictions_end_in_the_asymptote() {
    let points = noisy(&PowerLaw { a: 0.5, alpha: 1.0, e: 3.0 }, 6, 0.005, 9);
    let curve = Curve::new(&points).unwrap();
    let fit = fit(&curve, &quick()).unwrap();
    let band = predictions(&curve, &quick(), &[2.0, 100.0, f64::INFINITY]).unwrap();
    let width = |claim: &Claim| claim.interval.width().unwrap();
    assert!(width(&band[0]) < width(&band[1]) && width(&band[1]) < width(&band[2]));
    assert_eq!(band[2], fit.asymptote.claim());
}

#[test]
fn multipliers_know_what_they_cannot_say() {
    let law = PowerLaw { a: 1.1, alpha: 0.3, e: 2.0 };
    let points = noisy(&law, 6, 0.002, 15);
    let curve = Curve::new(&points).unwrap();
    let ask = |loss: f64, base| multipliers(&curve, &quick(), Target::exact(loss), base).unwrap();
    let inside = ask(2.75, Base::X(1.0));
    for multiplier in &inside {
        near(multiplier.value.unwrap(), law.invert(2.75).unwrap(), 0.05);
        assert!(multiplier.bootstrap.unwrap().contains(multiplier.value.unwrap()));
    }
    let profile = inside[0].profile.unwrap();
    assert!(profile.contains(law.invert(2.75).unwrap()) && !profile.is_open(), "{profile}");
    // Relative to a loss, the same question has the same order of answer.
    let relative = ask(2.75, Base::Loss(Target::exact(curve.y()[0])));
    assert!(relative[0].profile.unwrap().contains(relative[0].value.unwrap()));
    let below = ask(1.0, Base::X(1.0));
    assert_eq!(below[0].value, Err(Unreached::BelowAsymptote));
    assert_eq!(below[1].value, Err(Unreached::OutsideMeasured));
    assert_eq!(below[0].to_string(), "not reached: at or below the asymptote of the law");
    // A loss inside of the asymptote's interval may need infinitely much.
    let e = fit(&curve, &quick()).unwrap().asymptote;
    let inside = 0.5 * (e.value + e.profile.high.value().unwrap());
    let open = ask(inside, Base::X(1.0))[0].profile.unwrap();
    assert_eq!(open.high, End::Open(f64::INFINITY));
    assert!(open.low.value().unwrap() > 1.0);
    // Also where the best law does not reach it.
    let beyond = 0.9 * e.value + 0.1 * e.profile.low.value().unwrap();
    for base in [Base::X(1.0), Base::Loss(Target::exact(curve.y()[0]))] {
        let multiplier = ask(beyond, base)[0];
        assert_eq!(multiplier.value, Err(Unreached::BelowAsymptote));
        let profile = multiplier.profile.unwrap();
        assert!(profile.low.value().unwrap() > 10.0, "{multiplier}");
        assert_eq!(profile.high, End::Open(f64::INFINITY));
    }
    // A worse loss than the base's is worth less than one.
    let worse = ask(3.0, Base::Loss(Target::exact(2.8)))[0];
    assert!(worse.value.unwrap() < 1.0 && worse.profile.unwrap().contains(worse.value.unwrap()));
}

/// Samples on a grid of N and D, with noise.
fn grid(law: impl Fn(f64, f64, f64) -> f64, epochs: &[f64], deviation: f64) -> Vec<Sample> {
    let mut draws = Draws::new(99);
    let mut samples = Vec::new();
    for n in [0.1, 0.3, 1.0, 3.0] {
        for d in [1.0, 3.0, 10.0, 30.0] {
            for &epochs in epochs {
                let loss = law(n, d, epochs) + deviation * draws.normal();
                let (parameters, epochs) = (Some(n), Some(epochs));
                samples.push(Sample { parameters, tokens: d, epochs, loss });
            }
        }
    }
    samples
}

#[test]
fn chinchilla_is_recovered_with_intervals() {
    let law = |n: f64, d: f64, _: f64| 1.7 + 0.4 * n.powf(-0.34) + 1.3 * d.powf(-0.28);
    let truth = [1.7, 0.4, 0.34, 1.3, 0.28];
    let exact = fit_surface(&grid(law, &[1.0], 0.0), Shape::Chinchilla, &quick()).unwrap();
    for ((parameter, estimate), truth) in exact.estimates.iter().zip(truth) {
        near(estimate.value, truth, 1e-5);
        assert!(estimate.profile.width().unwrap() < 1e-3, "{parameter}: {estimate:?}");
    }
    let noisy = fit_surface(&grid(law, &[1.0], 0.003), Shape::Chinchilla, &quick()).unwrap();
    for ((parameter, estimate), truth) in noisy.estimates.iter().zip(truth) {
        assert!(estimate.profile.contains(truth), "{parameter}: {estimate:?}");
        assert!(estimate.profile.contains(estimate.value));
    }
    assert!(noisy.held_out.unwrap().error().abs() < 0.05);
}

#[test]
fn the_worth_of_repeated_tokens_is_recovered() {
    let law = |n: f64, d: f64, epochs: f64| {
        1.7 + 0.4 * n.powf(-0.34) + 1.3 * effective_tokens(d, epochs, 15.4).powf(-0.28)
    };
    let samples = grid(law, &[1.0, 4.0, 16.0, 64.0], 0.0);
    let fit = fit_surface(&samples, Shape::Repeat, &Options { resamples: 1, ..quick() }).unwrap();
    near(fit.get(Parameter::Decay).unwrap().value, 15.4, 1e-5);
    near(fit.get(Parameter::E).unwrap().value, 1.7, 1e-5);
    near(fit.get(Parameter::Beta).unwrap().value, 0.28, 1e-5);
    // Without the term of N, on one size.
    let sizeless: Vec<Sample> = samples
        .iter()
        .filter(|sample| sample.parameters.is_some_and(|n| n > 2.0))
        .map(|sample| Sample { parameters: None, ..*sample })
        .collect();
    let fit = fit_surface(&sizeless, Shape::Repeat, &Options { resamples: 1, ..quick() }).unwrap();
    near(fit.get(Parameter::Decay).unwrap().value, 15.4, 1e-5);
    assert!(fit.get(Parameter::A).is_none());
}

#[test]
fn repeated_tokens_are_worth_less_and_less() {
    near(effective_tokens(100.0, 1.0, 15.0), 100.0, 1e-12);
    near(effective_tokens(100.0, 0.5, 15.0), 50.0, 1e-12);
    near(effective_tokens(100.0, 16.0, 15.0), 100.0 + 1500.0 * (1.0 - (-1.0_f64).exp()), 1e-12);
    near(effective_tokens(100.0, 5.0, 1e9), 500.0, 1e-6);
    near(effective_tokens(100.0, 1e6, 15.0), 1600.0, 1e-9);
}

#[test]
fn surfaces_refuse_what_they_cannot_know() {
    let law = |n: f64, d: f64, _: f64| 1.7 + 0.4 / n + 1.3 / d;
    let samples = grid(law, &[1.0], 0.0);
    let refuse = |samples: &[Sample], shape, expected: &str| {
        let error = fit_surface(samples, shape, &quick()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refuse(&samples[..7], Shape::Chinchilla, "three different N");
    refuse(&samples, Shape::Repeat, "no sample repeats its tokens");
    refuse(&[samples[0], samples[5], samples[10]], Shape::Chinchilla, "at least 6 are needed");
    let mut broken = samples.clone();
    broken[3].tokens = 0.0;
    refuse(&broken, Shape::Chinchilla, "0 is not a positive");
    broken[3] = Sample { parameters: None, ..samples[3] };
    refuse(&broken, Shape::Chinchilla, "some samples know N");
}

#[test]
fn both_orders_of_the_limits_meet_on_a_joint_law() {
    let law = |n: f64, k: f64| 2.9 + 0.05 * n.powf(-1.2) + (0.3 + 0.05 / n) / k;
    let mut cells = Vec::new();
    for parameters in [0.15, 0.3, 0.6, 1.4, 3.0] {
        for members in [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] {
            cells.push(Cell { parameters, members, loss: law(parameters, members) });
        }
    }
    let joint = fit_joint(&cells, &quick()).unwrap();
    let paper = joint.members_first.as_ref().unwrap();
    near(paper.law.law.e, 2.9, 1e-4);
    near(paper.law.law.alpha, 1.2, 1e-3);
    assert_eq!((paper.stages.len(), paper.refused.len()), (5, 0));
    let other = joint.parameters_first.as_ref().unwrap();
    assert!((other.law.law.e - 2.9).abs() < 0.05, "{}", other.law.law.e);
    assert!(joint.gap().unwrap().abs() < 0.05);
    let mut draws = Draws::new(5);
    for cell in &mut cells {
        cell.loss += 0.001 * draws.normal();
    }
    let noisy = fit_joint(&cells, &quick()).unwrap().members_first.unwrap();
    assert!(noisy.law.asymptote.profile.contains(2.9));
    assert!(noisy.bootstrap.contains(2.9), "{}", noisy.bootstrap);
    near(noisy.scatter.deviation, 0.001, 0.5);
    let few = fit_joint(&cells[..12], &quick()).unwrap();
    assert_eq!(few.members_first, Err(NoLimit::Stages { found: 2, first: None }));
    let mut twice = cells.clone();
    twice.push(cells[0]);
    let error = fit_joint(&twice, &quick()).unwrap_err().to_string();
    assert!(error.contains("N = 0.15, x is K: x = 1 stands twice"), "{error}");
}

/// A law of several axes with one axis is the one-axis law: both searches agree.
#[test]
fn descents_and_brackets_agree() {
    let points = noisy(&PowerLaw { a: 0.8, alpha: 0.4, e: 2.5 }, 9, 0.004, 41);
    let curve = Curve::new(&points).unwrap();
    let bracketed = fit(&curve, &quick()).unwrap();
    // The last budget is also repeated, so often that R* is as good as known and plays no part.
    let mut samples: Vec<Sample> = points
        .iter()
        .map(|&(tokens, loss)| Sample { parameters: None, tokens, epochs: None, loss })
        .collect();
    let law = &bracketed.law;
    let loss = law.value(effective_tokens(9.0, 3.0, 4.0));
    samples.push(Sample { parameters: None, tokens: 9.0, epochs: Some(3.0), loss });
    let descended = fit_surface(&samples, Shape::Repeat, &quick()).unwrap();
    for (parameter, expected) in
        [(Parameter::E, law.e), (Parameter::B, law.a), (Parameter::Beta, law.alpha)]
    {
        near(descended.get(parameter).unwrap().value, expected, 1e-4);
    }
    near(descended.get(Parameter::Decay).unwrap().value, 4.0, 1e-2);
    let profile = descended.get(Parameter::E).unwrap().profile;
    for (found, expected) in [
        (profile.low, bracketed.asymptote.profile.low),
        (profile.high, bracketed.asymptote.profile.high),
    ] {
        near(found.value().unwrap(), expected.value().unwrap(), 1e-3);
    }
}
