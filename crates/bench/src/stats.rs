//! What is told of many samples.

/// The middle of all rounds, and how far they went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// `None` of nothing.
pub(crate) fn spread(mut samples: Vec<f64>) -> Option<Spread> {
    samples.sort_by(f64::total_cmp);
    let (&min, &max) = (samples.first()?, samples.last()?);
    let middle = samples.len() / 2;
    let median = match samples.len() % 2 {
        1 => samples[middle],
        _ => f64::midpoint(samples[middle - 1], samples[middle]),
    };
    Some(Spread { median, min, max })
}

/// The smallest of the sorted samples that at least this share does not exceed.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_odd_and_even() {
        let of = |samples: &[f64]| spread(samples.to_vec());
        let (min, max) = (1.0, 9.0);
        let expected = |median| Some(Spread { median, min, max });
        assert_eq!(of(&[9.0, 1.0, 2.0]), expected(2.0));
        assert_eq!(of(&[9.0, 1.0, 2.0, 4.0]), expected(3.0));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn quantiles_are_samples() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.5), Some(50.0));
        assert_eq!(quantile(&sorted, 0.99), Some(99.0));
        assert_eq!(quantile(&sorted, 0.0), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
