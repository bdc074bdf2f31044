//! Workers that are busy and runtimes that end: others keep their deadlines and are served.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_test::{assert_pending, assert_ready_ok, task};
use wait_pool::Pool;

use crate::common::{Backend, Connector, Gate, runtime, until};
use crate::{ms, secs};

/// For what comes soon, or never.
const NEVER_COMES: Duration = Duration::from_secs(20);

fn two_workers() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap()
}

/// Waits in a task of its own, which keeps what it gets.
struct Waits {
    in_line: oneshot::Receiver<()>,
    ended: mpsc::Receiver<()>,
}

fn waits(pool: &Pool<Connector>) -> Waits {
    let ((lined_up, in_line), (end, ended)) = (oneshot::channel(), mpsc::channel());
    let pool = pool.clone();
    tokio::spawn(async move {
        let mut get = pin!(pool.get());
        let polled = once(get.as_mut()).await;
        let _ = lined_up.send(());
        let _kept = match polled {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => get.await,
        };
        // Nobody listens if that came too late.
        let _ = end.send(());
        pending::<()>().await;
    });
    Waits { in_line, ended }
}

async fn once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// tokio keeps a task to the worker that has woken it last: where that one goes on with something long,
/// whoever was to tell the others that their time is up would have to wait for it.
#[test]
fn who_lines_up_and_computes_holds_up_nobodys_deadline() {
    // Without a lifetime nothing is due before somebody waits.
    for lifetime in [None, Some(secs(60 * 60))] {
        two_workers().block_on(async {
            let backend = Backend::new(Gate::Ok);
            let pool = backend.pool().max_size(1).wait_timeout(ms(50));
            let pool = pool.max_lifetime(lifetime).idle_timeout(None);
            let pool = pool.min_idle(1).build().unwrap();
            pool.warm_up().await.unwrap();
            let _held = pool.try_get().unwrap();
            let (lined_up, in_line) = oneshot::channel();
            let (go_on, done) = mpsc::channel::<mpsc::Receiver<()>>();
            let computes = tokio::spawn({
                let pool = pool.clone();
                async move {
                    let mut get = pin!(pool.get());
                    drop(once(get.as_mut()).await);
                    lined_up.send(()).unwrap();
                    let other = done.recv_timeout(NEVER_COMES).unwrap();
                    other.recv_timeout(NEVER_COMES).is_ok()
                }
            });
            in_line.await.unwrap();
            go_on.send(waits(&pool).ended).unwrap();
            assert!(computes.await.unwrap(), "the other still waits");
        });
    }
}

#[test]
fn who_gives_back_and_computes_holds_up_nobodys_deadline() {
    two_workers().block_on(async {
        let backend = Backend::new(Gate::Ok);
        let pool = backend.pool().max_size(1).wait_timeout(ms(200));
        let pool = pool.claim_timeout(ms(20)).build().unwrap();
        let (taken, is_taken) = oneshot::channel();
        let (go_on, done) = oneshot::channel::<mpsc::Receiver<()>>();
        let computes = tokio::spawn({
            let pool = pool.clone();
            async move {
                let held = pool.get().await.unwrap();
                taken.send(()).unwrap();
                let other = done.await.unwrap();
                drop(held);
                other.recv_timeout(NEVER_COMES).is_ok()
            }
        });
        is_taken.await.unwrap();
        waits(&pool).in_line.await.unwrap();
        let other = waits(&pool);
        other.in_line.await.unwrap();
        go_on.send(other.ended).unwrap();
        assert!(computes.await.unwrap(), "the other still waits");
    });
}

/// The attempt that was to serve the second in line has ended with its runtime. The first is told to
/// begin another one, and is given what came back instead.
#[test]
fn a_return_does_not_hide_that_an_attempt_was_lost() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(2).max_connecting(1);
    let pool = pool.claim_timeout(secs(60)).build().unwrap();
    runtime().block_on(async {
        let held = pool.get().await.unwrap();
        *backend.connect.lock() = Gate::Never;
        let ends = std::thread::spawn({
            let (pool, backend) = (pool.clone(), std::sync::Arc::clone(&backend));
            move || {
                let runtime = runtime();
                runtime.block_on(async {
                    let mut get = pin!(pool.get());
                    assert_pending!(get.as_mut().poll(&mut Context::from_waker(Waker::noop())));
                    until("under way", || backend.attempts() == 2).await;
                });
                runtime
            }
        });
        let ends = ends.join().unwrap();
        let (mut first, mut second) = (task::spawn(pool.get()), task::spawn(pool.get()));
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        assert_eq!((pool.status().opening, pool.status().waiting), (1, 2));

        *backend.connect.lock() = Gate::Ok;
        std::thread::spawn(|| drop(ends)).join().unwrap();
        assert_eq!((pool.status().opening, pool.status().in_use), (0, 1));
        drop(held);
        let _kept = assert_ready_ok!(first.poll());
        until("served", || second.is_woken()).await;
        drop(assert_ready_ok!(second.poll()));
        assert_eq!(backend.attempts(), 3);
    });
}
