//! The kit for tests of users' code: stops at each poll, and what it finds wrong.

use crate::common::{Gate, OpenOnDrop, finishes, quiet_panic};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use stoppable::testing::{EveryPoll, StopAtPoll, at_every_poll, stop_at_poll};
use stoppable::{Outcome, Shutdown, StopEvent, StopReason, ThreadPool};

/// The message with which `run` panics.
#[track_caller]
fn failure(run: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it should have failed");
    *payload.downcast::<String>().expect("a formatted message")
}

#[test]
fn the_kth_poll_is_the_first_to_find_it_set() {
    let polls: [fn(&StopEvent) -> bool; 5] = [
        StopEvent::is_set,
        StopEvent::peek,
        |event| event.check().is_err(),
        |event| event.wait_timeout(Duration::ZERO),
        |event| event.sleep(Duration::ZERO).is_err(),
    ];
    for poll in polls {
        for k in 0..5 {
            let stop = stop_at_poll(k);
            let found: Vec<_> = (1..=7).map(|_| poll(stop.event())).collect();
            let expected: Vec<_> = (1..=7).map(|number| number >= k).collect();
            assert_eq!(found, expected, "k = {k}");
            assert_eq!(stop.polls(), 7);
            assert_eq!(stop.late_polls(), 7 - k.max(1));
        }
    }
}

#[test]
fn what_is_no_poll_is_not_counted() {
    let stop = stop_at_poll(1);
    let event = stop.event();
    assert_eq!(event.reason(), None);
    assert!(event.cause().is_none());
    assert!(format!("{event:?} {stop:?}").contains("set: false"));
    drop(event.on_set(|| ()));
    assert_eq!(stop.polls(), 0);
    assert!(event.is_set());
}

#[test]
fn the_cause_names_the_poll_and_the_line() {
    let stop = stop_at_poll(2);
    let line = line!() - 1;
    assert!(!stop.event().peek());
    let cause = stop.event().check().unwrap_err().cause().clone();
    assert_eq!(cause.reason, StopReason::custom("poll 2"));
    assert_eq!(
        (cause.location.file(), cause.location.line()),
        (file!(), line)
    );
}

#[test]
fn it_can_be_set_before_like_any_other() {
    let stop = stop_at_poll(5);
    assert!(!stop.event().is_set());
    assert!(stop.event().set());
    assert!(stop.event().is_set() && stop.event().is_set());
    assert_eq!(stop.event().reason(), Some(StopReason::Requested));
    assert_eq!((stop.polls(), stop.late_polls()), (3, 1));
}

#[test]
fn polls_of_what_is_under_it_count() {
    let stop = stop_at_poll(4);
    let child = stop.event().child();
    let other = StopEvent::new();
    let either = StopEvent::any([&other, &child]);
    assert!(!child.is_set() && !either.is_set() && !child.child().peek());
    assert_eq!(stop.polls(), 3);
    assert!(either.is_set());
    assert!(child.is_set() && !other.is_set());
    assert_eq!((stop.polls(), stop.late_polls()), (5, 1));
    // What is found set further down asks nobody above.
    let own = stop.event().child();
    let free = stop_at_poll(u64::MAX);
    let below = free.event().child();
    below.set();
    assert!(own.is_set() && below.is_set());
    assert_eq!(free.polls(), 0);
}

#[test]
fn its_poll_wakes_those_who_wait_and_runs_callbacks() {
    finishes(|| {
        let stop = stop_at_poll(3);
        let heard = Arc::new(Mutex::new(None));
        let callback = stop.event().on_set({
            let heard = Arc::clone(&heard);
            move || *heard.lock().unwrap() = Some(thread::current().id())
        });
        let waiter = thread::spawn({
            let event = stop.event().child();
            move || event.wait()
        });
        // The waiter's first look is a poll as well.
        while !stop.event().is_set() {}
        waiter.join().unwrap();
        let by = heard.lock().unwrap().take();
        assert!(
            by.is_some(),
            "the callback did not run before its poll returned"
        );
        drop(callback);
    });
}

#[test]
fn of_many_threads_polls_all_but_the_first_ones_find_it_set() {
    finishes(|| {
        const EACH: u64 = 500;
        for k in [1, 7, 700] {
            let stop = stop_at_poll(k);
            let unset = AtomicU64::new(0);
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..EACH {
                            if !stop.event().is_set() {
                                unset.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
            assert_eq!(stop.polls(), 3 * EACH);
            // A poll that was given an earlier number may find it set, but no later one may not.
            let unset = unset.into_inner();
            assert!(unset < k, "{unset} polls found it unset, k = {k}");
            assert!(stop.late_polls() < 3 * EACH - unset);
        }
    });
}

#[test]
fn every_stop_point_is_tried_once() {
    for polls in 0..5 {
        let mut seen_at = Vec::new();
        let stop_points = at_every_poll(|stop| {
            seen_at.push((1..=polls).find(|_| stop.is_set()));
        });
        assert_eq!(stop_points, polls + 1);
        // Before the first poll, at each, and at none.
        let mut expected: Vec<_> = (1..=polls).map(Some).collect();
        expected.insert(0, (polls > 0).then_some(1));
        expected.push(None);
        assert_eq!(seen_at, expected);
    }
}

#[test]
fn a_limit_ends_it_and_code_without_an_end_fails() {
    let mut runs = 0;
    let stop_points = EveryPoll::new().at_most(7).run(|stop| {
        runs += 1;
        while !stop.is_set() {}
    });
    assert_eq!((stop_points, runs), (7, 7));
    // One that ends before the limit does not come to it.
    assert_eq!(
        EveryPoll::default()
            .at_most(7)
            .run(|stop| drop(stop.check())),
        2
    );
    let message = failure(|| {
        at_every_poll(|stop| while !stop.is_set() {});
    });
    assert!(message.contains("at_most"), "{message}");
}

#[test]
fn too_many_late_polls_fail() {
    // Looks twice more on its way out.
    let polls_on = |stop: &StopEvent| {
        let _ = stop.is_set() && stop.is_set() && stop.is_set();
    };
    assert_eq!(EveryPoll::new().late_polls(2).run(polls_on), 2);
    let message = failure(|| {
        EveryPoll::new().late_polls(1).run(polls_on);
    });
    assert!(
        message.contains("at poll 0")
            && message.contains("polled 2 times")
            && message.contains("1 are"),
        "{message}"
    );
    // Deaf from its third poll on.
    let message = failure(|| {
        at_every_poll(|stop| {
            if !stop.is_set() && !stop.is_set() {
                (0..20).for_each(|_| drop(stop.check()));
            }
        });
    });
    assert!(
        message.contains("at poll 3") && message.contains("19 times"),
        "{message}"
    );
}

#[test]
fn what_is_left_of_the_event_fails() {
    let quick = EveryPoll::new().patience(Duration::from_millis(10));
    // Keeps something in the run in which its second poll is the one that finds it set.
    fn kept_at_2<K>(quick: &EveryPoll, keep: impl Fn(&StopEvent) -> K) -> String {
        let mut kept = Vec::new();
        failure(|| {
            quick.run(|stop| {
                if !stop.is_set() && stop.is_set() {
                    kept.push(keep(stop));
                }
            });
        })
    }
    let messages = [
        kept_at_2(&quick, StopEvent::clone),
        kept_at_2(&quick, StopEvent::child),
        kept_at_2(&quick, |stop| StopEvent::any([&StopEvent::new(), stop])),
        kept_at_2(&quick, StopEvent::set_on_drop),
        kept_at_2(&quick, |stop| Box::pin(stop.stopped())),
    ];
    for message in messages {
        assert!(
            message.contains("at poll 2") && message.contains("left"),
            "{message}"
        );
    }
    // A callback and a deadline end with the event.
    quick.run(|stop| {
        stop.on_set(|| ()).detach();
        stop.set_after(Duration::from_secs(3600));
    });
}

#[test]
fn a_thread_may_take_a_moment_to_let_go() {
    finishes(|| {
        let stop_points = at_every_poll(|stop| {
            let event = stop.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                drop(event);
            });
        });
        assert_eq!(stop_points, 1);
    });
}

#[test]
fn a_panic_of_the_code_names_the_stop_point() {
    let message = failure(|| {
        at_every_poll(|stop| {
            if !stop.is_set() && stop.is_set() {
                quiet_panic("not in order");
            }
        });
    });
    assert!(
        message.contains("at poll 2") && message.contains("not in order"),
        "{message}"
    );
}

/// Counts as far as it gets, in three steps.
fn three_steps(stop: &StopEvent) -> u32 {
    (0..3).take_while(|_| !stop.is_set()).count() as u32
}

#[test]
fn a_task_is_stopped_at_each_of_its_polls() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let mut outcomes = Vec::new();
        let stop_points = EveryPoll::new().late_polls(0).run(|stop| {
            let outcome = match pool.task().stop_with(stop).submit(three_steps).outcome() {
                Outcome::NeverStarted(_) => "never started".to_owned(),
                Outcome::Cancelled { partial, .. } => format!("cancelled after {partial:?}"),
                Outcome::Completed(steps) => format!("completed {steps}"),
                other => panic!("{other:?}"),
            };
            outcomes.push(outcome);
        });
        assert_eq!(stop_points, 4);
        let expected = [
            "never started",
            "cancelled after Some(0)",
            "cancelled after Some(1)",
            "cancelled after Some(2)",
            "completed 3",
        ];
        assert_eq!(outcomes, expected);
        let stats = pool.stats();
        assert_eq!((stats.submitted, stats.pending, stats.running), (5, 0, 0));
    });
}

#[test]
fn a_pool_under_the_event_is_stopped_and_leaves_nothing() {
    finishes(|| {
        let mut ended = Vec::new();
        let stop_points = at_every_poll(|stop| {
            let pool = ThreadPool::builder()
                .threads(1)
                .stop_with(stop, Shutdown::StopAll);
            let pool = pool.build().unwrap();
            // Nobody polls before both have been submitted.
            let gate = Gate::new();
            let _open = OpenOnDrop(Arc::clone(&gate));
            let tasks = [(); 2].map(|()| {
                let gate = Arc::clone(&gate);
                pool.submit(move |stop| {
                    gate.pass();
                    three_steps(stop)
                })
            });
            gate.open();
            tasks.iter().for_each(|task| task.wait());
            let report = pool.shutdown(Shutdown::Drain);
            ended.push((
                report.completed(),
                report.cancelled(),
                report.never_started(),
            ));
        });
        assert_eq!(stop_points, 7);
        // Set from the start, it takes no task.
        let mut expected = vec![(0, 0, 0)];
        expected.extend([(0, 1, 1); 3]);
        expected.extend([(1, 1, 0); 3]);
        expected.push((2, 0, 0));
        assert_eq!(ended, expected);
    });
}

#[test]
fn the_kit_can_be_sent_and_shared() {
    fn shared<T: Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<StopAtPoll>();
    shared::<EveryPoll>();
}
