//! Judges a service before it ships: findings, policy, positive controls, reports; one file per tool.
