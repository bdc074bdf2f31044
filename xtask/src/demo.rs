//! `demo`: what this project is for, on a real cluster.
//!
//! A service reads about ten features for each of its requests. The phases show what that comes to
//! with the usual clients, with redis-rs's own, and with wait-pool, one after the other and on the
//! same cluster, and at last what happens while one of its nodes hangs.

mod args;
mod census;
mod conclusions;
mod crowd;
mod failure;
mod features;
mod limits;
mod load;
mod naive;
mod node_down;
mod optimised;
mod phase;
mod pooled;
mod progress;
mod redis_rs;
mod report;
mod site;
mod slots;
mod table;
mod tally;
mod words;

use std::time::Instant;

use anyhow::bail;

pub(crate) use args::Args;

use crate::interrupt;
use naive::Lists;
use phase::{Bench, CALLERS, Phase, REQUEST_TIMEOUT};
use pooled::{PER_NODE, Pipelined, Single};
use progress::{print, say};
use redis_rs::Joined;
use report::Report;
use site::Site;
use words::{count, counted};

const NAIVE: Phase = Phase {
    name: "naive",
    how: "a connection per GET",
    cap: None,
};
const FAIL_FAST: Phase = Phase {
    name: "fail-fast",
    how: "16 per node, no waiting",
    cap: None,
};
const REDIS_RS: Phase = Phase {
    name: "redis-rs-cluster",
    how: "ten joined GETs",
    cap: None,
};
const SINGLE: Phase = Phase {
    name: "wait-pool-single",
    how: "ten joined GETs",
    cap: None,
};
const PIPELINED: Phase = Phase {
    name: "wait-pool-pipelined",
    how: "one pipeline of ten",
    cap: None,
};
const NODE_DOWN: Phase = Phase {
    name: "node-down",
    how: "the same, a node hangs",
    cap: None,
};

/// Runs the verb.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if !optimised::IS {
        return optimised::become_it();
    }
    limits::raise_files();
    print(&format!(
        "wait-pool: lookups of {} random features out of {}, {CALLERS} at once, every value checked\n",
        features::PER_REQUEST,
        count(features::COUNT.into()),
    ));
    if args.url.is_empty() {
        let site = start()?;
        load::load(&site)?;
        return perform(args, &site);
    }
    let site = Site::visit(&args.url)?;
    say("cluster", &describe(&site));
    if !args.write {
        if !load::are_there(&site)? {
            bail!(
                "the features are not in that cluster, and nothing is written there without leave: \
                 add --write to load them (keys wait-pool-demo:…, removed at the end)"
            );
        }
        say("load", "the features are there already; nothing is written");
        return perform(args, &site);
    }
    // From here on there is something to tidy up.
    interrupt::let_the_verb_end();
    let result = load::load(&site).and_then(|()| perform(args, &site));
    if !args.keep {
        let removed = load::remove(&site);
        if let Err(error) = &removed
            && interrupt::asked()
        {
            // Nobody tells of errors after an interrupt, but this one matters.
            eprintln!("error: {error:#}");
        }
        return result.and(removed);
    }
    result
}

fn start() -> anyhow::Result<Site> {
    let progress = progress::Progress::start("cluster", "starting the servers", 1);
    let begin = Instant::now();
    let site = Site::start()?;
    let seconds = begin.elapsed().as_secs_f64();
    progress.done(&format!("{}, started in {seconds:.1} s", describe(&site)));
    Ok(site)
}

fn describe(site: &Site) -> String {
    format!(
        "{}, {} and {}",
        site.server,
        counted(site.slots.masters.len() as u64, "master"),
        counted(site.slots.replicas.len() as u64, "replica"),
    )
}

/// Runs the phases and tells what came of them.
fn perform(args: &Args, site: &Site) -> anyhow::Result<()> {
    let report = phases(args, site)?;
    print(&format!("\n{}", table::phases(&report.phases)));
    print(" Rates and latencies are those of requests that got their values.");
    print(" A caller comes back with its next request at once, also after an error.");
    if site.is_visited() {
        print(" Connections that others open meanwhile are counted too.");
    }
    print("");
    if let Some(details) = &report.node_down {
        print(&format!("{}\n", table::node_down(details)));
    }
    for sentence in conclusions::of(&report) {
        print(&words::item(&sentence));
    }
    crate::report::write(args.json.as_deref(), &report)?;
    let faults = report.faults();
    if !faults.is_empty() {
        bail!("wait-pool did not keep its word: {}", faults.join("; "));
    }
    Ok(())
}

fn phases(args: &Args, site: &Site) -> anyhow::Result<Report> {
    let bench = Bench::new(site)?;
    let masters = site.slots.masters.len();
    let time = args.phase();
    let cap = Some(pooled::cap(site));

    let bound = limits::bound(site, CALLERS * features::PER_REQUEST);
    let naive = Phase {
        cap: bound
            .why
            .is_some()
            .then_some((bound.per_node * masters) as u64),
        ..NAIVE
    };
    if let Some(why) = &bound.why {
        say(NAIVE.name, why);
    }
    let fail_fast = Phase {
        cap: Some((PER_NODE * masters) as u64),
        ..FAIL_FAST
    };
    let single = Phase { cap, ..SINGLE };
    let pipelined = Phase { cap, ..PIPELINED };
    let node_down = Phase { cap, ..NODE_DOWN };

    let mut phases = vec![
        bench.run(naive, time, async || Lists::new(site, bound.per_node))?,
        bench.run(fail_fast, time, async || Lists::new(site, PER_NODE))?,
        bench.run(REDIS_RS, time, async || Joined::open(site).await)?,
        bench.run(single, time, async || {
            Ok(Single(pooled::pool(site, REQUEST_TIMEOUT)?))
        })?,
        bench.run(pipelined, time, async || {
            Ok(Pipelined(pooled::pool(site, REQUEST_TIMEOUT)?))
        })?,
    ];
    let mut details = None;
    if site.is_visited() {
        say(
            NODE_DOWN.name,
            "skipped: no node of a foreign cluster is stopped",
        );
    } else {
        let (outcome, found) = node_down::run(&bench, node_down, args.around_stop())?;
        phases.push(outcome);
        details = Some(found);
    }
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        server: site.server.clone(),
        own_cluster: !site.is_visited(),
        masters,
        replicas: site.slots.replicas.len(),
        features: features::COUNT,
        keys_per_request: features::PER_REQUEST,
        callers: CALLERS,
        phases,
        node_down: details,
    })
}
