//! What one task may be submitted with: a time to run, a time to begin, an event to be under.

#[cfg(target_os = "linux")]
mod no_timer_thread;

use crate::common::{DropCounter, Gate, OnDrop, Stuck, finishes};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    CancelOutcome, Outcome, Shutdown, ShutdownReport, StopEvent, StopReason, TaskHandle,
    TaskStatus, ThreadPool,
};

const SOON: Duration = Duration::from_millis(5);
const FAR: Duration = Duration::from_secs(3600);

/// A final report with these counts, which satisfies the law.
#[track_caller]
fn counts(report: &ShutdownReport, completed: u64, cancelled: u64, never_started: u64) {
    assert!(report.is_final());
    assert_eq!((report.pending(), report.running()), (0, 0));
    let ended = (
        report.completed(),
        report.cancelled(),
        report.never_started(),
    );
    assert_eq!(ended, (completed, cancelled, never_started));
    let sum = completed + cancelled + never_started + report.panicked();
    assert_eq!(report.submitted(), sum, "the law");
}

#[track_caller]
fn never_started<T>(task: TaskHandle<T>, reason: &StopReason) {
    let Outcome::NeverStarted(cause) = task.outcome() else {
        panic!("it was pending");
    };
    assert_eq!(cause.reason, *reason);
    assert_eq!(cause.location.file(), file!());
}

#[test]
fn a_timeout_asks_a_task_that_looks_and_one_that_does_not_completes() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let line = line!() + 1;
        let polite = pool.task().timeout(SOON).submit(|stop| {
            stop.wait();
            7
        });
        let Outcome::Cancelled { partial, cause } = polite.outcome() else {
            panic!("it saw its stop");
        };
        assert_eq!((partial, cause.reason), (Some(7), StopReason::Deadline));
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), line)
        );
        let asked = Gate::new();
        let deaf = pool.task().timeout(SOON).submit({
            let asked = Arc::clone(&asked);
            move |_| asked.pass()
        });
        deaf.stop_event().wait();
        asked.open();
        assert_eq!(deaf.outcome().status(), TaskStatus::Completed);
        let report = pool.shutdown(Shutdown::Drain);
        counts(&report, 1, 1, 0);
        assert_eq!(report.completed_though_asked(), 1);
    });
}

/// Were it from the submission, the task would never start, or be asked at its start.
#[test]
fn a_timeout_counts_from_the_start() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let timeout = Duration::from_millis(30);
        let task = stuck.pool.task().timeout(timeout).submit(|stop| {
            let begun = Instant::now();
            let at_start = stop.peek();
            stop.wait();
            (at_start, begun)
        });
        // The time passes while it is pending.
        assert!(!task.wait_timeout(2 * timeout));
        assert!(task.is_pending() && !task.stop_event().is_set());
        stuck.release();
        let Outcome::Cancelled { partial, cause } = task.outcome() else {
            panic!("it saw its stop");
        };
        let (at_start, begun) = partial.unwrap();
        assert!(!at_start);
        // From a moment before the closure's first instruction.
        assert!(cause.at + Duration::from_millis(20) >= begun + timeout);
    });
}

#[test]
fn a_timeout_that_does_not_come_changes_nothing() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for timeout in [FAR, Duration::MAX] {
            let task = pool.task().timeout(timeout).submit(StopEvent::is_set);
            assert!(!task.join().unwrap());
        }
        let report = pool.shutdown(Shutdown::Drain);
        counts(&report, 2, 0, 0);
    });
}

#[test]
fn a_zero_timeout_asks_at_the_start() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.task().timeout(Duration::ZERO).submit(StopEvent::wait);
        assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
    });
}

#[test]
fn a_task_that_ended_is_not_asked_by_its_timeout() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        // On a busy machine a task may not end in so short a time.
        let in_time = (0..10).any(|power| {
            let timeout = SOON * 2_u32.pow(power);
            let task = pool.task().timeout(timeout).submit(|_| ());
            task.wait();
            if task.stop_event().is_set() {
                return false;
            }
            let later = StopEvent::new();
            later.set_after(2 * timeout);
            later.wait();
            assert!(!task.stop_event().is_set());
            true
        });
        assert!(in_time, "a task of nothing takes seconds");
    });
}

#[test]
fn a_task_that_did_not_begin_in_time_never_starts_while_the_workers_are_stuck() {
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.thread_name(|_| "the-worker".into()));
        let (tell, dropped_by) = mpsc::channel();
        let captured = OnDrop(move || {
            let name = thread::current().name().map(str::to_owned);
            tell.send(name.unwrap()).unwrap();
        });
        let at = Instant::now() + SOON;
        let line = line!() + 4;
        let task = stuck
            .pool
            .task()
            .start_before(at)
            .submit(move |_| drop(captured));
        task.wait();
        assert!(dropped_by.try_recv().is_err(), "its thread is stuck");
        let Outcome::NeverStarted(cause) = task.outcome() else {
            panic!("it was pending");
        };
        assert_eq!(cause.reason, StopReason::Deadline);
        assert!(cause.at >= at, "not early");
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), line)
        );
        assert_eq!(stuck.pool.stats().pending, 0);
        stuck.release();
        assert_eq!(dropped_by.recv().unwrap(), "the-worker");
        counts(&stuck.pool.shutdown(Shutdown::Drain), 1, 0, 1);
    });
}

#[test]
fn a_time_that_has_passed_at_the_submission_never_starts() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let drops = DropCounter::new();
        let past = Instant::now();
        let token = drops.token();
        let task = pool.task().start_before(past).submit(move |_| drop(token));
        assert_eq!(task.status(), TaskStatus::NeverStarted);
        assert_eq!(drops.count(), 1, "on the submitter's thread");
        never_started(task, &StopReason::Deadline);
        let tried = pool.task().start_before(past).try_submit(|_| ());
        never_started(tried.unwrap(), &StopReason::Deadline);
        let id = pool.task().start_before(past).execute(|_| ()).unwrap();
        let report = pool.shutdown(Shutdown::Drain);
        counts(&report, 0, 0, 3);
        assert_eq!(report.status_of(id), Some(TaskStatus::NeverStarted));
    });
}

#[test]
fn a_task_that_began_in_time_is_left_alone() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let at = Instant::now() + Duration::from_millis(20);
        let (go, later) = (Gate::new(), StopEvent::new());
        let task = pool.task().start_before(at).submit({
            let go = Arc::clone(&go);
            move |stop| {
                go.pass();
                stop.is_set()
            }
        });
        task.wait_started();
        if task.status() == TaskStatus::NeverStarted {
            return; // A machine so slow that it did not begin in time.
        }
        later.set_at(at + SOON);
        later.wait();
        go.open();
        assert!(!task.join().unwrap());
        counts(&pool.shutdown(Shutdown::Drain), 1, 0, 0);
    });
}

#[test]
fn a_pending_task_never_starts_when_its_event_is_set() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let under = StopEvent::new();
        let drops = DropCounter::new();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let token = drops.token();
                let task = stuck.pool.task().stop_with(&under);
                task.submit(move |_| drop(token))
            })
            .collect();
        let other = stuck.pool.submit(|_| ());
        assert!(under.set_with(StopReason::custom("request")));
        assert_eq!(drops.count(), 100, "before `set` returns");
        assert_eq!(stuck.pool.stats().pending, 1);
        for task in tasks {
            assert!(task.is_done() && task.stop_event().is_set());
            assert_eq!(
                task.cancel(),
                CancelOutcome::AlreadyDone(TaskStatus::NeverStarted)
            );
            never_started(task, &StopReason::custom("request"));
        }
        stuck.release();
        other.join().unwrap();
        counts(&stuck.pool.shutdown(Shutdown::Drain), 2, 0, 100);
    });
}

#[test]
fn joiners_of_a_pending_task_are_woken_by_its_event() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let above = StopEvent::new();
        let task = stuck.pool.task().stop_with(&above.child()).submit(|_| ());
        let event = task.stop_event();
        let waiter = thread::spawn(move || event.wait());
        let joiner = thread::spawn(move || task.outcome().status());
        above.set();
        assert_eq!(joiner.join().unwrap(), TaskStatus::NeverStarted);
        waiter.join().unwrap();
    });
}

#[test]
fn a_running_task_is_stopped_by_its_event() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let under = StopEvent::new();
        let looks: [fn(&StopEvent); 4] = [
            StopEvent::wait,
            |stop| crate::common::poll(stop),
            |_| stoppable::current().wait(),
            |_| crate::common::until(|| stoppable::current().check().is_err()),
        ];
        for look in looks {
            let under = under.child();
            let task = pool.task().stop_with(&under).submit(look);
            task.wait_started();
            under.set_with(StopReason::custom("request"));
            let outcome = task.outcome();
            assert_eq!(outcome.status(), TaskStatus::Cancelled);
            let cause = outcome.cause().unwrap();
            assert_eq!(cause.reason, StopReason::custom("request"));
        }
        // It is under the pool too, and its own.
        for own in [true, false] {
            let task = pool.task().stop_with(&under).submit(StopEvent::wait);
            task.wait_started();
            if own {
                task.cancel();
            } else {
                pool.stop_event().set();
            }
            assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
        }
        assert!(!under.is_set(), "which leaves the event alone");
        counts(&pool.shutdown(Shutdown::Drain), 0, 6, 0);
    });
}

#[test]
fn a_deaf_task_under_an_event_that_was_set_completes() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (under, asked) = (StopEvent::new(), Gate::new());
        let task = pool.task().stop_with(&under).submit({
            let (under, asked) = (under.clone(), Arc::clone(&asked));
            move |_| {
                asked.pass();
                // Not through the task's own.
                assert!(under.is_set());
            }
        });
        task.wait_started();
        under.set();
        asked.open();
        assert_eq!(task.outcome().status(), TaskStatus::Completed);
        let report = pool.shutdown(Shutdown::Drain);
        counts(&report, 1, 0, 0);
        assert_eq!(report.completed_though_asked(), 1);
    });
}

#[test]
fn under_an_event_that_is_set_it_never_starts() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let under = StopEvent::new();
        under.set_with(StopReason::custom("before"));
        let reason = StopReason::custom("before");
        let mut ids = Vec::new();
        let drops = DropCounter::new();
        for event in [under.clone(), under.child(), StopEvent::any([&under])] {
            let before = drops.count();
            let token = drops.token();
            let task = pool.task().stop_with(&event).submit(move |_| drop(token));
            assert_eq!(task.status(), TaskStatus::NeverStarted);
            assert_eq!(drops.count(), before + 1);
            never_started(task, &reason);
            let tried = pool.task().stop_with(&event).try_submit(|_| ());
            never_started(tried.unwrap(), &reason);
            let id = pool.task().stop_with(&event).execute(|_| ()).unwrap();
            crate::common::until(|| pool.stats().pending == 0);
            assert_eq!(pool.stats().running, 0);
            ids.push(id);
        }
        let report = pool.shutdown(Shutdown::Drain);
        counts(&report, 0, 0, 9);
        for id in ids {
            assert_eq!(report.status_of(id), Some(TaskStatus::NeverStarted));
        }
    });
}

#[test]
fn under_two_events_and_never() {
    finishes(|| {
        let stuck = Stuck::new(1);
        for which in 0..2 {
            let events = [StopEvent::new(), StopEvent::new()];
            let task = stuck
                .pool
                .task()
                .stop_with(&StopEvent::never())
                .stop_with(&events[0])
                .stop_with(&events[1]);
            let task = task.submit(|_| ());
            events[which].set_with(StopReason::custom("one"));
            assert!(task.is_done());
            never_started(task, &StopReason::custom("one"));
            assert!(!events[1 - which].is_set());
        }
        let task = stuck.pool.task().stop_with(&StopEvent::never());
        let task = task.submit(StopEvent::is_set);
        stuck.release();
        assert!(!task.join().unwrap());
        counts(&stuck.pool.shutdown(Shutdown::Drain), 2, 0, 2);
    });
}

#[test]
fn a_task_that_ended_hears_no_more_of_its_event() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let under = StopEvent::new();
        let task = pool.task().stop_with(&under).submit(|_| 7);
        task.wait();
        under.set();
        assert_eq!(task.join().unwrap(), 7);
        let report = pool.shutdown(Shutdown::Drain);
        counts(&report, 1, 0, 0);
        assert_eq!(report.completed_though_asked(), 0);
    });
}

#[test]
fn the_place_in_a_bounded_queue_is_given_back() {
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.queue_capacity(2));
        for n in 0..200 {
            let under = StopEvent::new();
            let task = || stuck.pool.task().stop_with(&under).timeout(FAR);
            let first = task().try_submit(|_| ()).unwrap();
            task().execute(|_| ()).unwrap();
            assert!(task().try_submit(|_| ()).unwrap_err().is_full());
            if n % 2 == 0 {
                under.set();
            } else {
                under.set_after(Duration::from_micros(50));
                first.wait();
                crate::common::until(|| stuck.pool.stats().pending == 0);
            }
        }
        stuck.release();
        counts(&stuck.pool.shutdown(Shutdown::Drain), 1, 0, 400);
    });
}

/// Sets race with starts: whatever wins, the counts are exact.
#[test]
fn sets_against_starts() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let drops = DropCounter::new();
        let (mut ended, mut total) = ([0_u64; 3], 0);
        for n in 0..2_000_u64 {
            let (under, other) = (StopEvent::new(), StopEvent::new());
            let setter = thread::spawn({
                let under = under.clone();
                move || under.set()
            });
            let tasks: Vec<_> = (0..3)
                .map(|_| {
                    let token = drops.token();
                    let task = pool.task().stop_with(&other).stop_with(&under);
                    let task = task.timeout(FAR).name("racer");
                    task.start_before(Instant::now() + FAR).submit(move |stop| {
                        let _token = token;
                        if n % 2 == 0 {
                            stop.wait();
                        }
                    })
                })
                .collect();
            total += 3;
            assert!(setter.join().unwrap());
            for task in tasks {
                match task.outcome() {
                    Outcome::Completed(()) => ended[0] += 1,
                    Outcome::Cancelled { cause, .. } => {
                        assert_eq!(Some(cause), under.cause());
                        ended[1] += 1;
                    }
                    Outcome::NeverStarted(cause) => {
                        assert_eq!(Some(cause), under.cause());
                        ended[2] += 1;
                    }
                    Outcome::Panicked(_) => panic!("none panics"),
                }
            }
            assert!(!other.is_set());
        }
        assert_eq!(ended.iter().sum::<u64>(), total);
        let report = pool.shutdown(Shutdown::Drain);
        counts(&report, ended[0], ended[1], ended[2]);
        assert_eq!(drops.count() as u64, total);
    });
}

/// Deadlines race with starts.
#[test]
fn times_to_begin_against_starts() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let tasks: Vec<_> = (0..3_000_u64)
            .map(|n| {
                let at = Instant::now() + Duration::from_micros(n % 60);
                let task = pool.task().start_before(at);
                task.timeout(Duration::from_micros(n % 7)).submit(|stop| {
                    for _ in 0..20 {
                        std::hint::black_box(stop.is_set());
                    }
                })
            })
            .collect();
        let mut ended = [0; 3];
        for task in tasks {
            match task.outcome() {
                Outcome::Completed(()) => ended[0] += 1,
                Outcome::Cancelled { .. } => ended[1] += 1,
                Outcome::NeverStarted(_) => ended[2] += 1,
                Outcome::Panicked(_) => panic!("none panics"),
            }
        }
        let report = pool.shutdown(Shutdown::Drain);
        counts(&report, ended[0], ended[1], ended[2]);
        assert_eq!(ended.iter().sum::<u64>(), 3_000);
    });
}

#[test]
fn all_limits_together_and_each_in_turn() {
    finishes(|| {
        for which in 0..4 {
            let stuck = Stuck::new(1);
            let under = StopEvent::new();
            let soon = Instant::now() + SOON;
            let task = stuck
                .pool
                .task()
                .name("all")
                .timeout(if which == 0 { SOON } else { FAR })
                .start_before(if which == 1 { soon } else { soon + FAR })
                .stop_with(&under)
                .try_submit(StopEvent::wait)
                .unwrap();
            match which {
                0 => stuck.release(),
                1 => task.wait(),
                2 => drop(under.set()),
                _ => {
                    stuck.release();
                    task.wait_started();
                    under.set();
                }
            }
            let outcome = task.outcome();
            let (status, reason) = match which {
                0 => (TaskStatus::Cancelled, StopReason::Deadline),
                1 => (TaskStatus::NeverStarted, StopReason::Deadline),
                2 => (TaskStatus::NeverStarted, StopReason::Requested),
                _ => (TaskStatus::Cancelled, StopReason::Requested),
            };
            assert_eq!(outcome.status(), status);
            assert_eq!(outcome.cause().unwrap().reason, reason);
            stuck.release();
            let report = stuck.pool.shutdown(Shutdown::Drain);
            let cancelled = u64::from(status == TaskStatus::Cancelled);
            counts(&report, 1, cancelled, 1 - cancelled);
            assert_eq!(report.details().next().unwrap().name(), Some("all"));
        }
    });
}

#[test]
fn executed_tasks_have_limits_too() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let timed = pool.task().timeout(SOON).execute(StopEvent::wait).unwrap();
        let under = StopEvent::new();
        let (begun, begins) = mpsc::channel();
        let stopped = pool.task().stop_with(&under).execute(move |stop| {
            begun.send(()).unwrap();
            stop.wait();
        });
        let stopped = stopped.unwrap();
        begins.recv().unwrap();
        let at = Instant::now() + SOON;
        let late = pool.task().start_before(at).execute(|_| ()).unwrap();
        crate::common::until(|| pool.stats().pending == 0);
        under.set();
        let report = pool.shutdown(Shutdown::Drain);
        counts(&report, 0, 2, 1);
        assert_eq!(report.status_of(timed), Some(TaskStatus::Cancelled));
        assert_eq!(report.status_of(stopped), Some(TaskStatus::Cancelled));
        assert_eq!(report.status_of(late), Some(TaskStatus::NeverStarted));
    });
}

#[test]
fn a_refused_one_keeps_no_limits() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        pool.shutdown(Shutdown::Drain);
        let under = StopEvent::new();
        let task = || pool.task().stop_with(&under).timeout(SOON);
        let task = || task().start_before(Instant::now() + SOON);
        let refused = task().submit(|_| ());
        assert!(task().try_submit(|_| ()).unwrap_err().is_shut_down());
        assert!(task().execute(|_| ()).unwrap_err().is_shut_down());
        let cause = refused.stop_event().cause();
        under.set();
        assert_eq!(refused.stop_event().cause(), cause);
        never_started(refused, &StopReason::Shutdown);
        counts(&pool.shutdown(Shutdown::Drain), 0, 0, 0);
    });
}

/// The pool that waits for a task which joins another one: the limits hold for a task run inline.
#[test]
fn a_task_that_is_run_by_its_joiner_has_its_limits() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |_| {
            let timed = submitter.task().timeout(SOON).submit(StopEvent::wait);
            let timed = timed.outcome().status();
            let late = submitter.task().start_before(Instant::now()).submit(|_| ());
            (timed, late.outcome().status())
        });
        let expected = (TaskStatus::Cancelled, TaskStatus::NeverStarted);
        assert_eq!(outer.join().unwrap(), expected);
    });
}

/// A deadline that its owner gave to a pending task is still there when the task has begun.
#[test]
fn cancel_after_of_a_pending_task_outlives_its_start() {
    finishes(|| {
        for which in 0..2 {
            let stuck = Stuck::new(1);
            let task = stuck.pool.task();
            let task = match which {
                0 => task.timeout(FAR),
                _ => task.start_before(Instant::now() + FAR),
            };
            let task = task.submit(StopEvent::wait);
            task.cancel_after(Duration::from_millis(100));
            stuck.release();
            assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
        }
    });
}
