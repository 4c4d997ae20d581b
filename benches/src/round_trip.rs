//! Submit one task from outside of the pool, join it, repeat.

use crate::kit::Class::{Cancellable, Ours, Plain};
use crate::kit::{Contender, WARM_UP, expected, work};
use crate::pools;
use qubit_executor::service::ExecutorService;
use std::convert::Infallible;
use std::time::{Duration, Instant};

/// All who do this work.
pub fn contenders() -> Vec<Contender> {
    vec![
        Contender::new("ours", Ours, ours),
        Contender::new("qubit tracked", Cancellable, qubit),
        Contender::new("tokio spawn_blocking", Cancellable, tokio_blocking),
        Contender::new("rayon install", Plain, rayon_install),
        Contender::new("rayon+oneshot", Plain, rayon_oneshot),
        Contender::new("rusty_pool", Plain, rusty_pool),
        Contender::new("threadpool+oneshot", Plain, threadpool),
    ]
}

fn trips(n: usize, mut trip: impl FnMut(u64) -> u64) -> Duration {
    let mut pass = |n: usize| {
        let start = Instant::now();
        let sum = (0..n as u64).fold(0_u64, |sum, i| sum.wrapping_add(trip(i)));
        let took = start.elapsed();
        assert_eq!(sum, expected(n), "every result, once");
        took
    };
    pass(WARM_UP);
    pass(n)
}

fn ours(n: usize) -> Duration {
    let pool = pools::ours();
    trips(n, |i| {
        let handle = pool.submit(move |_stop| work(i));
        handle.join().expect("it completed")
    })
}

fn qubit(n: usize) -> Duration {
    let pool = pools::qubit();
    let took = trips(n, |i| {
        pool.submit_tracked_callable(move || Ok::<u64, Infallible>(work(i)))
            .expect("it is open")
            .get()
            .expect("it completed")
    });
    pool.shutdown();
    pool.wait_termination();
    took
}

/// The whole loop inside one `block_on`, as a program on tokio has it.
fn tokio_blocking(n: usize) -> Duration {
    let runtime = pools::tokio_blocking();
    let pass = async |n: usize| {
        let start = Instant::now();
        let mut sum = 0_u64;
        for i in 0..n as u64 {
            let handle = tokio::task::spawn_blocking(move || work(i));
            sum = sum.wrapping_add(handle.await.expect("it completed"));
        }
        let took = start.elapsed();
        assert_eq!(sum, expected(n), "every result, once");
        took
    };
    runtime.block_on(pass(WARM_UP));
    runtime.block_on(pass(n))
}

fn rayon_install(n: usize) -> Duration {
    let pool = pools::rayon();
    trips(n, |i| pool.install(move || work(i)))
}

fn rayon_oneshot(n: usize) -> Duration {
    let pool = pools::rayon();
    trips(n, |i| {
        let (sender, receiver) = oneshot::channel();
        pool.spawn(move || {
            let _ = sender.send(work(i));
        });
        receiver.recv().expect("it completed")
    })
}

fn rusty_pool(n: usize) -> Duration {
    let pool = pools::rusty_pool();
    let took = trips(n, |i| pool.evaluate(move || work(i)).await_complete());
    pool.shutdown_join();
    took
}

fn threadpool(n: usize) -> Duration {
    let pool = pools::threadpool();
    trips(n, |i| {
        let (sender, receiver) = oneshot::channel();
        pool.execute(move || {
            let _ = sender.send(work(i));
        });
        receiver.recv().expect("it completed")
    })
}
