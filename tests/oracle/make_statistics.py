"""Writes `statistics/expected.json`: Student-t quantiles, clustered and paired standard errors.

    python tests/oracle/make_statistics.py

A cluster is a block of at most 64 KiB of one document. The loss of a split is a ratio, the sum of
token losses over the count of tokens, and both vary from block to block: with y_g and n_g of
block g, L = sum(y) / sum(n), r_g = y_g - L * n_g, and the squared standard error is
G / (G - 1) * sum(r_g^2) / sum(n)^2. A paired difference is the same with y_g = a_g - b_g.

The quantiles are checked against arbitrary-precision arithmetic, the standard errors against
the cluster-robust covariance of `statsmodels` on single tokens, a loop over blocks left out, and
for blocks of equal size against the paired t test of `scipy`.
"""

import json
import math
from pathlib import Path

import mpmath
import numpy
import scipy.stats
import statsmodels.api

FOLDER = Path(__file__).parent / "statistics"
PROBABILITIES = (0.5, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9995, 0.025)
DEGREES = (1, 2, 3, 4, 5, 7, 10, 19, 30, 63, 100, 1000, 1_000_000)


def exact_cdf(t, degrees):
    """Student's distribution function by the incomplete beta function, 40 digits."""
    with mpmath.workdps(40):
        t, degrees = mpmath.mpf(t), mpmath.mpf(degrees)
        x = degrees / (degrees + t * t)
        tail = mpmath.betainc(degrees / 2, 0.5, 0, x, regularized=True) / 2
        return tail if t < 0 else 1 - tail


def quantiles():
    rows = []
    for degrees in DEGREES:
        for p in PROBABILITIES:
            t = 0.0 if p == 0.5 else float(scipy.stats.t.ppf(p, degrees))
            # The density turns an error of t into one of p.
            slope = scipy.stats.t.pdf(t, degrees)
            error = abs(float(exact_cdf(t, degrees) - mpmath.mpf(p)) / slope)
            assert error <= 1e-13 * max(abs(t), 1), (p, degrees, t, error)
            rows.append({"probability": p, "degrees": degrees, "t": t})
    return rows


def ratio_with_error(sums, counts):
    """The ratio estimate, its clustered standard error, and its 95 % interval by Student's t."""
    sums, counts = numpy.asarray(sums, dtype=float), numpy.asarray(counts, dtype=float)
    clusters, total = len(sums), math.fsum(counts)
    ratio = math.fsum(sums) / total
    squares = math.fsum((sums - ratio * counts) ** 2)
    error = math.sqrt(clusters / (clusters - 1) * squares) / total
    half = scipy.stats.t.ppf(0.975, clusters - 1) * error
    return {
        "estimate": ratio,
        "standard_error": error,
        "degrees": clusters - 1,
        "interval_95": [ratio - half, ratio + half],
    }


def check_by_tokens(blocks, result):
    """Regression on a constant, errors clustered by block, must give the same two numbers."""
    tokens = numpy.concatenate(blocks)
    groups = numpy.repeat(numpy.arange(len(blocks)), [len(block) for block in blocks])
    fit = statsmodels.api.OLS(tokens, numpy.ones((len(tokens), 1))).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True}
    )
    assert math.isclose(fit.params[0], result["estimate"], rel_tol=1e-12, abs_tol=1e-15)
    assert math.isclose(fit.bse[0], result["standard_error"], rel_tol=1e-10), fit.bse


def check_by_leaving_out(sums, counts, result, tolerance):
    """The jackknife agrees to the order of 1 / G: it finds a wrong factor, not a small error."""
    sums, counts = numpy.asarray(sums), numpy.asarray(counts)
    without = (sums.sum() - sums) / (counts.sum() - counts)
    clusters = len(sums)
    error = math.sqrt((clusters - 1) / clusters * ((without - without.mean()) ** 2).sum())
    assert math.isclose(error, result["standard_error"], rel_tol=tolerance), error


def token_losses(generator, counts, level, spread):
    """Losses of single tokens per block: blocks differ in level, tokens within them too."""
    levels = level + spread * generator.standard_normal(len(counts))
    return [at + generator.gamma(2.0, 0.5, size=n) - 1 for at, n in zip(levels, counts)]


def rounded(blocks):
    """Sums in multiples of 2^-20, so that the JSON text is short and exact."""
    return [math.floor(block.sum() * 2**20 + 0.5) / 2**20 for block in blocks]


def example(generator, counts):
    """Two models on the same blocks: their losses and the paired difference, a minus b."""
    first = token_losses(generator, counts, 3.2, 0.4)
    second = [block + 0.03 + 0.2 * generator.standard_normal(len(block)) for block in first]
    differences = [a - b for a, b in zip(first, second)]
    for blocks in (first, second, differences):
        check_by_tokens(blocks, ratio_with_error([b.sum() for b in blocks], counts))
    a, b = rounded(first), rounded(second)
    paired = ratio_with_error(numpy.subtract(a, b), counts)
    if len(counts) > 20:
        check_by_leaving_out(a, counts, ratio_with_error(a, counts), 0.1)
    if len(set(counts)) == 1:
        test = scipy.stats.ttest_rel(numpy.divide(a, counts), numpy.divide(b, counts))
        t = paired["estimate"] / paired["standard_error"]
        assert math.isclose(test.statistic, t, rel_tol=1e-9), (test, t)
    naive = math.hypot(
        ratio_with_error(a, counts)["standard_error"], ratio_with_error(b, counts)["standard_error"]
    )
    t = paired["estimate"] / paired["standard_error"]
    return {
        "token_counts": list(counts),
        "loss_sums_a": a,
        "loss_sums_b": b,
        "a": ratio_with_error(a, counts),
        "b": ratio_with_error(b, counts),
        "a_minus_b": paired,
        "a_minus_b_two_sided_p": float(2 * scipy.stats.t.sf(abs(t), paired["degrees"])),
        "a_minus_b_error_if_not_paired": naive,
    }


def main():
    generator = numpy.random.default_rng(7)
    uneven = [int(n) for n in generator.integers(20, 2000, size=40)]
    expected = {
        "student_t_quantiles": quantiles(),
        "examples": {
            "uneven_blocks": example(generator, uneven),
            "equal_blocks": example(generator, [128] * 12),
            "two_blocks": example(generator, [300, 900]),
            "one_long_block": example(generator, [50, 60, 70, 80, 20_000]),
        },
    }
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "expected.json").write_text(json.dumps(expected) + "\n")
    for name, case in expected["examples"].items():
        print(f"{name}: {case['a_minus_b']}, p {case['a_minus_b_two_sided_p']:.2g}")


if __name__ == "__main__":
    main()
