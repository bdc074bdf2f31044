//! One command whose keys are in several slots, on its short way.

use redis::{Cmd, RedisResult, Value};

use super::Dispatch;
use super::short::{Errand, Short};
use crate::plan::{Answers, Cuts, Merge, Piece};
use crate::refresh::Snapshot;
use crate::route::Routed;
use crate::wire;

impl Errand for Cuts<'_> {
    fn count(&self) -> usize {
        self.len()
    }

    fn shard(&self, position: usize, snapshot: &Snapshot) -> Option<usize> {
        snapshot.topology.shard_of(self.slot(position))
    }

    fn write(&self, position: usize, bytes: &mut Vec<u8>) {
        wire::write_words(bytes, self.words_in(position), self.words(position));
    }
}

impl Dispatch {
    /// Runs a command that has been cut.
    pub(super) async fn cut(
        &self,
        cmd: &Cmd,
        routed: Routed,
        cuts: Cuts<'_>,
    ) -> RedisResult<Value> {
        let deadline = self.deadline()?;
        let merge = Merge::of_cuts(routed.response, &cuts);
        let answers = match self.short(&cuts, deadline).await {
            Short::Done(values) => {
                let merged = merge.merge_values(values);
                return merged.map_err(|failure| failure.error);
            }
            Short::Begun(sent) => {
                let mut answers = Answers::new(1);
                answers.split(0, merge, cuts.len());
                let pieces = Piece::of_cuts(0, routed, &cuts).collect();
                self.resume(pieces, answers, sent, deadline).await
            }
            Short::Unfit => self.long(&[cmd], None, None, deadline).await?,
        };
        Ok(answers.into_values()?.pop().unwrap_or_default())
    }
}
