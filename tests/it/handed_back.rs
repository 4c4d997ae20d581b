//! Tasks that their pool has handed back before they began: whoever has one runs it, or drops it.

use crate::common::{DropCounter, Stuck, finishes, quiet_panic};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use stoppable::{
    CancelOutcome, PendingTask, Shutdown, StopEvent, StopReason, TaskHandle, TaskId, TaskStatus,
    ThreadPool,
};

#[test]
fn all_that_is_pending_comes_in_order_and_the_pool_goes_on() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let pool = &stuck.pool;
        let mut handles = vec![pool.submit(|_| 0), pool.task().name("one").submit(|_| 1)];
        handles.extend(pool.submit_all((2..200).map(|n| move |_: &StopEvent| n)));
        handles.push(pool.submit(|_| 200));
        let cancelled = handles.remove(100);
        cancelled.cancel();
        let taken = pool.take_pending();
        let ids = handles.iter().map(TaskHandle::id);
        assert!(taken.iter().map(PendingTask::id).eq(ids));
        let names: Vec<_> = taken.iter().filter_map(PendingTask::name).collect();
        assert_eq!(names, ["one"]);
        let stats = pool.stats();
        assert_eq!((stats.pending, stats.running), (0, 1));
        assert_eq!((stats.taken, stats.never_started), (200, 1));
        assert!(pool.take_pending().is_empty());
        assert!(handles.iter().all(|handle| !handle.is_done()));
        let later = pool.submit(|_| 7);
        stuck.release();
        assert_eq!(later.join().unwrap(), 7);
        // What was handed back is left alone by the worker.
        assert!(
            handles
                .iter()
                .all(|handle| handle.status() == TaskStatus::Pending)
        );
        for task in taken {
            assert_eq!(task.run(), TaskStatus::Completed);
        }
        let sum: i32 = handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .sum();
        assert_eq!(sum, (0..=200).sum::<i32>() - 100);
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!((report.submitted(), report.completed()), (203, 2));
        assert_eq!((report.taken(), report.never_started()), (200, 1));
    });
}

#[test]
fn it_runs_on_the_thread_that_has_it_and_its_value_goes_to_the_handle() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let drops = DropCounter::new();
        let (captured, value) = (drops.token(), drops.token());
        let handle = stuck.pool.submit(move |_| {
            drop(captured);
            (thread::current().id(), value)
        });
        let (tell, told) = mpsc::channel();
        handle.on_done(move |status| tell.send(status).unwrap());
        let task = stuck.pool.take_pending().remove(0);
        assert_eq!((drops.count(), handle.status()), (0, TaskStatus::Pending));
        assert_eq!(task.run(), TaskStatus::Completed);
        assert_eq!(told.recv(), Ok(TaskStatus::Completed));
        assert_eq!(drops.count(), 1);
        let (ran_on, value) = handle.join().unwrap();
        assert_eq!(ran_on, thread::current().id());
        drop(value);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn without_a_handle_its_value_is_dropped_by_who_runs_it() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let drops = DropCounter::new();
        let value = drops.token();
        drop(stuck.pool.submit(move |_| value));
        let task = stuck.pool.take_pending().remove(0);
        assert_eq!(drops.count(), 0);
        assert_eq!(task.run(), TaskStatus::Completed);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn it_ends_as_every_other_and_is_counted_as_taken_alone() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let own = |stop: &StopEvent| {
            let own = stoppable::current();
            assert!(!stop.is_set() && own.set() && stop.is_set());
        };
        let cancelled = stuck.pool.submit(own);
        let panicked = stuck.pool.submit(|_| quiet_panic("on purpose"));
        let late = stuck.pool.submit(|_| assert!(stoppable::current().set()));
        let ends = stuck.pool.take_pending().into_iter().map(PendingTask::run);
        assert_eq!(
            ends.collect::<Vec<_>>(),
            [
                TaskStatus::Cancelled,
                TaskStatus::Panicked,
                TaskStatus::Completed
            ]
        );
        assert!(cancelled.join().unwrap_err().is_cancelled());
        let payload = panicked.join().unwrap_err().into_panic().unwrap();
        assert_eq!(payload.downcast_ref(), Some(&"on purpose"));
        late.join().unwrap();
        stuck.release();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(
            (report.submitted(), report.taken(), report.completed()),
            (4, 3, 1)
        );
        assert_eq!((report.cancelled(), report.panicked()), (0, 0));
        assert_eq!(report.completed_though_asked(), 0);
    });
}

#[test]
fn dropped_it_never_starts_and_the_cause_says_where_it_was_taken() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let drops = DropCounter::new();
        let captured = drops.token();
        let handle = stuck.pool.submit(move |_| drop(captured));
        let line = line!() + 1;
        let taken = stuck.pool.take_pending();
        assert_eq!(drops.count(), 0);
        drop(taken);
        assert_eq!(drops.count(), 1);
        let error = handle.join().unwrap_err();
        assert!(error.is_never_started());
        let cause = error.cause().unwrap();
        assert_eq!(cause.reason, StopReason::Dropped);
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), line)
        );
        let stats = stuck.pool.stats();
        assert_eq!((stats.taken, stats.never_started), (1, 0));
    });
}

#[test]
fn cancelled_before_it_is_run_it_never_starts() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let drops = DropCounter::new();
        let captured = drops.token();
        let handle = stuck.pool.submit(move |_| drop(captured));
        let task = stuck.pool.take_pending().remove(0);
        assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
        assert_eq!(drops.count(), 1);
        assert_eq!(task.run(), TaskStatus::NeverStarted);
        let stats = stuck.pool.stats();
        assert_eq!((stats.taken, stats.never_started), (1, 0));
    });
}

#[test]
fn what_stops_it_before_it_is_run_is_the_cause() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let event = StopEvent::new();
        let under = stuck.pool.task().stop_with(&event).submit(|_| ());
        let in_vain = stuck.pool.submit(|_| ());
        let taken = stuck.pool.take_pending();
        event.set();
        stuck.pool.begin_shutdown(Shutdown::StopAll);
        for task in taken {
            assert_eq!(task.run(), TaskStatus::NeverStarted);
        }
        let reason = |error: stoppable::TaskError| error.cause().unwrap().reason.clone();
        assert_eq!(reason(under.join().unwrap_err()), StopReason::Requested);
        assert_eq!(reason(in_vain.join().unwrap_err()), StopReason::Shutdown);
    });
}

#[test]
fn a_shutdown_does_not_wait_for_what_was_handed_back() {
    finishes(|| {
        for mode in [Shutdown::Drain, Shutdown::CancelPending] {
            let stuck = Stuck::new(1);
            let handle = stuck.pool.submit(StopEvent::is_set);
            let task = stuck.pool.take_pending().remove(0);
            stuck.release();
            let report = stuck.pool.shutdown(mode);
            assert!(report.is_final());
            assert_eq!(report.taken_ids().collect::<Vec<TaskId>>(), [task.id()]);
            assert_eq!((report.pending(), report.taken()), (0, 1));
            drop(stuck);
            // The drop of the pool has set its event.
            assert_eq!(task.run(), TaskStatus::NeverStarted);
            assert!(handle.join().is_err());
        }
    });
}

#[test]
fn room_in_a_full_queue_is_given_back() {
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.queue_capacity(2));
        let first = [(); 2].map(|()| stuck.pool.submit(|_| ()));
        let full = stuck
            .pool
            .try_submit(|_| ())
            .map(drop)
            .map_err(|it| it.is_full());
        assert_eq!(full, Err(true));
        let taken = stuck.pool.take_pending();
        let second = [(); 2].map(|()| stuck.pool.try_submit(|_| ()).ok().unwrap());
        assert!(stuck.pool.try_submit(|_| ()).is_err());
        assert!(
            taken
                .into_iter()
                .all(|task| task.run() == TaskStatus::Completed)
        );
        // That gives no room twice.
        assert!(stuck.pool.try_submit(|_| ()).is_err());
        stuck.release();
        assert!(
            first
                .into_iter()
                .chain(second)
                .all(|task| task.join().is_ok())
        );
    });
}

#[test]
fn members_of_scopes_stay() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let ran = AtomicUsize::new(0);
        let result = stuck.pool.scope(|s| {
            s.submit(|_| ran.fetch_add(1, Ordering::Relaxed));
            let other = stuck.pool.submit(|_| ());
            let taken = stuck.pool.take_pending();
            assert!(taken.iter().map(PendingTask::id).eq([other.id()]));
            stuck.release();
        });
        assert!(result.is_ok());
        assert_eq!(ran.into_inner(), 1);
    });
}

#[test]
fn a_worker_that_joins_one_waits_until_it_is_run() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let handle = stuck.pool.submit(|_| thread::current().id());
        let task = stuck.pool.take_pending().remove(0);
        stuck.release();
        let joins = stuck.pool.submit(move |_| handle.join().unwrap());
        joins.wait_started();
        assert_eq!(task.run(), TaskStatus::Completed);
        assert_eq!(joins.join().unwrap(), thread::current().id());
    });
}

#[test]
fn another_pool_runs_it() {
    finishes(|| {
        let (stuck, other) = (Stuck::new(1), ThreadPool::new(2));
        let handles = stuck
            .pool
            .submit_all((0..500).map(|n| move |_: &StopEvent| n));
        for task in stuck.pool.take_pending() {
            other.execute(move |_| task.run()).unwrap();
        }
        let values = handles.into_iter().map(|handle| handle.join().unwrap());
        assert!(values.eq(0..500));
    });
}

#[test]
fn of_a_cancel_and_a_run_one_wins() {
    finishes(|| {
        for round in 0..500 {
            let stuck = Stuck::new(1);
            let (drops, runs) = (DropCounter::new(), Arc::new(AtomicUsize::new(0)));
            let (captured, counts) = (drops.token(), Arc::clone(&runs));
            let handle = stuck.pool.submit(move |_| {
                drop(captured);
                counts.fetch_add(1, Ordering::Relaxed);
            });
            let task = stuck.pool.take_pending().remove(0);
            let start = Barrier::new(2);
            let (status, outcome) = thread::scope(|threads| {
                let cancels = threads.spawn(|| {
                    start.wait();
                    handle.cancel()
                });
                start.wait();
                (0..round % 50).for_each(|_| std::hint::spin_loop());
                (task.run(), cancels.join().unwrap())
            });
            let ran = runs.load(Ordering::Relaxed);
            assert_eq!(ran == 0, outcome == CancelOutcome::NeverStarted);
            assert_eq!(ran == 0, status == TaskStatus::NeverStarted);
            assert_eq!((drops.count(), handle.status()), (1, status));
        }
    });
}
