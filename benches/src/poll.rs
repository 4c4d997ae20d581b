//! What it costs a running task to look whether it should stop, while it should not.
//!
//! Every figure has the same loop and the same `black_box` on the way in and out.

use crate::kit::Class::{Cancellable, Limit, Ours, Plain};
use crate::kit::Contender;
use crate::pools;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stoppable::StopEvent;
use tokio_util::sync::CancellationToken;

/// All who do this work.
pub fn contenders() -> Vec<Contender> {
    vec![
        Contender::new("ours, the argument", Ours, ours_argument),
        Contender::new("ours, a clone", Ours, ours_clone),
        Contender::new("ours, check()", Ours, ours_check),
        Contender::new("ours, a child", Ours, ours_child),
        Contender::new("ours, a deadline and a callback", Ours, ours_limited),
        Contender::new("tokio-util child token", Cancellable, token),
        Contender::new("Instant::now deadline", Plain, deadline),
        Contender::new("empty loop", Limit, empty),
        Contender::new("one relaxed load", Limit, one_load),
        Contender::new("two relaxed loads", Limit, two_loads),
    ]
}

#[inline(always)]
fn polls<T>(n: usize, what: &T, poll: impl Fn(&T) -> bool) -> Duration {
    let start = Instant::now();
    for _ in 0..n {
        black_box(poll(black_box(what)));
    }
    start.elapsed()
}

fn inside_ours(body: impl FnOnce(&StopEvent) -> Duration + Send + 'static) -> Duration {
    let pool = pools::ours();
    pool.submit(body).join().expect("it completed")
}

fn inside_rayon(body: impl FnOnce() -> Duration + Send) -> Duration {
    pools::rayon().install(body)
}

pub(crate) fn ours_argument(n: usize) -> Duration {
    inside_ours(move |stop| polls(n, stop, StopEvent::is_set))
}

fn ours_clone(n: usize) -> Duration {
    inside_ours(move |stop| polls(n, &stop.clone(), StopEvent::is_set))
}

fn ours_check(n: usize) -> Duration {
    inside_ours(move |stop| polls(n, stop, |stop| stop.check().is_err()))
}

fn ours_child(n: usize) -> Duration {
    inside_ours(move |stop| polls(n, &stop.child(), StopEvent::is_set))
}

/// With a deadline an hour away, and somebody who listens.
fn ours_limited(n: usize) -> Duration {
    inside_ours(move |stop| {
        stop.set_after(Duration::from_secs(3_600));
        let _callback = stop.on_set(|| {});
        polls(n, stop, StopEvent::is_set)
    })
}

fn token(n: usize) -> Duration {
    let all = CancellationToken::new();
    let one = all.child_token();
    inside_rayon(move || polls(n, &one, CancellationToken::is_cancelled))
}

fn deadline(n: usize) -> Duration {
    let deadline = Instant::now() + Duration::from_secs(3_600);
    inside_rayon(move || polls(n, &deadline, |deadline| Instant::now() >= *deadline))
}

fn empty(n: usize) -> Duration {
    inside_rayon(move || polls(n, &false, |_| false))
}

fn one_load(n: usize) -> Duration {
    let flag = Arc::new(AtomicBool::new(false));
    inside_rayon(move || polls(n, &flag, |flag| flag.load(Ordering::Relaxed)))
}

fn two_loads(n: usize) -> Duration {
    let flags = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    inside_rayon(move || {
        polls(n, &flags, |[one, all]| {
            one.load(Ordering::Relaxed) || all.load(Ordering::Relaxed)
        })
    })
}
