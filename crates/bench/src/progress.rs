//! What is to be seen while it runs: a bar where there is a terminal, lines where there is none.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The samples of one case.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows that a case of so many samples begins.
    pub(crate) fn start(case: &str, samples: usize) -> Self {
        if !io::stdout().is_terminal() {
            print(&format!("  {case} …"));
        }
        let style = ProgressStyle::with_template("  {prefix:<46}{bar:24.cyan/238} {wide_msg}")
            .expect("the template is well formed")
            .progress_chars("━╸─");
        // Draws nothing where there is no terminal.
        let bar = ProgressBar::with_draw_target(Some(samples as u64), ProgressDrawTarget::stdout())
            .with_style(style)
            .with_prefix(case.to_owned());
        bar.tick();
        Self { bar }
    }

    /// Shows whose turn it is.
    pub(crate) fn turn(&self, name: &str) {
        self.bar.set_message(name.to_owned());
    }

    /// Shows that one sample more is there.
    pub(crate) fn sample(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Prints a line. If nobody reads it any more, as after `| head`, there still is work to be done.
pub(crate) fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
