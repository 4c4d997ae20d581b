//! Channels whose waits a stop event ends.

use crate::common::{DropCounter, Gate, finishes};
use crossbeam_channel::{Select, TryRecvError, bounded, select, unbounded};
use std::sync::Arc;
use std::thread;
use stoppable::interop::crossbeam_channel::{
    RecvOrStopped, SendOrStopped, StopReceiver, recv_or_stopped, send_or_stopped, stop_receiver,
};
use stoppable::{StopEvent, StopReason, TaskStatus, ThreadPool};

#[test]
fn the_receiver_ends_when_the_event_is_set() {
    let root = StopEvent::new();
    let stop = StopEvent::any([&root.child()]);
    let stopped = stop_receiver(&stop);
    let clone = stopped.clone();
    assert_eq!(stopped.try_recv(), Err(TryRecvError::Empty));
    root.set();
    assert_eq!(stopped.try_recv(), Err(TryRecvError::Disconnected));
    drop(stopped);
    assert_eq!(clone.try_recv(), Err(TryRecvError::Disconnected));
    // Of an event that is set already, at once.
    assert_eq!(
        stop_receiver(&stop).try_recv(),
        Err(TryRecvError::Disconnected)
    );
}

#[test]
fn the_receiver_of_an_event_that_is_gone_or_never_set_stays_silent() {
    let stop = StopEvent::new();
    let stopped = stop_receiver(&stop);
    drop(stop);
    assert_eq!(stopped.try_recv(), Err(TryRecvError::Empty));
    let never = stop_receiver(&StopEvent::never());
    assert_eq!(never.try_recv(), Err(TryRecvError::Empty));
    let clone = never.clone();
    drop(never);
    assert_eq!(clone.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn select_wakes_on_stop() {
    finishes(|| {
        let stop = StopEvent::new();
        let (_send, numbers) = unbounded::<u8>();
        let begun = Gate::new();
        let setter = thread::spawn({
            let (stop, begun) = (stop.clone(), Arc::clone(&begun));
            move || {
                begun.pass();
                stop.set();
            }
        });
        let stopped = stop_receiver(&stop);
        begun.open();
        select! {
            recv(numbers) -> _ => panic!("nobody sent any"),
            recv(stopped) -> end => assert!(end.is_err()),
        }
        assert!(stop.is_set());
        let mut select = Select::new();
        select.recv(&stopped);
        assert_eq!(select.ready(), 0);
        setter.join().unwrap();
    });
}

#[test]
fn recv_gives_messages_then_the_end() {
    let stop = StopEvent::new();
    let (send, numbers) = unbounded();
    send.send(1).unwrap();
    send.send(2).unwrap();
    drop(send);
    assert_eq!(recv_or_stopped(&numbers, &stop), Ok(1));
    assert_eq!(recv_or_stopped(&numbers, &stop), Ok(2));
    let end = recv_or_stopped(&numbers, &stop).unwrap_err();
    assert_eq!(end, RecvOrStopped::Disconnected);
    assert_eq!(end.to_string(), "all senders are gone");
}

#[test]
fn the_stop_comes_before_a_message_and_leaves_it() {
    let stop = StopEvent::new();
    let (send, numbers) = bounded(1);
    send.send(1).unwrap();
    stop.set_with(StopReason::custom("enough"));
    match recv_or_stopped(&numbers, &stop) {
        Err(RecvOrStopped::Stopped(stopped)) => {
            assert_eq!(stopped.reason(), StopReason::custom("enough"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(numbers.try_recv(), Ok(1));
    // There is room, but nothing is sent.
    let refused = send_or_stopped(&send, 2, &stop).unwrap_err();
    assert!(matches!(refused, SendOrStopped::Stopped(2, _)));
    assert!(numbers.is_empty());
}

/// A task that waits for a channel is stopped there, and has seen it.
#[test]
fn a_stop_ends_a_wait() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let (send, numbers) = bounded::<u8>(0);
        let receiving = pool.submit({
            let numbers = numbers.clone();
            move |stop| recv_or_stopped(&numbers, stop).unwrap_err()
        });
        receiving.wait_started();
        receiving.cancel();
        receiving.wait();
        assert_eq!(receiving.status(), TaskStatus::Cancelled);
        let sending = pool.submit(move |stop| send_or_stopped(&send, 7, stop).unwrap_err());
        sending.wait_started();
        sending.cancel();
        sending.wait();
        assert_eq!(sending.status(), TaskStatus::Cancelled);
    });
}

#[test]
fn a_message_or_the_end_ends_a_wait() {
    finishes(|| {
        let stop = StopEvent::new();
        let (send, numbers) = bounded(0);
        thread::scope(|scope| {
            let receiving = scope.spawn(|| {
                let first = recv_or_stopped(&numbers, &stop);
                (first, recv_or_stopped(&numbers, &stop))
            });
            assert!(send_or_stopped(&send, 7, &stop).is_ok());
            drop(send);
            let (first, second) = receiving.join().unwrap();
            assert_eq!(first, Ok(7));
            assert_eq!(second, Err(RecvOrStopped::Disconnected));
        });
    });
}

#[test]
fn a_message_that_is_not_sent_comes_back() {
    let (stop, drops) = (StopEvent::new(), DropCounter::new());
    let (send, receive) = unbounded();
    drop(receive);
    let refused = send_or_stopped(&send, drops.token(), &stop).unwrap_err();
    assert!(matches!(refused, SendOrStopped::Disconnected(_)));
    assert_eq!(refused.to_string(), "all receivers are gone");
    assert_eq!(drops.count(), 0);
    drop(refused.into_inner());
    assert_eq!(drops.count(), 1);
}

#[test]
fn the_types_can_be_sent_and_shared() {
    fn shared<T: Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<StopReceiver>();
    shared::<RecvOrStopped>();
    shared::<SendOrStopped<std::sync::mpsc::SyncSender<u8>>>();
}
