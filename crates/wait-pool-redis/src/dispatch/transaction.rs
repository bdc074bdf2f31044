//! Atomic pipelines: one node, one write, followed as a whole.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use redis::{Pipeline, RedisResult, ServerError, Value};

use super::{Dispatch, expiry, random_slot};
use crate::error::{self, Failure, FailureKind};
use crate::nodes::Node;
use crate::plan::{self, Piece};
use crate::redirect::{self, Budget, Next};
use crate::route::Route;

/// Where a transaction goes, and how.
struct Way {
    node: Arc<Node>,
    asking: bool,
    budget: Budget,
}

impl Dispatch {
    /// Runs a transaction, which is never split.
    pub(super) async fn transaction(
        &self,
        pieces: &[Piece<'_>],
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let route = match self.sharded {
            false => Route::Any,
            true => {
                let slot = plan::common_slot(pieces).map_err(|_| error::cross_slot())?;
                let is_anybodys =
                    |piece: &Piece<'_>| matches!(piece.routed.route, Route::Slot(_) | Route::Any);
                if let Some(wide) = pieces.iter().find(|piece| !is_anybodys(piece)) {
                    return Err(error::refused(WIDE, &wide.cmd));
                }
                slot.map_or(Route::Any, Route::Slot)
            }
        };
        let deadline = self.deadline()?;
        let expired = pin!(expiry(deadline));
        let run = pin!(self.attempts(route, pipeline, (offset, count), deadline));
        match select(run, expired).await {
            Either::Left((values, _)) => values,
            Either::Right(_) => {
                self.look_again();
                Err(self.late("no answer to the transaction").error)
            }
        }
    }

    async fn attempts(
        &self,
        route: Route,
        pipeline: &Pipeline,
        (offset, count): (usize, usize),
        deadline: Option<Instant>,
    ) -> RedisResult<Vec<Value>> {
        let snapshot = self.topologies.current().await?;
        let owner = snapshot.primary(route, random_slot());
        let mut way = Way {
            node: owner.ok_or_else(|| Failure::unserved().error)?,
            asking: false,
            budget: Budget::WHOLE,
        };
        loop {
            let node = &way.node;
            let sent = match way.asking {
                false => node.pipeline(pipeline, offset, count, deadline).await,
                true => node.asking(pipeline, offset, count, deadline).await,
            };
            let failure = match sent {
                Ok(values) => return Ok(values),
                Err(failure) => failure,
            };
            match self.again(&failure, route, &way).await {
                Some(next) => way = next,
                None => {
                    self.suspect(&failure, &way.node);
                    return Err(failure.error);
                }
            }
        }
    }

    /// Where a transaction goes that has not run: it was refused as a whole, or nobody was reached.
    async fn again(&self, failure: &Failure, route: Route, way: &Way) -> Option<Way> {
        let asked = way.node.addr();
        let refused = failure.error.clone().into_server_errors();
        let next = match (&refused, failure.kind) {
            (Some(refused), _) => {
                let next = |(_, error): &(usize, ServerError)| redirect::after_error(error, asked);
                refused
                    .iter()
                    .map(next)
                    .find(|next| *next != Next::Stands)?
            }
            // It may have run, or its writes would be repeated.
            (None, FailureKind::NoConnection) => Next::Elsewhere,
            (None, _) => return None,
        };
        let pause = matches!(next, Next::Later | Next::Owner);
        let (budget, pause) = way.budget.spend(pause)?;
        let to = |node, asking| {
            Some(Way {
                node,
                asking,
                budget,
            })
        };
        match next {
            Next::Moved(slot, addr) => to(self.moved(slot, &addr)?, false),
            Next::Ask(addr) => to(self.named(&addr)?, true),
            Next::Later => {
                sleep(pause).await;
                to(Arc::clone(&way.node), way.asking)
            }
            Next::Owner if self.topologies.may_change() => {
                self.look_again();
                sleep(pause).await;
                let known = self.topologies.after_refresh().await.ok()?;
                to(known.primary(route, random_slot())?, false)
            }
            Next::Elsewhere => {
                let owner = self.topologies.known()?.primary(route, random_slot())?;
                (owner.addr() != asked).then(|| to(owner, false))?
            }
            Next::Stands | Next::Again | Next::Owner | Next::WithScript => None,
        }
    }
}

async fn sleep(pause: Duration) {
    tokio::time::sleep(pause).await;
}

const WIDE: &str =
    "this command concerns several nodes, and an atomic pipeline runs on one; send it outside";
