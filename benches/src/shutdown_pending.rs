//! A pool with N tasks queued behind blocked workers is told to start none of them; until all of
//! them have ended, what became of each is known, and the handles are gone.
//!
//! The workers are let go as soon as the pool has been told. For ours, which does it all in one
//! call, by the drop of what one pending task captured.

use crate::kit::Class::{Cancellable, Ours};
use crate::kit::{Contender, Gate, OpenOnDrop, work};
use crate::pools;
use qubit_executor::service::ExecutorService;
use qubit_executor::task::TaskStatus as QubitStatus;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stoppable::{Shutdown, TaskStatus};
use tokio_util::sync::CancellationToken;

/// All who do this work.
pub fn contenders() -> Vec<Contender> {
    vec![
        Contender::new("ours", Ours, ours),
        Contender::new("qubit stop", Cancellable, qubit),
        Contender::new("rayon+oneshot+shared AtomicBool", Cancellable, rayon_flag),
        Contender::new("rayon+oneshot+root token", Cancellable, rayon_token),
    ]
}

fn ours(n: usize) -> Duration {
    let pool = pools::ours();
    let gate = Gate::block(|gate| {
        pool.execute(move |_stop| gate.pass()).expect("it is open");
    });
    let handles: Vec<_> = (0..n as u64)
        .map(|i| pool.submit(move |_stop| work(i)))
        .collect();
    let open = OpenOnDrop(gate);
    pool.execute(move |_stop| drop(open)).expect("it is open");
    let start = Instant::now();
    let report = pool.shutdown(Shutdown::CancelPending);
    for handle in handles {
        assert_eq!(handle.status(), TaskStatus::NeverStarted);
    }
    let took = start.elapsed();
    assert!(report.is_final());
    assert_eq!(report.never_started(), n as u64 + 1);
    took
}

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
    let report = pool.stop();
    gate.open();
    pool.wait_termination();
    for handle in handles {
        assert_eq!(handle.status(), QubitStatus::Cancelled);
    }
    let took = start.elapsed();
    assert_eq!(report.cancelled, n);
    took
}

fn rayon_flag(n: usize) -> Duration {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    rayon(
        n,
        move || {
            let seen = seen.clone();
            move || seen.load(Ordering::Relaxed)
        },
        || stop.store(true, Ordering::Relaxed),
    )
}

fn rayon_token(n: usize) -> Duration {
    let root = CancellationToken::new();
    let parent = root.clone();
    rayon(
        n,
        move || {
            let token = parent.child_token();
            move || token.is_cancelled()
        },
        || root.cancel(),
    )
}

fn rayon<P: Fn() -> bool + Send + 'static>(
    n: usize,
    poll: impl Fn() -> P,
    stop: impl FnOnce(),
) -> Duration {
    let pool = pools::rayon();
    let gate = Gate::block(|gate| pool.spawn(move || gate.pass()));
    let handles: Vec<_> = (0..n as u64)
        .map(|i| {
            let (sender, receiver) = oneshot::channel();
            let stopped = poll();
            pool.spawn(move || {
                if !stopped() {
                    let _ = sender.send(work(i));
                }
            });
            receiver
        })
        .collect();
    let start = Instant::now();
    stop();
    gate.open();
    for receiver in handles {
        assert!(receiver.recv().is_err());
    }
    start.elapsed()
}
