//! N tasks are queued behind blocked workers. Each is cancelled through its handle; until every
//! joiner knows, every closure has been dropped, and the handles are gone.
//!
//! Peers that drop the closure of a cancelled task when a worker comes to it have their workers let
//! go as soon as all are cancelled. Ours has the workers blocked to the end of the time; what it
//! then leaves to them is in the second figure.

use crate::kit::Class::{Cancellable, Ours};
use crate::kit::{Contender, Gate, work};
use crate::pools;
use qubit_executor::service::ExecutorService;
use qubit_executor::task::TaskExecutionError;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use stoppable::{CancelOutcome, Outcome, Shutdown};
use tokio_util::sync::CancellationToken;

/// All who do this work.
pub fn contenders() -> Vec<Contender> {
    vec![
        Contender::new("ours", Ours, |n| ours(n, false)),
        Contender::new("ours, and drained", Ours, |n| ours(n, true)),
        Contender::new("tokio spawn_blocking abort", Cancellable, tokio_blocking),
        Contender::new("qubit tracked", Cancellable, qubit),
        Contender::new("rayon+oneshot+child token", Cancellable, rayon_token),
    ]
}

fn ours(n: usize, drained: bool) -> Duration {
    let pool = pools::ours();
    let gate = Gate::block(|gate| {
        pool.execute(move |_stop| gate.pass()).expect("it is open");
    });
    let handles: Vec<_> = (0..n as u64)
        .map(|i| pool.submit(move |_stop| work(i)))
        .collect();
    let start = Instant::now();
    for handle in &handles {
        assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
    }
    for handle in handles {
        assert!(matches!(handle.outcome(), Outcome::NeverStarted(_)));
    }
    let mut took = start.elapsed();
    gate.open();
    let report = pool.shutdown(Shutdown::Drain);
    if drained {
        took = start.elapsed();
    }
    assert_eq!(report.never_started(), n as u64);
    took
}

fn tokio_blocking(n: usize) -> Duration {
    let runtime = pools::tokio_blocking();
    let gate = Gate::block(|gate| {
        runtime.spawn_blocking(move || gate.pass());
    });
    let handles: Vec<_> = (0..n as u64)
        .map(|i| runtime.spawn_blocking(move || work(i)))
        .collect();
    let start = Instant::now();
    for handle in &handles {
        handle.abort();
    }
    gate.open();
    runtime.block_on(async {
        for handle in handles {
            assert!(handle.await.is_err_and(|error| error.is_cancelled()));
        }
    });
    start.elapsed()
}

/// A cancelled task's handle resolves at once, its closure is dropped when a worker comes to it.
fn qubit(n: usize) -> Duration {
    let pool = pools::qubit();
    let gate = Gate::block(|gate| {
        let task = move || {
            gate.pass();
            Ok::<(), Infallible>(())
        };
        pool.submit(task).expect("it is open");
    });
    let handles: Vec<_> = (0..n as u64)
        .map(|i| {
            pool.submit_tracked_callable(move || Ok::<u64, Infallible>(work(i)))
                .expect("it is open")
        })
        .collect();
    let start = Instant::now();
    for handle in &handles {
        handle.cancel();
    }
    gate.open();
    for handle in handles {
        assert!(matches!(handle.get(), Err(TaskExecutionError::Cancelled)));
    }
    pool.join();
    let took = start.elapsed();
    pool.shutdown();
    pool.wait_termination();
    took
}

fn rayon_token(n: usize) -> Duration {
    let pool = pools::rayon();
    let gate = Gate::block(|gate| pool.spawn(move || gate.pass()));
    let all = CancellationToken::new();
    let handles: Vec<_> = (0..n as u64)
        .map(|i| {
            let one = all.child_token();
            let (sender, receiver) = oneshot::channel();
            let token = one.clone();
            pool.spawn(move || {
                if !token.is_cancelled() {
                    let _ = sender.send(work(i));
                }
            });
            (one, receiver)
        })
        .collect();
    let start = Instant::now();
    for (one, _) in &handles {
        one.cancel();
    }
    gate.open();
    for (_, receiver) in handles {
        assert!(receiver.recv().is_err());
    }
    start.elapsed()
}
