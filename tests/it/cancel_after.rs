//! A task that is cancelled in some time, unless it has ended by then.

use crate::common::{DropCounter, Gate, Stuck, finishes};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    CancelOutcome, Outcome, Shutdown, StopEvent, StopReason, TaskHandle, TaskStatus, ThreadPool,
};

const SOON: Duration = Duration::from_millis(5);
const FAR: Duration = Duration::from_secs(3600);

/// Waits until all deadlines up to that instant have been served: they are in order.
fn pass(at: Instant) {
    let later = StopEvent::new();
    later.set_at(at + SOON);
    later.wait();
}

/// Submits a task that ends before the time in which it was to be cancelled.
fn ended_in_time(
    submit: impl Fn(&ThreadPool) -> TaskHandle<()>,
) -> (ThreadPool, TaskHandle<()>, Instant) {
    let mut time = Duration::from_millis(20);
    loop {
        let pool = ThreadPool::new(1);
        let task = submit(&pool);
        let at = Instant::now() + time;
        task.cancel_after(time);
        task.wait();
        if Instant::now() < at {
            return (pool, task, at);
        }
        // The machine was busy.
        time *= 2;
    }
}

#[test]
fn a_task_that_has_ended_is_not_asked() {
    let submits: [fn(&ThreadPool) -> TaskHandle<()>; 5] = [
        |pool| pool.submit(|_| ()),
        |pool| pool.task().name("x").submit(|_| ()),
        |pool| pool.task().timeout(FAR).submit(|_| ()),
        |pool| {
            let task = pool.task().stop_with(&StopEvent::new());
            task.start_before(Instant::now() + FAR).submit(|_| ())
        },
        |pool| pool.submit_all([|_: &StopEvent| ()]).remove(0),
    ];
    for submit in submits {
        finishes(move || {
            let (pool, task, at) = ended_in_time(submit);
            pass(at);
            assert!(!task.stop_event().is_set());
            let done = CancelOutcome::AlreadyDone(TaskStatus::Completed);
            assert_eq!(task.cancel(), done);
            assert!(!task.stop_event().is_set());
            task.join().unwrap();
            assert_eq!(
                pool.shutdown(Shutdown::Drain).completed_though_asked(),
                0,
                "nor counted as asked"
            );
        });
    }
}

#[test]
fn given_after_the_end_it_changes_nothing() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.submit(|_| ());
        task.wait();
        for time in [Duration::ZERO, SOON, FAR, Duration::MAX] {
            task.cancel_after(time);
        }
        pass(Instant::now() + SOON);
        assert!(!task.stop_event().is_set());
        assert_eq!(task.outcome().status(), TaskStatus::Completed);
    });
}

/// The line whose time counted.
#[track_caller]
fn line_of(outcome: Outcome<()>) -> u32 {
    let (Outcome::Cancelled { cause, .. } | Outcome::NeverStarted(cause)) = outcome else {
        panic!("it waits for its stop");
    };
    assert_eq!(cause.reason, StopReason::Deadline);
    assert_eq!(cause.location.file(), file!());
    cause.location.line()
}

#[test]
fn of_several_times_the_earliest_counts() {
    const SHORT: Duration = Duration::from_millis(20);
    for order in 0..6 {
        finishes(move || {
            let pool = ThreadPool::new(1);
            let running = || pool.submit(StopEvent::wait);
            let timed = |time| pool.task().timeout(time).submit(StopEvent::wait);
            let (first, second) = if order % 2 == 0 {
                (SHORT, FAR)
            } else {
                (FAR, SHORT)
            };
            let task = match order {
                0 | 1 => running(),
                2 | 3 => timed(FAR),
                _ => timed(Duration::MAX),
            };
            if order < 4 {
                task.wait_started();
            }
            let line = line!() + 1;
            task.cancel_after(first);
            task.cancel_after(second);
            let expected = line + u32::from(order % 2 == 1);
            assert_eq!(line_of(task.outcome()), expected);
        });
    }
}

#[test]
fn a_shorter_timeout_counts() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let line = line!() + 1;
        let task = pool.task().timeout(SOON).submit(StopEvent::wait);
        task.cancel_after(FAR);
        assert_eq!(line_of(task.outcome()), line);
    });
}

/// The event's own deadline is one more.
#[test]
fn the_events_own_deadline_counts_too() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for own_first in [false, true] {
            let task = pool.submit(StopEvent::wait);
            let (own, cancel) = if own_first { (SOON, FAR) } else { (FAR, SOON) };
            let line = line!() + 1;
            task.stop_event().set_after(own);
            task.cancel_after(cancel);
            assert_eq!(line_of(task.outcome()), line + u32::from(!own_first));
        }
    });
}

#[test]
fn no_time_at_all_is_a_cancel() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let drops = DropCounter::new();
        let token = drops.token();
        let pending = stuck.pool.submit(move |_| drop(token));
        let line = line!() + 1;
        pending.cancel_after(Duration::ZERO);
        assert_eq!(pending.status(), TaskStatus::NeverStarted);
        assert_eq!(drops.count(), 1, "on this thread, before it returned");
        assert_eq!(line_of(pending.outcome()), line);
        stuck.release();
        let gate = Gate::new();
        let running = stuck.pool.task().timeout(FAR).submit({
            let gate = Arc::clone(&gate);
            move |stop| {
                gate.pass();
                assert!(stop.is_set());
            }
        });
        running.wait_started();
        let line = line!() + 1;
        running.cancel_after(Duration::ZERO);
        assert!(running.stop_event().is_set(), "before it returned");
        gate.open();
        assert_eq!(line_of(running.outcome()), line);
    });
}

#[test]
fn too_long_for_the_clock_never_comes() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.submit(StopEvent::wait);
        task.cancel_after(Duration::MAX);
        assert!(!task.wait_timeout(SOON));
        let line = line!() + 1;
        task.cancel_after(SOON);
        task.cancel_after(Duration::MAX);
        assert_eq!(line_of(task.outcome()), line);
    });
}

#[test]
fn a_pending_task_never_starts_and_its_joiner_wakes_while_the_workers_are_stuck() {
    finishes(|| {
        let stuck = Stuck::new(2);
        let task = stuck.pool.submit(|_| ());
        task.cancel_after(SOON);
        let joiner = thread::spawn(move || task.join().unwrap_err());
        let error = joiner.join().unwrap();
        assert!(error.is_never_started());
        assert_eq!(error.cause().unwrap().reason, StopReason::Deadline);
    });
}

/// A cancel before the time is the cause, and the time changes nothing then.
#[test]
fn a_cancel_before_it_is_the_cause() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.submit(StopEvent::wait);
        task.wait_started();
        task.cancel_after(FAR);
        assert_eq!(task.cancel(), CancelOutcome::Requested);
        let cause = task.outcome().cause().unwrap().clone();
        assert_eq!(cause.reason, StopReason::Requested);
    });
}
