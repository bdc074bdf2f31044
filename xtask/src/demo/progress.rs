//! What is to be seen while it runs: a bar where there is a terminal, lines where there is none.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A step that takes a while.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    name: &'static str,
}

impl Progress {
    /// Shows that a step of `length` parts begins.
    pub(super) fn start(name: &'static str, what: &str, length: u64) -> Self {
        if !io::stdout().is_terminal() {
            print(&format!("{}{what} …", label(name)));
        }
        let template = format!("{}{{bar:24.cyan/238}} {{wide_msg}}", label(name));
        let style = ProgressStyle::with_template(&template)
            .expect("the names have no braces")
            .progress_chars("━╸─");
        // Draws nothing where there is no terminal.
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stdout())
            .with_style(style)
            .with_message(what.to_owned());
        bar.tick();
        Self { bar, name }
    }

    /// Shows how far it is.
    pub(super) fn at(&self, position: u64, message: impl Into<String>) {
        self.bar.set_message(message.into());
        self.bar.set_position(position);
    }

    /// Shows how it ended, in one line that stays.
    pub(super) fn done(self, line: &str) {
        self.bar.finish_and_clear();
        say(self.name, line);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // After an error; without effect once it is done.
        self.bar.finish_and_clear();
    }
}

/// Prints a line with the name of what it is about.
pub(super) fn say(name: &str, line: &str) {
    print(&format!("{}{line}", label(name)));
}

/// Prints a line. If nobody reads it any more, as after `| head`, there still is work to be done.
pub(super) fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn label(name: &str) -> String {
    format!("  {name:<22}")
}
