//! Scripts that went to the servers through this pool, for servers that miss one.
//!
//! A script is known to the servers that it was loaded to: not to one that has been restarted, promoted or added
//! since. Whoever sent `SCRIPT LOAD` once is not told of that.
//! <https://redis.io/docs/latest/commands/evalsha/>

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use redis::{Arg, Cmd, Value};

use super::Dispatch;
use crate::error::Failure;
use crate::plan::Piece;
use crate::route::Scripts as Effect;

/// By their digests.
#[derive(Debug, Default)]
pub(super) struct Scripts(RwLock<HashMap<Vec<u8>, Arc<Cmd>>>);

/// An application has a handful. One that makes up scripts as it goes would fill the memory here as it
/// fills the servers'.
const MOST: usize = 1000;

impl Scripts {
    /// How to load the script that an `EVALSHA` wants.
    pub(super) fn of(&self, cmd: &Cmd) -> Option<Arc<Cmd>> {
        match cmd.args_iter().nth(1)? {
            Arg::Simple(digest) => {
                let digest = digest.to_ascii_lowercase();
                self.0.read().get(&digest).cloned()
            }
            _ => None,
        }
    }

    fn add(&self, digest: &[u8], load: &Cmd) {
        let mut known = self.0.write();
        if known.len() < MOST {
            known.insert(digest.to_ascii_lowercase(), Arc::new(load.clone()));
        }
    }
}

impl Dispatch {
    /// Remembers what an answer tells of scripts.
    pub(super) fn learn(&self, piece: &Piece<'_>, answer: &Result<Value, Failure>) {
        match (piece.routed.scripts, answer) {
            (Some(Effect::Load), Ok(Value::BulkString(digest))) => {
                self.scripts.add(digest, &piece.cmd);
            }
            (Some(Effect::Load), Ok(Value::SimpleString(digest))) => {
                self.scripts.add(digest.as_bytes(), &piece.cmd);
            }
            // Whoever empties the servers' memory wants the scripts to be gone.
            (Some(Effect::Flush), Ok(Value::Okay)) => self.scripts.0.write().clear(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_digest_in_either_case() {
        let scripts = Scripts::default();
        let load = redis::cmd("SCRIPT").arg("LOAD").arg("return 1").take();
        scripts.add(b"ABC", &load);
        let evalsha = |digest: &str| redis::cmd("EVALSHA").arg(digest).arg(0).take();
        assert!(scripts.of(&evalsha("abc")).is_some());
        assert!(scripts.of(&evalsha("aBc")).is_some());
        assert!(scripts.of(&evalsha("abd")).is_none());
        assert!(scripts.of(&redis::cmd("EVALSHA")).is_none());
    }

    #[test]
    fn their_number_has_a_bound() {
        let scripts = Scripts::default();
        let load = redis::cmd("SCRIPT").arg("LOAD").arg("return 1").take();
        for number in 0..2 * MOST {
            scripts.add(number.to_string().as_bytes(), &load);
        }
        assert_eq!(scripts.0.read().len(), MOST);
    }
}
