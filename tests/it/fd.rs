//! The descriptor of an event: readable from the set on, and not before.

use crate::common::finishes;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use stoppable::{StopEvent, StopFd, ThreadPool};

/// A second descriptor of the same socket.
fn duplicate(fd: &StopFd) -> UnixStream {
    UnixStream::from(fd.as_fd().try_clone_to_owned().unwrap())
}

/// Whether a read would not block. There is nothing to be read but the end.
#[track_caller]
fn is_readable(mut socket: &UnixStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    match socket.read(&mut [0; 8]) {
        Ok(read) => {
            assert_eq!(read, 0, "it carries no data");
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

#[test]
fn it_is_readable_from_the_set_on() {
    let stop = StopEvent::new();
    let fd = stop.fd().unwrap();
    let socket = duplicate(&fd);
    assert!(!is_readable(&socket));
    stop.set();
    // For good: reading does not use it up.
    assert!(is_readable(&socket) && is_readable(&socket) && is_readable(&duplicate(&fd)));
}

#[test]
fn it_is_readable_at_once_if_it_is_set_already() {
    let stop = StopEvent::new();
    stop.set();
    assert!(is_readable(&duplicate(&stop.fd().unwrap())));
    assert!(is_readable(&duplicate(&stop.child().fd().unwrap())));
}

#[test]
fn a_stop_from_above_reaches_it_and_one_from_below_does_not() {
    let (above, other) = (StopEvent::new(), StopEvent::new());
    let middle = StopEvent::any([&above, &other]);
    let below = middle.child();
    let fds = [&above, &middle, &below].map(|event| event.fd().unwrap());
    let sockets = fds.each_ref().map(duplicate);
    let readable = || sockets.each_ref().map(is_readable);
    assert_eq!(readable(), [false; 3]);
    below.set();
    assert_eq!(readable(), [false, false, true]);
    other.set();
    assert_eq!(readable(), [false, true, true]);
    above.set();
    assert_eq!(readable(), [true; 3]);
}

#[test]
fn that_of_never_never_is() {
    let never = StopEvent::never();
    let fd = never.fd().unwrap();
    never.set();
    assert!(!is_readable(&duplicate(&fd)));
}

#[test]
fn it_outlives_the_handles() {
    let stop = StopEvent::new();
    let fd = stop.child().fd().unwrap();
    let socket = duplicate(&fd);
    assert!(!is_readable(&socket));
    stop.set();
    assert!(is_readable(&socket));
}

#[test]
fn dropping_it_leaves_nothing_behind() {
    let stop = StopEvent::new();
    let fd = stop.fd().unwrap();
    let other = stop.fd().unwrap();
    let socket = duplicate(&fd);
    drop(fd);
    // The end that the event held is closed, though the event is unset and alive.
    assert!(is_readable(&socket) && !stop.peek());
    assert!(!is_readable(&duplicate(&other)));
    assert!(stop.set());
    assert!(is_readable(&duplicate(&other)));
    drop(stop);
    drop(other);
}

/// A task that waits in a system call hears of its stop, and is Cancelled by its poll.
#[test]
fn it_wakes_a_task_that_blocks_in_a_system_call() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (tell, told) = mpsc::channel();
        let task = pool.submit(move |stop| {
            let fd = stop.fd().unwrap();
            tell.send(()).unwrap();
            let read = duplicate(&fd).read(&mut [0; 8]).unwrap();
            (read, stop.is_set())
        });
        told.recv().unwrap();
        // It may block by now; if it does not yet, it finds the descriptor readable.
        thread::yield_now();
        task.cancel();
        match task.outcome() {
            stoppable::Outcome::Cancelled { partial, .. } => assert_eq!(partial, Some((0, true))),
            other => panic!("{other:?}"),
        }
    });
}

/// The flags of a descriptor of this process say whether it is closed by `exec`.
#[cfg(target_os = "linux")]
#[test]
fn started_processes_do_not_have_it() {
    let closes_on_exec = |fd: i32| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        flags & 0o2_000_000 != 0
    };
    let fd = StopEvent::new().fd().unwrap();
    assert!(closes_on_exec(fd.as_raw_fd()));
    // The standard error is one that is not.
    assert!(!closes_on_exec(2));
}

#[test]
fn it_can_be_sent_shared_and_printed() {
    fn shared<T: Send + Sync + Unpin + 'static>() {}
    shared::<StopFd>();
    let fd = StopEvent::new().fd().unwrap();
    assert_eq!(format!("{fd:?}"), format!("StopFd({})", fd.as_raw_fd()));
    assert_eq!(fd.as_raw_fd(), fd.as_fd().as_raw_fd());
}
