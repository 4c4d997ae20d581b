//! Scopes are a part of the task that opens them: they are stopped with it, and it hears of it by them.

use crate::common::{Gate, finishes, poll, until};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    CancelOutcome, Canceller, Outcome, Shutdown, StopEvent, StopReason, Submitter, TaskHandle,
    TaskStatus, ThreadPool,
};

/// Opens a scope with a task that waits for its stop, and tells that it runs.
fn waits(pool: &Submitter, running: &Gate) -> Option<StopReason> {
    let all = pool.scope(|s| {
        s.submit(|stop| {
            running.open();
            stop.wait();
        });
    });
    all.err().map(|stopped| stopped.reason())
}

/// Stops the surrounding task in all the ways that there are, each of which gives this reason.
type Stop = fn(&TaskHandle<Option<StopReason>>, &StopEvent, &ThreadPool);

const STOPS: [(Stop, StopReason); 5] = [
    (
        |task, _, _| assert_eq!(task.cancel(), CancelOutcome::Requested),
        StopReason::Requested,
    ),
    (
        |task, _, _| assert!(task.stop_event().set()),
        StopReason::Requested,
    ),
    (|_, event, _| assert!(event.set()), StopReason::Requested),
    (
        |task, _, _| task.cancel_after(Duration::from_millis(1)),
        StopReason::Deadline,
    ),
    (
        |_, _, pool| assert!(pool.stop_event().set()),
        StopReason::Shutdown,
    ),
];

/// On one thread, and on two; directly and with three more scopes between.
#[test]
fn a_scope_is_stopped_with_the_task_and_the_task_is_cancelled() {
    fn nest(pool: &Submitter, running: &Gate, depth: usize) -> Option<StopReason> {
        if depth == 0 {
            return waits(pool, running);
        }
        let all = pool.scope(|s| drop(s.submit(|_| nest(pool, running, depth - 1))));
        all.err().map(|stopped| stopped.reason())
    }
    finishes(|| {
        for threads in [1, 2] {
            for depth in [0, 3] {
                for (stop, reason) in STOPS {
                    let pool = ThreadPool::new(threads);
                    let (event, running) = (StopEvent::new(), Gate::new());
                    let task = pool.task().stop_with(&event).submit({
                        let (submitter, running) = (pool.submitter(), Arc::clone(&running));
                        move |_| nest(&submitter, &running, depth)
                    });
                    running.pass();
                    stop(&task, &event, &pool);
                    let Outcome::Cancelled { partial, cause } = task.outcome() else {
                        panic!("it was told by the scope");
                    };
                    assert_eq!(partial.unwrap(), Some(reason.clone()));
                    assert_eq!(cause.reason, reason);
                }
            }
        }
    });
}

#[test]
fn a_timeout_of_the_task_stops_its_scopes() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            let task = pool.task().timeout(Duration::from_millis(1));
            let task = task.submit(move |_| waits(&submitter, &Gate::new()));
            assert_eq!(
                task.outcome().into_value().unwrap(),
                Some(StopReason::Deadline)
            );
        }
        let pool = ThreadPool::new(1);
        let (submitter, event) = (pool.submitter(), StopEvent::new());
        event.set_at(Instant::now() + Duration::from_millis(5));
        let task = pool.task().stop_with(&event);
        let task = task.submit(move |_| waits(&submitter, &Gate::new()));
        // It may have been pending when the time came.
        let reason = task
            .outcome()
            .into_value()
            .unwrap_or(Some(StopReason::Deadline));
        assert_eq!(reason, Some(StopReason::Deadline));
    });
}

/// Pending tasks go at once, even while all workers are stuck; in nested scopes as well.
#[test]
fn pending_tasks_go_with_the_surrounding_task_at_once() {
    finishes(|| {
        for (stop, _) in STOPS {
            let pool = ThreadPool::new(1);
            let (event, gate) = (StopEvent::new(), Gate::new());
            let (tell, told) = mpsc::channel();
            let task = pool.task().stop_with(&event).submit({
                let (submitter, gate) = (pool.submitter(), Arc::clone(&gate));
                move |_| {
                    let all = submitter.scope(|outer| {
                        tell.send(outer.submit(|_| ()).canceller()).unwrap();
                        let all = submitter.scope(|inner| {
                            tell.send(inner.submit(|_| ()).canceller()).unwrap();
                            gate.pass();
                        });
                        all.unwrap_err();
                    });
                    all.err().map(|stopped| stopped.reason())
                }
            });
            let pending = [told.recv().unwrap(), told.recv().unwrap()];
            stop(&task, &event, &pool);
            until(|| pending.iter().all(Canceller::is_done));
            for one in pending {
                assert_eq!(one.status(), TaskStatus::NeverStarted);
            }
            gate.open();
            assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
        }
    });
}

/// A task that was given the scope's event, and opened a scope itself.
#[test]
fn scopes_of_tasks_under_a_scopes_event_go_with_it_at_once() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let (submitter, gate, opened) = (pool.submitter(), Gate::new(), Gate::new());
        let (tell, told) = mpsc::channel();
        let opener = pool.submit({
            let (submitter, gate) = (submitter.clone(), Arc::clone(&gate));
            move |_| {
                submitter.scope(|s| {
                    let event = s.stop_event();
                    let (inner, opened) = (submitter.clone(), Arc::clone(&opened));
                    let (tell, inner_gate) = (tell.clone(), Arc::clone(&gate));
                    let task = submitter.task().stop_with(&event).submit(move |_| {
                        let all = inner.scope(|s| {
                            tell.send(s.submit(|_| ()).canceller()).unwrap();
                            opened.open();
                            inner_gate.pass();
                        });
                        all.is_err()
                    });
                    gate.pass();
                    assert_eq!(task.outcome().into_value(), Some(true));
                })
            }
        });
        let pending = told.recv().unwrap();
        // Sets the event above that of the outer scope.
        opener.cancel();
        assert_eq!(pending.status(), TaskStatus::NeverStarted);
        gate.open();
        opener.wait();
    });
}

#[test]
fn a_task_that_the_scope_did_not_tell_of_its_stop_has_completed() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let (submitter, stopped) = (pool.submitter(), Gate::new());
        let scope_done = Gate::new();
        let task = pool.submit({
            let (stopped, scope_done) = (Arc::clone(&stopped), Arc::clone(&scope_done));
            move |_| {
                let all = submitter.scope(|s| s.submit(|_| 1).join().unwrap());
                scope_done.open();
                stopped.pass();
                all
            }
        });
        scope_done.pass();
        task.cancel();
        stopped.open();
        assert_eq!(task.join().unwrap(), Ok(1));
        // One of the scope's own: the scope's error is not the task's stop.
        let submitter = pool.submitter();
        let task = pool.submit(move |_| {
            submitter.scope(|s| {
                s.cancel();
                s.submit(|_| ()).is_done()
            })
        });
        assert!(task.join().unwrap().is_err());
    });
}

/// The event of the scope counts as given to the surrounding task.
#[test]
fn a_poll_of_the_scopes_event_is_one_of_the_task() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (submitter, started) = (pool.submitter(), Gate::new());
        let task = pool.submit({
            let started = Arc::clone(&started);
            move |_| {
                let _ = submitter.scope(|s| {
                    started.open();
                    poll(&s.stop_event());
                });
            }
        });
        started.pass();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        // Not if only the scope is stopped.
        let submitter = pool.submitter();
        let task = pool.submit(move |_| {
            submitter
                .scope(|s| s.cancel() && s.stop_event().is_set())
                .is_err()
        });
        assert!(task.join().unwrap());
    });
}

/// In a task of another pool it is that one's too.
#[test]
fn a_scope_on_another_pool_is_stopped_with_the_task() {
    finishes(|| {
        for (stop, reason) in STOPS {
            let (pool, other) = (ThreadPool::new(1), ThreadPool::new(1));
            let (event, running) = (StopEvent::new(), Gate::new());
            let task = pool.task().stop_with(&event).submit({
                let (submitter, running) = (other.submitter(), Arc::clone(&running));
                move |_| waits(&submitter, &running)
            });
            running.pass();
            stop(&task, &event, &pool);
            let outcome = task.outcome();
            assert_eq!(outcome.status(), TaskStatus::Cancelled);
            assert_eq!(outcome.into_value().unwrap(), Some(reason));
            assert_eq!(other.submit(|_| 1).join().unwrap(), 1);
        }
    });
}

/// A scope's event that is polled when its task has ended.
#[test]
fn an_event_that_outlives_the_surrounding_task_is_not_its_any_more() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (submitter, kept) = (pool.submitter(), Arc::new(Mutex::new(None)));
        let task = pool.submit({
            let kept = Arc::clone(&kept);
            move |_| {
                let all = submitter.scope(|s| {
                    *kept.lock().unwrap() = Some(s.stop_event());
                });
                all.unwrap();
            }
        });
        task.wait();
        let kept = kept.lock().unwrap().take().unwrap();
        kept.set();
        assert!(kept.is_set());
        task.join().unwrap();
    });
}

/// Deep in the nest the ambient event is that of the task there.
#[test]
fn the_ambient_event_is_the_tasks_own_again_after_a_scope() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let task = pool.submit(move |stop| {
            let all = submitter.scope(|s| {
                s.submit(|inner| inner.set() && stoppable::current().peek());
                assert!(!stoppable::current().peek());
            });
            assert!(!stop.peek() && !stoppable::current().peek());
            // It set its own event, and was not asked by anyone it saw.
            all.is_ok()
        });
        assert!(task.join().unwrap());
    });
}

/// Tasks of a pool that stops with a member of a scope are no members of that scope: their ends are not counted there.
#[test]
fn a_pool_that_stops_with_a_member_is_not_of_the_scope() {
    finishes(|| {
        let outer = ThreadPool::new(2);
        let ended = Arc::new(AtomicBool::new(false));
        let members = Arc::new(Barrier::new(2));
        let result = outer.scope(|s| {
            let inner_done = s.submit({
                let members = Arc::clone(&members);
                move |stop| {
                    let inner = ThreadPool::builder()
                        .threads(1)
                        .stop_with(stop, Shutdown::StopAll);
                    let inner = inner.build().unwrap();
                    let far = Instant::now() + Duration::from_secs(3_600);
                    for _ in 0..3 {
                        let task = inner.task().start_before(far);
                        task.submit(|_| ()).join().unwrap();
                    }
                    members.wait();
                }
            });
            let (members, ended) = (Arc::clone(&members), Arc::clone(&ended));
            s.submit(move |_| {
                members.wait();
                // The scope would have the time to end without us.
                thread::sleep(Duration::from_millis(20));
                ended.store(true, Ordering::SeqCst);
            });
            drop(inner_done);
        });
        assert!(ended.load(Ordering::SeqCst));
        assert!(result.is_ok());
    });
}
