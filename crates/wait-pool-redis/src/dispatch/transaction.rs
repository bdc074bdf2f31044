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
            let Some(failure) = not_run(&sent) else {
                return sent.map_err(|failure| failure.error);
            };
            match self.again(&failure, route, &way).await {
                Some(next) => way = next,
                None => {
                    self.suspect(&failure, &way.node);
                    return sent.map_err(|failure| failure.error);
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

/// Why a transaction has not run, as far as its answers tell. redis-rs finds the commands that were refused on their
/// way into it; the refusal of `EXEC` itself, as when its slot has just left the node, is its last answer.
fn not_run(sent: &Result<Vec<Value>, Failure>) -> Option<Failure> {
    let answers = match sent {
        Ok(answers) => answers,
        Err(failure) => return Some(failure.clone()),
    };
    let is_error = |answer: &&Value| matches!(answer, Value::ServerError(_));
    answers.last().filter(is_error)?;
    let first = answers.iter().find(is_error)?;
    let error = first.clone().extract_error().err()?;
    Some(Failure::after_sending(error))
}

async fn sleep(pause: Duration) {
    tokio::time::sleep(pause).await;
}

const WIDE: &str =
    "this command concerns several nodes, and an atomic pipeline runs on one; send it outside";

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(lines: &[&str]) -> Result<Vec<Value>, Failure> {
        let parse = |line: &&str| redis::parse_redis_value(format!("{line}\r\n").as_bytes());
        Ok(lines.iter().map(parse).collect::<Result<_, _>>().unwrap())
    }

    #[test]
    fn a_refused_exec_has_not_run() {
        let code = |lines: &[&str]| {
            let failure = not_run(&answers(lines))?;
            let refused = failure.error.into_server_errors().unwrap();
            Some(refused[0].1.code().to_owned())
        };
        assert_eq!(code(&["-MOVED 1 h:1"]).as_deref(), Some("MOVED"));
        let whole = ["+OK", "-TRYAGAIN", "-EXECABORT"];
        assert_eq!(code(&whole).as_deref(), Some("TRYAGAIN"));
        // What has run, and what somebody else's write has stopped.
        for lines in [&["*1\r\n-MOVED 1 h:1"][..], &["*0"], &["*-1"], &[]] {
            assert_eq!(code(lines), None, "{lines:?}");
        }
        assert!(not_run(&Err(Failure::unserved())).is_some());
    }
}
