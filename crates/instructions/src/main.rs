//! What `cargo xtask instructions` counts under callgrind.
//!
//! Alone it lists its cases; with the name of one it runs that one. What is counted is what the process's main
//! thread does inside of [`counted_part`]: setting up and warming up come before, and servers are in threads of
//! their own. Nothing is subtracted from that, so the loop and the runtime's turns are part of each count.
//!
//! A crate of its own, so that what is counted is built as users build it: without the features that rivals or tests
//! turn on.

mod cases;
mod requests;
mod server;

use std::env;
use std::hint::black_box;

use anyhow::{Context as _, ensure};
use tokio::runtime::Runtime;

use cases::CASES;

/// How often a case runs before it is counted: until all connections are open and all stores have their size.
const WARM_UP: u32 = 100;

fn main() -> anyhow::Result<()> {
    let Some(name) = env::args().nth(1) else {
        for case in CASES {
            println!("{} {}", case.name, case.times);
        }
        return Ok(());
    };
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.with_context(|| format!("there is no case {name}"))?;
    (case.run)(case.times)
}

/// Runs `once` again and again, `times` of it counted.
fn count(
    runtime: &Runtime,
    times: u32,
    mut once: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    repeat(runtime, WARM_UP, &mut once)?;
    let mut done = 0;
    counted_part(&mut || {
        done += times;
        repeat(runtime, times, &mut once)
    })?;
    ensure!(done == times, "counted {done} instead of {times}");
    Ok(())
}

fn repeat(
    runtime: &Runtime,
    times: u32,
    once: &mut impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    runtime.block_on(async {
        for _ in 0..times {
            once().await?;
        }
        Ok(())
    })
}

/// Callgrind knows this function by its name and counts until it returns. It is not generic, so no other
/// function's symbol contains that name.
#[inline(never)]
fn counted_part(work: &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    // Were the call the last thing done here, this function would have ended before.
    black_box(work())
}
