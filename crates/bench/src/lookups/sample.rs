//! What one contestant did in one round.

/// Figures by their names, and what must not have happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) figures: Vec<(&'static str, f64)>,
    pub(crate) errors: u64,
    pub(crate) wrong_values: u64,
    /// The most connections that were seen at one time.
    pub(crate) peak_connections: u64,
    /// The first error.
    pub(crate) failure: Option<String>,
}

impl Sample {
    /// The contestant did not get through the round.
    pub(crate) fn failed(error: &anyhow::Error) -> Self {
        Self {
            errors: 1,
            failure: Some(format!("{error:#}")),
            ..Self::default()
        }
    }

    /// The quantiles of latencies in nanoseconds, if there are any.
    pub(crate) fn latencies(&mut self, nanos: &hdrhistogram::Histogram<u64>) {
        if nanos.is_empty() {
            return;
        }
        let shares = [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)];
        let micros =
            shares.map(|(name, share)| (name, nanos.value_at_quantile(share) as f64 / 1e3));
        self.figures.extend(micros);
    }
}
