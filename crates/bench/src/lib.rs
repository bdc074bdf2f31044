//! wait-pool beside its rivals. Nothing is measured here yet.
