//! Atomic pipelines: one node, one write, followed as a whole.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use redis::{Pipeline, RedisError, RedisResult, Value};

use super::{Dispatch, expiry, random_slot};
use crate::error::{self, Failure};
use crate::nodes::Node;
use crate::plan::{self, Item};
use crate::redirect::{self, MOST_REPEATS, Redirect};
use crate::route::Route;

impl Dispatch {
    /// Runs a transaction, which is never split.
    pub(super) async fn transaction(
        &self,
        items: &[Item<'_>],
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let route = match self.sharded {
            false => Route::Any,
            true => {
                let slot = plan::common_slot(items).map_err(|_| error::cross_slot())?;
                slot.map_or(Route::Any, Route::Slot)
            }
        };
        let deadline = self.deadline()?;
        let expired = pin!(expiry(deadline));
        let run = pin!(async {
            let snapshot = self.topologies.current().await?;
            let owner = snapshot.primary(route, random_slot());
            let mut node = owner.ok_or_else(|| Failure::unserved().error)?;
            let mut repeats = MOST_REPEATS;
            loop {
                match node.pipeline(pipeline, offset, count, deadline).await {
                    Ok(values) => return Ok(values),
                    Err(failure) => match self.moved_whole(&failure.error, &node) {
                        Some(owner) if repeats > 0 => (node, repeats) = (owner, repeats - 1),
                        _ => {
                            self.suspect(&failure, &node);
                            return Err(failure.error);
                        }
                    },
                }
            }
        });
        match select(run, expired).await {
            Either::Left((values, _)) => values,
            Either::Right(_) => {
                self.look_again();
                Err(self.late("no answer to the transaction").error)
            }
        }
    }

    /// Where a transaction has to go that was refused as a whole: a command in it has moved, so
    /// none has run.
    fn moved_whole(&self, error: &RedisError, asked: &Node) -> Option<Arc<Node>> {
        if !self.sharded {
            return None;
        }
        let refused = error.clone().into_server_errors()?;
        refused.iter().find_map(
            |(_, error)| match redirect::of_error(error, asked.addr())? {
                Redirect::Moved(slot, addr) if addr != *asked.addr() => {
                    self.topologies.moved(slot, &addr);
                    self.topologies.nodes.at(&addr).ok()
                }
                Redirect::Moved(..) | Redirect::Ask(_) => None,
            },
        )
    }
}
