//! The figures as machines read them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// All that was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Short rounds, few of them: the figures are good for a look only.
    pub(crate) quick: bool,
    pub(crate) cases: Vec<Case>,
}

/// One case in one setting, with all contestants.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) case: &'static str,
    pub(crate) runtime: &'static str,
    pub(crate) timeouts: bool,
    pub(crate) unit: &'static str,
    pub(crate) lower_is_better: bool,
    pub(crate) rounds: usize,
    pub(crate) results: Vec<Outcome>,
}

/// What one contestant did.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) version: Option<&'static str>,
    /// How its timeout was set.
    pub(crate) timeout: &'static str,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Medians of what else was counted.
    #[serde(flatten)]
    pub(crate) extras: BTreeMap<&'static str, f64>,
}

impl Report {
    /// The case in this setting, if it was measured.
    pub(crate) fn find(&self, case: &str, runtime: &str, timeouts: bool) -> Option<&Case> {
        self.cases.iter().find(|candidate| {
            (candidate.case, candidate.runtime, candidate.timeouts) == (case, runtime, timeouts)
        })
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn outcome(name: &'static str, median: f64) -> Outcome {
        Outcome {
            name,
            version: Some("1.2.3"),
            timeout: "none",
            median,
            min: median - 1.0,
            max: median + 1.0,
            extras: BTreeMap::new(),
        }
    }

    pub(crate) fn case(name: &'static str, timeouts: bool, results: Vec<Outcome>) -> Case {
        Case {
            case: name,
            runtime: "current_thread",
            timeouts,
            unit: "ns",
            lower_is_better: true,
            rounds: 3,
            results,
        }
    }

    #[test]
    fn the_shape_that_others_read() {
        let mut rival = outcome("bb8", 3.0);
        rival.extras.insert("p50_ms", 7.0);
        let report = Report {
            quick: true,
            cases: vec![case(
                "uncontended",
                true,
                vec![outcome("wait-pool", 2.0), rival],
            )],
        };
        let value = serde_json::to_value(&report).unwrap();
        let case = &value["cases"][0];
        assert_eq!(case["case"], "uncontended");
        assert_eq!(case["runtime"], "current_thread");
        assert_eq!(case["timeouts"], true);
        assert_eq!(case["unit"], "ns");
        assert_eq!(case["lower_is_better"], true);
        let results = case["results"].as_array().unwrap();
        assert_eq!(results[0]["name"], "wait-pool");
        assert_eq!(results[0]["median"], 2.0);
        assert_eq!(results[0]["min"], 1.0);
        assert_eq!(results[0]["max"], 3.0);
        assert_eq!(results[1]["p50_ms"], 7.0);
    }
}
