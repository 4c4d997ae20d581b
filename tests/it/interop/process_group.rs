//! Groups of processes that a stop ends, and children that are asked before they are killed.

use super::process::{Mark, is_alive, is_stopped, is_there, sh, state};
use crate::common::{finishes, until};
use std::env;
use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;
use stoppable::{Outcome, StopCommand, StopEvent, StopOutputError, ThreadPool};

/// Longer than any test may last.
const LONG: Duration = Duration::from_secs(1_000);

/// Who is in the group and alive.
pub(super) fn members(group: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| is_alive(pid) && state(pid).is_some_and(|(.., of)| of == group))
        .collect()
}

/// Runs `run` with an event that is set once the script has left its mark, and gives the process of the mark, too.
fn stopped<T: Send + 'static>(
    script: &str,
    run: impl FnOnce(&mut Command, &StopEvent) -> T + Send + 'static,
) -> (T, u32) {
    let (stop, mark) = (StopEvent::new(), Mark::new());
    let script = script.replace("MARK", &format!("echo $$ > {}", mark.text()));
    // A standard input that never ends by itself.
    let (held, input) = UnixStream::pair().unwrap();
    let runner = thread::spawn({
        let stop = stop.clone();
        move || run(sh(&script).stdin(OwnedFd::from(input)), &stop)
    });
    let pid = mark.wait();
    stop.set();
    let result = runner.join().unwrap();
    drop(held);
    (result, pid)
}

#[track_caller]
fn kept(result: Result<Output, StopOutputError>) -> Output {
    match result {
        Err(StopOutputError::Stopped {
            output: Some(output),
            ..
        }) => output,
        other => panic!("it was not stopped: {other:?}"),
    }
}

#[test]
fn a_child_that_forks_leaves_nobody_alive() {
    finishes(|| {
        // The shell has children, and a grandchild that has lost its parent.
        let script =
            "sleep 1000 & (sleep 1000 & sleep 1000 & exit) & (exec sleep 1000 &); MARK; wait";
        for grace in [None, Some(LONG)] {
            let (result, pid) = stopped(script, move |command, stop| {
                let mut command = command.own_group();
                if let Some(grace) = grace {
                    command = command.terminate_first(grace);
                }
                command.status_or_stopped(stop)
            });
            is_stopped(result);
            assert!(!is_there(pid));
            until(|| members(pid).is_empty());
            let (result, pid) = stopped(script, move |command, stop| {
                let mut command = command.own_group();
                if let Some(grace) = grace {
                    command = command.terminate_first(grace);
                }
                command.output_or_stopped(stop)
            });
            let status = kept(result).status;
            assert_eq!(status.signal(), Some(if grace.is_some() { 15 } else { 9 }));
            assert!(!is_there(pid));
            until(|| members(pid).is_empty());
        }
    });
}

#[test]
fn the_group_is_the_childs_own_and_its_task_has_seen_its_stop() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let mark = Mark::new();
        let script = format!("sleep 1000 & echo $$ > {}; wait", mark.text());
        let task = pool.submit(move |stop| sh(&script).own_group().status_or_stopped(stop));
        let pid = mark.wait();
        let (_, parent, group) = state(pid).unwrap();
        assert_eq!((parent, group), (std::process::id(), pid));
        assert_eq!(members(pid).len(), 2);
        task.cancel();
        assert!(matches!(
            task.outcome(),
            Outcome::Cancelled {
                partial: Some(Err(_)),
                ..
            }
        ));
        until(|| members(pid).is_empty());
    });
}

#[test]
fn a_child_that_ends_by_itself_leaves_its_group_alone() {
    finishes(|| {
        let mark = Mark::new();
        let script = format!("sleep 1000 >&- 2>&- & echo $! > {}; exit 3", mark.text());
        let stop = StopEvent::new();
        let status = sh(&script).own_group().status_or_stopped(&stop).unwrap();
        assert_eq!(status.code(), Some(3));
        let left = mark.wait();
        stop.set();
        assert!(is_alive(left));
        let kill = Command::new("kill")
            .args(["-KILL", &left.to_string()])
            .status();
        assert!(kill.unwrap().success());
    });
}

#[test]
fn one_that_hands_its_output_to_others_has_not_ended_and_they_are_killed() {
    finishes(|| {
        // The shell ends at once, and is a zombie for as long as the other holds the pipe.
        let script = "sleep 1000 & MARK; printf out";
        let (result, pid) = stopped(script, |command, stop| {
            command.own_group().output_or_stopped(stop)
        });
        let output = kept(result);
        assert!(output.stdout.is_empty() || output.stdout == b"out");
        assert!(!is_there(pid));
        until(|| members(pid).is_empty());
    });
}

#[test]
fn one_that_ignores_the_question_is_killed_at_the_end_of_its_grace() {
    finishes(|| {
        let grace = Duration::from_millis(50);
        let script = "trap '' TERM; MARK; exec sleep 1000";
        let (result, pid) = stopped(script, move |command, stop| {
            command.terminate_first(grace).output_or_stopped(stop)
        });
        assert_eq!(kept(result).status.signal(), Some(9));
        assert!(!is_there(pid));
        let script = "trap '' TERM; sleep 1000 & MARK; wait";
        let (result, pid) = stopped(script, move |command, stop| {
            command
                .own_group()
                .terminate_first(grace)
                .status_or_stopped(stop)
        });
        is_stopped(result);
        assert!(!is_there(pid));
        until(|| members(pid).is_empty());
    });
}

#[test]
fn one_that_cleans_up_has_the_time_and_its_last_words_are_kept() {
    finishes(|| {
        // More than a pipe holds: somebody has to read while it cleans up.
        let script =
            "trap 'head -c 300000 /dev/zero; printf cleaned >&2; exit 7' TERM; MARK; read x";
        for group in [false, true] {
            let (result, pid) = stopped(script, move |command, stop| {
                let mut command = command.terminate_first(LONG);
                if group {
                    command = command.own_group();
                }
                command.output_or_stopped(stop)
            });
            let output = kept(result);
            assert_eq!(output.status.code(), Some(7));
            assert_eq!(
                (output.stdout.len(), &*output.stderr),
                (300_000, &b"cleaned"[..])
            );
            assert!(!is_there(pid));
        }
        // Who ends well after a stop was stopped all the same.
        let (result, _) = stopped("trap 'exit 0' TERM; MARK; read x", |command, stop| {
            command.terminate_first(LONG).status_or_stopped(stop)
        });
        is_stopped(result);
    });
}

#[test]
fn others_in_the_group_have_until_the_end_of_the_output() {
    finishes(|| {
        // The shell dies of the question at once, and the one that it started cleans up.
        // (A shell minds a signal in its own `wait`, but not in that for a program which began after the signal came.)
        let script =
            "sh -c 'trap \"echo late; exit\" TERM; MARK; sleep 1000 >/dev/null 2>&1 & wait' & wait";
        let (result, _) = stopped(script, |command, stop| {
            let mut command = command.own_group().terminate_first(LONG);
            command.output_or_stopped(stop)
        });
        let output = kept(result);
        assert_eq!(
            (output.status.signal(), &*output.stdout),
            (Some(15), &b"late\n"[..])
        );
    });
}

#[test]
fn when_the_child_has_ended_the_rest_of_its_group_is_killed_before_the_grace_is_over() {
    finishes(|| {
        let script = "(trap '' TERM; sleep 1000 & sleep 1000) & sleep 1000 & MARK; wait";
        let (result, pid) = stopped(script, |command, stop| {
            command
                .own_group()
                .terminate_first(LONG)
                .status_or_stopped(stop)
        });
        is_stopped(result);
        assert!(!is_there(pid));
        until(|| members(pid).is_empty());
    });
}

#[test]
fn a_grace_of_nothing_is_a_kill_and_one_for_ever_does_not_overflow() {
    finishes(|| {
        let (result, _) = stopped("trap '' TERM; MARK; exec sleep 1000", |command, stop| {
            command
                .terminate_first(Duration::ZERO)
                .status_or_stopped(stop)
        });
        is_stopped(result);
        let (result, _) = stopped("MARK; exec sleep 1000", |command, stop| {
            command
                .terminate_first(Duration::MAX)
                .status_or_stopped(stop)
        });
        is_stopped(result);
    });
}

#[test]
fn after_the_stop_nothing_is_started_and_an_error_is_an_error() {
    let stop = StopEvent::new();
    let mut command = Command::new("/no such program");
    let error = command.own_group().status_or_stopped(&stop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    stop.set();
    is_stopped(command.own_group().status_or_stopped(&stop));
    let result = command.terminate_first(LONG).output_or_stopped(&stop);
    assert!(matches!(
        result,
        Err(StopOutputError::Stopped { output: None, .. })
    ));
}

const ROLE: &str = "STOPPABLE_TEST_PROCESSES";

/// What the process that the test below starts does: nothing in a run of its own.
#[test]
fn role() {
    let Ok(role) = env::var(ROLE) else { return };
    let count = |what| fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    let children = || {
        let of_this =
            |pid: &u32| state(*pid).is_some_and(|(_, parent, _)| parent == std::process::id());
        let processes = fs::read_dir("/proc").unwrap();
        let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(of_this).count()
    };
    if role == "ignores" {
        super::signals::ignore_children();
        let error = sh("exit 3")
            .own_group()
            .status_or_stopped(&StopEvent::new())
            .unwrap_err();
        assert!(error.raw_os_error().is_some(), "{error}");
        println!("\nfine");
        return;
    }
    let all = |rounds| {
        for _ in 0..rounds {
            let script = "sleep 1000 & MARK; read x";
            is_stopped(
                stopped(script, |command, stop| {
                    command.own_group().status_or_stopped(stop)
                })
                .0,
            );
            let (result, _) = stopped(script, |command, stop| {
                command
                    .own_group()
                    .terminate_first(LONG)
                    .output_or_stopped(stop)
            });
            kept(result);
            is_stopped(
                stopped("MARK; read x", |command, stop| {
                    command.status_or_stopped(stop)
                })
                .0,
            );
            kept(
                stopped("MARK; read x", |command, stop| {
                    command.output_or_stopped(stop)
                })
                .0,
            );
            sh("exit 1").output_or_stopped(&StopEvent::new()).unwrap();
            assert!(
                Command::new("/no such program")
                    .output_or_stopped(&StopEvent::new())
                    .is_err()
            );
        }
    };
    all(1);
    let before = (count("fd"), count("task"), children());
    all(10);
    assert_eq!((count("fd"), count("task"), children()), before);
    println!("\nfine");
}

#[track_caller]
fn plays(role: &str) {
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut role = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("{module}::role")])
        .env(ROLE, role)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    role.stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(role.wait().unwrap().success(), "{said}");
    assert!(said.lines().any(|line| line == "fine"), "{said}");
}

#[test]
fn no_process_no_thread_and_no_descriptor_is_left() {
    finishes(|| plays("leaves nothing"));
}

#[test]
fn where_the_kernel_reaps_there_is_an_error_and_no_hang() {
    finishes(|| plays("ignores"));
}
