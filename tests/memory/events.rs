//! Events: children, waits, timers, callbacks and futures.

use super::{MIB, Test, growth, rounds, stuck};
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use stoppable::{CancelOutcome, StopEvent, StopReason, ThreadPool};

pub(crate) const TESTS: &[Test] = tests![
    dead_children_leave_no_trace_in_a_parent,
    waits_that_time_out_leave_no_trace,
    dead_children_of_every_shape_leave_no_trace,
    dead_anys_leave_no_trace,
    dropped_timers_leave_no_trace,
    callbacks_leave_no_trace,
    dropped_futures_leave_no_trace,
    tasks_leave_no_trace_on_the_event_they_are_under,
    pending_tasks_leave_no_trace_on_the_event_they_are_under,
];

fn dead_children_leave_no_trace_in_a_parent() {
    let root = StopEvent::new();
    let parent = root.child();
    // The list of who waits is made once.
    parent.child().wait_timeout(Duration::from_nanos(1));
    let (peak, stayed) = growth(|| {
        for n in 0..rounds(50_000, 500_000) {
            let child = parent.child();
            match n % 4 {
                0 => assert!(!child.child().wait_timeout(Duration::from_nanos(1))),
                1 => assert!(child.set() && child.cause().is_some()),
                2 => assert!(child.sleep(Duration::ZERO).is_ok()),
                _ => drop(child.set_on_drop()),
            }
        }
    });
    assert!(peak < 64 * 1024, "{peak} bytes at the peak");
    assert_eq!(stayed, 0, "bytes stayed");
    root.set();
}

/// Waits for tasks that time out leave no trace in the task.
fn waits_that_time_out_leave_no_trace() {
    let stuck = stuck();
    let pool = &stuck.pool;
    let task = pool.submit(|_| ());
    let event = task.stop_event();
    let wait = || {
        assert!(!task.wait_timeout(Duration::from_nanos(1)));
        assert!(!event.wait_timeout(Duration::from_nanos(1)));
    };
    wait();
    let (_, stayed) = growth(|| (0..20_000).for_each(|_| wait()));
    assert_eq!(stayed, 0, "bytes stayed");
    stuck.release();
}

/// Whatever a pool and its handles held is freed with the last of them.
/// One round a million times, on events that live on.
#[track_caller]
fn leaves_no_trace(mut round: impl FnMut(usize)) {
    // Lists and maps are made once.
    (0..10).for_each(&mut round);
    let (peak, stayed) = growth(|| (0..rounds(20_000, 1_000_000)).for_each(&mut round));
    assert!(peak < 64 * 1024, "{peak} bytes at the peak");
    assert_eq!(stayed, 0, "bytes stayed");
}

fn dead_children_of_every_shape_leave_no_trace() {
    let parent = StopEvent::new();
    leaves_no_trace(|n| {
        let child = parent.child();
        if n % 2 == 0 {
            drop(parent.clone());
            assert!(!child.child().child().is_set());
        } else {
            assert!(child.set_with(StopReason::custom("child")));
            assert!(child.child().cause().is_some());
        }
    });
}

fn dead_anys_leave_no_trace() {
    let (a, b) = (StopEvent::new(), StopEvent::new().child());
    leaves_no_trace(|n| {
        let any = StopEvent::any([&a, &b]);
        let top = StopEvent::any([&any.child(), &a]);
        match n % 4 {
            0 => assert!(!top.is_set()),
            1 => assert!(top.set()),
            2 => assert!(any.set() && top.cause().is_some()),
            _ => assert!(!top.wait_timeout(Duration::from_nanos(1))),
        }
    });
}

fn dropped_timers_leave_no_trace() {
    let hour = Duration::from_secs(3600);
    let parent = StopEvent::new();
    // So that the map of the timers is never empty, nor the first of them dropped.
    let first = StopEvent::new();
    first.set_after(hour / 2);
    leaves_no_trace(|n| {
        let event = parent.child();
        event.set_after(hour);
        match n % 4 {
            0 => event.set_after(hour / 4),
            1 => event.set_after(2 * hour),
            2 => assert!(event.set()),
            _ => {}
        }
    });
}

fn callbacks_leave_no_trace() {
    let (root, other) = (StopEvent::new(), StopEvent::new());
    let parent = root.child();
    leaves_no_trace(|n| {
        let block = [n; 16];
        let run = move || assert!(block[0] > usize::MAX / 2, "never run");
        match n % 5 {
            0 => drop(parent.on_set(run)),
            1 => assert!(parent.on_set(run).remove()),
            2 => parent.child().on_set(run).detach(),
            3 => StopEvent::any([&parent, &other])
                .child()
                .on_set(run)
                .detach(),
            _ => {
                let child = parent.child();
                let kept = child.on_set(move || assert!(block[0] < usize::MAX / 2));
                child
                    .on_set(move || assert!(block[1] < usize::MAX / 2))
                    .detach();
                assert!(child.set());
                drop(kept);
            }
        }
    });
}

fn dropped_futures_leave_no_trace() {
    let (root, other) = (StopEvent::new(), StopEvent::new());
    let parent = root.child();
    let mut context = Context::from_waker(Waker::noop());
    leaves_no_trace(|n| {
        let mut future = match n % 3 {
            0 => parent.stopped(),
            1 => parent.child().stopped(),
            _ => StopEvent::any([&other, &parent]).stopped(),
        };
        for _ in 0..1 + n % 2 {
            assert!(Pin::new(&mut future).poll(&mut context).is_pending());
        }
    });
}

/// Tasks that ran, under events which live on.
fn tasks_leave_no_trace_on_the_event_they_are_under() {
    let (root, other) = (StopEvent::new(), StopEvent::new());
    let parent = root.child();
    let pool = ThreadPool::new(1);
    let hour = Duration::from_secs(3600);
    let burst = |tasks: usize| {
        let submit = |n: usize| {
            let task = pool.task().stop_with(&parent);
            let task = match n % 4 {
                0 => task,
                1 => task.stop_with(&other),
                2 => task.timeout(hour),
                _ => task.start_before(Instant::now() + hour),
            };
            task.submit(move |_| n)
        };
        let handles: Vec<_> = (0..tasks).map(submit).collect();
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), n);
        }
        pool.submit(|_| ()).wait();
    };
    burst(1_000);
    burst(1_000);
    let (_, stayed) = growth(|| (0..rounds(20, 1_000)).for_each(|_| burst(1_000)));
    assert!(stayed < 160 * 1024, "{stayed} bytes stayed");
}

/// Tasks that were cancelled while they were pending, under an event which lives on.
fn pending_tasks_leave_no_trace_on_the_event_they_are_under() {
    let parent = StopEvent::new();
    let stuck = stuck();
    let pool = &stuck.pool;
    let rounds = rounds(20_000, 1_000_000);
    let hour = Duration::from_secs(3600);
    let (peak, _) = growth(|| {
        for n in 0..rounds {
            let under = parent.child();
            let task = pool
                .task()
                .stop_with(if n % 2 == 0 { &parent } else { &under });
            let task = task.start_before(Instant::now() + hour).submit(|_| ());
            if n % 4 == 1 {
                assert!(under.set() && task.is_done());
            } else {
                assert_eq!(task.cancel(), CancelOutcome::NeverStarted);
            }
        }
    });
    let most = MIB + rounds;
    assert!(peak < most, "{peak} bytes for {rounds} rounds");
    stuck.release();
}
