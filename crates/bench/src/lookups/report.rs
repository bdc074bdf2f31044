//! The figures as machines read them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::contestant::Entry;
use super::sample::Sample;
use crate::stats::{Spread, spread};

/// All that was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Short rounds, few of them: the figures are good for a look only.
    pub(crate) quick: bool,
    pub(crate) server: String,
    pub(crate) processors: usize,
    /// The closed loop.
    pub(crate) levels: Vec<Level>,
    /// What the servers can do, by the length of pipelines.
    pub(crate) servers_alone: Vec<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) open_loop: Option<OpenLoop>,
    pub(crate) beside_large: Vec<Beside>,
    pub(crate) allocations: Vec<Outcome>,
    pub(crate) system_calls: Vec<Outcome>,
    pub(crate) sweep: Vec<Level>,
}

/// So many callers.
#[derive(Debug, Serialize)]
pub(crate) struct Level {
    pub(crate) concurrency: usize,
    pub(crate) results: Vec<Outcome>,
}

/// So many callers, beside so many others whose values are large.
#[derive(Debug, Serialize)]
pub(crate) struct Beside {
    pub(crate) concurrency: usize,
    pub(crate) large: usize,
    pub(crate) results: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
pub(crate) struct OpenLoop {
    /// What stands for 1.0.
    pub(crate) capacity_per_s: f64,
    pub(crate) in_time_ms: u128,
    pub(crate) rates: Vec<Rate>,
}

/// So many arrivals.
#[derive(Debug, Serialize)]
pub(crate) struct Rate {
    pub(crate) of_capacity: f64,
    pub(crate) arrivals_per_s: f64,
    pub(crate) results: Vec<Outcome>,
}

/// What one contestant did in all rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) variant: String,
    pub(crate) version: Option<&'static str>,
    /// How it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) settings: Option<&'static str>,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    pub(crate) peak_connections: u64,
    pub(crate) errors: u64,
    pub(crate) wrong_values: u64,
    /// The first error of the last round that had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

/// By name. The median goes by it, and least and most by it with an ending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(pub(crate) BTreeMap<&'static str, Spread>);

impl Outcome {
    /// Of no rounds there are no figures.
    pub(crate) fn new(name: &str, variant: &str, samples: &[Sample]) -> Self {
        let mut figures: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        for &(name, figure) in samples.iter().flat_map(|sample| &sample.figures) {
            figures.entry(name).or_default().push(figure);
        }
        let figures = figures.into_iter();
        let of_all = |count: fn(&Sample) -> u64| samples.iter().map(count);
        Self {
            name: name.to_owned(),
            variant: variant.to_owned(),
            version: None,
            settings: None,
            figures: Figures(
                figures
                    .filter_map(|(name, all)| Some((name, spread(all)?)))
                    .collect(),
            ),
            peak_connections: of_all(|sample| sample.peak_connections).max().unwrap_or(0),
            errors: of_all(|sample| sample.errors).sum(),
            wrong_values: of_all(|sample| sample.wrong_values).sum(),
            failure: samples
                .iter()
                .rev()
                .find_map(|sample| sample.failure.clone()),
        }
    }

    pub(crate) fn of(entry: &Entry, samples: &[Sample]) -> Self {
        Self {
            version: entry.version,
            settings: Some(entry.settings),
            ..Self::new(entry.name, entry.variant, samples)
        }
    }

    /// `wait-pool-redis pipe`.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.variant)
            .trim_end()
            .to_owned()
    }

    pub(crate) fn figure(&self, name: &str) -> Option<Spread> {
        self.figures.0.get(name).copied()
    }

    /// Whether its figures are to be taken for what they are.
    pub(crate) fn is_sound(&self) -> bool {
        self.errors == 0 && self.wrong_values == 0
    }
}

impl Report {
    pub(crate) fn level(&self, concurrency: usize) -> Option<&Level> {
        self.levels
            .iter()
            .find(|level| level.concurrency == concurrency)
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len() * 3))?;
        for (name, figure) in &self.0 {
            map.serialize_entry(name, &figure.median)?;
            map.serialize_entry(&format!("{name}_min"), &figure.min)?;
            map.serialize_entry(&format!("{name}_max"), &figure.max)?;
        }
        map.end()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn outcome(name: &str, requests_per_s: [f64; 3]) -> Outcome {
        let samples = requests_per_s.map(|each| Sample {
            figures: vec![
                ("requests_per_s", each),
                ("p50_us", 1e6 / each),
                ("p99_us", 2e6 / each),
            ],
            peak_connections: 3,
            ..Sample::default()
        });
        Outcome::new(name, "pipe", &samples)
    }

    pub(crate) fn level(concurrency: usize, results: Vec<Outcome>) -> Level {
        Level {
            concurrency,
            results,
        }
    }

    #[test]
    fn the_shape_that_others_read() {
        let report = Report {
            levels: vec![level(
                256,
                vec![outcome("wait-pool-redis", [3.0, 1.0, 2.0])],
            )],
            ..Report::default()
        };
        let value = serde_json::to_value(&report).unwrap();
        let level = &value["levels"][0];
        assert_eq!(level["concurrency"], 256);
        let result = &level["results"][0];
        assert_eq!(result["name"], "wait-pool-redis");
        assert_eq!(result["variant"], "pipe");
        assert_eq!(result["requests_per_s"], 2.0);
        assert_eq!(result["requests_per_s_min"], 1.0);
        assert_eq!(result["requests_per_s_max"], 3.0);
        assert_eq!(result["p99_us"], 1e6);
        assert_eq!(result["peak_connections"], 3);
        assert_eq!(result["errors"], 0);
        assert_eq!(result["wrong_values"], 0);
    }

    #[test]
    fn errors_of_all_rounds_count() {
        let failed = Sample::failed(&anyhow::anyhow!("no route"));
        let wrong = Sample {
            wrong_values: 2,
            ..Sample::default()
        };
        let outcome = Outcome::new("a", "", &[failed, wrong]);
        assert_eq!((outcome.errors, outcome.wrong_values), (1, 2));
        assert_eq!(outcome.failure.as_deref(), Some("no route"));
        assert!(!outcome.is_sound());
        assert_eq!(outcome.title(), "a");
    }
}
