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
use super::{Lookup, now};
use crate::dispatch::{Asked, Positions};
use crate::error::{Failure, FailureKind};
use crate::node::NodeAddr;

impl Lookup {
    /// The answer to each read, or why there is none.
    pub(super) async fn answers(&self, reads: &Reads) -> Positions {
        if reads.keys.is_empty() {
            return Positions::All(Vec::new());
        }
        let deadline = self.expires();
        match &self.share {
            Some(share) => Positions::Each(self.shared(share, reads, deadline).await),
            None => self.direct(reads, deadline).await,
        }
    }

    /// Who serves a key, as far as is known.
    pub(super) fn owner_of(&self, key: &[u8]) -> Option<NodeAddr> {
        self.dispatch.owner_of(key)
    }

    /// Has all of the reads sent for this caller alone.
    pub(super) async fn direct(&self, reads: &Reads, deadline: Option<Instant>) -> Positions {
        let size = |position: &usize| reads.size(*position);
        if self.limits.hold(0..reads.keys.len(), size) {
            // No part of it can be too large.
            return self.chunk(Chunk { reads, only: None }, deadline).await;
        }
        Positions::Each(self.in_chunks(reads, deadline).await)
    }

    async fn in_chunks(
        &self,
        reads: &Reads,
        deadline: Option<Instant>,
    ) -> Vec<Result<Value, Failure>> {
        let shards = match self.dispatch.by_shard(reads.keys.iter(), deadline).await {
            Ok(shards) => shards,
            Err(failure) => return vec![Err(failure); reads.keys.len()],
        };
        let size = |position: &usize| reads.size(*position);
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
                None => {
                    let only = Some(&*chunk);
                    self.chunk(Chunk { reads, only }, deadline).await.each()
                }
            };
            if unreachable.is_none() {
                unreachable = nobody_there(&answers);
            }
            results.extend(chunk.into_iter().zip(answers));
        }
        results
    }

    /// One request, if there is still time for it.
    async fn chunk(&self, chunk: Chunk<'_>, deadline: Option<Instant>) -> Positions {
        if deadline.is_some_and(|deadline| deadline <= now()) {
            let late = Failure::late("the lookup's time was up".to_owned());
            return Positions::Each(vec![Err(late); chunk.len()]);
        }
        self.dispatch.positions(&chunk, deadline).await
    }
}

/// Reads that travel together: all, or those at some positions.
struct Chunk<'a> {
    reads: &'a Reads,
    only: Option<&'a [usize]>,
}

impl Chunk<'_> {
    fn position(&self, place: usize) -> usize {
        self.only.map_or(place, |only| only[place])
    }
}

impl Asked for Chunk<'_> {
    fn len(&self) -> usize {
        self.only.map_or(self.reads.keys.len(), <[usize]>::len)
    }

    fn key(&self, place: usize) -> &[u8] {
        self.reads.keys.at(self.position(place))
    }

    fn write(&self, place: usize, bytes: &mut Vec<u8>) {
        self.reads.write(self.position(place), bytes);
    }

    fn command(&self, place: usize) -> Cmd {
        self.reads.command(self.position(place))
    }
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
