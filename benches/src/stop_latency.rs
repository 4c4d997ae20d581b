//! How long it takes until a running task knows that it should stop: one that polls in a tight loop
//! (set → seen), and one that sleeps until then (set → awake). The median of the rounds, times the
//! number of rounds, is given as their time, since one preempted round would outweigh all others.
//!
//! What the setter does before the flag is up (a cause, with its time) is part of the time.

use crate::kit::Class::{Cancellable, Limit, Ours};
use crate::kit::{Contender, median};
use crate::pools;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{Outcome, StopEvent, TaskHandle, ThreadPool};
use tokio_util::sync::CancellationToken;

/// All whose task polls.
pub fn polling() -> Vec<Contender> {
    vec![
        Contender::new("ours, cancel()", Ours, |n| ours_cancelled(n, Body::Polls)),
        Contender::new("ours, an event of its own", Ours, ours_event_polled),
        Contender::new("tokio-util child token", Cancellable, token_polled),
        Contender::new("spinning on an AtomicBool", Limit, flag_polled),
    ]
}

/// All whose task waits.
pub fn waiting() -> Vec<Contender> {
    vec![
        Contender::new("ours, cancel()", Ours, |n| ours_cancelled(n, Body::Waits)),
        Contender::new("ours, an event of its own", Ours, ours_event_awaited),
        Contender::new("tokio cancelled()", Cancellable, token_awaited),
        Contender::new("std Condvar", Limit, condvar_awaited),
    ]
}

/// All of both kinds.
pub fn contenders() -> Vec<Contender> {
    polling().into_iter().chain(waiting()).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Body {
    Polls,
    Waits,
}

/// Says that the task runs.
#[derive(Clone, Default)]
struct Started(Arc<AtomicBool>);

impl Started {
    fn tell(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Until the task runs and is in the middle of its polls, or asleep.
    fn await_settled(&self, body: Body) {
        while !self.0.load(Ordering::Acquire) {
            thread::yield_now();
        }
        match body {
            Body::Polls => (0..1_000).for_each(|i| {
                black_box(i);
            }),
            // Nobody can see a thread fall asleep from outside; this is ample.
            Body::Waits => thread::sleep(Duration::from_micros(100)),
        }
    }
}

fn rounds(n: usize, mut round: impl FnMut() -> Duration) -> Duration {
    round();
    let took: Vec<Duration> = (0..n).map(|_| round()).collect();
    median(&took) * u32::try_from(n).expect("a modest number of rounds")
}

/// One round of a task in our pool that gives the time at which it knew.
fn round(
    body: Body,
    start: impl FnOnce(Started) -> TaskHandle<Instant>,
    set: impl FnOnce(&TaskHandle<Instant>),
) -> Duration {
    let started = Started::default();
    let handle = start(started.clone());
    started.await_settled(body);
    let from = Instant::now();
    set(&handle);
    let (Outcome::Completed(to)
    | Outcome::Cancelled {
        partial: Some(to), ..
    }) = handle.outcome()
    else {
        panic!("it ran to its end");
    };
    to.saturating_duration_since(from)
}

/// The task's own event, set through its handle.
fn ours_cancelled(n: usize, body: Body) -> Duration {
    let pool = pools::ours();
    rounds(n, || {
        let start = |started: Started| {
            pool.submit(move |stop| {
                started.tell();
                until_set(stop, body);
                Instant::now()
            })
        };
        round(body, start, |handle| {
            handle.cancel();
        })
    })
}

fn until_set(stop: &StopEvent, body: Body) {
    match body {
        Body::Polls => while !stop.is_set() {},
        Body::Waits => stop.wait(),
    }
}

fn ours_event_polled(n: usize) -> Duration {
    ours_event(n, Body::Polls)
}

fn ours_event_awaited(n: usize) -> Duration {
    ours_event(n, Body::Waits)
}

fn ours_event(n: usize, body: Body) -> Duration {
    let pool = pools::ours();
    rounds(n, || {
        let event = StopEvent::new();
        let seen = event.clone();
        in_our_pool(
            &pool,
            body,
            move || until_set(&seen, body),
            || {
                event.set();
            },
        )
    })
}

/// Something else than the task's own event, in the same pool, so that only the flag differs.
fn in_our_pool(
    pool: &ThreadPool,
    body: Body,
    until: impl FnOnce() + Send + 'static,
    set: impl FnOnce(),
) -> Duration {
    let start = |started: Started| {
        pool.submit(move |_stop| {
            started.tell();
            until();
            Instant::now()
        })
    };
    round(body, start, |_| set())
}

fn token_polled(n: usize) -> Duration {
    let pool = pools::ours();
    let all = CancellationToken::new();
    rounds(n, || {
        let one = all.child_token();
        let seen = one.clone();
        let until = move || while !seen.is_cancelled() {};
        in_our_pool(&pool, Body::Polls, until, || one.cancel())
    })
}

fn flag_polled(n: usize) -> Duration {
    let pool = pools::ours();
    rounds(n, || {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = flag.clone();
        let until = move || while !seen.load(Ordering::Relaxed) {};
        in_our_pool(&pool, Body::Polls, until, || {
            flag.store(true, Ordering::Relaxed);
        })
    })
}

fn condvar_awaited(n: usize) -> Duration {
    let pool = pools::ours();
    rounds(n, || {
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = pair.clone();
        let until = move || {
            let set = seen.0.lock().expect("nobody panics with it");
            let set = seen.1.wait_while(set, |set| !*set);
            drop(set.expect("nobody panics with it"));
        };
        in_our_pool(&pool, Body::Waits, until, || {
            *pair.0.lock().expect("nobody panics with it") = true;
            pair.1.notify_all();
        })
    })
}

/// On tokio's own workers, as a future.
fn token_awaited(n: usize) -> Duration {
    let runtime = pools::tokio_async();
    let all = CancellationToken::new();
    rounds(n, || {
        let one = all.child_token();
        let seen = one.clone();
        let started = Started::default();
        let tell = started.clone();
        let task = runtime.spawn(async move {
            tell.tell();
            seen.cancelled().await;
            Instant::now()
        });
        started.await_settled(Body::Waits);
        let from = Instant::now();
        one.cancel();
        let to = runtime.block_on(task).expect("it completed");
        to.saturating_duration_since(from)
    })
}
