//! A join that ends at a stop.

use crate::common::{DropCounter, Gate, Stuck, finishes, quiet_panic};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;
use stoppable::{Outcome, Shutdown, StopEvent, TaskHandle, TaskStatus, ThreadPool, current};

const FAR: Duration = Duration::from_secs(3600);

/// A pool whose one task runs until the gate is opened.
fn gated() -> (ThreadPool, Arc<Gate>, TaskHandle<u32>) {
    let pool = ThreadPool::new(1);
    let gate = Gate::new();
    let task = pool.submit({
        let gate = Arc::clone(&gate);
        move |_| {
            gate.pass();
            7
        }
    });
    task.wait_started();
    (pool, gate, task)
}

#[test]
fn it_gives_the_result_of_a_task_that_ends_first() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for stop in [
            StopEvent::new(),
            StopEvent::new().child(),
            StopEvent::never(),
        ] {
            let stuck = Gate::new();
            let blocker = pool.submit({
                let stuck = Arc::clone(&stuck);
                move |_| stuck.pass()
            });
            let completed = pool.submit(|_| 7);
            let cancelled = pool.submit(|stop| {
                stop.set();
                stop.wait();
                8
            });
            let panicked = pool.submit(|_| -> u32 { quiet_panic("boom") });
            let never = pool.submit(|_| 9);
            never.cancel();
            stuck.open();
            let join = |task: TaskHandle<u32>| task.join_or_stopped(&stop).unwrap();
            assert_eq!(join(completed).unwrap(), 7);
            assert!(join(cancelled).unwrap_err().is_cancelled());
            assert!(join(panicked).unwrap_err().is_panicked());
            assert!(join(never).unwrap_err().is_never_started());
            assert!(!stop.is_set(), "the event is left alone");
            blocker.wait();
        }
    });
}

#[test]
fn it_gives_the_handle_back_when_the_event_is_set() {
    finishes(|| {
        let (pool, gate, mut task) = gated();
        let (root, other) = (StopEvent::new(), StopEvent::new());
        let stops = [
            root.clone(),
            root.child(),
            StopEvent::any([&other, &root.child()]).child(),
        ];
        for (n, stop) in stops.iter().cycle().take(6).enumerate() {
            // Only the first one is not set yet.
            if n == 0 {
                let begin = Arc::new(Barrier::new(2));
                let setter = thread::spawn({
                    let (root, begin) = (root.clone(), Arc::clone(&begin));
                    move || {
                        begin.wait();
                        root.set();
                    }
                });
                begin.wait();
                task = task.join_or_stopped(stop).unwrap_err();
                setter.join().unwrap();
            } else {
                task = task.join_or_stopped(stop).unwrap_err();
            }
            assert!(task.is_running() && !task.stop_event().peek());
        }
        gate.open();
        assert_eq!(task.join().unwrap(), 7);
        pool.shutdown(Shutdown::Drain);
    });
}

#[test]
fn each_kind_of_event_wakes_it() {
    for which in 0..4 {
        finishes(move || {
            let (_pool, gate, task) = gated();
            let (root, other) = (StopEvent::new(), StopEvent::new());
            let stop = match which {
                0 => root.clone(),
                1 => root.child().child(),
                2 => StopEvent::any([&other, &root]),
                _ => {
                    root.set_after(Duration::from_millis(2));
                    root.child()
                }
            };
            let (tell, told) = mpsc::channel();
            let joiner = thread::spawn(move || {
                tell.send(()).unwrap();
                task.join_or_stopped(&stop).unwrap_err()
            });
            told.recv().unwrap();
            thread::yield_now();
            if which < 3 {
                root.set();
            }
            let task = joiner.join().unwrap();
            assert!(task.is_running());
            gate.open();
            assert_eq!(task.join().unwrap(), 7);
        });
    }
}

#[test]
fn the_end_wakes_it() {
    finishes(|| {
        for _ in 0..200 {
            let (_pool, gate, task) = gated();
            let (tell, told) = mpsc::channel();
            let joiner = thread::spawn(move || {
                tell.send(()).unwrap();
                task.join_or_stopped(&StopEvent::new()).unwrap().unwrap()
            });
            told.recv().unwrap();
            gate.open();
            assert_eq!(joiner.join().unwrap(), 7);
        }
    });
}

#[test]
fn when_both_have_come_it_gives_the_result() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let stop = StopEvent::new();
        stop.set();
        let task = pool.submit(|_| 7);
        task.wait();
        assert_eq!(task.join_or_stopped(&stop).unwrap().unwrap(), 7);
    });
}

#[test]
fn a_pending_task_is_left_pending() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let task = stuck.pool.submit(|_| 7);
        let stop = StopEvent::new();
        stop.set_after(Duration::from_millis(2));
        let task = task.join_or_stopped(&stop).unwrap_err();
        assert!(task.is_pending());
        stuck.release();
        assert_eq!(
            task.join_or_stopped(&StopEvent::never()).unwrap().unwrap(),
            7
        );
    });
}

/// What an outer task sees while it joins an inner one, of another pool, that runs until the end.
fn sees(stop: impl FnOnce(&StopEvent) -> StopEvent + Send + 'static, ask: bool) -> TaskStatus {
    finishes(move || {
        let (_inner_pool, gate, inner) = gated();
        let pool = ThreadPool::new(1);
        let user = StopEvent::new();
        let (tell, told) = mpsc::channel();
        let outer = pool.submit({
            let user = user.clone();
            move |own| {
                let stop = StopEvent::any([&user, &stop(own)]);
                tell.send(()).unwrap();
                inner.join_or_stopped(&stop).unwrap_err()
            }
        });
        told.recv().unwrap();
        if ask {
            outer.cancel();
        } else {
            user.set();
        }
        let outcome = outer.outcome();
        let status = outcome.status();
        gate.open();
        assert_eq!(outcome.into_value().unwrap().join().unwrap(), 7);
        status
    })
}

#[test]
fn on_its_own_event_a_task_has_seen_its_stop() {
    assert_eq!(sees(StopEvent::clone, true), TaskStatus::Cancelled);
    assert_eq!(sees(StopEvent::child, true), TaskStatus::Cancelled);
    assert_eq!(sees(|_| current(), true), TaskStatus::Cancelled);
}

#[test]
fn when_another_event_was_set_a_task_was_not_asked() {
    assert_eq!(sees(StopEvent::clone, false), TaskStatus::Completed);
    assert_eq!(sees(|_| current(), false), TaskStatus::Completed);
}

#[test]
fn a_task_that_gets_the_result_has_seen_nothing() {
    finishes(|| {
        let (inner_pool, gate, inner) = gated();
        let pool = ThreadPool::new(1);
        let asked = Gate::new();
        let outer = pool.submit({
            let asked = Arc::clone(&asked);
            move |stop| {
                asked.pass();
                inner.join_or_stopped(stop).unwrap().unwrap()
            }
        });
        outer.wait_started();
        gate.open();
        // The inner one has ended before the outer one is asked, and before it looks.
        assert!(inner_pool.submit(|_| true).join().unwrap());
        outer.cancel();
        asked.open();
        assert_eq!(outer.outcome().status(), TaskStatus::Completed);
    });
}

#[test]
fn a_worker_runs_the_pending_task_that_it_joins() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |stop| {
            let inner = submitter.submit(|_| thread::current().id());
            let inner = inner.join_or_stopped(stop).unwrap().unwrap();
            // To its end, though the event is set meanwhile.
            let event = StopEvent::new();
            let setter = event.clone();
            let sets = submitter.submit(move |_| setter.set());
            assert!(sets.join_or_stopped(&event).unwrap().unwrap());
            // And not when the event has been set before.
            let left = submitter.submit(|_| 7);
            let left = left.join_or_stopped(&event).unwrap_err();
            assert!(left.is_pending());
            (inner, thread::current().id(), left)
        });
        let (inner, outer, left) = outer.join().unwrap();
        assert_eq!(inner, outer);
        assert_eq!(left.join().unwrap(), 7);
    });
}

/// A worker of the task's own pool that sleeps until it ends elsewhere.
#[test]
fn a_worker_is_woken_by_the_stop_and_by_the_end() {
    for by_stop in [false, true] {
        finishes(move || {
            let pool = ThreadPool::new(2);
            let gate = Gate::new();
            let inner = pool.submit({
                let gate = Arc::clone(&gate);
                move |_| gate.pass()
            });
            inner.wait_started();
            let outer = pool.submit(move |stop| inner.join_or_stopped(stop));
            outer.wait_started();
            if by_stop {
                outer.cancel();
                let Outcome::Cancelled { partial, .. } = outer.outcome() else {
                    panic!("it saw its stop");
                };
                let inner = partial.unwrap().unwrap_err();
                assert!(inner.is_running());
                gate.open();
                inner.join().unwrap();
            } else {
                gate.open();
                outer.join().unwrap().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn a_circle_is_an_error() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (give, given) = mpsc::channel::<TaskHandle<String>>();
        let (tell, told) = mpsc::channel();
        let itself = pool.submit(move |stop| {
            let error = given.recv().unwrap().join_or_stopped(stop);
            let error = error.unwrap().unwrap_err();
            tell.send((error.is_would_deadlock(), error.to_string()))
                .unwrap();
            String::new()
        });
        let id = itself.id();
        give.send(itself).unwrap();
        let (is_would_deadlock, text) = told.recv().unwrap();
        assert!(
            is_would_deadlock && text.contains(&id.to_string()),
            "{text}"
        );
    });
}

#[test]
fn ends_against_stops() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let drops = DropCounter::new();
        let mut given_back = 0;
        const ROUNDS: usize = 2_000;
        for n in 0..ROUNDS {
            let begin = Arc::new(Barrier::new(3));
            let token = drops.token();
            let task = pool.submit({
                let begin = Arc::clone(&begin);
                move |_| {
                    begin.wait();
                    token
                }
            });
            let stop = StopEvent::new();
            let setter = thread::spawn({
                let (stop, begin) = (stop.clone(), Arc::clone(&begin));
                move || {
                    begin.wait();
                    stop.set();
                }
            });
            begin.wait();
            match task.join_or_stopped(&stop) {
                Ok(result) => drop(result.unwrap()),
                Err(task) => {
                    assert!(stop.is_set());
                    given_back += 1;
                    if n % 2 == 0 {
                        drop(task.join().unwrap());
                    }
                }
            }
            setter.join().unwrap();
        }
        assert!(given_back <= ROUNDS);
        pool.shutdown(Shutdown::Drain);
        assert_eq!(drops.count(), ROUNDS);
    });
}

#[test]
fn joins_that_were_stopped_hear_no_more() {
    finishes(|| {
        let (_pool, gate, mut task) = gated();
        let event = StopEvent::new();
        for _ in 0..100 {
            let stop = event.child();
            stop.set();
            task = task.join_or_stopped(&stop).unwrap_err();
        }
        event.set_after(FAR);
        gate.open();
        assert_eq!(task.join_or_stopped(&event).unwrap().unwrap(), 7);
    });
}
