//! The way of a lookup: by shard, in chunks, until the deadline.
//!
//! The chunks for one shard go one after another, each a request of its own that waits in line like any other
//! and gives its place back with its answers. Shards go side by side, inside the caller's own future, so
//! nobody holds a place at one node while waiting for another.

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, Value};

use super::reads::Reads;
use super::{Lookup, LookupError, now};
use crate::error::{Failure, FailureKind};

impl Lookup {
    /// The answer to each read, or why there is none.
    pub(super) async fn answers(&self, reads: &Reads) -> Vec<Result<Value, LookupError>> {
        if reads.keys.is_empty() {
            return Vec::new();
        }
        let deadline = self.expires();
        let answers = match &self.share {
            Some(share) => self.shared(share, reads, deadline).await,
            None => self.direct(reads, deadline).await,
        };
        let told = |(position, answer): (usize, Result<Value, Failure>)| {
            let owner = || self.dispatch.owner_of(&reads.keys[position]);
            answer.map_err(|failure| LookupError::of(failure, owner))
        };
        answers.into_iter().enumerate().map(told).collect()
    }

    /// Has all of the reads sent for this caller alone.
    pub(super) async fn direct(
        &self,
        reads: &Reads,
        deadline: Option<Instant>,
    ) -> Vec<Result<Value, Failure>> {
        let all: Vec<usize> = (0..reads.keys.len()).collect();
        let size = |position: &usize| reads.size(*position);
        let mut whole = self.limits.cut(all, size);
        if let [chunk] = &mut whole[..] {
            // No part of it can be too large.
            let commands = commands(reads, chunk);
            return self.chunk(&commands, deadline).await;
        }
        let keys = reads.keys.iter().map(|key| &**key);
        let shards = match self.dispatch.by_shard(keys, deadline).await {
            Ok(shards) => shards,
            Err(failure) => return vec![Err(failure); reads.keys.len()],
        };
        let lanes = shards.into_iter().map(|positions| {
            let chunks = self.limits.cut(positions, size);
            self.lane(reads, chunks, deadline)
        });
        let mut lanes: FuturesUnordered<_> = lanes.collect();
        let mut results: Vec<Result<Value, Failure>> = vec![Ok(Value::Nil); reads.keys.len()];
        while let Some(lane) = lanes.next().await {
            for (position, result) in lane {
                results[position] = result;
            }
        }
        results
    }

    /// One shard's chunks, one after another.
    async fn lane(
        &self,
        reads: &Reads,
        chunks: Vec<Vec<usize>>,
        deadline: Option<Instant>,
    ) -> Vec<(usize, Result<Value, Failure>)> {
        let mut results = Vec::with_capacity(chunks.iter().map(Vec::len).sum());
        let mut unreachable = None;
        for chunk in chunks {
            let answers = match &unreachable {
                Some(failure) => vec![Err(Failure::clone(failure)); chunk.len()],
                None => self.chunk(&commands(reads, &chunk), deadline).await,
            };
            if unreachable.is_none() {
                unreachable = nobody_there(&answers);
            }
            results.extend(chunk.into_iter().zip(answers));
        }
        results
    }

    /// One request, if there is still time for it.
    async fn chunk(
        &self,
        commands: &[Cmd],
        deadline: Option<Instant>,
    ) -> Vec<Result<Value, Failure>> {
        if deadline.is_some_and(|deadline| deadline <= now()) {
            let late = Failure::late("the lookup's time was up".to_owned());
            return vec![Err(late); commands.len()];
        }
        self.dispatch.positions(commands, deadline).await
    }
}

fn commands(reads: &Reads, positions: &[usize]) -> Vec<Cmd> {
    let command = |position: &usize| reads.command(*position);
    positions.iter().map(command).collect()
}

/// Why a whole chunk could not be sent, if so: the next one would fare no better.
pub(super) fn nobody_there(answers: &[Result<Value, Failure>]) -> Option<Failure> {
    let refused = |answer: &Result<_, Failure>| {
        let failure = answer.as_ref().err()?;
        (failure.kind == FailureKind::NoConnection).then(|| failure.clone())
    };
    let first = answers.first().and_then(refused)?;
    let all = answers.iter().all(|answer| refused(answer).is_some());
    all.then_some(first)
}
