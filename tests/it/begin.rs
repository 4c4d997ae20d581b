//! What must not begin once somebody has seen an event set, though whoever sets it is still busy telling others; and who
//! drops what never began had captured, and who waits for that.

use crate::common::finishes;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    CancelOutcome, Outcome, Shutdown, StopBarrier, StopCondvar, StopEvent, TaskHandle, TaskStatus,
    ThreadPool,
};

/// Tasks under an event, in another pool's queue, that hear of it before others do: some milliseconds.
struct Crowd {
    _tasks: Vec<TaskHandle<()>>,
    _pool: ThreadPool,
}

fn crowd(event: &StopEvent) -> Crowd {
    let pool = ThreadPool::new(1);
    pool.submit(StopEvent::wait).wait_started();
    let submit = |_| pool.task().stop_with(event).submit(|_| ());
    Crowd {
        _tasks: (0..20_000).map(submit).collect(),
        _pool: pool,
    }
}

/// How many members of a scope begin after the one before them, on the same worker, has seen the event of the task
/// that has opened the scope.
fn members_that_begin(opener: &ThreadPool, pool: &Arc<ThreadPool>) -> usize {
    let pool = Arc::clone(pool);
    let event = StopEvent::new();
    let _crowd = crowd(&event);
    let (ready, began) = (StopEvent::new(), Arc::new(AtomicUsize::new(0)));
    let task = {
        let (ready, began, event) = (ready.clone(), Arc::clone(&began), event.clone());
        opener.task().stop_with(&event.clone()).submit(move |_| {
            let all_there = AtomicBool::new(false);
            let _ = pool.scope(|s| {
                s.submit(|_| {
                    while !all_there.load(Ordering::SeqCst) || !event.peek() {
                        spin_loop();
                    }
                });
                for _ in 0..200 {
                    s.submit(|_| began.fetch_add(1, Ordering::SeqCst));
                }
                all_there.store(true, Ordering::SeqCst);
                ready.set();
                // This worker does not help until all is over.
                thread::sleep(Duration::from_millis(100));
            });
        })
    };
    ready.wait();
    event.set();
    task.wait();
    began.load(Ordering::SeqCst)
}

#[test]
fn no_member_of_a_scope_inside_a_task_begins_after_one_that_has_seen_the_tasks_event() {
    finishes(|| {
        let pool = Arc::new(ThreadPool::new(2));
        assert_eq!(members_that_begin(&pool, &pool), 0);
    });
}

#[test]
fn no_member_of_a_scope_on_another_pool_begins_after_one_that_has_seen_the_openers_event() {
    finishes(|| {
        let (opener, pool) = (Arc::new(ThreadPool::new(1)), Arc::new(ThreadPool::new(1)));
        assert_eq!(members_that_begin(&opener, &pool), 0);
    });
}

/// How many tasks of a pool under an event begin after one that has seen that event, on the same worker.
fn tasks_that_begin(
    mode: Shutdown,
    submit: impl FnOnce(&ThreadPool, &Arc<AtomicUsize>) -> Vec<TaskHandle<usize>>,
) -> usize {
    let event = StopEvent::new();
    let _crowd = crowd(&event);
    let builder = ThreadPool::builder().threads(1).stop_with(&event, mode);
    let pool = builder.build().unwrap();
    let began = Arc::new(AtomicUsize::new(0));
    let seen = event.clone();
    let first = pool.submit(move |_| {
        while !seen.peek() {
            spin_loop();
        }
    });
    let tasks = submit(&pool, &began);
    first.wait_started();
    event.set();
    tasks.iter().for_each(TaskHandle::wait);
    let statuses = tasks.iter().map(TaskHandle::status);
    let never = statuses.filter(|status| *status == TaskStatus::NeverStarted);
    let began = began.load(Ordering::SeqCst);
    assert_eq!(never.count() + began, tasks.len());
    began
}

#[test]
fn no_task_of_a_pool_under_an_event_begins_after_one_that_has_seen_it() {
    for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
        let each = |pool: &ThreadPool, began: &Arc<AtomicUsize>| {
            let submit = |_| {
                let began = Arc::clone(began);
                pool.submit(move |_| began.fetch_add(1, Ordering::SeqCst))
            };
            (0..200).map(submit).collect()
        };
        finishes(move || assert_eq!(tasks_that_begin(mode, each), 0));
    }
}

#[test]
fn nor_does_a_task_of_a_batch() {
    for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
        let batch = |pool: &ThreadPool, began: &Arc<AtomicUsize>| {
            let task = |_| {
                let began = Arc::clone(began);
                move |_: &StopEvent| began.fetch_add(1, Ordering::SeqCst)
            };
            pool.submit_all((0..200).map(task)).into_iter().collect()
        };
        finishes(move || assert_eq!(tasks_that_begin(mode, batch), 0));
    }
}

#[test]
fn nor_does_one_that_is_joined_by_one_that_has_seen_it() {
    finishes(|| {
        let event = StopEvent::new();
        let _crowd = crowd(&event);
        let builder = ThreadPool::builder().threads(1);
        let builder = builder.stop_with(&event, Shutdown::StopAll);
        let pool = builder.build().unwrap();
        let (seen, submitter) = (event.clone(), pool.submitter());
        let submitted = StopEvent::new();
        let ready = submitted.clone();
        let first = pool.submit(move |_| {
            let inner = submitter.submit(|_| ());
            submitted.set();
            while !seen.peek() {
                spin_loop();
            }
            inner.wait();
            inner.status()
        });
        ready.wait();
        event.set();
        assert_eq!(first.join().unwrap(), TaskStatus::NeverStarted);
    });
}

#[test]
fn what_had_captured_what_a_worker_has_called_off_is_dropped_while_a_task_waits_for_it() {
    finishes(|| {
        let event = StopEvent::new();
        let _crowd = crowd(&event);
        let builder = ThreadPool::builder().threads(1);
        let builder = builder.stop_with(&event, Shutdown::CancelPending);
        let pool = builder.build().unwrap();
        let (seen, submitter) = (event.clone(), pool.submitter());
        let submitted = StopEvent::new();
        let ready = submitted.clone();
        let (sender, receiver) = mpsc::channel::<()>();
        let first = pool.submit(move |_| {
            let inner = submitter.submit(|_| ());
            let captures = submitter.submit(move |_| drop(sender));
            submitted.set();
            while !seen.peek() {
                spin_loop();
            }
            // Here the worker finds out.
            inner.wait();
            assert!(receiver.recv().is_err());
            captures.status()
        });
        ready.wait();
        event.set();
        assert_eq!(first.join().unwrap(), TaskStatus::NeverStarted);
    });
}

#[test]
fn a_handle_does_not_keep_the_event_that_its_pool_stopped_with() {
    for mode in [Shutdown::Drain, Shutdown::CancelPending] {
        let event = StopEvent::new();
        let builder = ThreadPool::builder().threads(1).stop_with(&event, mode);
        let pool = builder.build().unwrap();
        let kept = Arc::new(());
        let captured = Arc::clone(&kept);
        event.on_set(move || drop(captured)).detach();
        let handle = pool.submit(|_| ());
        drop(event);
        drop(pool.shutdown(Shutdown::Drain));
        drop(pool);
        assert_eq!(Arc::strong_count(&kept), 1, "{mode:?}");
        assert!(handle.join().is_ok());
    }
}

/// Calls a closure when it is dropped.
struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

const LONG: Duration = Duration::from_secs(60);

/// What a task had captured that was taken from its pool waits, in its drop, for whoever runs or drops the rest.
fn rest_is_let_go_of_meanwhile(stop: impl FnOnce(&ThreadPool, &TaskHandle<()>), runs: bool) {
    let pool = ThreadPool::new(1);
    pool.submit(StopEvent::wait).wait_started();
    let (tell_drop, is_dropping) = mpsc::channel();
    let (tell_gone, is_gone) = mpsc::channel();
    let (tell_result, result) = mpsc::channel();
    let captured = Finally(move || {
        tell_drop.send(()).unwrap();
        let in_time = is_gone.recv_timeout(LONG).is_ok();
        tell_result.send(in_time).unwrap();
    });
    let handle = pool.submit(move |_| drop(captured));
    let rest = pool.take_pending().pop().unwrap();
    let owner = thread::spawn(move || {
        is_dropping.recv().unwrap();
        if runs {
            assert_eq!(rest.run(), TaskStatus::NeverStarted);
        } else {
            drop(rest);
        }
        let _ = tell_gone.send(());
    });
    stop(&pool, &handle);
    assert!(result.recv().unwrap(), "they waited for each other");
    owner.join().unwrap();
}

#[test]
fn what_is_left_of_a_taken_task_does_not_wait_for_the_drop_of_its_captures() {
    for runs in [false, true] {
        let cancel = |_: &ThreadPool, task: &TaskHandle<()>| {
            assert_eq!(task.cancel(), CancelOutcome::NeverStarted);
        };
        finishes(move || rest_is_let_go_of_meanwhile(cancel, runs));
        let set = |pool: &ThreadPool, _: &TaskHandle<()>| {
            pool.stop_event().set();
        };
        finishes(move || rest_is_let_go_of_meanwhile(set, runs));
    }
}

#[test]
fn a_time_limit_of_a_task_whose_pool_has_ended_holds_up_no_other_time_limit() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let go = StopEvent::new();
        let wait = go.clone();
        let first = pool.submit(move |_| wait.wait());
        first.wait_started();
        let (tell, told) = mpsc::channel();
        let captured = Finally(move || {
            let soon = StopEvent::new();
            soon.set_after(Duration::from_millis(1));
            tell.send(soon.wait_timeout(LONG)).unwrap();
        });
        let at = Instant::now() + Duration::from_millis(200);
        let task = pool.task().start_before(at).submit(move |_| drop(captured));
        let rest = pool.take_pending();
        go.set();
        pool.shutdown(Shutdown::Drain);
        assert_eq!(task.status(), TaskStatus::Pending);
        assert_eq!(told.recv_timeout(2 * LONG), Ok(true));
        drop(rest);
    });
}

#[test]
fn what_had_come_when_a_condvar_woke_is_not_a_stop_that_was_seen() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let shared = Arc::new((Mutex::new(false), StopCondvar::new()));
        let theirs = Arc::clone(&shared);
        let task = pool.submit(move |stop| {
            let (come, condvar) = &*theirs;
            let waited = condvar.wait_while(|| come.lock().unwrap(), stop, |come| !**come);
            waited.is_ok()
        });
        task.wait_started();
        // It waits by then; if it does not yet, it finds that it need not.
        thread::sleep(Duration::from_millis(50));
        let mut come = shared.0.lock().unwrap();
        *come = true;
        assert_eq!(task.cancel(), CancelOutcome::Requested);
        drop(come);
        shared.1.notify_all();
        assert!(matches!(task.outcome(), Outcome::Completed(true)));
    });
}

#[test]
fn who_is_released_by_a_barrier_has_not_seen_a_stop_that_came_with_it() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for _ in 0..300 {
            let barrier = Arc::new(StopBarrier::new(2));
            let theirs = Arc::clone(&barrier);
            let task = pool.submit(move |stop| theirs.wait_or_stopped(stop).is_ok());
            task.wait_started();
            let canceller = task.canceller();
            let start = Arc::new(Barrier::new(2));
            let theirs = Arc::clone(&start);
            let other = thread::spawn(move || {
                theirs.wait();
                canceller.cancel();
            });
            start.wait();
            let soon = StopEvent::new();
            soon.set_after(Duration::from_millis(2));
            let _ = barrier.wait_or_stopped(&soon);
            other.join().unwrap();
            match task.outcome() {
                Outcome::Completed(released) => assert!(released),
                Outcome::Cancelled { partial, .. } => assert_eq!(partial, Some(false)),
                other => panic!("{other:?}"),
            }
        }
    });
}
