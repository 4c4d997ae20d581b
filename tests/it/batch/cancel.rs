//! Each task of a batch is stopped alone, and has an event of its own.

use super::{Halfway, MANY, Tally, assert_report, ids, lengthen_runs};
use crate::common::{Gate, Stuck, finishes, poll};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    CancelOutcome, Canceller, Outcome, Shutdown, StopEvent, StopReason, TaskHandle, TaskStatus,
    ThreadPool,
};

/// The ways to stop one task through its handle, which is given back if it can be.
type Stop = fn(TaskHandle<usize>) -> Option<TaskHandle<usize>>;

const STOPS: [(StopReason, Stop); 4] = [
    (StopReason::Requested, |handle| {
        handle.cancel();
        Some(handle)
    }),
    (StopReason::Requested, |handle| {
        assert!(handle.stop_event().set());
        assert!(!handle.stop_event().set());
        Some(handle)
    }),
    (StopReason::Requested, |handle| {
        let canceller = handle.canceller();
        let other = thread::spawn(move || canceller.cancel());
        other.join().unwrap();
        Some(handle)
    }),
    (StopReason::Dropped, |handle| {
        drop(handle.cancel_on_drop());
        None
    }),
];

#[test]
fn a_pending_one_is_cancelled_and_its_neighbours_are_not() {
    finishes(|| {
        for at in [0, 1, 62, 63, 64, 65, MANY - 1] {
            for (reason, stop) in STOPS {
                cancel_one_pending(at, &reason, stop);
            }
        }
    });
}

fn cancel_one_pending(at: usize, reason: &StopReason, stop: Stop) {
    let stuck = Stuck::new(2);
    let captures = Tally::new(MANY);
    let mut handles = stuck.pool.submit_all((0..MANY).map(|n| {
        let capture = captures.one(n);
        move |_: &StopEvent| capture.number()
    }));
    let one = handles.remove(at);
    let (id, event, canceller) = (one.id(), one.stop_event(), one.canceller());
    let pending = stuck.pool.stats().pending;
    if let Some(one) = stop(one) {
        // All of this while every worker is stuck.
        let joiner = thread::spawn(move || one.outcome());
        let Outcome::NeverStarted(cause) = joiner.join().unwrap() else {
            panic!("it was pending");
        };
        assert_eq!(cause.reason, *reason);
    }
    assert_eq!(captures.of(at), 1, "its captures are gone at once");
    assert_eq!(captures.sum(), 1, "and no others");
    assert_eq!(canceller.status(), TaskStatus::NeverStarted);
    assert_eq!(event.reason().as_ref(), Some(reason));
    assert_eq!(stuck.pool.stats().pending, pending - 1);
    assert_eq!(
        canceller.cancel(),
        CancelOutcome::AlreadyDone(TaskStatus::NeverStarted)
    );
    assert!(handles.iter().all(TaskHandle::is_pending));
    assert!(!handles.iter().any(|other| other.stop_event().is_set()));
    stuck.release();
    for (k, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.join().unwrap(), k + usize::from(k >= at));
    }
    captures.assert_all_once("the captures of task");
    let report = stuck.pool.shutdown(Shutdown::Drain);
    let mut right = vec![TaskStatus::Completed; MANY + 2];
    right[at + 2] = TaskStatus::NeverStarted;
    assert_report(&report, &right);
    let detail = report.details().next().unwrap();
    assert_eq!((detail.id(), detail.name()), (id, None));
    assert_eq!(detail.cause().unwrap().reason, *reason);
}

#[test]
fn a_running_one_is_stopped_and_its_neighbours_are_not() {
    finishes(|| {
        for (reason, stop) in STOPS {
            for at in 0..3 {
                stop_one_running(at, &reason, stop);
            }
        }
    });
}

fn stop_one_running(at: usize, reason: &StopReason, stop: Stop) {
    let pool = ThreadPool::new(3);
    lengthen_runs(&pool);
    let before = pool.stats().submitted;
    let mut handles = pool.submit_all((0..3).map(|n| {
        move |stop: &StopEvent| {
            // One polls, the others wait.
            if n == 0 {
                poll(stop);
            } else {
                stop.wait();
            }
            n
        }
    }));
    handles.iter().for_each(TaskHandle::wait_started);
    let one = handles.remove(at);
    let (event, canceller) = (one.stop_event(), one.canceller());
    match stop(one) {
        Some(one) => {
            let Outcome::Cancelled { partial, cause } = one.outcome() else {
                panic!("it was running, and saw its stop");
            };
            assert_eq!((partial, cause.reason), (Some(at), reason.clone()));
        }
        None => event.wait(),
    }
    assert!(event.is_set());
    for other in &handles {
        assert!(other.is_running() && !other.stop_event().is_set());
    }
    for other in &handles {
        assert_eq!(other.cancel(), CancelOutcome::Requested);
    }
    for other in handles {
        assert_eq!(other.outcome().status(), TaskStatus::Cancelled);
    }
    let report = pool.shutdown(Shutdown::Drain);
    let mut right = vec![TaskStatus::Completed; before as usize];
    right.extend([TaskStatus::Cancelled; 3]);
    assert_report(&report, &right);
    assert_eq!(report.status_of(canceller.id()), Some(canceller.status()));
    let detail = report.details().find(|it| it.id() == canceller.id());
    assert_eq!(detail.unwrap().cause().unwrap().reason, *reason);
}

/// The worker that runs a task has those behind it in its hand.
#[test]
fn a_task_cancels_those_behind_it() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        lengthen_runs(&pool);
        let before = pool.stats().submitted as usize;
        let captures = Tally::new(MANY);
        let (tell, told) = mpsc::channel::<Vec<Canceller>>();
        let told = Mutex::new(Some(told));
        let handles = pool.submit_all((0..MANY).map(|n| {
            let (capture, captures) = (captures.one(n), captures.clone());
            let told = told.lock().unwrap().take();
            move |_: &StopEvent| {
                for canceller in told.iter().flat_map(|told| told.recv().unwrap()) {
                    let sum = captures.sum();
                    assert_eq!(canceller.cancel(), CancelOutcome::NeverStarted);
                    assert_eq!(captures.sum(), sum + 1);
                }
                capture.number()
            }
        }));
        let odd = handles.iter().skip(1).step_by(2);
        tell.send(odd.map(TaskHandle::canceller).collect()).unwrap();
        for (n, handle) in handles.into_iter().enumerate() {
            let expected = (n % 2 == 0).then_some(n);
            assert_eq!(handle.outcome().completed(), expected);
        }
        captures.assert_all_once("the captures of task");
        let mut right = vec![TaskStatus::Completed; before];
        right.extend((0..MANY).map(|n| match n % 2 {
            0 => TaskStatus::Completed,
            _ => TaskStatus::NeverStarted,
        }));
        assert_report(&pool.shutdown(Shutdown::Drain), &right);
    });
}

#[test]
fn one_that_has_ended_is_left_as_it_is() {
    finishes(|| {
        let it = Halfway::new(ThreadPool::new(1), 3, 2);
        let done = CancelOutcome::AlreadyDone(TaskStatus::Completed);
        assert_eq!(it.handles[0].cancel(), done);
        assert_eq!(it.handles[1].canceller().cancel(), done);
        assert_eq!(it.handles[2].cancel(), CancelOutcome::Requested);
        assert!(!it.handles[0].stop_event().is_set());
        it.gate.open();
        // It never looked.
        it.handles[2].wait();
        let report = it.pool.shutdown(Shutdown::Drain);
        assert_report(&report, &vec![TaskStatus::Completed; it.before + 3]);
        assert_eq!(report.completed_though_asked(), 1);
    });
}

/// Threads cancel at random while the workers run along: each task ends in one way, which all agree on.
#[test]
fn starts_race_cancels_and_one_wins() {
    finishes(|| {
        let rounds = if cfg!(debug_assertions) { 30 } else { 300 };
        for threads in [1, 2, 3] {
            let pool = ThreadPool::new(threads);
            let mut right = Vec::new();
            for round in 0..rounds {
                let (captures, values) = (Tally::new(500), Tally::new(500));
                let handles = pool.submit_all((0..500).map(|n| {
                    let (capture, values) = (captures.one(n), values.clone());
                    move |_: &StopEvent| values.one(capture.number())
                }));
                let cancellers: Vec<_> = handles.iter().map(TaskHandle::canceller).collect();
                let never = thread::scope(|scope| {
                    let (front, back) = cancellers.split_at(round % 500);
                    let cancel = |it: &Canceller| it.cancel() == CancelOutcome::NeverStarted;
                    let other = scope.spawn(move || front.iter().filter(|it| cancel(it)).count());
                    let ours = back.iter().rev().filter(|it| cancel(it)).count();
                    ours + other.join().unwrap()
                });
                let mut completed = 0;
                for (n, handle) in handles.into_iter().enumerate() {
                    let outcome = handle.outcome();
                    right.push(outcome.status());
                    assert_eq!(cancellers[n].status(), outcome.status());
                    completed += usize::from(outcome.completed().is_some_and(|it| it.n == n));
                }
                assert_eq!(never + completed, 500);
                captures.assert_all_once("the captures of task");
                assert_eq!(values.sum(), completed);
            }
            assert_report(&pool.shutdown(Shutdown::Drain), &right);
        }
    });
}

// The event inside

/// Every way to wait for the stop, and what it says then.
type Wait = fn(&StopEvent) -> bool;

const WAITS: [Wait; 6] = [
    |stop| {
        stop.wait();
        stop.is_set()
    },
    |stop| stop.wait_timeout(Duration::from_secs(3_600)),
    |stop| stop.wait_until(Instant::now() + Duration::from_secs(3_600)),
    |stop| stop.sleep(Duration::from_secs(3_600)).is_err(),
    // A loop with a pause, as one would write it.
    |stop| {
        while !stop.wait_timeout(Duration::from_millis(1)) {}
        stop.check().is_err()
    },
    |stop| {
        stop.child().wait();
        stop.is_set()
    },
];

#[test]
fn tasks_that_wait_for_their_stop_are_woken_one_by_one() {
    finishes(|| {
        let pool = ThreadPool::new(WAITS.len());
        let handles = pool.submit_all(WAITS.map(|wait| move |stop: &StopEvent| wait(stop)));
        handles.iter().for_each(TaskHandle::wait_started);
        // From the last to the first, and each before the next is asked.
        for handle in handles.into_iter().rev() {
            handle.cancel();
            let Outcome::Cancelled { partial, cause } = handle.outcome() else {
                panic!("it saw its stop");
            };
            assert_eq!(partial, Some(true));
            assert_eq!(cause.reason, StopReason::Requested);
        }
    });
}

#[test]
fn tasks_that_wait_for_their_stop_are_woken_by_a_shutdown() {
    finishes(|| {
        let shutdowns: [fn(ThreadPool); 4] = [
            |pool| drop(pool.shutdown(Shutdown::StopAll)),
            |pool| pool.begin_shutdown(Shutdown::StopAll),
            |pool| assert!(pool.stop_event().set()),
            drop,
        ];
        for shut_down in shutdowns {
            let pool = ThreadPool::new(WAITS.len());
            // Those behind never start.
            let waits = WAITS.into_iter().cycle().take(MANY);
            let handles = pool.submit_all(waits.map(|wait| move |stop: &StopEvent| wait(stop)));
            let running = || handles.iter().filter(|it| it.is_running()).count();
            crate::common::until(|| running() == WAITS.len());
            shut_down(pool);
            let mut cancelled = 0;
            for handle in handles {
                match handle.outcome() {
                    Outcome::Cancelled { partial, cause } => {
                        assert_eq!(partial, Some(true));
                        assert_eq!(cause.reason, StopReason::Shutdown);
                        cancelled += 1;
                    }
                    Outcome::NeverStarted(cause) => {
                        assert_eq!(cause.reason, StopReason::Shutdown);
                    }
                    other => panic!("it was stopped, and is {other:?}"),
                }
            }
            assert_eq!(cancelled, WAITS.len());
        }
    });
}

/// A time-out is no stop, and comes to each task when it has passed.
#[test]
fn a_wait_that_times_out_is_not_stopped() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let handles = pool.submit_all((0..70).map(|n| {
            move |stop: &StopEvent| {
                let span = Duration::from_micros(n * 10);
                let start = Instant::now();
                let stopped = stop.wait_timeout(span) || stop.sleep(span).is_err();
                (stopped, start.elapsed() >= 2 * span)
            }
        }));
        for handle in handles {
            assert_eq!(handle.join().unwrap(), (false, true));
        }
    });
}

/// The ambient event is that of the task that runs, though many run in a row.
#[test]
fn current_is_the_event_of_each_task_alone() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let handles = stuck.pool.submit_all((0..MANY).map(|n| {
            move |stop: &StopEvent| {
                let current = stoppable::current();
                if n % 3 == 1 {
                    stop.set();
                }
                current.is_set()
            }
        }));
        stuck.release();
        for (n, handle) in handles.into_iter().enumerate() {
            let expected = match n % 3 {
                1 => TaskStatus::Cancelled,
                _ => TaskStatus::Completed,
            };
            let outcome = handle.outcome();
            assert_eq!(outcome.status(), expected);
            assert_eq!(outcome.into_value(), Some(n % 3 == 1));
        }
    });
}

/// What a task does with its event, as each task of a batch does it.
#[test]
fn tasks_unwind_when_they_are_stopped() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let drops = Tally::new(4);
        let mut handles = pool.submit_all((0..4).map(|n| {
            let drop_me = drops.one(n);
            move |_: &StopEvent| {
                let _drop_me = drop_me;
                if n >= 2 {
                    return;
                }
                loop {
                    stoppable::unwind_if_stopped();
                    thread::yield_now();
                }
            }
        }));
        handles.iter().take(2).for_each(TaskHandle::wait_started);
        let behind = handles.split_off(2);
        for handle in &handles {
            handle.cancel();
        }
        for handle in handles {
            let Outcome::Cancelled { partial: None, .. } = handle.outcome() else {
                panic!("it unwound");
            };
        }
        for handle in behind {
            handle.join().unwrap();
        }
        drops.assert_all_once("what was on the stack of task");
    });
}

/// A clone of a task's event, from inside or outside, works when the pool, the handles and all its
/// neighbours are gone.
#[test]
fn an_event_outlives_everything() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (tell, told) = mpsc::channel();
        let captures = Tally::new(MANY);
        let gate = Gate::new();
        let handles = pool.submit_all((0..MANY).map(|n| {
            let (capture, tell, gate) = (captures.one(n), tell.clone(), Arc::clone(&gate));
            move |stop: &StopEvent| {
                gate.pass();
                if n % 50 == 7 {
                    tell.send((n, stop.clone(), stop.child())).unwrap();
                }
                if n == 57 {
                    stop.set_with(StopReason::Custom("by the task".into()));
                }
                capture.number()
            }
        }));
        let outside = [handles[107].stop_event(), handles[108].stop_event()];
        let canceller = handles[108].canceller();
        let numbers = ids(&handles);
        assert_eq!(handles[108].cancel(), CancelOutcome::NeverStarted);
        gate.open();
        drop(tell);
        let inside: Vec<_> = told.iter().collect();
        handles.iter().for_each(TaskHandle::wait);
        drop((handles, pool));
        captures.assert_all_once("the captures of task");

        assert_eq!(
            inside.iter().map(|it| it.0).collect::<Vec<_>>(),
            [7, 57, 107, 157]
        );
        for (n, event, child) in &inside {
            let reason = match n {
                57 => StopReason::Custom("by the task".into()),
                // The drop of the pool.
                _ => StopReason::Shutdown,
            };
            assert!(event.is_set() && child.is_set() && event.child().is_set());
            assert_eq!(event.reason(), Some(reason.clone()));
            assert_eq!(child.reason(), Some(reason.clone()));
            assert_eq!(event.check().unwrap_err().cause().reason, reason);
            event.wait();
            assert!(child.wait_timeout(Duration::from_secs(3_600)));
        }
        assert_eq!(outside[0].reason(), Some(StopReason::Shutdown));
        assert_eq!(outside[1].reason(), Some(StopReason::Requested));
        assert_eq!(canceller.id().as_u64(), numbers[108]);
        assert_eq!(canceller.status(), TaskStatus::NeverStarted);
        // On another thread, the last of them.
        thread::spawn(move || drop((inside, outside, canceller)))
            .join()
            .unwrap();
    });
}

/// One that is not set when the pool is gone for good cannot be: the pool's end sets it. But while
/// a drained pool is still there, it can be set and waited for.
#[test]
fn an_event_outlives_its_task_and_can_still_be_set() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let handles = pool.submit_all((0..3).map(|_| |stop: &StopEvent| stop.clone()));
        let mut handles = handles.into_iter();
        let event = handles.next().unwrap().join().unwrap();
        let other = handles.next().unwrap().join().unwrap();
        drop(handles);
        pool.shutdown(Shutdown::Drain);
        assert!(!event.is_set() && event.reason().is_none());
        let waiter = thread::spawn({
            let child = event.child();
            move || child.wait()
        });
        assert!(event.set_with(StopReason::Deadline));
        waiter.join().unwrap();
        assert_eq!(event.reason(), Some(StopReason::Deadline));
        assert!(!other.is_set());
        drop(pool);
        assert_eq!(other.reason(), Some(StopReason::Shutdown));
        assert_eq!(event.reason(), Some(StopReason::Deadline));
    });
}
