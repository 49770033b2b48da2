"""Prints what scikit-learn makes of the numbers in crates/metrics' tests.

Needs numpy and scikit-learn (1.9.1 was used). Run it and compare with
`it_is_scikit_learns` in crates/metrics/src/average_precision.rs.
"""

from sklearn.metrics import average_precision_score

positive = [0, 0, 1, 1, 1, 0, 1, 0]
scores = [0.1, 0.4, 0.35, 0.8, 0.4, 0.4, -0.2, 0.8]
print(f"average_precision: {average_precision_score(positive, scores):.15f}")
