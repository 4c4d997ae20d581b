//! Bridges between stop events and tokio-util's tokens.

use crate::common::{DropCounter, Gate, OnDrop, finishes, quiet_panic};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use stoppable::interop::tokio_util::{EventToken, TokenEvent, event_of, token_of};
use stoppable::{Shutdown, StopEvent, StopReason, TaskStatus, ThreadPool};
use tokio_util::sync::CancellationToken;

#[test]
fn setting_an_event_cancels_its_token_and_not_the_other_way() {
    let root = StopEvent::new();
    let stop = root.child();
    let (bridge, other) = (token_of(&stop), token_of(&stop));
    let below = bridge.token().child_token();
    other.token().cancel();
    assert!(!stop.is_set() && !bridge.token().is_cancelled());
    root.set();
    assert!(bridge.token().is_cancelled() && below.is_cancelled());
    assert!(token_of(&stop).token().is_cancelled(), "at once");
}

#[test]
fn cancelling_a_token_sets_its_event_and_not_the_other_way() {
    let root = CancellationToken::new();
    let token = root.child_token();
    let (bridge, other) = (event_of(&token), event_of(&token));
    let below = bridge.event().child();
    other.event().set();
    assert!(!token.is_cancelled() && !bridge.event().is_set());
    root.cancel();
    assert!(bridge.event().is_set() && below.is_set());
    let reason = StopReason::custom("token cancelled");
    assert_eq!(below.reason(), Some(reason));
    assert_eq!(other.event().reason(), Some(StopReason::Requested));
    assert!(event_of(&token).event().is_set(), "at once");
}

#[test]
fn the_event_is_set_before_cancel_returns_on_the_same_thread() {
    let token = CancellationToken::new();
    let bridge = event_of(&token);
    let (tell, told) = mpsc::channel();
    // A callback may look at the token, and cancel it again: it runs under no lock of the token's.
    let callback = bridge.event().on_set({
        let token = token.clone();
        move || {
            assert!(token.is_cancelled());
            token.cancel();
            tell.send(thread::current().id()).unwrap();
            quiet_panic("contained");
        }
    });
    token.cancel();
    assert_eq!(told.try_recv(), Ok(thread::current().id()));
    drop(callback);
}

/// More than are woken in one go.
#[test]
fn a_token_may_have_many_events() {
    let token = CancellationToken::new();
    let bridges: Vec<_> = (0..200).map(|_| event_of(&token)).collect();
    token.cancel();
    assert!(bridges.iter().all(|bridge| bridge.event().is_set()));
}

/// What is dropped with an event: something that a detached callback has captured.
fn dies_with(event: &StopEvent, drops: &DropCounter) {
    let token = drops.token();
    event.on_set(move || drop(token)).detach();
}

#[test]
fn a_bridge_that_is_dropped_leaves_nothing_at_a_token() {
    let (token, drops) = (CancellationToken::new(), DropCounter::new());
    let bridge = event_of(&token);
    let event = bridge.event().clone();
    dies_with(&event, &drops);
    drop(bridge);
    token.cancel();
    assert!(!event.is_set(), "the bridge is down");
    assert_eq!(drops.count(), 0);
    drop(event);
    assert_eq!(drops.count(), 1, "nobody else had the event");

    // Of a token that is cancelled, too, and of one that lives on.
    dies_with(event_of(&token).event(), &drops);
    assert_eq!(drops.count(), 2);
    let token = CancellationToken::new();
    dies_with(event_of(&token).event(), &drops);
    assert_eq!(drops.count(), 3);
}

#[test]
fn a_bridge_that_is_dropped_is_off_its_event() {
    let stop = StopEvent::new();
    let bridge = token_of(&stop);
    let token = bridge.token().clone();
    drop(bridge);
    stop.set();
    assert!(!token.is_cancelled(), "the bridge is down");
}

#[test]
fn a_bridge_that_is_detached_stays_with_the_event() {
    let stop = StopEvent::new();
    let token = token_of(&stop).detach();
    stop.set();
    assert!(token.is_cancelled());
    // And goes with it.
    let stop = StopEvent::new();
    let token = token_of(&stop).detach();
    drop(stop);
    assert!(!token.is_cancelled());
}

#[test]
fn there_and_back_again_ends() {
    finishes(|| {
        let token = CancellationToken::new();
        let there = event_of(&token);
        let back = token_of(there.event());
        let again = event_of(back.token());
        token.cancel();
        assert!(again.event().is_set());
        drop((there, back, again));
    });
}

/// Cancelled while the bridge is built: either way the news arrives.
#[test]
fn a_cancel_that_races_the_bridge_is_not_lost() {
    finishes(|| {
        for _ in 0..500 {
            let (token, start) = (CancellationToken::new(), Arc::new(Barrier::new(2)));
            let canceller = thread::spawn({
                let (token, start) = (token.clone(), Arc::clone(&start));
                move || {
                    start.wait();
                    token.cancel();
                }
            });
            start.wait();
            let bridge = event_of(&token);
            bridge.event().wait();
            drop(bridge);
            canceller.join().unwrap();
        }
    });
}

#[test]
fn a_pool_under_a_token_stops_with_it() {
    finishes(|| {
        let token = CancellationToken::new();
        let bridge = event_of(&token);
        let pool = ThreadPool::builder().threads(1);
        let pool = pool.stop_with(bridge.event(), Shutdown::StopAll);
        let pool = pool.build().unwrap();
        let task = pool.submit(StopEvent::wait);
        task.wait_started();
        token.cancel();
        task.wait();
        assert_eq!(task.status(), TaskStatus::Cancelled);
    });
}

#[test]
fn async_code_hears_of_a_stop() {
    finishes(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).build().unwrap();
        let pool = ThreadPool::new(1);
        let begun = Gate::new();
        let task = pool.submit({
            let begun = Arc::clone(&begun);
            move |stop| {
                let bridge = token_of(stop);
                runtime.block_on(async {
                    begun.open();
                    bridge.token().cancelled().await;
                });
                stop.check()
            }
        });
        begun.pass();
        task.cancel();
        task.wait();
        assert_eq!(task.status(), TaskStatus::Cancelled);
    });
}

#[test]
fn an_unwinding_owner_takes_its_bridge_down() {
    let stop = StopEvent::new();
    let mut kept = None;
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let bridge = token_of(&stop);
        kept = Some(bridge.token().clone());
        let _guard = OnDrop(|| ());
        quiet_panic("with the bridge in hand");
    }));
    assert!(unwound.is_err());
    stop.set();
    assert!(!kept.unwrap().is_cancelled());
}

#[test]
fn the_types_can_be_sent_and_shared() {
    fn shared<T: Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<EventToken>();
    shared::<TokenEvent>();
}
