//! Iterators that end at a stop, and whose end is not mistaken.

use crate::common::finishes;
use std::iter;
use stoppable::{Outcome, StopEvent, StopReason, Stopped, ThreadPool, UntilStopped};

#[test]
fn an_unset_event_changes_nothing() {
    let stop = StopEvent::new();
    let mut numbers = (0..4).until_stopped(&stop);
    assert_eq!(numbers.size_hint(), (0, Some(4)));
    assert_eq!(numbers.by_ref().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(!numbers.is_stopped() && numbers.check().is_ok());
    // It had ended before.
    stop.set();
    assert_eq!(numbers.next(), None);
    assert!(!numbers.is_stopped() && numbers.check().is_ok());
}

#[test]
fn a_stop_ends_it_after_every_prefix_and_loses_no_item() {
    for prefix in 0..=5 {
        let stop = StopEvent::new();
        let mut numbers = (0..5).until_stopped(&stop);
        let mut seen: Vec<i32> = numbers.by_ref().take(prefix).collect();
        stop.set_with(StopReason::custom("enough"));
        assert_eq!(numbers.next(), None);
        assert_eq!(numbers.next(), None);
        assert_eq!(numbers.size_hint(), (0, Some(0)));
        assert!(numbers.is_stopped());
        let stopped = numbers.check().unwrap_err();
        assert_eq!(stopped.reason(), StopReason::custom("enough"));
        seen.extend(numbers.into_inner());
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn checked_yields_one_error_and_then_nothing() {
    let stop = StopEvent::new();
    let mut numbers = (0..3).until_stopped(&stop).checked();
    assert_eq!(numbers.size_hint(), (0, Some(4)));
    assert_eq!(numbers.next(), Some(Ok(0)));
    stop.set();
    assert!(matches!(numbers.next(), Some(Err(_))));
    assert_eq!(numbers.size_hint(), (0, Some(0)));
    assert_eq!(numbers.next(), None);
    assert_eq!(numbers.into_inner().next(), Some(1));
}

#[test]
fn checked_is_silent_about_a_stop_after_the_end() {
    let stop = StopEvent::new();
    let mut numbers = (0..2).until_stopped(&stop).checked();
    assert_eq!(
        numbers.by_ref().collect::<Result<Vec<_>, Stopped>>(),
        Ok(vec![0, 1])
    );
    stop.set();
    assert_eq!(numbers.next(), None);
    // What a stop has ended before `checked` was called stays ended; `check` told.
    let mut numbers = (0..2).until_stopped(&stop);
    assert_eq!(numbers.next(), None);
    assert_eq!(numbers.checked().next(), None);
}

#[test]
fn it_is_fused() {
    let stop = StopEvent::new();
    let mut calls = 0;
    let mut odd = iter::from_fn(|| {
        calls += 1;
        (calls % 2 == 0).then_some(calls)
    })
    .until_stopped(&stop);
    assert_eq!((odd.next(), odd.next(), odd.next()), (None, None, None));
    drop(odd);
    assert_eq!(calls, 1);
}

#[test]
fn a_task_that_ends_by_it_has_seen_its_stop() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.submit(|stop| (0_u64..).until_stopped(stop).count());
        task.wait_started();
        task.cancel();
        assert!(matches!(
            task.outcome(),
            Outcome::Cancelled {
                partial: Some(_),
                ..
            }
        ));
    });
}
