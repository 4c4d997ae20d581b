//! Child processes that a stop kills: output kept, no zombie, no thread.

use crate::common::{finishes, until};
use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use stoppable::{Outcome, StopCommand, StopEvent, StopOutputError, Stopped, ThreadPool};

pub(super) fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

/// A file that a script makes to say that it has come so far. It must not be there before.
pub(super) struct Mark(PathBuf);

impl Mark {
    pub(super) fn new() -> Mark {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("stoppable-{}-{count}", std::process::id());
        Mark(std::env::temp_dir().join(name))
    }

    pub(super) fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Waits for it, and gives what the script wrote to it, which is its process id.
    pub(super) fn wait(&self) -> u32 {
        let read = || {
            fs::read_to_string(&self.0)
                .ok()?
                .strip_suffix('\n')?
                .parse()
                .ok()
        };
        until(|| read().is_some());
        read().unwrap()
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether there is such a process, if only as a zombie.
pub(super) fn is_there(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap()
}

/// The fields of a process's line of state: what it does, its parent, its group. `None` if it is gone.
pub(super) fn state(pid: u32) -> Option<(char, u32, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let mut next = || fields.next();
    let state = next()?.chars().next()?;
    Some((state, next()?.parse().ok()?, next()?.parse().ok()?))
}

/// Whether there is such a process, and it has not ended.
pub(super) fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|(state, ..)| !"ZX".contains(state))
}

#[track_caller]
pub(super) fn is_stopped<T: std::fmt::Debug>(result: io::Result<T>) {
    assert!(result.unwrap_err().downcast::<Stopped>().is_ok());
}

#[test]
fn a_child_that_ends_by_itself_is_not_disturbed() {
    finishes(|| {
        let stop = StopEvent::new();
        let status = sh("exit 3").status_or_stopped(&stop).unwrap();
        assert_eq!(status.code(), Some(3));
        let output = sh("echo out; echo err >&2; exit 4")
            .output_or_stopped(&stop)
            .unwrap();
        assert_eq!(output.status.code(), Some(4));
        assert_eq!(
            (&*output.stdout, &*output.stderr),
            (&b"out\n"[..], &b"err\n"[..])
        );
        // Its input is closed at once, not held open.
        let mut cat = Command::new("cat");
        assert!(
            cat.stdin(Stdio::piped())
                .status_or_stopped(&stop)
                .unwrap()
                .success()
        );
        assert!(cat.output_or_stopped(&stop).unwrap().stdout.is_empty());
    });
}

#[test]
fn a_child_is_killed_and_reaped_and_the_task_has_seen_its_stop() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let mark = Mark::new();
        let script = format!("echo $$ > {}; exec sleep 1000", mark.text());
        let task = pool.submit(move |stop| sh(&script).status_or_stopped(stop));
        let pid = mark.wait();
        assert!(is_there(pid));
        task.cancel();
        let Outcome::Cancelled {
            partial: Some(result),
            ..
        } = task.outcome()
        else {
            panic!("it was not cancelled");
        };
        is_stopped(result);
        assert!(!is_there(pid));
    });
}

#[test]
fn what_it_had_written_is_kept_even_if_another_process_holds_the_pipe() {
    finishes(|| {
        let (stop, mark) = (StopEvent::new(), Mark::new());
        // The shell is killed; what it started lives on, with the pipes open, until it is told below.
        let (mut held, end) = UnixStream::pair().unwrap();
        let script = format!(
            "printf out; printf err >&2; cat & echo $$ > {}; wait",
            mark.text()
        );
        let runner = thread::spawn({
            let stop = stop.clone();
            move || {
                let mut command = sh(&format!("exec 3<&0; {}", script.replace("cat", "cat <&3")));
                command.stdin(Stdio::from(std::os::fd::OwnedFd::from(end)));
                command.output_or_stopped(&stop)
            }
        });
        let pid = mark.wait();
        stop.set();
        let Err(StopOutputError::Stopped {
            output: Some(output),
            ..
        }) = runner.join().unwrap()
        else {
            panic!("it was not stopped");
        };
        assert_eq!(
            (&*output.stdout, &*output.stderr),
            (&b"out"[..], &b"err"[..])
        );
        assert_eq!(output.status.signal(), Some(9));
        assert!(!is_there(pid));
        // The one that was left ends, too.
        held.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(held.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn one_that_has_ended_before_the_stop_is_noticed_counts_as_ended() {
    finishes(|| {
        for output in [false, true] {
            for _ in 0..5 {
                let (stop, mark) = (StopEvent::new(), Mark::new());
                // It runs for a while, so that the pauses between two looks are long.
                let script = format!("echo $$ > {}; sleep 0.1; exit 3", mark.text());
                let runner = thread::spawn({
                    let stop = stop.clone();
                    move || {
                        let mut command = sh(&script);
                        match output {
                            false => command.status_or_stopped(&stop),
                            true => Ok(command.output_or_stopped(&stop)?.status),
                        }
                    }
                });
                let pid = mark.wait();
                until(|| !is_alive(pid));
                stop.set();
                assert_eq!(runner.join().unwrap().unwrap().code(), Some(3));
            }
        }
    });
}

#[test]
fn much_output_on_both_sides_comes_whole() {
    finishes(|| {
        let script = "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; printf end";
        let output = sh(script).output_or_stopped(&StopEvent::never()).unwrap();
        assert_eq!(
            (output.stdout.len(), output.stderr.len()),
            (3_000_003, 2_000_000)
        );
        assert!(output.status.success() && output.stdout.ends_with(b"\0end"));
    });
}

#[test]
fn one_that_never_stops_writing_is_stopped() {
    finishes(|| {
        let stop = StopEvent::new();
        let mut yes = Command::new("yes");
        stop.set_after(std::time::Duration::from_millis(10));
        let result = yes.output_or_stopped(&stop);
        let Err(StopOutputError::Stopped {
            output: Some(output),
            ..
        }) = &result
        else {
            panic!("{result:?}");
        };
        assert!(
            output
                .stdout
                .iter()
                .take(100)
                .all(|byte| b"y\n".contains(byte))
        );
        is_stopped(result.map_err(io::Error::from));
    });
}

#[test]
fn one_that_closes_its_output_is_waited_for_and_stopped() {
    finishes(|| {
        let (stop, mark) = (StopEvent::new(), Mark::new());
        let script = format!("exec >&- 2>&-; echo $$ > {}; exec sleep 1000", mark.text());
        let runner = thread::spawn({
            let stop = stop.clone();
            move || sh(&script).output_or_stopped(&stop)
        });
        let pid = mark.wait();
        stop.set();
        is_stopped(runner.join().unwrap().map_err(io::Error::from));
        assert!(!is_there(pid));
    });
}

#[test]
fn after_the_stop_nothing_is_started() {
    let (stop, mark) = (StopEvent::new(), Mark::new());
    stop.set();
    let mut command = sh(&format!("echo $$ > {}", mark.text()));
    is_stopped(command.status_or_stopped(&stop));
    let result = command.output_or_stopped(&stop);
    assert!(matches!(
        result,
        Err(StopOutputError::Stopped { output: None, .. })
    ));
    assert!(!mark.0.exists());
    // It is the stop that is told, not that there is no such program.
    is_stopped(Command::new("/no such program").status_or_stopped(&stop));
}

#[test]
fn one_that_cannot_be_started_is_an_error() {
    let stop = StopEvent::new();
    let mut command = Command::new("/no such program");
    let error = command.status_or_stopped(&stop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let error = command.output_or_stopped(&stop).unwrap_err();
    assert!(
        matches!(&error, StopOutputError::Io(error) if error.kind() == io::ErrorKind::NotFound)
    );
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
}
