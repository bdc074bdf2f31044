//! Ctrl-C.
//!
//! Servers would end with this process anyway; they are ended before it, so that none is there any
//! more when the prompt returns. Programs that a verb runs get the terminal's signal themselves;
//! they are given time to end first, so that their last words do not come after the prompt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What shells report for a program that Ctrl-C has ended.
const EXIT_CODE: i32 = 130;
const GRACE: Duration = Duration::from_secs(10);

static ASKED: AtomicBool = AtomicBool::new(false);
static RUNS_PROGRAMS: AtomicBool = AtomicBool::new(false);

/// From now on an interrupt ends this process with the exit code that shells expect.
pub(crate) fn watch() {
    // Without a handler the process ends as well, only with another code.
    let _ = ctrlc::set_handler(|| {
        ASKED.store(true, Ordering::SeqCst);
        if RUNS_PROGRAMS.load(Ordering::SeqCst) {
            thread::sleep(GRACE);
        }
        end();
    });
}

/// Says that this verb runs programs that end by the same signal.
pub(crate) fn let_programs_end_first() {
    RUNS_PROGRAMS.store(true, Ordering::SeqCst);
}

/// Ends this process if an interrupt came: what follows would only tell of its consequences.
pub(crate) fn end_if_asked() {
    if ASKED.load(Ordering::SeqCst) {
        end();
    }
}

fn end() -> ! {
    testbed::stop_all();
    std::process::exit(EXIT_CODE);
}
