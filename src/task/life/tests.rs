//! The ends and the claims of single tasks, at moments that no test from outside can choose.

use super::doom::is_listened;
use super::*;
use crate::stop::node::{CAUSED, LISTENED, SET};
use crate::task::cell::Extra;
#[cfg(feature = "timeline")]
use crate::task::samples::{Quiet, home_of};
use crate::task::samples::{begin, cause, end as unwind, home, task, task_of};
#[cfg(feature = "timeline")]
use crate::task::slot::Slot;

#[test]
fn a_task_is_listened_to_if_anybody_waits_or_hears_of_its_stop() {
    let is = |bits| is_listened(Word::from_bits(bits));
    for word in [0, SET | CAUSED, State::pending(true), State::refused()] {
        assert!(!is(word) && is(word | LISTENED) && is(word | WAITED));
    }
}

/// What a pool stops it takes out of its queue.
#[test]
fn the_pools_own_event_calls_off_nothing_that_is_in_its_queue() {
    let home = home();
    let task = task(&home);
    assert!(home.node().raise(&cause(StopReason::Shutdown)));
    assert!(calls_off(&task).is_none());
}

#[test]
fn an_event_of_the_users_calls_off_what_has_not_begun() {
    let (home, event) = (home(), NodeRef::plain(None));
    let parent = crate::stop::any::any(home.node().clone(), vec![event.clone()]);
    let word = State::under(State::pending(false));
    let under = || task_of(&home, &parent, word, Extra::new(), |_| {});
    let (pending, begun) = (under(), under());
    begin(&begun);
    assert!(calls_off(&pending).is_none() && calls_off(&begun).is_none());
    event.raise(&cause(StopReason::Requested));
    let why = calls_off(&pending).map(|cause| cause.reason);
    assert_eq!(why, Some(StopReason::Requested));
    assert!(calls_off(&begun).is_none());
    unwind(&begun);
    assert!(calls_off(&begun).is_none());
}

#[test]
fn who_is_asked_twice_keeps_the_first_cause() {
    let (home, later) = (home(), cause(StopReason::Requested));
    let task = task(&home);
    begin(&task);
    assert!(home.node().raise(&cause(StopReason::Shutdown)));
    assert_eq!(cancel(&task, &later), CancelOutcome::Requested);
    let first = task.node().cause().map(|cause| cause.reason);
    assert_eq!(first, Some(StopReason::Shutdown));
    unwind(&task);
}

/// The canceller has seen it run.
#[test]
fn who_has_just_ended_is_not_asked_any_more() {
    for is_stopped in [false, true] {
        let home = home();
        let task = task(&home);
        begin(&task);
        if is_stopped {
            assert!(home.node().raise(&cause(StopReason::Shutdown)));
        }
        unwind(&task);
        let outcome = ask(&task, &cause(StopReason::Requested));
        assert_eq!(outcome, CancelOutcome::AlreadyDone(TaskStatus::Cancelled));
    }
}

#[test]
fn a_doomed_closure_owns_something_if_its_drop_does() {
    let (home, cause) = (home(), cause(StopReason::Requested));
    let word = State::pending(false);
    let doomed = |task: &TaskRef| doom_later(task, &cause).expect("it is pending");
    let plain = doomed(&task(&home));
    assert!(!plain.owns_something());
    plain.drop_closure();
    let text = String::from("captured");
    let owner = task_of(&home, home.node(), word, (), move |_| drop(text));
    let owner = doomed(&owner);
    assert!(owner.owns_something());
    owner.drop_closure();
}

/// Who asks is told that it was asked, so it is counted as one that completed all the same.
#[cfg(feature = "timeline")]
#[test]
fn who_is_asked_between_its_count_and_its_end_has_completed_late() {
    let late = |between: fn(&TaskRef)| {
        let host = Arc::new(Quiet::default());
        let home = home_of(Arc::clone(&host), None);
        let lane = home.ledger.lane(0);
        let task = task(&home);
        lane.enter();
        let claimed = claim(task.clone());
        lane.leave(claimed.is_ok());
        // Before the lane is told of the end.
        *host.at_record.lock() = Some(between);
        let Ok(claimed) = claimed else {
            panic!("it is pending");
        };
        claimed.run(lane, &Slot::new(true));
        let (stats, _, exceptions) = home.ledger.closing_balance();
        assert_eq!((stats.completed, stats.running), (1, 0));
        exceptions.late
    };
    let ask = |task: &TaskRef| {
        let outcome = cancel(task, &cause(StopReason::Requested));
        assert_eq!(outcome, CancelOutcome::Requested);
    };
    assert_eq!((late(|_| ()), late(ask)), (0, 1));
}
