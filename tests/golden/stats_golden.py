#!/usr/bin/env python3
"""
Writes tests/unit/stats_golden.h: rows and the figures that scipy,
scikit-learn and statsmodels (or, where these have none, a direct
transcription of the published formula over all pairs) give for them.

    python3 -m venv v && v/bin/pip install numpy scipy scikit-learn statsmodels
    v/bin/python tests/golden/stats_golden.py > tests/unit/stats_golden.h

Made with numpy 2, scipy 1.17, scikit-learn 1.9, statsmodels 0.15.
"""
import numpy as np
from scipy import optimize, stats
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
import statsmodels.api as sm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

rng = np.random.default_rng(20)
N, K = 150, 60
cluster = np.sort(rng.integers(0, K, N))
cluster = np.unique(cluster, return_inverse=True)[1]
K = cluster.max() + 1
base = rng.normal(size=K)
# most patients have one class; every seventh has both
label = (base[cluster] + 0.3 > 0).astype(int)
mixed = cluster % 7 == 0
label[mixed] = rng.integers(0, 2, mixed.sum())
effect = rng.normal(size=K)
def scores(shift):
    z = shift * (2 * label - 1) + 0.8 * effect[cluster] + rng.normal(size=N)
    p = 1 / (1 + np.exp(-z))
    return np.clip(np.round(p * 50) / 50 + 0.003, 0.003, 0.993)   # ties; no bin edges
a, b = scores(0.9), scores(0.6)
T = 0.5
cid = cluster.astype(np.uint64) * np.uint64(11400714819323198485) + np.uint64(5)


def text(name, values, kind="double"):
    values = [repr(float(v)) if kind == "double" else f"{int(v)}u" if kind.startswith("uint8")
              else f"UINT64_C({int(v)})" for v in np.ravel(values)]
    lines, line = [], "\t"
    for v in values:
        if len(line) + len(v) > 90:
            lines.append(line.rstrip())
            line = "\t"
        line += v + ", "
    lines.append(line.rstrip().rstrip(","))
    print(f"static const {kind} golden_{name}[] = {{\n" + "\n".join(lines) + "\n};\n")


def number(name, value):
    value = float(value)
    print(f"#define GOLDEN_{name.upper()} {value!r}" if np.isfinite(value)
          else f"#define GOLDEN_{name.upper()} NAN")


def pair_kernel(score):
    x, y = score[label == 1], score[label == 0]
    return (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])


def obuchowski(kernel_1, kernel_2, groups):
    """Covariance of two clustered AUCs, Obuchowski 1997, term by term."""
    pos, neg = groups[label == 1], groups[label == 0]
    m, n = len(pos), len(neg)
    ids = np.unique(groups)
    def sums(kernel):
        v10, v01, theta = kernel.mean(1), kernel.mean(0), kernel.mean()
        return (np.array([v10[pos == g].sum() - (pos == g).sum() * theta for g in ids]),
                np.array([v01[neg == g].sum() - (neg == g).sum() * theta for g in ids]))
    x1, y1 = sums(kernel_1)
    x2, y2 = sums(kernel_2)
    i10, i01, i = len(np.unique(pos)), len(np.unique(neg)), len(ids)
    s10 = i10 / ((i10 - 1) * m) * (x1 * x2).sum()
    s01 = i01 / ((i01 - 1) * n) * (y1 * y2).sum()
    s11 = i / (i - 1) * ((x1 * y2).sum() + (x2 * y1).sum()) / 2
    return s10 / m + s01 / n + 2 * s11 / (m * n)


def degrees(groups):
    """Satterthwaite's degrees of freedom of the variance of a mean, written as matrices."""
    w = np.array([(groups == g).mean() for g in np.unique(groups)])
    deviation = np.eye(len(w)) - np.outer(np.ones(len(w)), w)
    form = deviation.T @ np.diag(w ** 2) @ deviation
    return np.trace(form) ** 2 / np.trace(form @ form)


def auc_degrees(kernel, groups):
    """Those of Welch and Satterthwaite, at most the clusters of the smaller class less one."""
    pos, neg = groups[label == 1], groups[label == 0]
    parts = []
    for rows, place in ((pos, kernel.mean(1)), (neg, kernel.mean(0))):
        k = len(np.unique(rows))
        sums = np.array([(place[rows == g] - place.mean()).sum() for g in np.unique(rows)])
        parts.append((k / (k - 1) * (sums ** 2).sum() / len(rows) ** 2, degrees(rows), k))
    total = obuchowski(kernel, kernel, groups)
    return min(total ** 2 / sum(v ** 2 / f for v, f, _ in parts), min(k for _, _, k in parts) - 1)


def logit_limits(auc, se, df, p=0.05):
    t = stats.t.ppf(1 - p / 2, df)
    c = np.log(auc / (1 - auc))
    h = t * se / (auc * (1 - auc))
    return 1 / (1 + np.exp(-(c - h))), 1 / (1 + np.exp(-(c + h)))


def mover(a, a_low, a_high, b, b_low, b_high, r):
    """Limits of a - b from those of a and b and their correlation (Zou and Donner 2008)."""
    return (a - b - np.sqrt((a - a_low) ** 2 + (b_high - b) ** 2 - 2 * r * (a - a_low) * (b_high - b)),
            a - b + np.sqrt((a_high - a) ** 2 + (b - b_low) ** 2 - 2 * r * (a_high - a) * (b - b_low)))


def clustered_proportion(success, groups, level=0.95):
    n, p = len(success), success.mean()
    x = np.array([success[groups == g].sum() for g in np.unique(groups)], float)
    m = np.array([(groups == g).sum() for g in np.unique(groups)], float)
    k = len(x)
    most = (m ** 2).sum() / n
    d = 1.0
    if 0 < p < 1:
        d = max(1.0, k / (k - 1) * ((x - p * m) ** 2).sum() / n ** 2 / (p * (1 - p) / (n - 1)))
    rare = (x > 0).sum() if p <= 0.5 else (x < m).sum()
    if most > d:
        d += (most - d) / (1 + rare)
    q = (1 + level) / 2
    n_eff = n / d * (stats.t.ppf(q, n - 1) / stats.t.ppf(q, degrees(groups))) ** 2
    return (*proportion_confint(p * n_eff, n_eff, alpha=1 - level, method="wilson"), n_eff)


print("/*\n * stats_golden.h\n *\t\tWritten by tests/golden/stats_golden.py; do not edit.\n */\n/* clang-format off */")
print("#ifndef PNEUMO_TESTS_STATS_GOLDEN_H\n#define PNEUMO_TESTS_STATS_GOLDEN_H\n")
print("#include <math.h>\n#include <stdint.h>\n")
number("n", N)
print()
text("score_a", a)
text("score_b", b)
text("label", label, "uint8_t")
text("cluster", cid, "uint64_t")

called = (a >= T).astype(int)
tn, fp, fn, tp = metrics.confusion_matrix(label, called).ravel()
for name, v in (("tn", tn), ("fp", fp), ("fn", fn), ("tp", tp)):
    number(name, v)
number("accuracy", metrics.accuracy_score(label, called))
number("f1", metrics.f1_score(label, called))
number("ppv", metrics.precision_score(label, called))
number("log_loss", metrics.log_loss(label, a))
number("brier", metrics.brier_score_loss(label, a))
number("auc_a", metrics.roc_auc_score(label, a))
number("auc_b", metrics.roc_auc_score(label, b))

own = np.arange(N)
ka, kb = pair_kernel(a), pair_kernel(b)
for name, groups in (("delong", own), ("obuchowski", cluster)):
    va, vb, cab = obuchowski(ka, ka, groups), obuchowski(kb, kb, groups), obuchowski(ka, kb, groups)
    se = np.sqrt(va)
    number(name + "_se", se)
    low, high = logit_limits(ka.mean(), se, auc_degrees(ka, groups))
    number(name + "_low", low)
    number(name + "_high", high)
    sd = np.sqrt(va + vb - 2 * cab)
    d = ka.mean() - kb.mean()
    number(name + "_difference_se", sd)
    df = auc_degrees(ka - kb, groups)
    def difference(p):
        """Limits at level 1 - p: between the symmetric ones and those of the region of logit AUCs."""
        t = stats.t.ppf(1 - p / 2, df)
        auc = np.array([ka.mean(), kb.mean()])
        jacobian = np.diag(1 / (auc * (1 - auc)))
        root = np.linalg.cholesky(jacobian @ np.array([[va, cab], [cab, vb]]) @ jacobian)
        def at(angle):
            edge = np.log(auc / (1 - auc)) + t * root @ [np.cos(angle), np.sin(angle)]
            return np.subtract(*(1 / (1 + np.exp(-edge))))
        ends = []
        for sign in (1, -1):
            start = min(np.linspace(0, 2 * np.pi, 400), key=lambda x: sign * at(x))
            best = optimize.minimize_scalar(lambda x: sign * at(x), bracket=(start - 0.01, start + 0.01), tol=1e-12)
            ends.append((d - sign * t * sd + at(best.x)) / 2)
        return ends
    number(name + "_difference_low", difference(0.05)[0])
    number(name + "_difference_high", difference(0.05)[1])
    number(name + "_difference_p", optimize.brentq(lambda p: difference(p)[int(d < 0)], 1e-9, 0.99, xtol=1e-15))

# DeLong's variance as the textbook writes it, to check the transcription
x, y = ka.mean(1), ka.mean(0)
assert np.isclose(x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y), obuchowski(ka, ka, own))

right = (called == label).astype(int)
for name, rows, success in (("accuracy", own >= 0, right), ("sensitivity", label == 1, called),
                            ("specificity", label == 0, 1 - called),
                            ("ppv", called == 1, label), ("npv", called == 0, 1 - label)):
    low, high = proportion_confint(success[rows].sum(), rows.sum(), method="wilson")
    number(name + "_wilson_low", low)
    number(name + "_wilson_high", high)
    low, high, n_eff = clustered_proportion(success[rows], cluster[rows])
    number(name + "_cluster_low", low)
    number(name + "_cluster_high", high)
    number(name + "_cluster_n", n_eff)

se1, sp1 = tp / (tp + fn), tn / (tn + fp)
half = 1.959963984540054 * np.sqrt(1 / tp - 1 / (tp + fn) + 1 / fp - 1 / (tn + fp))
number("lr_positive", se1 / (1 - sp1))
number("lr_positive_low", se1 / (1 - sp1) * np.exp(-half))
half = 1.959963984540054 * np.sqrt(1 / fn - 1 / (tp + fn) + 1 / tn - 1 / (tn + fp))
number("lr_negative_high", (1 - se1) / sp1 * np.exp(half))

# F1 by statsmodels' Wilson interval of TP / (TP + FP + FN), and by patient
union = (called == 1) | (label == 1)
hit = ((called == 1) & (label == 1)).astype(int)
for name, (low, high) in (("wilson", proportion_confint(hit.sum(), union.sum(), method="wilson")),
                          ("cluster", clustered_proportion(hit[union], cluster[union])[:2])):
    number("f1_" + name + "_low", 2 * low / (1 + low))
    number("f1_" + name + "_high", 2 * high / (1 + high))

# losses by statsmodels' regression on a constant with the cluster-robust variance
losses = {"brier": (1.0, (a - label) ** 2, (b - label) ** 2),
          "log_loss": (-np.log(1e-7), -np.log(np.where(label == 1, a, 1 - a)), -np.log(np.where(label == 1, b, 1 - b)))}
for name, (most, loss, other) in losses.items():
    for kind, groups in (("rows", own), ("cluster", cluster)):
        k = len(np.unique(groups))
        def robust(x):
            fit = sm.OLS(x, np.ones(N)).fit(cov_type="cluster",
                                            cov_kwds={"groups": groups, "use_correction": False})
            return fit.params[0], fit.bse[0] * np.sqrt(k / (k - 1))
        mean, se = robust(loss)
        low, high = logit_limits(mean / most, se / most, degrees(groups))
        number(f"{name}_{kind}_low", low * most)
        number(f"{name}_{kind}_high", high * most)
        mean, se = robust(loss - other)
        number(f"{name}_difference_{kind}_low", mean - stats.t.ppf(0.975, degrees(groups)) * se)

# the exact one-sided limit
number("exact_57_59", proportion_confint(57, 59, alpha=0.1, method="beta")[0])
number("exact_fraction", stats.beta.ppf(0.1, 20.5, 3.7))

ra, rb = (a >= T) == label, (b >= T) == label
table = [[(ra & rb).sum(), (ra & ~rb).sum()], [(~ra & rb).sum(), (~ra & ~rb).sum()]]
number("only_a_right", table[0][1])
number("only_b_right", table[1][0])
number("mcnemar_p", mcnemar(table, exact=True).pvalue)
# Newcombe's method 10 for paired proportions (Stat Med 1998;17:2635), without and with clusters
for name, groups in (("rows", own), ("cluster", cluster)):
    x = np.array([[q[groups == g].sum() for g in np.unique(groups)] for q in (ra, rb)], float)
    m = np.array([(groups == g).sum() for g in np.unique(groups)], float)
    e = x - np.array([[ra.mean()], [rb.mean()]]) * m
    r = (e[0] * e[1]).sum() / np.sqrt((e[0] ** 2).sum() * (e[1] ** 2).sum())
    limits = [clustered_proportion(q.astype(int), groups)[:2] for q in (ra, rb)]
    low, high = mover(ra.mean(), *limits[0], rb.mean(), *limits[1], r)
    number("accuracy_difference_low_" + name, low)
    number("accuracy_difference_high_" + name, high)
# the clustered sign test by its characteristic function
d = np.array([(ra.astype(int) - rb)[cluster == g].sum() for g in range(K)])
size = 4096
frequency = 2 * np.pi * np.arange(size) / size
pmf = np.real(np.fft.ifft(np.prod(np.cos(np.outer(frequency, d)), axis=1)))
support = np.where(np.arange(size) < size // 2, np.arange(size), np.arange(size) - size)
number("sign_test_p", pmf[np.abs(support) >= abs(d.sum())].sum())

fpr, tpr, thr = metrics.roc_curve(label, a, drop_intermediate=False)
f, t = np.round(fpr * (label == 0).sum()), np.round(tpr * label.sum())
keep = [i for i in range(len(f)) if i in (0, len(f) - 1)
        or (f[i] - f[i - 1]) * (t[i + 1] - t[i]) != (f[i + 1] - f[i]) * (t[i] - t[i - 1])]
number("roc_corners", len(keep))
text("roc_fpr", fpr)
text("roc_tpr", tpr)
text("roc_threshold", np.where(np.isinf(thr), 2.0, thr))
number("roc_all", len(fpr))
fpr, tpr, thr = metrics.roc_curve(label, a, drop_intermediate=False)
number("youden", (tpr - fpr).max())
first = np.argmax(tpr >= 0.9)
number("sens90", tpr[first])
number("sens90_fpr", fpr[first])
number("sens90_score", thr[first])

# calibration
logit = np.log(a / (1 - a))
for name, groups in (("rows", own), ("cluster", cluster)):
    k = len(np.unique(groups))
    fit = sm.Logit(label, sm.add_constant(logit)).fit(disp=0, tol=1e-13, maxiter=200, cov_type="cluster",
          cov_kwds={"groups": groups, "use_correction": False})
    if name == "rows":
        number("intercept", fit.params[0])
        number("slope", fit.params[1])
    number("intercept_se_" + name, fit.bse[0] * np.sqrt(k / (k - 1)))
    number("slope_se_" + name, fit.bse[1] * np.sqrt(k / (k - 1)))
number("degrees_cluster", degrees(cluster))
fit = sm.GLM(label, np.ones((N, 1)), family=sm.families.Binomial(), offset=logit).fit(tol=1e-14)
number("in_the_large", fit.params[0])
BINS = 8
true, pred = calibration_curve(label, a, n_bins=BINS)
which = np.minimum((a * BINS).astype(int), BINS - 1)
counts = np.bincount(which, minlength=BINS)
number("bins_filled", (counts > 0).sum())
text("bin_observed", true)
text("bin_score", pred)
number("ece", (counts[counts > 0] * np.abs(true - pred)).sum() / N)
number("mce", np.abs(true - pred).max())
# the limits of the ECE: per cluster and bin, and scipy's folded normal distribution
gap = (label - a)[:, None] * (which[:, None] == np.arange(BINS))
for kind, groups in (("rows", own), ("cluster", cluster)):
    k = len(np.unique(groups))
    sums = np.array([gap[groups == g].sum(0) for g in np.unique(groups)])
    m = np.array([(groups == g).sum() for g in np.unique(groups)])
    t = gap.sum(0) / N
    e = sums - np.outer(m, t)
    cov = k / (k - 1) * e.T @ e / N ** 2
    s = np.sqrt(np.diag(cov))[counts > 0]
    m = np.maximum(0, np.abs(t[counts > 0]) - s)
    excess = (stats.foldnorm.mean(m / s, scale=s) - m).sum()
    half = stats.t.ppf(0.975, degrees(groups)) * np.sqrt(np.sign(t) @ cov @ np.sign(t))
    number("ece_low_" + kind, max(0, np.abs(t).sum() - excess - half))
    number("ece_high_" + kind, np.abs(t).sum() + half)

# Platt: smoothed targets; temperature: two and three classes
n0, n1 = (label == 0).sum(), (label == 1).sum()
target = np.where(label == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
def platt_gradient(v):
    r = 1 / (1 + np.exp(-(v[0] * logit + v[1]))) - target
    return [(r * logit).sum(), r.sum()]
platt = optimize.root(platt_gradient, [1.0, 0.0], tol=1e-14).x
number("platt_slope", platt[0])
number("platt_intercept", platt[1])
z3 = rng.normal(size=(N, 3)) * 3
y3 = np.array([rng.choice(3, p=np.exp(r / 1.7) / np.exp(r / 1.7).sum()) for r in z3])
text("logit3", z3)
text("label3", y3, "uint8_t")
def nll(t, z, y):
    s = z / t
    s = s - s.max(1, keepdims=True)
    return (np.log(np.exp(s).sum(1)) - s[np.arange(len(y)), y]).sum()
def temperature(z, y):
    h = 1e-5
    return optimize.brentq(lambda t: nll(t + h, z, y) - nll(t - h, z, y), 0.1, 15, xtol=1e-12)
number("temperature2", temperature(np.stack([0 * logit, logit], 1), label))
number("temperature3", temperature(z3, y3))
p3 = np.exp(z3) / np.exp(z3).sum(1, keepdims=True)
number("class_log_loss", metrics.log_loss(y3, p3))
number("class_macro_auc", metrics.roc_auc_score(y3, p3, multi_class="ovr", average="macro"))
number("class_macro_f1", metrics.f1_score(y3, p3.argmax(1), average="macro"))
number("class_macro_sensitivity", metrics.recall_score(y3, p3.argmax(1), average="macro"))
number("class_accuracy", metrics.accuracy_score(y3, p3.argmax(1)))
number("class_brier", ((p3 - np.eye(3)[y3]) ** 2).sum(1).mean())

# logistic regression on features of very different scale
features = np.stack([1500 + 400 * (label + rng.normal(size=N)), 1e6 + 3e5 * rng.normal(size=N),
                     rng.normal(size=N) - 0.4 * label, np.full(N, 3.0)], 1)
text("features", features)
model = LogisticRegression(C=1.0, tol=1e-12, max_iter=10000, solver="newton-cholesky")
scaled = StandardScaler().fit_transform(features)
model.fit(scaled, label)
text("logistic_weight", model.coef_[0])
number("logistic_intercept", model.intercept_[0])
number("logistic_auc", metrics.roc_auc_score(label, model.decision_function(scaled)))

# symmetric eigenvectors
m = rng.normal(size=(7, 12))
g = m @ m.T
w, v = np.linalg.eigh(g)
w, v = w[::-1], v[:, ::-1].T
v = v * np.sign(v[np.arange(7), np.abs(v).argmax(1)])[:, None]
text("matrix", g)
text("eigenvalue", w)
text("eigenvector", v)

# quantiles
number("z95", stats.norm.ppf(0.975))
number("z9999", stats.norm.ppf(0.99995))
number("t95_1", stats.t.ppf(0.975, 1))
number("t95_7", stats.t.ppf(0.975, 7))
number("t99_250", stats.t.ppf(0.995, 250))

# Newcombe's method 5 for AUC 1 with 12 and 20 rows
def newcombe(auc, m, n):
    z = stats.norm.ppf(0.975)
    extra = (m + n) / 2 - 1
    f = lambda t: (t - auc) ** 2 - z * z * t * (1 - t) / (m * n) * (
        1 + extra * ((1 - t) / (2 - t) + t / (1 + t)))
    low = optimize.brentq(f, 1e-9, auc - 1e-9, xtol=1e-15)
    return low
number("newcombe_1_12_20", newcombe(1.0, 12, 20))
number("newcombe_half_12_20", newcombe(0.5, 12, 20))
print("\n#endif\t\t\t\t\t\t\t/* PNEUMO_TESTS_STATS_GOLDEN_H */")
