//! A batch on its way: its parts side by side, and what becomes of each.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use redis::{Pipeline, RedisResult, Value};

use super::target::Target;
use super::{Dispatch, expiry, random_slot};
use crate::error::Failure;
use crate::nodes::Node;
use crate::plan::{self, Answers, Item, Outgoing, Part, Piece};
use crate::redirect::Budget;
use crate::route::Route;

/// What a part came back with.
pub(super) struct Outcome {
    /// By the pieces' numbers.
    pub(super) answered: Vec<(usize, Result<Value, Failure>)>,
    pub(super) again: Vec<Part<Step>>,
}

/// A part that has been sent: to whom, and what came back, if anything.
pub(super) struct Sent {
    pub(super) node: Arc<Node>,
    /// By their numbers.
    pub(super) pieces: Vec<usize>,
    pub(super) outcome: Option<Result<Vec<Value>, Failure>>,
}

/// Where a part goes, and what it may still spend.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) target: Target,
    /// How long it waits before.
    pub(super) pause: Duration,
    pub(super) budget: Budget,
}

impl Dispatch {
    /// Runs pieces, which stand at the positions of their commands, until all are answered or the deadline has
    /// passed. `pipeline` is what they are, whole and in order.
    pub(super) async fn batch<'a>(
        &'a self,
        mut pieces: Vec<Piece<'a>>,
        pipeline: Option<&'a Pipeline>,
        deadline: Option<Instant>,
    ) -> RedisResult<Answers> {
        let mut answers = Answers::new(pieces.len());
        let mut expired = pin!(expiry(deadline));
        let first = pin!(self.topologies.current());
        let snapshot = match select(first, expired.as_mut()).await {
            Either::Left((snapshot, _)) => snapshot?,
            Either::Right(_) => return Err(self.late("the topology is not known yet").error),
        };

        let commands = pieces.len();
        let targets = self.spread(&mut pieces, &mut answers, &snapshot);
        let parts = plan::group(targets);
        // A scan is sent with another cursor than it came with.
        let as_given = |piece: &Piece<'_>| matches!(piece.cmd, Cow::Borrowed(_));
        let untouched = parts.len() == 1 && pieces.len() == commands && pieces.iter().all(as_given);
        let whole = pipeline.filter(|_| untouched && parts[0].items.len() == commands);
        let first = |Part { target, items }| Part {
            target: Step {
                target,
                pause: Duration::ZERO,
                budget: Budget::WHOLE,
            },
            items,
        };
        let parts = parts.into_iter().map(first).collect();
        self.settle(&pieces, &mut answers, parts, whole, deadline)
            .await;
        Ok(answers)
    }

    /// Goes on with pieces that have been sent.
    pub(super) async fn resume<'a>(
        &'a self,
        pieces: Vec<Piece<'a>>,
        mut answers: Answers,
        sent: Vec<Sent>,
        deadline: Option<Instant>,
    ) -> Answers {
        let mut parts = Vec::new();
        for Sent {
            node,
            pieces: numbers,
            outcome,
        } in sent
        {
            // What has none is late.
            let Some(outcome) = outcome else {
                continue;
            };
            let item = |piece| Item {
                piece,
                prelude: None,
            };
            let items = numbers.into_iter().map(item).collect();
            let outcome = self.after(&pieces, items, &node, outcome, Budget::WHOLE);
            parts.extend(self.keep(&pieces, &mut answers, outcome));
        }
        self.settle(&pieces, &mut answers, parts, None, deadline)
            .await;
        answers
    }

    /// Takes the answers that stand, and gives what is to be sent again.
    fn keep(
        &self,
        pieces: &[Piece<'_>],
        answers: &mut Answers,
        outcome: Outcome,
    ) -> Vec<Part<Step>> {
        for (piece, answer) in outcome.answered {
            self.learn(&pieces[piece], &answer);
            answers.put(pieces[piece].position, pieces[piece].place, answer);
        }
        outcome.again
    }

    /// Runs parts until every piece is answered or the deadline has passed.
    async fn settle(
        &self,
        pieces: &[Piece<'_>],
        answers: &mut Answers,
        parts: Vec<Part<Step>>,
        whole: Option<&Pipeline>,
        deadline: Option<Instant>,
    ) {
        let mut running = FuturesUnordered::new();
        for part in parts {
            running.push(self.part(pieces, part, whole, deadline));
        }
        {
            let gathered = pin!(async {
                while let Some(outcome) = running.next().await {
                    let again = self.keep(pieces, answers, outcome);
                    if answers.are_settled() {
                        return;
                    }
                    for part in again {
                        running.push(self.part(pieces, part, None, deadline));
                    }
                }
            });
            select(gathered, pin!(expiry(deadline))).await;
        }
        if !answers.are_settled() {
            self.fill(pieces, answers);
        }
    }

    /// Runs items that go to one target.
    async fn part(
        &self,
        pieces: &[Piece<'_>],
        part: Part<Step>,
        whole: Option<&Pipeline>,
        deadline: Option<Instant>,
    ) -> Outcome {
        let Part {
            target: step,
            items,
        } = part;
        if !step.pause.is_zero() {
            tokio::time::sleep(step.pause).await;
        }
        let Target::Node(node) = &step.target else {
            return self.find_owners(pieces, items, step.budget).await;
        };
        let sent = match whole.filter(|_| !node.is_wired()) {
            Some(pipeline) => node.pipeline(pipeline, 0, items.len(), deadline).await,
            None => {
                let outgoing = items.iter().map(|item| Outgoing {
                    cmd: &pieces[item.piece].cmd,
                    prelude: item.prelude.as_ref(),
                });
                let outgoing: Vec<_> = outgoing.collect();
                node.commands(&outgoing, deadline).await
            }
        };
        self.after(pieces, items, node, sent, step.budget)
    }

    /// Sends items to whoever serves their slots after the next refresh.
    async fn find_owners(&self, pieces: &[Piece<'_>], items: Vec<Item>, budget: Budget) -> Outcome {
        let snapshot = self.topologies.after_refresh().await.ok();
        let mut answered = Vec::new();
        let mut found = Vec::new();
        for item in items {
            let owner = pieces[item.piece].onward().and_then(|route| {
                let known = snapshot.as_ref()?;
                known.primary(route, random_slot())
            });
            match owner {
                Some(node) => found.push((Target::Node(node), item)),
                None => answered.push((item.piece, Err(Failure::unserved()))),
            }
        }
        let step = |Part { target, items }| Part {
            target: Step {
                target,
                pause: Duration::ZERO,
                budget,
            },
            items,
        };
        Outcome {
            answered,
            again: plan::group(found).into_iter().map(step).collect(),
        }
    }

    /// Answers what has no answer at the deadline.
    fn fill(&self, pieces: &[Piece<'_>], answers: &mut Answers) {
        let snapshot = self.topologies.known();
        for piece in pieces {
            if !answers.lacks(piece.position, piece.place) {
                continue;
            }
            let route = piece.routed.route;
            let node = snapshot
                .as_ref()
                .and_then(|known| known.primary(route, random_slot()));
            let failure = match (route, node) {
                (Route::Primaries | Route::Nodes, _) => self.late("not every node has answered"),
                (_, Some(node)) => self.late(&format!("no answer from {}", node.addr())),
                (_, None) => Failure::unserved(),
            };
            self.look_again();
            answers.put(piece.position, piece.place, Err(failure));
        }
    }
}
