//! What one contestant did in one round.

/// The figure that is compared, and what else was counted.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    pub(crate) extras: Vec<(&'static str, f64)>,
}

impl From<f64> for Sample {
    fn from(value: f64) -> Self {
        Self {
            value,
            extras: Vec::new(),
        }
    }
}
