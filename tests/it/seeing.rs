//! The rule of *seeing*: which looks at which event make a task that was asked a Cancelled one.

use crate::common::{Gate, OnDrop, OpenOnDrop, finishes, quiet_panic};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    CancelOutcome, Outcome, Shutdown, StopEvent, StopReason, TaskHandle, TaskStatus, ThreadPool,
    current,
};

/// How a task ends that does `look` after it was asked to stop.
#[track_caller]
fn asked_then(look: impl FnOnce(&StopEvent) + Send + 'static) -> TaskStatus {
    let pool = ThreadPool::new(1);
    let asked = Gate::new();
    let _open = OpenOnDrop(Arc::clone(&asked));
    let task = pool.submit({
        let asked = Arc::clone(&asked);
        move |stop| {
            asked.pass();
            assert!(stop.peek(), "it has been asked");
            look(stop);
        }
    });
    task.wait_started();
    assert_eq!(task.cancel(), CancelOutcome::Requested);
    asked.open();
    let outcome = task.outcome();
    if let Outcome::Cancelled { partial, cause } = &outcome {
        assert!(partial.is_some(), "a closure that returned left a value");
        assert_eq!(cause.reason, StopReason::Requested);
    }
    outcome.status()
}

#[track_caller]
fn counts(look: impl FnOnce(&StopEvent) + Send + 'static) {
    assert_eq!(asked_then(look), TaskStatus::Cancelled);
}

#[track_caller]
fn counts_not(look: impl FnOnce(&StopEvent) + Send + 'static) {
    assert_eq!(asked_then(look), TaskStatus::Completed);
}

const FAR: Duration = Duration::from_secs(3600);

#[test]
fn every_look_at_the_closures_argument_counts() {
    finishes(|| {
        counts(|stop| assert!(stop.is_set()));
        counts(|stop| assert!(stop.check().is_err()));
        counts(StopEvent::wait);
        counts(|stop| assert!(stop.wait_timeout(FAR)));
        counts(|stop| assert!(stop.wait_timeout(Duration::ZERO)));
        counts(|stop| assert!(stop.wait_until(Instant::now() + FAR)));
        counts(|stop| assert!(stop.wait_until(Instant::now())));
        counts(|stop| assert!(stop.sleep(FAR).is_err()));
    });
}

#[test]
fn clones_and_children_count() {
    finishes(|| {
        counts(|stop| assert!(stop.clone().is_set()));
        counts(|stop| assert!(stop.child().is_set()));
        counts(|stop| assert!(stop.child().child().check().is_err()));
        counts(|stop| stop.child().clone().wait());
        counts(|stop| assert!(stop.set_on_drop().disarm().is_set()));
    });
}

#[test]
fn children_that_were_made_before_the_ask_count() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (made, asked) = (Gate::new(), Gate::new());
        let task = pool.submit({
            let (made, asked) = (Arc::clone(&made), Arc::clone(&asked));
            move |stop| {
                let child = stop.clone().child();
                made.open();
                asked.pass();
                child.is_set()
            }
        });
        made.pass();
        task.cancel();
        asked.open();
        assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
    });
}

#[test]
fn the_ambient_event_counts() {
    finishes(|| {
        counts(|_| assert!(current().is_set()));
        counts(|_| assert!(current().child().check().is_err()));
        counts(|_| current().wait());
        counts(|_| {
            let caught = catch_unwind(AssertUnwindSafe(stoppable::unwind_if_stopped));
            assert!(caught.is_err());
        });
    });
}

#[test]
fn looks_on_other_threads_count_while_the_task_runs() {
    finishes(|| {
        counts(|stop| {
            let stop = stop.clone();
            thread::spawn(move || assert!(stop.is_set()))
                .join()
                .unwrap();
        });
        counts(|stop| {
            thread::scope(|scope| assert!(scope.spawn(|| stop.is_set()).join().unwrap()));
        });
    });
}

#[test]
fn one_look_of_many_is_enough_and_stays() {
    finishes(|| {
        counts(|stop| {
            assert!(stop.is_set());
            assert!(stop.peek());
            assert!(stop.is_set());
        });
    });
}

#[test]
fn not_looking_does_not_count() {
    finishes(|| {
        counts_not(|_| {});
    });
}

#[test]
fn peeking_and_asking_why_do_not_count() {
    finishes(|| {
        counts_not(|stop| assert!(stop.peek()));
        counts_not(|stop| assert!(stop.clone().peek()));
        counts_not(|stop| assert!(stop.child().peek()));
        counts_not(|_| assert!(current().peek()));
        counts_not(|stop| assert!(stop.reason().is_some()));
        counts_not(|stop| assert!(stop.cause().is_some()));
        counts_not(|stop| assert!(stop.child().cause().is_some()));
        counts_not(|stop| assert!(format!("{stop:?}").contains("Requested")));
    });
}

#[test]
fn setting_does_not_count() {
    finishes(|| {
        counts_not(|stop| assert!(!stop.set()));
        counts_not(|stop| assert!(!stop.set_with(StopReason::Deadline)));
        counts_not(|stop| drop(stop.set_on_drop()));
        counts_not(|stop| assert!(!stop.child().set()));
    });
}

#[test]
fn looks_at_an_event_of_the_users_own_do_not_count() {
    finishes(|| {
        let own = StopEvent::new();
        own.set();
        counts_not({
            let own = own.clone();
            move |_| {
                assert!(own.is_set() && own.check().is_err());
                own.wait();
            }
        });
        counts_not(move |_| assert!(own.child().is_set()));
        counts_not(|_| assert!(!StopEvent::never().is_set()));
    });
}

/// The owner's handle, in the owner's hands or captured by the closure, is not the task's.
#[test]
fn looks_at_the_handles_event_do_not_count() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (send, receive) = mpsc::channel::<StopEvent>();
        let task = pool.submit(move |_| {
            let owners = receive.recv().unwrap();
            owners.wait();
            assert!(owners.is_set() && owners.child().is_set());
        });
        task.wait_started();
        task.cancel();
        let owners = task.stop_event();
        assert!(owners.is_set() && owners.check().is_err());
        assert!(owners.wait_timeout(FAR) && owners.sleep(FAR).is_err());
        assert!(owners.child().is_set());
        send.send(owners).unwrap();
        assert_eq!(task.outcome().status(), TaskStatus::Completed);
    });
}

#[test]
fn looks_at_the_pools_event_do_not_count_but_it_stops_the_task() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let go = Gate::new();
        let wide = pool.stop_event();
        let deaf = pool.submit({
            let (wide, go) = (wide.clone(), Arc::clone(&go));
            move |_| {
                go.pass();
                assert!(wide.is_set() && wide.child().is_set());
            }
        });
        let polite = pool.submit({
            let go = Arc::clone(&go);
            move |stop| {
                go.pass();
                stop.is_set()
            }
        });
        deaf.wait_started();
        polite.wait_started();
        assert!(wide.set());
        go.open();
        assert_eq!(deaf.outcome().status(), TaskStatus::Completed);
        let Outcome::Cancelled { partial, cause } = polite.outcome() else {
            panic!("it saw the pool's stop through its own event");
        };
        assert_eq!(partial, Some(true));
        assert_eq!(cause.reason, StopReason::Shutdown);
    });
}

/// An event of the user's own becomes the task's when the pool is built under it.
#[test]
fn an_event_above_the_pool_counts_through_the_closures_argument_alone() {
    finishes(|| {
        let above = StopEvent::new();
        let pool = ThreadPool::builder()
            .threads(2)
            .stop_with(&above, Shutdown::StopAll)
            .build()
            .unwrap();
        let go = Gate::new();
        let tasks = [false, true].map(|through_argument| {
            let (above, go) = (above.clone(), Arc::clone(&go));
            let task = pool.submit(move |stop| {
                go.pass();
                assert!(if through_argument {
                    stop.is_set()
                } else {
                    above.is_set()
                });
            });
            task.wait_started();
            task
        });
        above.set_with(StopReason::custom("above"));
        go.open();
        let [deaf, polite] = tasks.map(TaskHandle::outcome);
        assert_eq!(deaf.status(), TaskStatus::Completed);
        assert_eq!(polite.status(), TaskStatus::Cancelled);
        let cause = polite.cause().unwrap();
        assert_eq!(cause.reason, StopReason::custom("above"));
    });
}

#[test]
fn a_task_that_sets_a_child_of_its_own_was_not_asked() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.submit(|stop| {
            let child = stop.child();
            let ambient = current().child();
            child.set();
            ambient.set();
            assert!(child.is_set() && child.check().is_err() && child.child().is_set());
            child.wait();
            assert!(ambient.is_set() && ambient.sleep(FAR).is_err());
            assert!(!stop.is_set());
            7
        });
        assert_eq!(task.join().unwrap(), 7);
    });
}

#[test]
fn a_child_of_its_own_counts_once_the_task_has_been_asked_too() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (set, asked) = (Gate::new(), Gate::new());
        let task = pool.submit({
            let (set, asked) = (Arc::clone(&set), Arc::clone(&asked));
            move |stop| {
                let child = stop.child();
                child.set();
                assert!(child.is_set());
                set.open();
                asked.pass();
                assert!(child.is_set());
            }
        });
        set.pass();
        task.cancel();
        asked.open();
        assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
    });
}

#[test]
fn looks_before_the_ask_do_not_count() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (looked, asked) = (Gate::new(), Gate::new());
        let task = pool.submit({
            let (looked, asked) = (Arc::clone(&looked), Arc::clone(&asked));
            move |stop| {
                assert!(!stop.is_set() && stop.check().is_ok());
                assert!(!stop.wait_timeout(Duration::ZERO));
                assert!(stop.sleep(Duration::from_millis(1)).is_ok());
                looked.open();
                asked.pass();
            }
        });
        looked.pass();
        assert_eq!(task.cancel(), CancelOutcome::Requested);
        asked.open();
        assert!(task.join().is_ok(), "it was asked too late");
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(
            (report.completed(), report.completed_though_asked()),
            (1, 1)
        );
    });
}

#[test]
fn a_wait_that_began_before_the_ask_counts() {
    let waits: [fn(&StopEvent); 5] = [
        |stop| stop.wait(),
        |stop| assert!(stop.wait_timeout(FAR)),
        |stop| assert!(stop.sleep(FAR).is_err()),
        |stop| stop.child().wait(),
        |_| current().wait(),
    ];
    for wait in waits {
        finishes(move || {
            let pool = ThreadPool::new(1);
            let task = pool.submit(move |stop| {
                wait(stop);
                "woken"
            });
            task.wait_started();
            // Mostly asleep by then.
            assert!(!task.wait_timeout(Duration::from_millis(5)));
            task.cancel();
            let Outcome::Cancelled { partial, .. } = task.outcome() else {
                panic!("it saw its stop");
            };
            assert_eq!(partial, Some("woken"));
        });
    }
}

/// A clone that got away looks after the closure's end.
#[test]
fn looks_after_the_closures_end_do_not_count() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.submit(|stop| (stop.clone(), current()));
        task.wait();
        task.cancel();
        let canceller = task.canceller();
        let (stop, ambient) = task.join().unwrap();
        pool.stop_event().set();
        assert!(stop.is_set() && ambient.is_set());
        stop.wait();
        assert_eq!(canceller.status(), TaskStatus::Completed);
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!((report.completed(), report.cancelled()), (1, 0));
        assert_eq!(
            report.completed_though_asked(),
            0,
            "it was asked after its end"
        );
    });
}

/// The drop of a value that nobody fetched comes after the closure's end.
#[test]
fn looks_in_the_drop_of_the_value_do_not_count() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let asked = Gate::new();
        let (tell, told) = mpsc::channel();
        let task = pool.submit({
            let asked = Arc::clone(&asked);
            move |stop| {
                asked.pass();
                let stop = stop.clone();
                OnDrop(move || tell.send((stop.is_set(), current().is_set())).unwrap())
            }
        });
        let canceller = task.canceller();
        task.wait_started();
        task.cancel();
        drop(task);
        asked.open();
        assert_eq!(told.recv().unwrap(), (true, false));
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(canceller.status(), TaskStatus::Completed);
        assert_eq!((report.completed(), report.cancelled()), (1, 0));
    });
}

#[test]
fn a_real_panic_is_a_panic_whatever_it_had_seen() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.submit(|stop| {
            stop.wait();
            quiet_panic("after the stop");
        });
        task.wait_started();
        task.cancel();
        let error = task.join().unwrap_err();
        assert!(error.is_panicked());
        let payload = error.into_panic().unwrap();
        assert_eq!(payload.downcast_ref(), Some(&"after the stop"));
    });
}

/// An inner task that a worker runs inside an outer one, which looks at the outer one's event.
#[test]
fn a_look_counts_for_the_task_to_which_the_event_was_given() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let asked = Gate::new();
        let outer = pool.submit({
            let asked = Arc::clone(&asked);
            move |stop| {
                asked.pass();
                let outers = stop.clone();
                let inner = submitter.submit(move |stop| {
                    assert!(!stop.is_set() && !current().is_set());
                    outers.is_set()
                });
                inner.outcome().status()
            }
        });
        outer.wait_started();
        outer.cancel();
        asked.open();
        let Outcome::Cancelled { partial, .. } = outer.outcome() else {
            panic!("its event was seen while it ran");
        };
        assert_eq!(
            partial,
            Some(TaskStatus::Completed),
            "the inner one was not asked"
        );
    });
}

/// The other way round: what the inner one sees is not the outer one's.
#[test]
fn what_an_inner_task_sees_is_not_seen_by_the_outer_one() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |_| {
            let inner = submitter.submit(|stop| {
                // Set by the task itself, which counts as asked from then on.
                assert!(stop.set());
                stop.is_set() && current().is_set()
            });
            inner.outcome().status()
        });
        let Outcome::Completed(inner) = outer.outcome() else {
            panic!("the outer one was not asked");
        };
        assert_eq!(inner, TaskStatus::Cancelled);
    });
}
