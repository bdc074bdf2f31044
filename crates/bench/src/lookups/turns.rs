//! Contestants one after the other, several times. Each round begins with another one, so that nobody
//! always follows the same neighbour.

use super::sample::Sample;
use crate::progress::{Progress, print};

/// Measures all in all columns. What fails is told and stays in the figures; the others go on.
///
/// Returns the samples by column and contestant.
pub(crate) fn take(
    what: &str,
    titles: &[String],
    columns: usize,
    rounds: usize,
    mut measure: impl FnMut(usize, usize, usize) -> anyhow::Result<Sample>,
) -> Vec<Vec<Vec<Sample>>> {
    let progress = Progress::start(what, rounds * columns * titles.len());
    let mut samples = vec![vec![Vec::new(); titles.len()]; columns];
    for round in 0..rounds {
        for (column, samples) in samples.iter_mut().enumerate() {
            for turn in 0..titles.len() {
                let index = (round + turn) % titles.len();
                progress.turn(&titles[index]);
                let sample = measure(round, column, index).unwrap_or_else(|error| {
                    print(&format!("  {} failed: {error:#}", titles[index]));
                    Sample::failed(&error)
                });
                samples[index].push(sample);
                progress.sample();
            }
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_begins_with_another() {
        let titles = ["a", "b", "c"].map(str::to_owned);
        let mut order = Vec::new();
        let samples = take("test", &titles, 2, 2, |round, column, index| {
            order.push((round, column, index));
            anyhow::ensure!(index != 1, "no");
            Ok(Sample::default())
        });
        let indices: Vec<_> = order.iter().map(|(_, _, index)| *index).collect();
        assert_eq!(indices, [0, 1, 2, 0, 1, 2, 1, 2, 0, 1, 2, 0]);
        assert_eq!(
            (samples.len(), samples[0].len(), samples[0][0].len()),
            (2, 3, 2)
        );
        assert_eq!(samples[1][1][0].errors, 1);
        assert_eq!(samples[1][2][0].errors, 0);
    }
}
