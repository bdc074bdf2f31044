//! Long pipelines: how much of one is sent before others have their turn.

use redis::{Arg, Cmd};

/// What is sent in one go at most, if it is more than one command.
const COMMANDS: usize = 1024;
const BYTES: usize = 256 * 1024;

/// So few commands are always sent in one go, and nobody counts their bytes.
const FEW: usize = 16;

/// The first turn of a pipeline: how many of its commands it is.
pub(crate) fn turn(commands: &[&Cmd]) -> usize {
    if commands.len() <= FEW {
        return commands.len();
    }
    let mut bytes = 0_usize;
    let fits = commands.iter().take(COMMANDS).take_while(|cmd| {
        bytes = bytes.saturating_add(size(cmd));
        bytes <= BYTES
    });
    fits.count().max(1)
}

/// About how many bytes a command has on the wire.
fn size(cmd: &Cmd) -> usize {
    let word = |word: Arg<&[u8]>| match word {
        Arg::Simple(word) => word.len() + 8,
        _ => 8,
    };
    cmd.args_iter().map(word).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(commands: &[Cmd]) -> Vec<usize> {
        let mut rest = &commands.iter().collect::<Vec<_>>()[..];
        let mut turns = Vec::new();
        while !rest.is_empty() {
            let count = turn(rest);
            turns.push(count);
            rest = &rest[count..];
        }
        turns
    }

    fn sets(count: usize, bytes: usize) -> Vec<Cmd> {
        let set = redis::cmd("SET").arg("k").arg(vec![b'x'; bytes]).take();
        vec![set; count]
    }

    #[test]
    fn most_pipelines_are_one_turn() {
        assert_eq!(turns(&sets(1, 10 * BYTES)), [1]);
        assert_eq!(turns(&sets(FEW, BYTES)), [FEW]);
        assert_eq!(turns(&sets(COMMANDS, 100)), [COMMANDS]);
    }

    #[test]
    fn long_ones_are_several() {
        assert_eq!(turns(&sets(2 * COMMANDS + 1, 1)), [COMMANDS, COMMANDS, 1]);
        assert_eq!(turns(&sets(20, BYTES / 2)), [1, 1, 1, 1, FEW]);
        let each = turns(&sets(1000, 1024));
        assert!(each.iter().all(|turn| *turn < 256), "{each:?}");
    }
}
