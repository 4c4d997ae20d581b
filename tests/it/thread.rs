//! One thread that can be stopped: the tutorial's custom function, extended class and daemon.

use crate::common::{DropCounter, Gate, OpenOnDrop, finishes, poll, quiet_panic};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use stoppable::{
    CancelOutcome, Outcome, Runnable, StopEvent, StopReason, StoppableThread,
    StoppableThreadBuilder, TaskStatus, current,
};

#[test]
fn a_function_in_a_loop_is_stopped() {
    finishes(|| {
        let thread = StoppableThread::spawn(|stop| {
            let mut rounds = 0_u64;
            while !stop.is_set() {
                rounds += 1;
            }
            rounds
        });
        assert_eq!(thread.status(), TaskStatus::Running);
        assert!(!thread.is_done() && !thread.wait_timeout(Duration::from_millis(1)));
        let line = line!() + 1;
        assert_eq!(thread.stop(), CancelOutcome::Requested);
        assert!(thread.wait_timeout(Duration::MAX) && thread.is_done());
        let done = CancelOutcome::AlreadyDone(TaskStatus::Cancelled);
        assert_eq!(thread.stop(), done, "a thread that has already stopped");
        let Outcome::Cancelled {
            partial: Some(_),
            cause,
        } = thread.outcome()
        else {
            panic!("it saw its stop");
        };
        assert_eq!(cause.reason, StopReason::Requested);
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), line)
        );
    });
}

#[test]
fn a_class_that_runs_is_given_back() {
    struct Counter {
        turns: u32,
        counted: mpsc::Sender<u32>,
    }
    impl Runnable for Counter {
        fn run(&mut self, stop: &StopEvent) {
            while stop.sleep(Duration::from_millis(1)).is_ok() {
                self.turns += 1;
                let _ = self.counted.send(self.turns);
            }
        }
    }
    finishes(|| {
        let (counted, counts) = mpsc::channel();
        let thread = StoppableThread::run(Counter { turns: 0, counted });
        assert_eq!(counts.recv().unwrap(), 1);
        assert_eq!(counts.recv().unwrap(), 2);
        thread.stop_with(StopReason::custom("lunch"));
        let Outcome::Cancelled { partial, cause } = thread.outcome() else {
            panic!("it saw its stop");
        };
        assert!(partial.unwrap().turns >= 2);
        assert_eq!(cause.reason, StopReason::custom("lunch"));
    });
}

#[test]
fn one_that_ends_by_itself_completes() {
    finishes(|| {
        let thread = StoppableThread::spawn(|_| 42);
        assert_eq!(thread.join().unwrap(), 42);
        let thread = StoppableThread::spawn(|_| 42);
        assert_eq!(thread.outcome().completed(), Some(42));
        // Deaf: asked, and it never looked.
        let gate = Gate::new();
        let thread = StoppableThread::spawn({
            let gate = Arc::clone(&gate);
            move |_| {
                gate.pass();
                1
            }
        });
        thread.stop();
        gate.open();
        assert_eq!(thread.join().unwrap(), 1);
    });
}

#[test]
fn a_panic_reaches_the_joiner() {
    finishes(|| {
        let thread = StoppableThread::spawn(|_| -> () { quiet_panic("boom") });
        let error = thread.join().unwrap_err();
        assert!(error.is_panicked());
        assert_eq!(error.into_panic().unwrap().downcast_ref(), Some(&"boom"));
    });
}

#[test]
fn it_is_a_task_in_all_else() {
    finishes(|| {
        let thread = StoppableThread::spawn(|_| {
            current().wait();
            stoppable::unwind_if_stopped();
        });
        let event = thread.stop_event();
        assert!(!event.is_set());
        assert!(event.set(), "setting its event stops it");
        assert!(matches!(
            thread.outcome(),
            Outcome::Cancelled { partial: None, .. }
        ));
    });
}

/// Thread-local values have been dropped when the join returns.
#[test]
fn join_waits_for_the_thread_and_not_only_for_the_closure() {
    thread_local! { static LOCAL: RefCell<Vec<crate::common::Token>> = const { RefCell::new(Vec::new()) }; }
    finishes(|| {
        for round in 0..4 {
            let dropped = DropCounter::new();
            let token = dropped.token();
            let thread = StoppableThread::spawn(move |stop| {
                LOCAL.with_borrow_mut(|local| local.push(token));
                if round > 1 {
                    poll(stop);
                }
            });
            match round {
                0 => thread.join().unwrap(),
                1 => assert!(thread.outcome().completed().is_some()),
                2 => {
                    thread.stop();
                    assert!(thread.join().is_err());
                }
                _ => {
                    drop(thread);
                }
            }
            assert_eq!(dropped.count(), 1, "round {round}");
        }
    });
}

#[test]
fn dropping_the_handle_stops_the_thread_and_waits() {
    finishes(|| {
        let (tell, told) = mpsc::channel();
        let thread = StoppableThread::spawn(move |stop| {
            stop.wait();
            tell.send(stop.reason()).unwrap();
        });
        drop(thread);
        // It has ended: it was waited for.
        assert_eq!(told.try_recv(), Ok(Some(StopReason::Dropped)));
        assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    });
}

/// A panic that nobody fetches does not come out of the drop.
#[test]
fn dropping_the_handle_of_one_that_panicked_is_quiet() {
    finishes(|| {
        let thread = StoppableThread::spawn(|_| -> () { quiet_panic("boom") });
        thread.wait_timeout(Duration::MAX);
        drop(thread);
    });
}

#[test]
fn a_daemon_is_let_go_unasked() {
    finishes(|| {
        let gate = Gate::new();
        let _open = OpenOnDrop(Arc::clone(&gate));
        let (tell, told) = mpsc::channel();
        let thread = StoppableThread::builder()
            .name("daemon")
            .daemon(true)
            .spawn({
                let gate = Arc::clone(&gate);
                move |stop| {
                    gate.pass();
                    tell.send(stop.peek()).unwrap();
                }
            })
            .unwrap();
        // Returns, although the thread is stuck.
        drop(thread);
        gate.open();
        assert!(!told.recv().unwrap(), "it was not asked");
    });
}

#[test]
fn a_daemon_can_be_stopped_and_joined_too() {
    finishes(|| {
        let thread = StoppableThread::builder()
            .daemon(true)
            .spawn(StopEvent::wait)
            .unwrap();
        thread.stop();
        assert!(thread.join().unwrap_err().is_cancelled());
    });
}

/// However early the stop, the closure has begun: what it was given is always used.
#[test]
fn it_has_always_begun() {
    finishes(|| {
        for _ in 0..200 {
            let captured = DropCounter::new();
            let token = captured.token();
            let thread = StoppableThread::spawn(move |_| token);
            assert_ne!(thread.status(), TaskStatus::Pending);
            let stopped = thread.stop();
            let late = CancelOutcome::AlreadyDone(TaskStatus::Completed);
            assert!(stopped == CancelOutcome::Requested || stopped == late);
            let given_back = thread.join().unwrap();
            assert_eq!(captured.count(), 0);
            drop(given_back);
            assert_eq!(captured.count(), 1);
        }
    });
}

#[test]
fn it_may_drop_its_own_handle() {
    finishes(|| {
        let (tell, told) = mpsc::channel::<StoppableThread<()>>();
        let (say, said) = mpsc::channel();
        let thread = StoppableThread::spawn(move |stop| {
            drop(told.recv().unwrap());
            say.send(stop.reason()).unwrap();
        });
        tell.send(thread).unwrap();
        // Its drop asks it to stop, and does not wait for itself.
        assert_eq!(said.recv().unwrap(), Some(StopReason::Dropped));
    });
}

/// An error, or a panic where there is none to return; not a hang.
#[test]
fn waiting_for_oneself_would_deadlock() {
    finishes(|| {
        let (tell, told) = mpsc::channel::<StoppableThread<()>>();
        let (say, said) = mpsc::channel();
        let thread = StoppableThread::spawn(move |_| {
            let me = told.recv().unwrap();
            assert!(!me.wait_timeout(Duration::from_millis(1)));
            let unwound = catch_unwind(AssertUnwindSafe(|| me.wait()));
            let error = me.join().unwrap_err();
            say.send((unwound.is_err(), error.is_would_deadlock()))
                .unwrap();
        });
        tell.send(thread).unwrap();
        assert_eq!(said.recv().unwrap(), (true, true));
    });
}

#[test]
fn the_builder_names_and_refuses() {
    finishes(|| {
        let thread = StoppableThread::builder()
            .name("watcher")
            .stack_size(256 * 1024)
            .spawn(|_| thread::current().name().map(str::to_owned))
            .unwrap();
        assert_eq!(thread.name(), Some("watcher"));
        assert_eq!(thread.join().unwrap().as_deref(), Some("watcher"));
        let thread = StoppableThread::spawn(|_| ());
        assert_eq!(thread.name(), None);
        drop(thread);

        let captured = DropCounter::new();
        let refused: [fn(StoppableThreadBuilder) -> StoppableThreadBuilder; 3] = [
            |builder| builder.name("a\0b"),
            |builder| builder.stack_size(usize::MAX),
            |builder| builder.stack_size(usize::MAX / 4),
        ];
        for (n, refuse) in refused.into_iter().enumerate() {
            let token = captured.token();
            let error = refuse(StoppableThreadBuilder::new())
                .spawn(move |_| drop(token))
                .map(drop)
                .unwrap_err();
            assert!(!error.to_string().is_empty());
            assert_eq!(captured.count(), n + 1, "the closure is dropped");
        }
    });
}

#[test]
fn one_event_for_many_threads() {
    finishes(|| {
        let all = StopEvent::new();
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let all = all.clone();
                StoppableThread::spawn(move |_| {
                    all.wait();
                    n
                })
            })
            .collect();
        all.set();
        for (n, thread) in threads.into_iter().enumerate() {
            assert_eq!(
                thread.join().unwrap(),
                n,
                "an event of its own is not its stop"
            );
        }
    });
}
