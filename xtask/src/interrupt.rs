//! Ctrl-C.
//!
//! Servers would end with this process anyway; they are ended before it, so that none is there any
//! more when the prompt returns. Programs that a verb runs get the terminal's signal themselves;
//! they are given time to end first, so that their last words do not come after the prompt. A verb
//! that has something of its own to tidy up may end by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What shells report for a program that Ctrl-C has ended.
const EXIT_CODE: i32 = 130;
const GRACE: Duration = Duration::from_secs(10);

static ASKED: AtomicBool = AtomicBool::new(false);
static RUNS_PROGRAMS: AtomicBool = AtomicBool::new(false);
static ENDS_ITSELF: AtomicBool = AtomicBool::new(false);

/// From now on an interrupt ends this process with the exit code that shells expect.
pub(crate) fn watch() {
    // Without a handler the process ends as well, only with another code.
    let _ = ctrlc::set_handler(|| {
        let again = ASKED.swap(true, Ordering::SeqCst);
        if ENDS_ITSELF.load(Ordering::SeqCst) && !again {
            return;
        }
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

/// Says that this verb looks at [`asked`] and ends soon after; the second interrupt does not wait
/// for it.
pub(crate) fn let_the_verb_end() {
    ENDS_ITSELF.store(true, Ordering::SeqCst);
}

/// Whether an interrupt came.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Ends this process if an interrupt came: what follows would only tell of its consequences.
pub(crate) fn end_if_asked() {
    if asked() {
        end();
    }
}

fn end() -> ! {
    // What was under way may have left the cursor in the middle of a line.
    eprintln!();
    testbed::stop_all();
    std::process::exit(EXIT_CODE);
}
