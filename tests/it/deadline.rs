//! Deadlines in events: on the process's one timer thread.

use crate::common::{DropCounter, Gate, OnDrop, Stuck, finishes};
use std::panic::Location;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{Outcome, Shutdown, StopEvent, StopReason, TaskBuilder, TaskStatus, ThreadPool};

const SOON: Duration = Duration::from_millis(5);
const FAR: Duration = Duration::from_secs(3600);

/// The deadline's cause, once it has come, which was not early and names this line.
#[track_caller]
fn came(stop: &StopEvent, deadline: Instant) {
    stop.wait();
    let cause = stop.cause().unwrap();
    assert_eq!(cause.reason, StopReason::Deadline);
    assert!(cause.at >= deadline, "it came early");
    assert_eq!(cause.location.file(), file!());
}

#[test]
fn it_comes_and_never_early() {
    finishes(|| {
        for n in 0..20 {
            let stop = StopEvent::new();
            let deadline = Instant::now() + n * Duration::from_micros(500);
            stop.set_at(deadline);
            came(&stop, deadline);
            let stop = StopEvent::new();
            let deadline = Instant::now() + Duration::from_micros(700);
            stop.set_after(Duration::from_micros(700));
            came(&stop, deadline);
        }
    });
}

#[test]
fn of_two_the_earliest_counts_in_both_orders() {
    finishes(|| {
        for earlier_first in [true, false] {
            let stop = StopEvent::new();
            let at = Instant::now() + SOON;
            let later = at + FAR;
            let lines = if earlier_first {
                let line = line!() + 1;
                stop.set_at(at);
                stop.set_at(later);
                line
            } else {
                stop.set_at(later);
                stop.set_at(at + SOON);
                let line = line!() + 1;
                stop.set_at(at);
                line
            };
            came(&stop, at);
            assert_eq!(stop.cause().unwrap().location.line(), lines);
        }
    });
}

/// A later deadline does not put an earlier one of another event off.
/// The timer thread sleeps until the far one by then, or is about to.
#[test]
fn one_that_is_earlier_than_all_others_comes_in_time() {
    let far = StopEvent::new();
    far.set_after(FAR);
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(1));
        let event = StopEvent::new();
        event.set_after(SOON);
        assert!(event.wait_timeout(Duration::from_secs(30)));
        drop(event);
    }
    assert!(!far.is_set());
}

#[test]
fn many_events_in_every_order() {
    finishes(|| {
        let far: Vec<_> = (0..10).map(|_| StopEvent::new()).collect();
        let start = Instant::now();
        for event in &far {
            event.set_after(FAR);
        }
        let events: Vec<_> = (0..20).map(|n| (n * 7 % 20, StopEvent::new())).collect();
        for (n, event) in &events {
            event.set_at(start + *n * Duration::from_millis(1));
        }
        for (n, event) in &events {
            came(event, start + *n * Duration::from_millis(1));
        }
        assert!(far.iter().all(|event| !event.is_set()));
    });
}

#[test]
fn a_past_or_zero_one_sets_at_once_on_this_thread() {
    for past in [false, true] {
        let stop = StopEvent::new();
        let (tell, told) = mpsc::channel();
        let callback = stop.on_set(move || tell.send(thread::current().id()).unwrap());
        let line = line!() + 2;
        if past {
            stop.set_at(Instant::now());
        } else {
            stop.set_after(Duration::ZERO);
        }
        assert!(stop.peek());
        assert_eq!(told.try_recv(), Ok(thread::current().id()));
        let cause = stop.cause().unwrap();
        assert_eq!(cause.reason, StopReason::Deadline);
        let lines = [line, line + 2];
        assert!(lines.contains(&cause.location.line()));
        drop(callback);
    }
}

#[test]
fn one_too_long_for_the_clock_never_comes() {
    let stop = StopEvent::new();
    stop.set_after(Duration::MAX);
    stop.set_after(Duration::from_secs(u64::MAX / 4));
    assert!(!stop.wait_timeout(Duration::from_millis(2)));
    StopEvent::never().set_after(Duration::MAX);
    StopEvent::never().set_after(Duration::ZERO);
    StopEvent::never().set_at(Instant::now());
}

#[test]
fn the_cause_names_the_line_of_the_caller() {
    #[track_caller]
    fn through(stop: &StopEvent) -> &'static Location<'static> {
        stop.set_after(Duration::from_millis(1));
        Location::caller()
    }
    finishes(|| {
        let stop = StopEvent::new();
        let here = through(&stop);
        stop.wait();
        assert_eq!(stop.cause().unwrap().location, here);
    });
}

#[test]
fn an_event_that_was_set_before_keeps_its_cause() {
    finishes(|| {
        let stop = StopEvent::new();
        let at = Instant::now() + Duration::from_millis(2);
        stop.set_at(at);
        stop.set_with(StopReason::custom("before"));
        let cause = stop.cause();
        stop.set_after(Duration::ZERO);
        let other = StopEvent::new();
        other.set_at(at + Duration::from_millis(2));
        other.wait();
        assert_eq!(stop.cause(), cause);
    });
}

#[test]
fn one_on_a_parent_wakes_those_who_wait_for_a_child() {
    finishes(|| {
        let (root, other) = (StopEvent::new(), StopEvent::new());
        let begun = Arc::new(Barrier::new(3));
        let waiters = [root.child().child(), StopEvent::any([&other, &root])].map(|event| {
            let begun = Arc::clone(&begun);
            thread::spawn(move || {
                begun.wait();
                event.wait();
                event.reason()
            })
        });
        begun.wait();
        root.set_after(SOON);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Some(StopReason::Deadline));
        }
        assert!(!other.is_set());
    });
}

#[test]
fn one_on_a_child_leaves_the_parent_alone() {
    finishes(|| {
        let root = StopEvent::new();
        let child = root.child();
        child.set_after(Duration::from_millis(1));
        child.wait();
        assert!(!root.is_set());
    });
}

#[test]
fn ten_thousand() {
    finishes(|| {
        let start = Instant::now();
        let events: Vec<_> = (0..10_000_u64)
            .map(|n| {
                let event = StopEvent::new();
                let at = start + Duration::from_micros(n * 7_919 % 10_000 * 10);
                event.set_at(at);
                (event, at)
            })
            .collect();
        for (event, at) in &events {
            event.wait();
            let cause = event.cause().unwrap();
            assert!(cause.reason == StopReason::Deadline && cause.at >= *at);
        }
    });
}

/// Dropping an event at the very time of its deadline.
#[test]
fn events_dropped_at_their_deadline() {
    finishes(|| {
        let end = Instant::now() + Duration::from_secs(2);
        let mut rounds = 0;
        while Instant::now() < end {
            let event = StopEvent::new();
            let at = Instant::now() + Duration::from_micros(60 + rounds % 100);
            event.set_at(at);
            let drop_at = at + Duration::from_nanos(rounds * 37 % 60_000);
            while Instant::now() < drop_at {
                std::hint::spin_loop();
            }
            drop(event);
            rounds += 1;
        }
    });
}

/// The others most likely lie where the dropped one lay.
#[test]
fn the_deadline_of_a_dropped_event_sets_no_other() {
    finishes(|| {
        for _ in 0..50 {
            let at = Instant::now() + Duration::from_millis(1);
            let event = StopEvent::new();
            event.set_at(at);
            drop(event);
            let others: [StopEvent; 8] = std::array::from_fn(|_| StopEvent::new());
            // Deadlines are served in order.
            let later = StopEvent::new();
            later.set_at(at + Duration::from_micros(1));
            later.wait();
            assert!(others.iter().all(|other| !other.peek()));
        }
    });
}

#[test]
fn what_hangs_on_a_dropped_event_goes_with_it_and_not_at_the_deadline() {
    let drops = DropCounter::new();
    for _ in 0..100 {
        let event = StopEvent::new();
        event.set_after(FAR);
        let token = drops.token();
        event.on_set(move || drop(token)).detach();
    }
    assert_eq!(drops.count(), 100);
}

/// What a pending task had captured is dropped by a thread of the pool, once it is free.
fn captures_of_a_doomed_task(
    doom: impl FnOnce(&ThreadPool, mpsc::Sender<String>) + Send + 'static,
) {
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.thread_name(|_| "the-worker".into()));
        let (tell, dropped_by) = mpsc::channel();
        doom(&stuck.pool, tell);
        assert!(dropped_by.try_recv().is_err(), "its thread is stuck");
        stuck.release();
        assert_eq!(dropped_by.recv().unwrap(), "the-worker");
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!((report.completed(), report.never_started()), (1, 1));
        assert_eq!((report.submitted(), report.cancelled()), (2, 0));
    });
}

fn captured(tell: mpsc::Sender<String>) -> OnDrop<impl FnMut()> {
    OnDrop(move || {
        let name = thread::current().name().map(str::to_owned);
        tell.send(name.unwrap_or_default()).unwrap();
    })
}

#[test]
fn a_pending_task_never_starts_and_its_joiner_is_awake_while_the_workers_are_stuck() {
    captures_of_a_doomed_task(|pool, tell| {
        let captured = captured(tell);
        let task = pool.submit(move |_| drop(captured));
        let canceller = task.canceller();
        let line = line!() + 1;
        task.cancel_after(SOON);
        let Outcome::NeverStarted(cause) = task.outcome() else {
            panic!("it was pending");
        };
        assert_eq!(cause.reason, StopReason::Deadline);
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), line)
        );
        assert_eq!(canceller.status(), TaskStatus::NeverStarted);
        assert_eq!(pool.stats().pending, 0);
    });
}

#[test]
fn one_of_a_batch_and_one_under_an_event_never_start() {
    captures_of_a_doomed_task(|pool, tell| {
        let captured = captured(tell);
        let under = StopEvent::new();
        let task = pool
            .task()
            .stop_with(&under)
            .submit(move |_| drop(captured));
        under.set_after(SOON);
        task.wait();
        assert_eq!(task.status(), TaskStatus::NeverStarted);
        assert!(task.join().unwrap_err().is_never_started());
    });
    finishes(|| {
        let stuck = Stuck::new(1);
        let tasks = stuck
            .pool
            .submit_all((0..100).map(|n| move |_: &StopEvent| n));
        for task in tasks.iter().step_by(2) {
            task.cancel_after(SOON);
        }
        for task in tasks.iter().step_by(2) {
            task.wait();
        }
        assert_eq!(stuck.pool.stats().pending, 50);
        stuck.release();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!((report.completed(), report.never_started()), (51, 50));
    });
}

#[test]
fn a_running_task_is_asked() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let polite = pool.submit(StopEvent::wait);
        let asked = Gate::new();
        let deaf = pool.submit({
            let asked = Arc::clone(&asked);
            move |_| asked.pass()
        });
        for task in [&polite, &deaf] {
            task.wait_started();
            task.cancel_after(SOON);
        }
        deaf.stop_event().wait();
        asked.open();
        assert_eq!(deaf.outcome().status(), TaskStatus::Completed);
        let outcome = polite.outcome();
        assert_eq!(outcome.status(), TaskStatus::Cancelled);
        assert_eq!(outcome.cause().unwrap().reason, StopReason::Deadline);
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(
            (report.completed(), report.completed_though_asked()),
            (1, 1)
        );
    });
}

#[test]
fn one_on_the_pools_event_shuts_it_down() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let pool = &stuck.pool;
        let drops = DropCounter::new();
        let pending: Vec<_> = (0..10)
            .map(|_| {
                let token = drops.token();
                pool.submit(move |_| drop(token))
            })
            .collect();
        pool.stop_event().set_after(SOON);
        for task in pending {
            let Outcome::NeverStarted(cause) = task.outcome() else {
                panic!("it was pending");
            };
            assert_eq!(cause.reason, StopReason::Deadline);
        }
        let refused = pool.submit(|_| ());
        assert_eq!(refused.status(), TaskStatus::NeverStarted);
        assert!(pool.try_submit(|_| ()).unwrap_err().is_shut_down());
        stuck.release();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(report.mode(), Some(Shutdown::StopAll));
        assert_eq!((report.completed(), report.never_started()), (1, 10));
        assert_eq!(drops.count(), 10);
        assert_eq!((report.submitted(), report.refused()), (11, 2));
    });
}

#[test]
fn one_above_a_pool_stops_its_tasks() {
    finishes(|| {
        let above = StopEvent::new();
        let pool = ThreadPool::builder()
            .threads(1)
            .stop_with(&above, Shutdown::StopAll)
            .build()
            .unwrap();
        let running = pool.submit(StopEvent::wait);
        let pending = pool.submit(|_| ());
        running.wait_started();
        above.set_after(SOON);
        assert_eq!(pending.outcome().status(), TaskStatus::NeverStarted);
        assert_eq!(running.outcome().status(), TaskStatus::Cancelled);
    });
}

#[test]
fn a_task_that_sets_its_own_deadline() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.submit(|stop| {
            stop.set_after(SOON);
            stop.wait();
            let child = stop.child();
            child.set_after(FAR);
        });
        assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
        let task = pool.submit(|stop| {
            let child = stop.child();
            child.set_after(SOON);
            child.wait();
        });
        assert_eq!(
            task.outcome().status(),
            TaskStatus::Completed,
            "it was not asked"
        );
    });
}

/// What its owner gave to the event is not the task's, and is kept whatever limits the task had.
#[test]
fn one_on_a_tasks_event_survives_the_end_of_the_task() {
    type Limit = fn(TaskBuilder<'_>) -> TaskBuilder<'_>;
    let limits: [Limit; 5] = [
        |task| task,
        |task| task.name("named"),
        |task| task.timeout(FAR),
        |task| task.start_before(Instant::now() + FAR),
        |task| {
            let at = Instant::now() + FAR;
            task.timeout(FAR)
                .start_before(at)
                .stop_with(&StopEvent::new())
        },
    ];
    for limit in limits {
        for pending in [false, true] {
            finishes(move || {
                let stuck = Stuck::new(1);
                let task = limit(stuck.pool.task()).submit(|_| ());
                let event = task.stop_event();
                let at = Instant::now() + Duration::from_millis(40);
                if pending {
                    // A pending task that it dooms would be no test of this: it comes after the end.
                    event.set_at(at + FAR);
                }
                stuck.release();
                task.wait();
                event.set_at(at);
                came(&event, at);
                assert_eq!(task.status(), TaskStatus::Completed);
            });
        }
    }
}

#[test]
fn one_given_while_the_task_runs_survives_its_end() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for timeout in [None, Some(FAR)] {
            let gate = Gate::new();
            let task = pool.task().name("x");
            let task = match timeout {
                Some(timeout) => task.timeout(timeout),
                None => task,
            };
            let task = task.submit({
                let gate = Arc::clone(&gate);
                move |_| gate.pass()
            });
            task.wait_started();
            let event = task.stop_event();
            let at = Instant::now() + Duration::from_millis(60);
            event.set_at(at);
            gate.open();
            task.wait();
            came(&event, at);
        }
    });
}

/// The timer thread calls back between the moment when it has doomed the last task and the moment when it leaves
/// what that had captured: there must be a worker to leave it to.
#[test]
fn a_pool_does_not_end_before_it_was_left_what_its_last_task_had_captured() {
    finishes(|| {
        let (ended, has_ended) = mpsc::channel();
        let stuck = Stuck::with(1, |builder| {
            let builder = builder.thread_name(|_| "the-worker".into());
            builder.on_thread_stop(move || ended.send(()).unwrap_or_default())
        });
        let (tell, dropped_by) = mpsc::channel();
        let captured = captured(tell);
        let task = stuck.pool.submit(move |_| drop(captured));
        let (say, is_doomed) = mpsc::channel();
        task.on_done(move |_| {
            say.send(()).unwrap();
            // A worker that would end has the time to. One that waits for us does not end in any time.
            let _ = has_ended.recv_timeout(Duration::from_millis(100));
        });
        task.cancel_after(SOON);
        is_doomed.recv().unwrap();
        stuck.release();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!((report.completed(), report.never_started()), (1, 1));
        assert_eq!(dropped_by.recv().unwrap(), "the-worker");
    });
}

/// Nor when everyone has been told: those who set an event drop what is left then, but for that thread.
#[test]
fn what_a_pool_drops_that_stops_at_a_deadline_is_left_to_its_workers() {
    finishes(|| {
        let event = StopEvent::new();
        let stuck = Stuck::with(1, |builder| {
            let builder = builder.thread_name(|_| "the-worker".into());
            builder.stop_with(&event, Shutdown::CancelPending)
        });
        let (tell, dropped_by) = mpsc::channel();
        let captured = captured(tell);
        let task = stuck.pool.submit(move |_| drop(captured));
        let at = Instant::now() + SOON;
        event.set_at(at);
        // By then the thread is done with the first.
        let later = StopEvent::new();
        later.set_at(at + SOON);
        later.wait();
        assert_eq!(task.status(), TaskStatus::NeverStarted);
        stuck.release();
        assert_eq!(dropped_by.recv().unwrap(), "the-worker");
    });
}
