//! How long a command waits at the server by its own words.

use std::time::Duration;

use redis::Cmd;

use super::command::CommandInfo;
use super::name::args;

/// How long the answer to a command that keeps its connection waiting may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    AtMost(Duration),
    ForEver,
}

impl Patience {
    /// When an answer is overdue that would otherwise be at `limit`; none if it may take for ever.
    pub(crate) fn extend(self, limit: Option<Duration>) -> Option<Duration> {
        match self {
            Self::AtMost(own) => limit.map(|limit| limit.saturating_add(own)),
            Self::ForEver => None,
        }
    }
}

/// None if `cmd` does not wait. What makes no sense as a time is answered with an error at once; where
/// commands of modules say it nobody knows.
pub(crate) fn patience(info: &CommandInfo<'_>, cmd: &Cmd) -> Option<Patience> {
    if !info.is_blocking(cmd) {
        return None;
    }
    let mut words = args(cmd);
    let own = match info.name() {
        "BLPOP" | "BRPOP" | "BLMOVE" | "BRPOPLPUSH" | "BZPOPMIN" | "BZPOPMAX" => {
            seconds(words.last())
        }
        "BLMPOP" | "BZMPOP" => seconds(words.nth(1)),
        "XREAD" => millis(block(words.skip(1))),
        // Behind `GROUP group consumer`, which may be called anything.
        "XREADGROUP" => millis(block(words.skip(4))),
        "WAIT" => millis(words.nth(2)),
        "WAITAOF" => millis(words.nth(3)),
        _ => return Some(Patience::ForEver),
    };
    Some(match own {
        Some(Duration::ZERO) => Patience::ForEver,
        Some(own) => Patience::AtMost(own),
        None => Patience::AtMost(Duration::ZERO),
    })
}

fn block<'c>(mut words: impl Iterator<Item = &'c [u8]>) -> Option<&'c [u8]> {
    words.find(|word| word.eq_ignore_ascii_case(b"BLOCK"))?;
    words.next()
}

fn seconds(word: Option<&[u8]>) -> Option<Duration> {
    let seconds: f64 = str::from_utf8(word?).ok()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn millis(word: Option<&[u8]>) -> Option<Duration> {
    let millis = str::from_utf8(word?).ok()?.parse().ok()?;
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::super::command::{UNLISTED, find};
    use super::super::table::COMMANDS;
    use super::*;

    fn cmd(command: &str) -> Cmd {
        let mut cmd = Cmd::new();
        cmd.arg(command.split(' ').collect::<Vec<_>>());
        cmd
    }

    fn said(command: &str) -> Option<Patience> {
        let cmd = cmd(command);
        patience(find(&cmd).unwrap_or(&UNLISTED), &cmd)
    }

    #[test]
    fn each_says_it_in_its_own_place() {
        for (command, millis) in [
            ("BLPOP a b 5", 5_000),
            ("brpop a 0.25", 250),
            ("BLMOVE a b LEFT RIGHT 2", 2_000),
            ("BRPOPLPUSH a b 2", 2_000),
            ("BZPOPMIN a 1.5", 1_500),
            ("BLMPOP 3 1 a LEFT COUNT 9", 3_000),
            ("BZMPOP 3 1 a MIN", 3_000),
            ("XREAD COUNT 1 BLOCK 70 STREAMS a 0", 70),
            ("XREADGROUP GROUP block block BLOCK 80 STREAMS a >", 80),
            ("WAIT 1 90", 90),
            ("WAITAOF 1 1 95", 95),
            // Answered with an error at once.
            ("BLPOP a", 0),
            ("BLPOP a -1", 0),
            ("BLPOP a soon", 0),
            ("WAIT", 0),
            ("XREAD BLOCK", 0),
        ] {
            let expected = Patience::AtMost(Duration::from_millis(millis));
            assert_eq!(said(command), Some(expected), "{command}");
        }
        for command in [
            "BLPOP a 0",
            "BLMPOP 0.0 1 a LEFT",
            "XREAD BLOCK 0 STREAMS a 0",
            "WAIT 1 0",
        ] {
            assert_eq!(said(command), Some(Patience::ForEver), "{command}");
        }
        for command in ["GET a", "XREAD STREAMS BLOCK 0", "NO.SUCH a 5", "LPOP a 5"] {
            assert_eq!(said(command), None, "{command}");
        }
    }

    #[test]
    fn the_place_is_known_for_every_command_that_waits() {
        for line in COMMANDS {
            let words = match line.name() {
                "XREAD" => "XREAD BLOCK 1 STREAMS 1".to_owned(),
                "XREADGROUP" => "XREADGROUP GROUP a b BLOCK 1 STREAMS 1".to_owned(),
                name => format!("{name} 1 1 1 1 1 1"),
            };
            let known = said(&words);
            assert_ne!(known, Some(Patience::ForEver), "{words}");
        }
    }

    #[test]
    fn a_limit_is_extended_by_it() {
        let second = Duration::from_secs(1);
        assert_eq!(
            Patience::AtMost(second).extend(Some(second)),
            Some(second * 2)
        );
        assert_eq!(Patience::AtMost(second).extend(None), None);
        assert_eq!(Patience::ForEver.extend(Some(second)), None);
        let most = Patience::AtMost(Duration::MAX).extend(Some(second));
        assert_eq!(most, Some(Duration::MAX));
    }
}
