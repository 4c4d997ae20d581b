//! Sockets, and what is waited for with `poll`.

use super::stage::{Blocked, Stage, Started};
use super::{Row, Side, Sides};
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;
use stoppable::{Disconnect, StopEvent, StopStream};

pub(super) const ROWS: &[Row] = &[
    Row {
        key: "tcp_read",
        title: "`read` on a TCP `StopStream`",
        by_hand: "`TcpStream::shutdown`",
        share: 1,
        sides: |stage| {
            Sides::new(
                read(stage.clone(), tcp_pairs()),
                read_by_hand(stage, tcp_pairs()),
            )
        },
    },
    Row {
        key: "tcp_write",
        title: "`write` on a TCP `StopStream`",
        by_hand: "`TcpStream::shutdown`",
        share: 4,
        sides: |stage| {
            Sides::new(
                write(stage.clone(), tcp_pairs()),
                write_by_hand(stage, tcp_pairs()),
            )
        },
    },
    Row {
        key: "unix_read",
        title: "`read` on a unix `StopStream`",
        by_hand: "`UnixStream::shutdown`",
        share: 1,
        sides: |stage| {
            Sides::new(
                read(stage.clone(), unix_pair),
                read_by_hand(stage, unix_pair),
            )
        },
    },
    Row {
        key: "unix_write",
        title: "`write` on a unix `StopStream`",
        by_hand: "`UnixStream::shutdown`",
        share: 1,
        sides: |stage| {
            Sides::new(
                write(stage.clone(), unix_pair),
                write_by_hand(stage, unix_pair),
            )
        },
    },
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Row {
        key: "accept",
        title: "`StopListener::accept`",
        by_hand: "`shutdown` of the listening socket",
        share: 1,
        sides: |stage| Sides::new(accept(stage.clone()), accept_by_hand(stage)),
    },
    Row {
        key: "fd",
        title: "`poll(2)` with `stop.fd()`",
        by_hand: "with a pair of sockets, one shut down",
        share: 1,
        sides: |stage| Sides::new(fd(stage.clone()), fd_by_hand(stage)),
    },
];

/// A stream of either kind.
trait Stream: Disconnect + Sized {
    fn calls(&self) -> impl Read + Write;
    fn stoppable(self, stop: &StopEvent) -> impl Read + Write + use<Self>;
    fn set_blocking(&self, blocks: bool);
}

macro_rules! stream {
    ($stream:ty) => {
        impl Stream for $stream {
            fn calls(&self) -> impl Read + Write {
                self
            }

            fn stoppable(self, stop: &StopEvent) -> impl Read + Write + use<> {
                StopStream::new(self, stop)
            }

            fn set_blocking(&self, blocks: bool) {
                self.set_nonblocking(!blocks).expect("it is a socket");
            }
        }
    };
}

stream!(TcpStream);
stream!(UnixStream);

/// New connections, one after the other.
fn tcp_pairs() -> impl FnMut() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    move || {
        let one = TcpStream::connect(address).expect("somebody listens");
        let (other, _) = listener.accept().expect("somebody calls");
        (one, other)
    }
}

fn unix_pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("there are descriptors")
}

fn read<S: Stream>(stage: Stage, mut pair: impl FnMut() -> (S, S) + 'static) -> Side {
    Box::new(move || {
        let (stream, silent) = pair();
        let took = stage.ours(Blocked::Asleep, move |stop, started| {
            let mut stream = stream.stoppable(stop);
            started.tell();
            stream.read(&mut [0; 8]).expect_err("it was stopped");
            stream
        });
        drop(silent);
        took
    })
}

fn read_by_hand<S: Stream>(stage: Stage, mut pair: impl FnMut() -> (S, S) + 'static) -> Side {
    Box::new(move || {
        let (stream, silent) = pair();
        let stream = Arc::new(stream);
        let shared = Arc::clone(&stream);
        let block = move |started: &Started| {
            started.tell();
            let read = shared.calls().read(&mut [0; 8]);
            assert_eq!(read.expect("it has ended"), 0);
            shared
        };
        let took = stage.by_hand(Blocked::Asleep, block, || {
            stream.disconnect().expect("it is connected");
        });
        drop(silent);
        took
    })
}

/// Writes for as long as there is room. When the peer's side has taken what it can there may be some more, but not for long.
fn fill(stream: &impl Stream) {
    stream.set_blocking(false);
    let chunk = vec![0; 1 << 16];
    let full = loop {
        if let Err(error) = stream.calls().write(&chunk) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    stream.set_blocking(true);
}

/// Until it fails.
fn write_on(mut stream: impl Write) {
    while stream.write(&[0; 4096]).is_ok() {}
}

fn write<S: Stream>(stage: Stage, mut pair: impl FnMut() -> (S, S) + 'static) -> Side {
    Box::new(move || {
        let (stream, silent) = pair();
        fill(&stream);
        let took = stage.ours(Blocked::Asleep, move |stop, started| {
            let mut stream = stream.stoppable(stop);
            started.tell();
            write_on(&mut stream);
            assert!(stop.is_set());
            stream
        });
        drop(silent);
        took
    })
}

fn write_by_hand<S: Stream>(stage: Stage, mut pair: impl FnMut() -> (S, S) + 'static) -> Side {
    Box::new(move || {
        let (stream, silent) = pair();
        fill(&stream);
        let stream = Arc::new(stream);
        let shared = Arc::clone(&stream);
        let block = move |started: &Started| {
            started.tell();
            write_on(shared.calls());
            shared
        };
        let took = stage.by_hand(Blocked::Asleep, block, || {
            stream.disconnect().expect("it is connected");
        });
        drop(silent);
        took
    })
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn accept(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        stage.ours(Blocked::Asleep, move |stop, started| {
            let listener = stoppable::StopListener::new(listener, stop);
            let listener = listener.expect("there are descriptors");
            started.tell();
            listener.accept().expect_err("it was stopped");
            listener
        })
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn accept_by_hand(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let listener = Arc::new(listener);
        let shared = Arc::clone(&listener);
        let block = move |started: &Started| {
            started.tell();
            shared.accept().expect_err("it was shut down");
            shared
        };
        stage.by_hand(Blocked::Asleep, block, || {
            rustix::net::shutdown(&*listener, rustix::net::Shutdown::Both).expect("it listens");
        })
    }
}

fn fd(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        let (source, silent) = unix_pair();
        let took = stage.ours(Blocked::Asleep, move |stop, started| {
            let stopped = stop.fd().expect("there are descriptors");
            started.tell();
            poll_both(&source, &stopped);
            (source, stopped)
        });
        drop(silent);
        took
    }
}

fn fd_by_hand(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        let (source, silent) = unix_pair();
        let (stopped, stop) = unix_pair();
        let block = move |started: &Started| {
            started.tell();
            poll_both(&source, &stopped);
            (source, stopped)
        };
        let took = stage.by_hand(Blocked::Asleep, block, || {
            stop.shutdown(Shutdown::Both).expect("it is connected");
        });
        drop(silent);
        took
    }
}

fn poll_both(source: &impl AsFd, stopped: &impl AsFd) {
    let mut fds = [
        PollFd::new(source, PollFlags::IN),
        PollFd::new(stopped, PollFlags::IN),
    ];
    poll(&mut fds, None).expect("nothing interrupts it");
    assert!(fds[0].revents().is_empty() && !fds[1].revents().is_empty());
}
