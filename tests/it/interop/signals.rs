//! Signals that come to a thread which waits: calls of the system's fail with `EINTR`, and nobody gives up.

#![allow(unsafe_code, reason = "the standard library has no signals")]

use super::process::{is_stopped, sh};
use crate::blocked::spawn_blocked;
use crate::common::finishes;
use std::ffi::{c_int, c_ulong};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use stoppable::{StopBarrier, StopCommand, StopCondvar, StopEvent, StopListener, StopStream};

/// Does nothing by default, if it comes from elsewhere.
const SIGURG: c_int = 23;

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handle(_signal: c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" {
    fn signal(signal: c_int, handler: usize) -> usize;
    safe fn siginterrupt(signal: c_int, interrupts: c_int) -> c_int;
    fn pthread_kill(thread: c_ulong, signal: c_int) -> c_int;
}

/// Lets the kernel reap the children of this process, and forget how they ended.
pub(super) fn ignore_children() {
    const SIGCHLD: c_int = 17;
    const SIG_IGN: usize = 1;
    // SAFETY: to ignore a signal calls nothing.
    assert_ne!(unsafe { signal(SIGCHLD, SIG_IGN) }, usize::MAX);
}

/// Sends that many signals to the thread, or fewer, if it ends.
fn pester<T>(thread: &JoinHandle<T>, signals: usize) {
    for _ in 0..signals {
        if thread.is_finished() {
            return;
        }
        // SAFETY: the thread has not been joined, so its number is its own.
        unsafe { pthread_kill(thread.as_pthread_t(), SIGURG) };
        thread::yield_now();
    }
}

/// Runs what blocks, under signals, until `end` makes it return; the signals go on in that, too.
#[track_caller]
fn under_signals<T: Send + 'static>(
    blocks: impl FnOnce(&StopEvent) -> T + Send + 'static,
    end: impl FnOnce(&StopEvent),
) -> T {
    // Calls are not begun again by the kernel.
    let handler = handle as extern "C" fn(c_int) as usize;
    // SAFETY: the handler does nothing that may not be done in one.
    assert_ne!(unsafe { signal(SIGURG, handler) }, usize::MAX);
    assert_eq!(siginterrupt(SIGURG, 1), 0);
    let before = HANDLED.load(Ordering::Relaxed);
    let stop = StopEvent::new();
    let thread = spawn_blocked({
        let stop = stop.clone();
        move || blocks(&stop)
    });
    pester(&thread, 200);
    assert!(!thread.is_finished(), "it gave up");
    end(&stop);
    pester(&thread, usize::MAX);
    let value = thread.join().unwrap();
    // Not before: on a busy machine the thread may have come to none of them until it had to wake up.
    assert!(HANDLED.load(Ordering::Relaxed) > before);
    value
}

fn set(stop: &StopEvent) {
    stop.set();
}

#[test]
fn children_are_waited_for_and_killed() {
    finishes(|| {
        is_stopped(under_signals(
            |stop| sh("exec sleep 1000").status_or_stopped(stop),
            set,
        ));
        let forks = |stop: &StopEvent| {
            let mut command = sh("sleep 1000 & wait");
            let mut command = command
                .own_group()
                .terminate_first(Duration::from_secs(1_000));
            command
                .output_or_stopped(stop)
                .map_err(std::io::Error::from)
        };
        is_stopped(under_signals(forks, set));
        // To its own end.
        let (mut held, input) = UnixStream::pair().unwrap();
        let reads = move |stop: &StopEvent| {
            let mut command = sh("cat; exit 3");
            command.stdin(std::os::fd::OwnedFd::from(input));
            command.output_or_stopped(stop).unwrap()
        };
        let output = under_signals(reads, |_| {
            held.write_all(b"end").unwrap();
            drop(held);
        });
        assert_eq!(
            (output.status.code(), &*output.stdout),
            (Some(3), &b"end"[..])
        );
    });
}

#[test]
fn an_accept_goes_on_and_is_ended() {
    finishes(|| {
        let accept = |stop: &StopEvent| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            StopListener::new(listener, stop).unwrap().accept()
        };
        is_stopped(under_signals(accept, set));
    });
}

#[test]
fn a_read_says_that_it_was_interrupted_and_loops_over_it_go_on() {
    finishes(|| {
        let (ours, peer) = UnixStream::pair().unwrap();
        let read = move |stop: &StopEvent| {
            let stream = StopStream::new(ours, stop);
            // As with the stream itself.
            let interrupted = (&stream).read(&mut [0]).unwrap_err();
            assert_eq!(interrupted.kind(), ErrorKind::Interrupted);
            (&stream).read_exact(&mut [0])
        };
        is_stopped(under_signals(read, set));
        drop(peer);
    });
}

#[test]
fn conditions_and_barriers_go_on_and_are_ended() {
    finishes(|| {
        let sleeps = |stop: &StopEvent| stop.sleep(Duration::from_secs(1_000));
        assert!(under_signals(sleeps, set).is_err());
        let waits = |stop: &StopEvent| {
            let (lock, changed) = (Mutex::new(()), StopCondvar::new());
            let waited = changed.wait_while(|| lock.lock().unwrap(), stop, |_| true);
            waited.map(drop)
        };
        assert!(under_signals(waits, set).is_err());
        let barrier = Arc::new(StopBarrier::new(2));
        let party = {
            let barrier = barrier.clone();
            move |stop: &StopEvent| barrier.wait_or_stopped(stop).is_ok()
        };
        let last = |_: &StopEvent| {
            barrier.wait_or_stopped(&StopEvent::never()).unwrap();
        };
        assert!(under_signals(party, last));
    });
}
