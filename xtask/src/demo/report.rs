//! All of a run's figures, for machines, and what in them must not be.

use serde::Serialize;

use super::node_down::NodeDown;
use super::phase::Outcome;
use super::words::{count, counted};

/// What comes of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Of wait-pool.
    pub(super) version: &'static str,
    /// Name and version of the servers.
    pub(super) server: String,
    /// Whether nobody else uses the cluster.
    pub(super) own_cluster: bool,
    pub(super) masters: usize,
    pub(super) replicas: usize,
    pub(super) features: u32,
    pub(super) keys_per_request: usize,
    /// Requests under way at any time.
    pub(super) callers: usize,
    pub(super) phases: Vec<Outcome>,
    /// Absent on a cluster whose processes are not ours.
    pub(super) node_down: Option<NodeDown>,
}

impl Report {
    /// The phase of this name, if it took place.
    pub(super) fn phase(&self, name: &str) -> Option<&Outcome> {
        self.phases.iter().find(|phase| phase.name == name)
    }

    /// What wait-pool promises and did not keep.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for phase in &self.phases {
            let steady = phase.name.starts_with("wait-pool");
            if !steady && phase.name != super::NODE_DOWN.name {
                continue;
            }
            let mut fault = |what: String| faults.push(format!("{}: {what}", phase.name));
            let figures = &phase.figures;
            if steady && figures.errors > 0 {
                fault(counted(figures.errors, "error"));
            }
            if figures.wrong_values > 0 {
                fault(counted(figures.wrong_values, "wrong value"));
            }
            if figures.ok == 0 {
                fault("no request got its values".to_owned());
            }
            // In a cluster of others some of the connections may be theirs.
            if let Some(cap) = phase.connection_cap
                && self.own_cluster
                && phase.peak_connections > cap
            {
                let peak = count(phase.peak_connections);
                fault(format!("{peak} connections, {} allowed", count(cap)));
            }
        }
        if let Some(details) = &self.node_down {
            let closed = details.connections_closed_elsewhere;
            if closed > 0 {
                let closed = counted(closed, "connection");
                faults.push(format!("node-down: {closed} to other nodes closed"));
            }
            let [_, elsewhere] = &details.groups;
            let errors = [&elsewhere.before, &elsewhere.during, &elsewhere.after]
                .iter()
                .map(|figures| figures.errors)
                .sum();
            if errors > 0 {
                let errors = counted(errors, "error");
                faults.push(format!("node-down: {errors} with keys on other nodes"));
            }
        }
        faults
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::failure::Failure;
    use super::super::node_down::Group;
    use super::super::tally::{Figures, Tally};
    use super::*;

    /// So many answered requests, in a second.
    pub(in super::super) fn figures(ok: u64, failures: &[Failure]) -> Figures {
        let mut tally = Tally::new();
        for _ in 0..ok {
            tally.answered(Duration::from_micros(850));
        }
        for failure in failures {
            tally.failed(failure.clone());
        }
        tally.figures(Duration::from_secs(1))
    }

    pub(in super::super) fn outcome(name: &'static str, ok: u64, failures: &[Failure]) -> Outcome {
        Outcome {
            name,
            how: "somehow",
            figures: figures(ok, failures),
            peak_connections: 50,
            connection_cap: Some(54),
            connections_opened: 50,
        }
    }

    pub(in super::super) fn report(phases: Vec<Outcome>, during: [Figures; 2]) -> Report {
        let [any, elsewhere] = during.map(|during| Group {
            keys: "some",
            callers: 128,
            before: figures(10, &[]),
            during,
            after: figures(10, &[]),
        });
        Report {
            version: "0.1.0",
            server: "redis 7.0.15".to_owned(),
            own_cluster: true,
            masters: 3,
            replicas: 3,
            features: 100_000,
            keys_per_request: 10,
            callers: 256,
            phases,
            node_down: Some(NodeDown {
                stopped_node: "127.0.0.1:7001".to_owned(),
                stopped_for_s: 3.0,
                request_timeout_s: 1.0,
                groups: [any, elsewhere],
                connections_closed_elsewhere: 0,
            }),
        }
    }

    fn good() -> [Figures; 2] {
        [figures(1, &[Failure::MAX_CONNECTIONS]), figures(10, &[])]
    }

    #[test]
    fn others_may_fail() {
        let phases = vec![
            outcome("fail-fast", 0, &[Failure::MAX_CONNECTIONS]),
            outcome("wait-pool-single", 5, &[]),
            outcome("node-down", 5, &[Failure::MAX_CONNECTIONS]),
        ];
        assert!(report(phases, good()).faults().is_empty());
    }

    #[test]
    fn we_may_not() {
        let mut tally = Tally::new();
        tally.wrong(2);
        let mut wrong = outcome("node-down", 0, &[]);
        wrong.figures = tally.figures(Duration::from_secs(1));
        let mut many = outcome("wait-pool-pipelined", 5, &[]);
        many.peak_connections = 55;
        let single = outcome("wait-pool-single", 5, &[Failure::MAX_CONNECTIONS]);
        let down = [figures(1, &[]), figures(1, &[Failure::MAX_CONNECTIONS])];
        let mut report = report(vec![single, many, wrong], down);
        if let Some(details) = &mut report.node_down {
            details.connections_closed_elsewhere = 1;
        }
        let expected = [
            "wait-pool-single: 1 error",
            "wait-pool-pipelined: 55 connections, 54 allowed",
            "node-down: 2 wrong values",
            "node-down: no request got its values",
            "node-down: 1 connection to other nodes closed",
            "node-down: 1 error with keys on other nodes",
        ];
        assert_eq!(report.faults(), expected);
    }

    #[test]
    fn a_phase_is_flat_for_machines() {
        let mut phase = outcome("naive", 2, &[Failure::MAX_CONNECTIONS]);
        phase.connection_cap = None;
        let json = serde_json::to_value(report(vec![phase], good())).unwrap();
        let phase = json["phases"][0].as_object().unwrap();
        for name in [
            "name",
            "requests",
            "ok",
            "errors",
            "errors_by_kind",
            "wrong_values",
            "seconds",
            "requests_per_s",
            "p50_us",
            "p99_us",
            "p999_us",
            "max_us",
            "peak_connections",
            "connection_cap",
        ] {
            assert!(phase.contains_key(name), "{name}");
        }
        assert_eq!(phase["errors_by_kind"]["max connections"], 1);
        assert!(phase["connection_cap"].is_null());
        for name in ["server", "masters", "replicas", "features"] {
            assert!(json.get(name).is_some(), "{name}");
        }
    }
}
