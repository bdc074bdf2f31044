//! Reads that are shared: sent by a task of their own, so that no caller's leaving disturbs the others.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{Either, pending, select};
use futures_util::stream::FuturesUnordered;
use redis::{Arg, Cmd, Value};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::reads::Reads;
use super::run::nobody_there;
use super::share::{Caller, Claim, Share};
use super::{Lookup, now};
use crate::dispatch::Asked;
use crate::error::{self, Failure};

type Answer = Result<Value, Failure>;

/// What a flight leaves: reads that others have asked for meanwhile, and chunks that are still to go.
type Left = (Vec<Claim>, VecDeque<Vec<Claim>>);

impl Lookup {
    /// Joins the reads that are waiting to be sent, has the others sent, and waits for all of them.
    pub(super) async fn shared(
        &self,
        share: &Arc<Share>,
        reads: &Reads,
        deadline: Option<Instant>,
    ) -> Vec<Answer> {
        let count = reads.keys.len();
        let Ok(runtime) = Handle::try_current() else {
            return vec![Err(Failure::before_sending(error::no_runtime())); count];
        };
        let mut claims = Vec::new();
        let mut coming = Vec::with_capacity(count);
        for position in 0..count {
            let (answer, answered) = oneshot::channel();
            let caller = Caller { answer, deadline };
            claims.extend(share.join(reads.command(position), caller));
            coming.push(answered);
        }
        // No await since the claims were taken: a caller dropped from here on leaves them to the task.
        if !claims.is_empty() {
            drop(runtime.spawn(self.clone().fly(claims)));
        }
        let (mut results, orphans) = arrivals(coming, deadline).await;
        if !orphans.is_empty() {
            // Their task is gone, with its runtime most likely.
            let answers = self.direct(&reads.only(&orphans), deadline).await.each();
            for (position, answer) in orphans.into_iter().zip(answers) {
                results[position] = answer;
            }
        }
        results
    }

    /// Sends what is claimed, and again what others have asked for meanwhile, until nobody has.
    async fn fly(self, claims: Vec<Claim>) {
        // Ends by itself; callers that cannot wait for it leave.
        let keys = claims.iter().map(|claim| key(&claim.cmd));
        let shards = match self.dispatch.by_shard(keys, None).await {
            Ok(shards) => shards,
            Err(failure) => {
                claims.into_iter().for_each(|claim| claim.fail(&failure));
                return;
            }
        };
        let mut claims: Vec<Option<Claim>> = claims.into_iter().map(Some).collect();
        let mut running = FuturesUnordered::new();
        for positions in shards {
            let own = positions.into_iter();
            let own = own.filter_map(|position| claims[position].take());
            let chunks = self.limits.cut(own.collect(), Claim::size);
            running.push(self.flight(chunks.into()));
        }
        while let Some((again, rest)) = running.next().await {
            if !rest.is_empty() {
                running.push(self.flight(rest));
            }
            if !again.is_empty() {
                running.push(self.flight([again].into()));
            }
        }
    }

    /// Sends one chunk, and gives its answers to those who wait for them.
    async fn flight(&self, mut chunks: VecDeque<Vec<Claim>>) -> Left {
        let mut again = Vec::new();
        let mut aboard = Vec::new();
        let mut callers = Vec::new();
        let departure = now();
        for claim in chunks.pop_front().unwrap_or_default() {
            let waiting = claim.depart(departure);
            if waiting.is_empty() {
                again.extend(claim.land());
            } else {
                callers.push(waiting);
                aboard.push(claim);
            }
        }
        if aboard.is_empty() {
            return (again, chunks);
        }
        let commands = Aboard(&aboard);
        let deadline = last_deadline(&callers);
        let answers = {
            let sent = pin!(self.dispatch.positions(&commands, deadline));
            match select(sent, pin!(all_gone(&mut callers))).await {
                Either::Left((answers, _)) => answers.each(),
                // Nobody is there to hear of it.
                Either::Right(_) => Vec::new(),
            }
        };
        if let Some(failure) = nobody_there(&answers) {
            let rest = chunks.drain(..).flatten();
            rest.for_each(|claim| claim.fail(&failure));
        }
        for (callers, answer) in callers.into_iter().zip(answers) {
            hand_out(callers, answer);
        }
        again.extend(aboard.into_iter().filter_map(Claim::land));
        (again, chunks)
    }
}

/// What one chunk of claimed reads asks for.
struct Aboard<'a>(&'a [Claim]);

impl Asked for Aboard<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn key(&self, place: usize) -> &[u8] {
        key(&self.0[place].cmd)
    }

    fn write(&self, place: usize, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.0[place].packed());
    }

    fn command(&self, place: usize) -> Cmd {
        self.0[place].cmd.clone()
    }
}

/// Collects answers until the deadline; gives also the positions that nobody will answer.
async fn arrivals(
    coming: Vec<oneshot::Receiver<Answer>>,
    deadline: Option<Instant>,
) -> (Vec<Answer>, Vec<usize>) {
    let late = || Err(Failure::late("the lookup's time was up".to_owned()));
    let mut expired = pin!(expiry(deadline));
    let mut is_late = false;
    let mut orphans = Vec::new();
    let mut results = Vec::with_capacity(coming.len());
    for (position, mut answered) in coming.into_iter().enumerate() {
        let arrived = match is_late {
            true => answered.try_recv().map_err(|_| true),
            false => match select(&mut answered, expired.as_mut()).await {
                Either::Left((arrived, _)) => arrived.map_err(|_| false),
                Either::Right(_) => {
                    is_late = true;
                    answered.try_recv().map_err(|_| true)
                }
            },
        };
        results.push(match arrived {
            Ok(answer) => answer,
            Err(true) => late(),
            Err(false) => {
                orphans.push(position);
                late()
            }
        });
    }
    (results, orphans)
}

/// Each caller gets a copy, the last one the answer itself.
fn hand_out(mut callers: Vec<Caller>, answer: Answer) {
    let last = callers.pop();
    for caller in callers {
        let _ = caller.answer.send(answer.clone());
    }
    if let Some(caller) = last {
        let _ = caller.answer.send(answer);
    }
}

/// When the last caller gives up; `None` if one of them never does.
fn last_deadline(callers: &[Vec<Caller>]) -> Option<Instant> {
    let deadlines = callers.iter().flatten().map(|caller| caller.deadline);
    // `None` is less than any deadline, but here it means more.
    deadlines
        .collect::<Option<Vec<_>>>()
        .and_then(|all| all.into_iter().max())
}

/// Resolves when no caller waits any longer.
async fn all_gone(callers: &mut [Vec<Caller>]) {
    for caller in callers.iter_mut().flatten() {
        caller.answer.closed().await;
    }
}

/// Behind the moment at which the request itself ends, since that can say more.
async fn expiry(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until((deadline + MOMENT).into()).await,
        None => pending().await,
    }
}

const MOMENT: Duration = Duration::from_millis(5);

/// The key of a command that this module has made.
fn key(cmd: &Cmd) -> &[u8] {
    match cmd.args_iter().nth(1) {
        Some(Arg::Simple(key)) => key,
        _ => &[],
    }
}
