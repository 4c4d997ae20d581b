//! One stop event by itself: set once, polled, checked, waited for.

use crate::common::{Gate, finishes};
use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{StopEvent, StopReason, Stopped};

#[test]
fn it_is_unset_at_birth_and_set_twice_is_set() {
    for stop in [StopEvent::new(), StopEvent::default()] {
        assert!(!stop.is_set() && !stop.peek() && stop.check().is_ok());
        assert_eq!((stop.reason(), stop.cause()), (None, None));
        assert!(stop.set());
        assert!(stop.is_set() && stop.peek() && stop.check().is_err());
        assert!(!stop.set());
        assert!(stop.is_set() && stop.peek() && stop.check().is_err());
        assert_eq!(stop.reason(), Some(StopReason::Requested));
    }
}

#[test]
fn clones_are_the_same_event() {
    let stop = StopEvent::new();
    let clone = stop.clone();
    drop(stop.clone());
    assert!(!clone.is_set());
    stop.set();
    drop(stop);
    assert!(clone.is_set());
}

#[test]
fn it_is_at_most_two_words() {
    assert!(size_of::<StopEvent>() <= 2 * size_of::<usize>());
    assert_eq!(size_of::<Stopped>(), size_of::<usize>());
}

#[test]
fn set_wakes_every_waiter_and_later_waits_return_at_once() {
    finishes(|| {
        let stop = StopEvent::new();
        let ready = Arc::new(Barrier::new(21));
        let far = Duration::from_secs(3600);
        let waiters: Vec<_> = (0..20)
            .map(|n| {
                let (stop, ready) = (stop.clone(), Arc::clone(&ready));
                thread::spawn(move || {
                    ready.wait();
                    match n % 5 {
                        0 => stop.wait(),
                        1 => assert!(stop.wait_timeout(far)),
                        2 => assert!(stop.wait_timeout(Duration::MAX)),
                        3 => assert!(stop.wait_until(Instant::now() + far)),
                        _ => assert!(stop.sleep(Duration::MAX).is_err()),
                    }
                    assert!(stop.is_set());
                })
            })
            .collect();
        ready.wait();
        assert!(!stop.wait_timeout(Duration::from_millis(20)));
        stop.set();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        stop.wait();
        assert!(stop.wait_timeout(Duration::ZERO));
        assert!(stop.wait_until(Instant::now()));
        assert!(stop.sleep(Duration::ZERO).is_err());
    });
}

#[test]
fn timed_waits_on_an_unset_event_say_false_and_never_early() {
    let stop = StopEvent::new();
    let child = stop.child();
    let span = Duration::from_millis(15);
    for event in [&stop, &child, &StopEvent::never()] {
        let start = Instant::now();
        assert!(!event.wait_timeout(span));
        assert!(start.elapsed() >= span, "wait_timeout was early");

        let deadline = Instant::now() + span;
        assert!(!event.wait_until(deadline));
        assert!(Instant::now() >= deadline, "wait_until was early");

        let start = Instant::now();
        assert!(event.sleep(span).is_ok());
        assert!(start.elapsed() >= span, "sleep was early");

        assert!(!event.wait_timeout(Duration::ZERO));
        assert!(!event.wait_until(Instant::now() - Duration::from_millis(1)));
        assert!(event.sleep(Duration::ZERO).is_ok());
    }
}

#[test]
fn a_set_before_after_or_while_somebody_goes_to_sleep_is_never_lost() {
    finishes(|| {
        let rounds = if cfg!(debug_assertions) {
            30_000
        } else {
            300_000
        };
        let (send, receive) = mpsc::sync_channel::<StopEvent>(0);
        let waiter = thread::spawn(move || {
            for (round, stop) in receive.into_iter().enumerate() {
                match round % 3 {
                    0 => stop.wait(),
                    1 => assert!(stop.wait_timeout(Duration::from_secs(3600))),
                    _ => assert!(stop.child().sleep(Duration::from_secs(3600)).is_err()),
                }
            }
        });
        for round in 0..rounds {
            let stop = StopEvent::new();
            send.send(stop.clone()).unwrap();
            // Sooner or later, so that it meets the waiter everywhere on its way to sleep.
            for _ in 0..round % 64 * 8 {
                std::hint::spin_loop();
            }
            assert!(stop.set());
        }
        drop(send);
        waiter.join().unwrap();
    });
}

#[test]
fn a_polling_thread_sees_the_set_and_what_came_before_it() {
    finishes(|| {
        for _ in 0..100 {
            let stop = StopEvent::new();
            let before = Arc::new(AtomicUsize::new(0));
            let started = Gate::new();
            let poller = thread::spawn({
                let (stop, before) = (stop.clone(), Arc::clone(&before));
                let started = Arc::clone(&started);
                move || {
                    started.open();
                    while !stop.is_set() {
                        std::hint::spin_loop();
                    }
                    (before.load(Ordering::Relaxed), stop.cause().is_some())
                }
            });
            started.pass();
            before.store(7, Ordering::Relaxed);
            stop.set();
            assert_eq!(poller.join().unwrap(), (7, true));
        }
    });
}

#[test]
fn of_ten_racers_one_wins_and_its_cause_stays() {
    finishes(|| {
        for round in 0..300 {
            let stop = if round % 2 == 0 {
                StopEvent::new()
            } else {
                StopEvent::new().child()
            };
            let start = Arc::new(Barrier::new(10));
            let racers: Vec<_> = (0..10)
                .map(|n| {
                    let (stop, start) = (stop.clone(), Arc::clone(&start));
                    thread::spawn(move || {
                        let mine = StopReason::custom(format!("racer {n}"));
                        start.wait();
                        let won = stop.set_with(mine.clone());
                        // Winner or loser: it is set and has its cause.
                        assert!(stop.is_set());
                        let reason = stop.reason().expect("a set event has its cause");
                        assert_eq!(won, reason == mine, "the winner's cause is the cause");
                        (won, reason)
                    })
                })
                .collect();
            let results: Vec<_> = racers.into_iter().map(|r| r.join().unwrap()).collect();
            assert_eq!(results.iter().filter(|(won, _)| *won).count(), 1);
            assert!(
                results
                    .iter()
                    .all(|(_, r)| Some(r) == stop.reason().as_ref())
            );
        }
    });
}

#[test]
fn the_cause_says_why_when_and_where() {
    let stop = StopEvent::new();
    let before = Instant::now();
    let line = line!() + 1;
    assert!(stop.set_with(StopReason::custom("enough")));
    let after = Instant::now();
    stop.set_with(StopReason::custom("too late"));

    let cause = stop.cause().unwrap();
    assert_eq!(cause.reason, StopReason::custom("enough"));
    assert_eq!(
        (cause.location.file(), cause.location.line()),
        (file!(), line)
    );
    assert!(before <= cause.at && cause.at <= after);
    assert_eq!(stop.clone().cause(), Some(cause.clone()));
    assert!(cause.to_string().starts_with("enough at "), "{cause}");

    let stopped = stop.check().unwrap_err();
    assert_eq!(stopped.cause(), &cause);
    assert_eq!(stopped.reason(), cause.reason);
    assert_eq!(stop.sleep(Duration::MAX), Err(stopped));
}

#[test]
fn a_plain_set_says_requested_and_where() {
    let stop = StopEvent::new();
    let line = line!() + 1;
    stop.set();
    let cause = stop.cause().unwrap();
    assert_eq!(cause.reason, StopReason::Requested);
    assert_eq!(
        (cause.location.file(), cause.location.line()),
        (file!(), line)
    );
}

#[test]
fn stopped_becomes_an_io_error_that_is_not_retried() {
    fn work(stop: &StopEvent) -> io::Result<()> {
        stop.check()?;
        Ok(())
    }
    let stop = StopEvent::new();
    assert!(work(&stop).is_ok());
    stop.set_with(StopReason::custom("enough"));
    let error = work(&stop).unwrap_err();
    assert_ne!(error.kind(), io::ErrorKind::Interrupted);
    let inner = error.get_ref().unwrap();
    let stopped = inner.downcast_ref::<Stopped>().unwrap();
    assert_eq!(stopped.reason(), StopReason::custom("enough"));
    assert!(error.to_string().contains("enough"), "{error}");
    assert!(stopped.source().is_none());
}

#[test]
fn never_can_not_be_set() {
    let never = StopEvent::never();
    assert!(!never.set() && !never.set_with(StopReason::Deadline));
    assert!(!never.is_set() && !never.peek() && never.check().is_ok());
    assert_eq!((never.reason(), never.cause()), (None, None));
    drop(never.set_on_drop());
    assert!(!never.is_set());

    let child = never.child();
    assert!(child.set() && child.is_set() && !never.is_set());
}

#[test]
fn the_guard_sets_on_drop_on_panic_and_not_when_disarmed() {
    let stop = StopEvent::new();
    let line = line!() + 1;
    let guard = stop.set_on_drop();
    assert!(!stop.is_set());
    drop(guard);
    let cause = stop.cause().unwrap();
    assert_eq!(cause.reason, StopReason::Dropped);
    assert_eq!(
        (cause.location.file(), cause.location.line()),
        (file!(), line)
    );

    let stop = StopEvent::new();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _guard = stop.set_on_drop();
        crate::common::quiet_panic("on the way out");
    }));
    assert!(unwound.is_err() && stop.is_set());

    let stop = StopEvent::new();
    let given_back = stop.set_on_drop().disarm();
    assert!(!stop.is_set());
    given_back.set();
    assert!(stop.is_set(), "what disarm gives back is the event");
}

#[test]
fn reasons_read_as_words() {
    let words = [
        (StopReason::Requested, "requested"),
        (StopReason::Deadline, "deadline passed"),
        (StopReason::Shutdown, "shut down"),
        (StopReason::SiblingFailed, "a sibling failed"),
        (StopReason::Dropped, "dropped"),
        (StopReason::custom("my own"), "my own"),
    ];
    for (reason, text) in words {
        assert_eq!(reason.to_string(), text);
    }
}

#[test]
fn never_alone_cannot_be_set() {
    let (never, stop) = (StopEvent::never(), StopEvent::new());
    assert!(!never.can_be_set());
    let others = [never.child(), StopEvent::any([&never, &stop]), stop];
    assert!(others.iter().all(StopEvent::can_be_set));
}

/// They are kept for as long as somebody may ask for them.
#[test]
fn the_words_of_a_cause_go_with_their_event() {
    let words: Arc<str> = "in so many words".into();
    let stop = StopEvent::new();
    let child = stop.child();
    stop.set_with(StopReason::Custom(Arc::clone(&words)));
    let cause = child.cause().unwrap();
    drop((stop, child));
    assert_eq!(cause.reason, StopReason::Custom(Arc::clone(&words)));
    drop(cause);
    assert_eq!(Arc::strong_count(&words), 1);
}
