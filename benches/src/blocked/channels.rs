//! Channels of `crossbeam`.

use super::stage::{Blocked, Stage, Started};
use super::{Row, Sides};
use crossbeam_channel::{Receiver, bounded, select, unbounded};
use std::convert::Infallible;
use std::time::Duration;
use stoppable::interop::crossbeam_channel::{recv_or_stopped, send_or_stopped, stop_receiver};

pub(super) const ROWS: &[Row] = &[
    Row {
        key: "recv",
        title: "`recv_or_stopped`",
        by_hand: "`select!` with a channel that is dropped",
        share: 1,
        sides: |stage| Sides::new(receive(stage.clone()), select_by_hand(stage)),
    },
    Row {
        key: "select",
        title: "`select!` with `stop_receiver`",
        by_hand: "with a channel that is dropped",
        share: 1,
        sides: |stage| Sides::new(select(stage.clone()), select_by_hand(stage)),
    },
    Row {
        key: "send",
        title: "`send_or_stopped`",
        by_hand: "`select!` with a channel that is dropped",
        share: 1,
        sides: |stage| Sides::new(send(stage.clone()), send_by_hand(stage)),
    },
];

fn receive(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        let (sender, receiver) = unbounded::<u64>();
        let took = stage.ours(Blocked::Asleep, move |stop, started| {
            started.tell();
            recv_or_stopped(&receiver, stop).expect_err("nothing is sent");
            receiver
        });
        drop(sender);
        took
    }
}

fn select(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        let (sender, receiver) = unbounded();
        let took = stage.ours(Blocked::Asleep, move |stop, started| {
            let stopped = stop_receiver(stop);
            started.tell();
            wait(&receiver, &stopped);
            (receiver, stopped)
        });
        drop(sender);
        took
    }
}

fn select_by_hand(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        let (sender, receiver) = unbounded();
        let (stop, stopped) = bounded(0);
        let block = move |started: &Started| {
            started.tell();
            wait(&receiver, &stopped);
            (receiver, stopped)
        };
        let took = stage.by_hand(Blocked::Asleep, block, || drop(stop));
        drop(sender);
        took
    }
}

fn wait(receiver: &Receiver<u64>, stopped: &Receiver<Infallible>) {
    select! {
        recv(receiver) -> message => panic!("nothing is sent, but {message:?}"),
        recv(stopped) -> _ => {}
    }
}

fn send(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        let (sender, receiver) = bounded::<u64>(0);
        let took = stage.ours(Blocked::Asleep, move |stop, started| {
            started.tell();
            send_or_stopped(&sender, 1, stop).expect_err("nothing is received");
            sender
        });
        drop(receiver);
        took
    }
}

fn send_by_hand(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        let (sender, receiver) = bounded::<u64>(0);
        let (stop, stopped) = bounded::<Infallible>(0);
        let block = move |started: &Started| {
            started.tell();
            select! {
                send(sender, 1) -> sent => panic!("nothing is received, but {sent:?}"),
                recv(stopped) -> _ => {}
            }
            (sender, stopped)
        };
        let took = stage.by_hand(Blocked::Asleep, block, || drop(stop));
        drop(receiver);
        took
    }
}
