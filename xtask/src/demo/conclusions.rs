//! What the figures come to, in sentences.

use super::node_down::Group;
use super::report::Report;
use super::words::{self, count, counted, percent};

/// The sentences that can be said of this run.
pub(super) fn of(report: &Report) -> Vec<String> {
    [speed(report), bound(report), isolation(report)]
        .into_iter()
        .flatten()
        .collect()
}

fn speed(report: &Report) -> Option<String> {
    let rate = |name| Some(report.phase(name)?.figures.requests_per_s).filter(|&rate| rate > 0.0);
    let pipelined = rate(super::PIPELINED.name)?;
    let mut text = format!(
        "One pipeline per request does {:.1} times the requests/s of ten single GETs on the same pool",
        pipelined / rate(super::SINGLE.name)?
    );
    if let Some(other) = rate(super::REDIS_RS.name) {
        text.push_str(&format!(
            ", and {:.1} times those of ten joined GETs on redis-rs's own ClusterConnection",
            pipelined / other
        ));
    }
    text.push('.');
    Some(text)
}

fn bound(report: &Report) -> Option<String> {
    let ours = report.phase(super::PIPELINED.name)?;
    let single = report.phase(super::SINGLE.name)?;
    let naive = report.phase(super::NAIVE.name)?;
    let fail_fast = &report.phase(super::FAIL_FAST.name)?.figures;
    let peak = ours.peak_connections.max(single.peak_connections);
    let errors = ours.figures.errors + single.figures.errors;
    Some(format!(
        "wait-pool: at most {} and {}. The client without a limit took {} connections; the one \
         that does not wait at its limit failed {} of its requests.",
        counted(peak, "connection"),
        counted(errors, "error"),
        count(naive.peak_connections),
        percent(fail_fast.errors, fail_fast.requests),
    ))
}

fn isolation(report: &Report) -> Option<String> {
    let details = report.node_down.as_ref()?;
    let [any, elsewhere] = &details.groups;
    let errors = |group: &Group| group.during.errors + group.after.errors;
    Some(format!(
        "While {} hung for {:.0} s, callers of other nodes went from {} to {} requests/s, with {}, and \
         {} to other nodes was closed; {} of those that may need it failed after {:.0} s each.",
        details.stopped_node,
        details.stopped_for_s,
        words::rate(elsewhere.before.requests_per_s),
        words::rate(elsewhere.during.requests_per_s),
        counted(errors(elsewhere), "error"),
        match details.connections_closed_elsewhere {
            0 => "no connection".to_owned(),
            closed => counted(closed, "connection"),
        },
        counted(errors(any), "request"),
        details.request_timeout_s,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::failure::Failure;
    use super::super::report::tests::{figures, outcome, report};
    use super::*;

    #[test]
    fn ratios_are_reckoned() {
        let mut naive = outcome("naive", 100, &[]);
        naive.peak_connections = 2500;
        let phases = vec![
            naive,
            outcome("fail-fast", 1, &[Failure::MAX_CONNECTIONS; 3]),
            outcome("redis-rs-cluster", 200, &[]),
            outcome("wait-pool-single", 400, &[]),
            outcome("wait-pool-pipelined", 1000, &[]),
        ];
        let during = [figures(1, &[Failure::WRONG_VALUE]), figures(11, &[])];
        let texts = of(&report(phases, during));
        assert_eq!(texts.len(), 3);
        assert!(texts[0].contains("does 2.5 times"), "{}", texts[0]);
        assert!(texts[0].contains("and 5.0 times"), "{}", texts[0]);
        assert!(texts[1].contains("at most 50 connections"), "{}", texts[1]);
        assert!(texts[1].contains("took 2,500"), "{}", texts[1]);
        assert!(texts[1].contains("failed 75 %"), "{}", texts[1]);
        assert!(texts[2].contains("1 request of"), "{}", texts[2]);
        assert!(
            texts[2].contains("from 10 to 11 requests/s"),
            "{}",
            texts[2]
        );
        assert!(texts[2].contains("no connection to"), "{}", texts[2]);
    }

    #[test]
    fn nothing_is_said_of_what_was_not_measured() {
        let mut empty = report(Vec::new(), [figures(0, &[]), figures(0, &[])]);
        empty.node_down = None;
        assert!(of(&empty).is_empty());
    }
}
