//! What every public type is: `Send`, `Sync`, `Debug` without blocking and without a closure in it.

use crate::common::{Gate, Stuck, finishes};
use std::cell::Cell;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::marker::PhantomPinned;
use std::sync::Arc;
use stoppable::*;

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn shared<T: Send + Sync + Debug + 'static>() {}
fn unpin<T: Unpin>() {}

/// A type that is `Send` and neither `Sync` nor `Debug` nor `Unpin`, as values of tasks may be.
type Value = (Cell<u8>, PhantomPinned, NoDebug);
struct NoDebug;

#[test]
fn every_public_type_can_be_sent_and_shared() {
    shared::<StopEvent>();
    shared::<StopBarrier>();
    shared::<StopBarrierWaitResult>();
    shared::<StopCondvar>();
    shared::<StopIter<Vec<u8>>>();
    shared::<CheckedStopIter<Vec<u8>>>();
    shared::<StopReader<Vec<u8>>>();
    shared::<StopWriter<Vec<u8>>>();
    shared::<StopStream<std::net::TcpStream>>();
    #[cfg(any(target_os = "linux", target_os = "android"))]
    shared::<StopListener<std::net::TcpListener>>();
    #[cfg(unix)]
    shared::<StopOutputError>();
    #[cfg(unix)]
    shared::<StoppableCommand<'static>>();
    shared::<StopCause>();
    shared::<StopReason>();
    shared::<StopOnDrop>();
    shared::<Stopped>();
    shared::<ThreadPool>();
    shared::<BuildError>();
    shared::<Submitter>();
    shared::<Canceller>();
    shared::<PendingTask>();
    shared::<CancelOutcome>();
    shared::<TaskError>();
    shared::<TaskErrorKind>();
    shared::<TaskId>();
    shared::<TaskStatus>();
    shared::<Shutdown>();
    shared::<ShutdownReport>();
    shared::<Stats>();
    shared::<Straggler>();
    shared::<TaskDetail>();
    shared::<StoppableThreadBuilder>();
    shared::<SubmitError<fn()>>();
    // A function that names threads need not be `Sync`.
    send::<ThreadPoolBuilder>();
    send::<TaskBuilder<'static>>();
    sync::<TaskBuilder<'static>>();
}

/// A handle holds no value of its own, so what the value is does not matter.
#[test]
fn handles_can_be_shared_whatever_the_value_is() {
    shared::<TaskHandle<Value>>();
    shared::<CancelOnDrop<Value>>();
    shared::<StoppableThread<Value>>();
    unpin::<TaskHandle<Value>>();
    unpin::<CancelOnDrop<Value>>();
    unpin::<StoppableThread<Value>>();
    unpin::<StopEvent>();
}

/// An outcome is its value, or a payload that is `Send` and no more.
#[test]
fn outcomes_are_as_their_values() {
    send::<Outcome<Value>>();
    fn debug<T: Debug>() {}
    debug::<Outcome<u8>>();
    unpin::<Outcome<u8>>();
}

#[test]
fn errors_go_into_any_error_type() {
    finishes(|| {
        fn error<T: Error + Send + Sync + 'static>() {}
        error::<TaskError>();
        error::<BuildError>();
        error::<Stopped>();
        error::<SubmitError<fn()>>();
        // Whatever the closure is, short of what the error type itself demands.
        fn is_error<T: Error>(_: &T) {}
        let pool = ThreadPool::new(1);
        pool.begin_shutdown(Shutdown::Drain);
        let refused = pool.try_submit(|_| ()).unwrap_err();
        is_error(&refused);
        assert_eq!(refused.to_string(), "the pool has been shut down");
        assert_eq!(format!("{refused:?}"), "ShutDown(..)");
    });
}

#[test]
fn plain_values_compare_and_hash_and_copy() {
    fn plain<T: Copy + Eq + Hash + Debug>() {}
    fn ordered<T: Ord>() {}
    fn display<T: Display>() {}
    plain::<TaskId>();
    plain::<TaskStatus>();
    plain::<TaskErrorKind>();
    plain::<Shutdown>();
    plain::<Stats>();
    ordered::<TaskId>();
    ordered::<Shutdown>();
    display::<TaskId>();
    display::<TaskStatus>();
    display::<StopReason>();
    display::<StopCause>();
    display::<Shutdown>();
    display::<ShutdownReport>();
    fn copy<T: Copy + Eq>() {}
    copy::<CancelOutcome>();
}

#[test]
fn a_trait_object_of_runnable_is_possible() {
    fn run(runnable: &mut dyn Runnable) {
        runnable.run(&StopEvent::never());
    }
    struct Once(u8);
    impl Runnable for Once {
        fn run(&mut self, _stop: &StopEvent) {
            self.0 += 1;
        }
    }
    let mut once = Once(0);
    run(&mut once);
    assert_eq!(once.0, 1);
}

/// Everything that can be printed is, in each state, while tasks run and while somebody waits.
#[test]
fn printing_neither_blocks_nor_shows_a_closure() {
    struct Secret;
    impl Debug for Secret {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("nobody prints what a closure captured or returned");
        }
    }
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.name("pool").queue_capacity(9));
        let pool = &stuck.pool;
        let texts = [
            format!("{pool:?}"),
            format!("{:?}", pool.submitter()),
            format!(
                "{:?}",
                ThreadPool::builder().name("pool").on_thread_start(|| ())
            ),
            format!("{:?}", StoppableThread::builder().name("pool")),
        ];
        for text in texts {
            assert!(text.contains("pool"), "{text}");
        }
        let _ = format!("{:?} {:?}", pool.task().name("t"), pool.stats());

        let secret = Secret;
        let task = pool.task().name("named").submit(move |_| secret);
        let event = task.stop_event();
        let text = format!("{task:?} {:?} {event:?}", task.canceller());
        assert!(text.contains("named") && text.contains("Pending"), "{text}");
        let task = task.cancel_on_drop();
        assert!(format!("{task:?}").contains("named"));
        let task = task.into_inner();
        // A closure that is dropped at this moment may print, as may anything under no lock.
        let (seen, other) = (Gate::new(), task.canceller());
        let capture = crate::common::OnDrop({
            let (seen, event) = (Arc::clone(&seen), event.clone());
            move || {
                let _ = format!("{other:?} {event:?}");
                seen.open();
            }
        });
        let doomed = pool.submit(move |_| drop(capture));
        doomed.cancel();
        seen.pass();
        task.cancel();
        let text = format!("{task:?} {event:?}");
        assert!(text.contains("NeverStarted"), "{text}");
        assert!(text.contains("Requested"), "{text}");
        let error = task.join().unwrap_err();
        let text = format!("{error:?}");
        assert!(
            text.contains("named") && text.contains("NeverStarted"),
            "{text}"
        );

        assert_eq!(
            format!("{:?}", StopEvent::never()),
            "StopEvent { never: true }"
        );
        let guard = StopEvent::new().set_on_drop();
        assert!(format!("{guard:?}").contains("StopEvent"));
        stuck.release();
        let report = pool.shutdown(Shutdown::Drain);
        assert!(!format!("{report:?}{report}").is_empty());
        assert!(
            report
                .details()
                .all(|detail| !format!("{detail:?}").is_empty())
        );
    });
}

/// A task prints itself, its own handle and its pool, in the middle of things.
#[test]
fn printing_oneself_from_inside() {
    finishes(|| {
        let pool = Arc::new(ThreadPool::new(1));
        let me = Arc::downgrade(&pool);
        let submitter = pool.submitter();
        let task = pool.submit(move |stop| {
            let inner = submitter.submit(|_| ());
            let text = format!("{stop:?} {inner:?} {submitter:?} {:?}", current());
            let pool = me.upgrade();
            (
                text,
                pool.map(|pool| format!("{pool:?} {:?}", pool.stats())),
            )
        });
        let (text, pool) = task.join().unwrap();
        assert!(text.contains("given_to_task: true"), "{text}");
        assert!(pool.unwrap().contains("running: 1"));
    });
}
