//! Groups that are owned: made, fed and waited for by tasks of their own pool.

use super::text_of;
use crate::common::{DropCounter, Gate, OpenOnDrop, Stuck, finishes, quiet_panic, until};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use stoppable::{Shutdown, StopEvent, StopReason, TaskGroup, TaskHandle, TaskStatus, ThreadPool};

#[test]
fn the_only_worker_waits_for_a_group() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let sum = pool.submit(move |_| {
            let group = submitter.group();
            let sum = Arc::new(AtomicUsize::new(0));
            for round in 0..10 {
                for _ in 0..10 {
                    let sum = Arc::clone(&sum);
                    drop(group.submit(move |_| sum.fetch_add(round, Ordering::SeqCst)));
                }
                group.wait().unwrap();
            }
            sum.load(Ordering::SeqCst)
        });
        assert_eq!(sum.join().unwrap(), 450);
    });
}

#[test]
fn a_timed_wait_runs_nothing() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let task = pool.submit(move |_| {
            let group = submitter.group();
            let inner = group.submit(|_| 5);
            assert!(group.wait_timeout(Duration::from_millis(2)).is_none());
            assert!(inner.is_pending());
            group.wait().unwrap();
            inner.join().unwrap()
        });
        assert_eq!(task.join().unwrap(), 5);
    });
}

/// Tasks of the group submit more to it.
#[test]
fn tasks_submit_to_their_own_group() {
    fn spread(group: &Arc<TaskGroup>, count: &Arc<AtomicUsize>, depth: usize) {
        count.fetch_add(1, Ordering::SeqCst);
        for _ in 0..if depth > 0 { 3 } else { 0 } {
            let (inner, count) = (Arc::clone(group), Arc::clone(count));
            drop(group.submit(move |_| spread(&inner, &count, depth - 1)));
        }
    }
    finishes(|| {
        for threads in [1, 2, 16] {
            let pool = ThreadPool::new(threads);
            let count = Arc::new(AtomicUsize::new(0));
            let group = Arc::new(pool.group());
            spread(&group, &count, 6);
            group.wait().unwrap();
            assert_eq!(count.load(Ordering::SeqCst), 1_093);
        }
    });
}

#[test]
fn it_is_under_the_event_of_the_task_that_made_it() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let submitter = pool.submitter();
        let started = Gate::new();
        let maker = pool.submit({
            let started = Arc::clone(&started);
            move |_| {
                let group = submitter.group();
                drop(group.submit(move |stop| {
                    started.open();
                    stop.wait();
                }));
                group.wait().map_err(|stopped| stopped.reason())
            }
        });
        started.pass();
        maker.cancel_with(StopReason::custom("from above"));
        // It heard of its stop from the group.
        let stoppable::Outcome::Cancelled { partial, .. } = maker.outcome() else {
            panic!("it was told");
        };
        assert_eq!(partial, Some(Err(StopReason::custom("from above"))));
    });
}

/// What is pending in it is stopped with the task that made it, even while all workers are stuck.
#[test]
fn pending_tasks_go_with_the_task_that_made_it() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (submitter, gate) = (pool.submitter(), Gate::new());
        let (tell, told) = mpsc::channel();
        let maker = pool.submit({
            let gate = Arc::clone(&gate);
            move |_| {
                let group = submitter.group();
                tell.send(group.submit(|_| ())).unwrap();
                gate.pass();
                group.wait().is_err()
            }
        });
        let pending = told.recv().unwrap();
        maker.cancel();
        assert_eq!(pending.status(), TaskStatus::NeverStarted);
        gate.open();
        assert_eq!(maker.outcome().into_value(), Some(true));
    });
}

/// Two groups inside of a group's task: both are stopped with the outer one, before its cancel returns.
#[test]
fn all_groups_inside_go_with_the_one_around_them() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let outer = pool.group();
        let (submitter, gate) = (pool.submitter(), Gate::new());
        let _open = OpenOnDrop(Arc::clone(&gate));
        let (tell, told) = mpsc::channel();
        let pass = Arc::clone(&gate);
        let maker = outer.submit(move |_| {
            let groups = [(); 3].map(|()| submitter.group());
            tell.send(groups.each_ref().map(|group| group.submit(|_| ())))
                .unwrap();
            pass.pass();
            groups.map(|group| group.wait().is_err())
        });
        let pending = told.recv().unwrap();
        outer.cancel();
        let status = pending.map(|task| task.status());
        assert_eq!(status, [TaskStatus::NeverStarted; 3]);
        gate.open();
        assert_eq!(maker.outcome().into_value(), Some([true; 3]));
    });
}

#[test]
fn a_panic_is_re_raised_by_wait_inside() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let maker = pool.submit(move |_| {
            let group = submitter.group();
            drop(group.submit(|_| quiet_panic("inner")));
            text_of(|| group.wait())
        });
        assert_eq!(maker.join().unwrap(), "inner");
    });
}

/// The group's pending tasks are doomed, and what they captured is left to a thread of the pool: to the one
/// that waits for the group, as there is no other.
#[test]
fn a_begun_shutdown_does_not_hang_the_only_worker_in_wait() {
    for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
        finishes(move || {
            let pool = ThreadPool::new(1);
            let (submitter, gate, made) = (pool.submitter(), Gate::new(), Gate::new());
            let drops = DropCounter::new();
            let maker = pool.submit({
                let (gate, made, drops) = (Arc::clone(&gate), Arc::clone(&made), drops.clone());
                move |_| {
                    let group = submitter.group();
                    for _ in 0..3 {
                        let token = drops.token();
                        drop(group.submit(move |_| drop(token)));
                    }
                    made.open();
                    gate.pass();
                    group.wait().is_err()
                }
            });
            made.pass();
            pool.begin_shutdown(mode);
            gate.open();
            assert_eq!(maker.outcome().into_value(), Some(true));
            assert_eq!(drops.count(), 3);
            pool.shutdown(mode);
        });
    }
}

/// As above; a deadline is told of by the timer's thread, which drops nothing of the user's.
#[test]
fn a_deadline_does_not_hang_the_only_worker_in_wait() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let maker = pool.submit(move |_| {
            let group = submitter.group();
            let event = group.stop_event();
            let pending: Vec<_> = (0..3).map(|_| group.submit(|_| ())).collect();
            event.set_after(Duration::from_millis(1));
            until(|| pending.iter().all(TaskHandle::is_done));
            group.wait().unwrap_err().reason()
        });
        assert_eq!(maker.outcome().into_value(), Some(StopReason::Deadline));
    });
}

/// Outside of the pool the worker is stuck in something else: the wait need not end before that does.
#[test]
fn a_begun_shutdown_lets_a_waiter_outside_go_when_a_worker_has_time() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let group = stuck.pool.group();
        let drops = DropCounter::new();
        let token = drops.token();
        let pending = group.submit(move |_| drop(token));
        stuck.pool.begin_shutdown(Shutdown::CancelPending);
        assert!(pending.is_done());
        stuck.release();
        assert!(group.wait().is_err());
        assert_eq!(drops.count(), 1);
    });
}

/// A task of a group that joins the one which waits for the group: whoever comes last is told.
#[test]
fn a_task_that_joins_the_one_who_waits_for_its_group_would_deadlock() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let submitter = pool.submitter();
        let (tell, told) = mpsc::channel::<TaskHandle<()>>();
        let (say, said) = mpsc::channel();
        let started = Gate::new();
        let maker = pool.submit(move |_| {
            let group = submitter.group();
            drop(group.submit({
                let started = Arc::clone(&started);
                move |_| {
                    started.open();
                    say.send(told.recv().unwrap().join().unwrap_err()).unwrap();
                }
            }));
            // On the other worker, as this one is here.
            started.pass();
            group.wait().unwrap();
        });
        tell.send(maker).unwrap();
        let error = said.recv().unwrap();
        assert!(error.is_would_deadlock() || error.to_string().contains("waits for it"));
    });
}

/// There is no error for it, so it is a panic that says so, as it is for the wait on a handle.
#[test]
fn a_task_that_waits_for_its_own_group_panics() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let group = Arc::new(pool.group());
        let own = group.submit({
            let group = Arc::clone(&group);
            move |_| drop(group.wait())
        });
        let id = own.id();
        let text = own.join().unwrap_err().to_string();
        let why = format!("not waited for: it waits for the task that waits for it ({id})");
        assert!(text.ends_with(&why), "{text}");
    });
}

/// A task of some other group joins the one that waits for a group: that is no circle.
#[test]
fn a_task_that_waits_for_one_group_may_be_joined_by_another_ones() {
    finishes(|| {
        for _ in 0..20 {
            let pool = ThreadPool::new(3);
            let end = Gate::new();
            let _end = OpenOnDrop(Arc::clone(&end));
            let (waited_for, others) = (pool.group(), pool.group());
            let goes_on = waited_for.submit({
                let end = Arc::clone(&end);
                move |_| end.pass()
            });
            goes_on.wait_started();
            let waits = pool.submit(move |_| waited_for.wait());
            waits.wait_started();
            let joins = others.submit(move |_| waits.join().unwrap());
            joins.wait_started();
            // Long enough for both of them to have asked whether that could ever end.
            (0..200).for_each(|_| thread::yield_now());
            end.open();
            joins.join().unwrap().unwrap();
            others.wait().unwrap();
        }
    });
}

/// A group made inside a task goes on after it, and is not stopped with it any more when it has ended.
#[test]
fn a_group_outlives_the_task_that_made_it() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let maker = pool.submit(move |_| submitter.group());
        let canceller = maker.canceller();
        let group = maker.join().unwrap();
        canceller.cancel();
        assert_eq!(group.submit(|_| 4).join().unwrap(), 4);
        group.wait().unwrap();
    });
}

/// Scopes inside of a group's tasks go with it.
#[test]
fn cancelling_a_group_stops_scopes_in_its_tasks() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let (group, submitter) = (pool.group(), pool.submitter());
        let started = Gate::new();
        let task = group.submit({
            let started = Arc::clone(&started);
            move |_| {
                let all = submitter.scope(|s| {
                    s.submit(|stop: &StopEvent| {
                        started.open();
                        stop.wait();
                    });
                });
                all.is_err()
            }
        });
        started.pass();
        group.cancel();
        assert!(group.wait().is_err());
        assert_eq!(task.outcome().into_value(), Some(true));
    });
}

/// What is pending in such a scope goes at once, though whoever opened it looks at nothing.
#[test]
fn cancelling_a_group_dooms_what_is_pending_in_scopes_of_its_tasks() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (group, submitter) = (pool.group(), pool.submitter());
        let (tell, told) = mpsc::channel();
        let gate = Gate::new();
        let task = group.submit({
            let gate = Arc::clone(&gate);
            move |_| {
                let all = submitter.scope(|s| {
                    tell.send(s.submit(|_| ()).canceller()).unwrap();
                    gate.pass();
                });
                all.is_err()
            }
        });
        let pending = told.recv().unwrap();
        assert_eq!(pending.status(), TaskStatus::Pending);
        group.cancel();
        assert_eq!(pending.status(), TaskStatus::NeverStarted);
        gate.open();
        assert_eq!(task.outcome().into_value(), Some(true));
    });
}

/// Nothing starts in a scope that is opened by a task which was asked to stop before, though that one has not looked.
#[test]
fn a_scope_that_is_opened_too_late_starts_nothing() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let submitter = pool.submitter();
        let (opened, asked) = (Gate::new(), Gate::new());
        let task = pool.submit({
            let (opened, asked) = (Arc::clone(&opened), Arc::clone(&asked));
            move |_| {
                opened.open();
                asked.pass();
                let mut status = None;
                let all = submitter.scope(|s| status = Some(s.submit(|_| ()).status()));
                (status, all.is_err())
            }
        });
        opened.pass();
        task.cancel();
        asked.open();
        let value = task.outcome().into_value();
        assert_eq!(value, Some((Some(TaskStatus::NeverStarted), true)));
    });
}

/// Who waits has found nothing to run, and sleeps, when the group gets a task that no other worker has time for.
#[cfg(target_os = "linux")]
#[test]
fn who_waits_is_woken_for_a_task_that_comes_later() {
    use crate::blocked::{own_state, until_asleep};

    finishes(|| {
        let pool = ThreadPool::new(2);
        let group = Arc::new(pool.group());
        let gate = Gate::new();
        let first = group.submit({
            let gate = Arc::clone(&gate);
            move |_| gate.pass()
        });
        first.wait_started();
        let (tell, told) = mpsc::channel();
        let waiting = pool.submit({
            let group = Arc::clone(&group);
            move |_| {
                tell.send(own_state()).unwrap();
                group.wait().is_ok()
            }
        });
        until_asleep(&told.recv().unwrap());
        drop(group.submit(move |_| gate.open()));
        assert!(waiting.join().unwrap());
    });
}
