//! Stop events for libraries that take an `enough::Stop`.

use crate::common::finishes;
use enough::{Stop, StopReason as Theirs};
use std::sync::atomic::{AtomicUsize, Ordering};
use stoppable::{Outcome, PendingTask, StopEvent, StopReason, Stopped, TaskStatus, ThreadPool};

/// As a library does its work.
fn decode(stop: impl Stop + 'static) -> Result<(), Theirs> {
    loop {
        stop.check()?;
    }
}

#[test]
fn a_check_is_a_poll() {
    let stop = StopEvent::new();
    let theirs: &dyn Stop = &stop;
    assert_eq!(theirs.check(), Ok(()));
    assert!(!theirs.should_stop() && theirs.may_stop());
    let child = stop.child();
    stop.set();
    assert!(theirs.should_stop() && theirs.may_stop());
    assert_eq!(theirs.check(), Err(Theirs::Cancelled));
    assert_eq!(Stop::check(&child), Err(Theirs::Cancelled));
    // The event's own check is still what its name says.
    assert_eq!(stop.check().unwrap_err().reason(), StopReason::Requested);
}

#[test]
fn never_may_not_stop() {
    let never = StopEvent::never();
    let theirs: &dyn Stop = &never;
    assert!(theirs.live().is_none() && !never.can_be_set());
    assert_eq!(theirs.check(), Ok(()));
    // A child of it can be set by itself.
    assert!(never.child().can_be_set() && Stop::may_stop(&never.child()));
}

#[test]
fn reasons_cross_over() {
    let reasons = [
        (StopReason::Deadline, Theirs::TimedOut),
        (StopReason::Requested, Theirs::Cancelled),
        (StopReason::Shutdown, Theirs::Cancelled),
        (StopReason::custom("why not"), Theirs::Cancelled),
    ];
    for (ours, theirs) in reasons {
        let stop = StopEvent::new();
        stop.set_with(ours);
        assert_eq!(Stop::check(&stop), Err(theirs));
        fn with_question_mark(stop: &StopEvent) -> Result<(), Theirs> {
            stop.check().map_err(|stopped: Stopped| stopped)?;
            Ok(())
        }
        assert_eq!(with_question_mark(&stop), Err(theirs));
    }
    assert_eq!(StopReason::from(Theirs::TimedOut), StopReason::Deadline);
    assert_eq!(StopReason::from(Theirs::Cancelled), StopReason::Requested);
}

/// The task is Cancelled, which it is only if it has seen its stop.
#[test]
fn a_check_inside_a_task_is_seen() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.submit(|stop| decode(stop.clone()));
        task.wait_started();
        task.cancel();
        match task.outcome() {
            Outcome::Cancelled { partial, .. } => assert_eq!(partial, Some(Err(Theirs::Cancelled))),
            other => panic!("{other:?}"),
        }
        for look in [
            (|stop| stop.should_stop()) as fn(&dyn Stop) -> bool,
            |stop| stop.check().is_err(),
        ] {
            let (task, _handle) = PendingTask::new(move |stop| {
                stop.set();
                assert!(look(stop));
            });
            assert_eq!(task.run(), TaskStatus::Cancelled);
        }
        // To ask whether it may stop is not to poll.
        let (task, _handle) = PendingTask::new(|stop| {
            stop.set();
            assert!(Stop::may_stop(stop));
        });
        assert_eq!(task.run(), TaskStatus::Completed);
    });
}

#[test]
fn a_deadline_times_a_library_out() {
    finishes(|| {
        let stop = StopEvent::new();
        stop.set_after(std::time::Duration::from_millis(1));
        assert_eq!(decode(Some(stop)), Err(Theirs::TimedOut));
    });
}

/// Theirs can only be asked, so the news is handed on where the work is done.
#[test]
fn a_stop_of_theirs_is_handed_on() {
    struct Third(AtomicUsize);
    impl Stop for Third {
        fn check(&self) -> Result<(), Theirs> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0..3 => Ok(()),
                _ => Err(Theirs::TimedOut),
            }
        }
    }
    let theirs = Third(AtomicUsize::new(0));
    let (task, handle) = PendingTask::new(move |stop| {
        let mut rounds = 0;
        while !stop.is_set() {
            rounds += 1;
            if let Err(reason) = theirs.check() {
                stop.set_with(reason.into());
            }
        }
        rounds
    });
    assert_eq!(task.run(), TaskStatus::Cancelled);
    match handle.outcome() {
        Outcome::Cancelled { partial, cause } => {
            assert_eq!((partial, cause.reason), (Some(4), StopReason::Deadline));
        }
        other => panic!("{other:?}"),
    }
}
