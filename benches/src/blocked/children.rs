//! Child processes that are killed: until they have been reaped.
//!
//! By hand, they are killed by their number while another thread waits. That needs care that is not taken here: a child which
//! ends by itself just before has been reaped, and its number may be another process's.

use super::stage::{Blocked, Stage, Started};
use super::{Row, Sides};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use stoppable::StopCommand;

pub(super) const ROWS: &[Row] = &[
    Row {
        key: "status",
        title: "`status_or_stopped`: killed and reaped",
        by_hand: "`kill` by number, and `Child::wait`",
        share: 10,
        sides: |stage| {
            let by = stage.clone();
            let ours = move || {
                stage.ours(Blocked::WithChild, |stop, started| {
                    started.tell();
                    long().status_or_stopped(stop).expect_err("it was killed")
                })
            };
            let by_hand = killed(by, |mut child| {
                assert!(!child.wait().expect("it is ours").success());
            });
            Sides::new(ours, by_hand)
        },
    },
    Row {
        key: "output",
        title: "`output_or_stopped`: killed and reaped",
        by_hand: "`kill` by number, and `Child::wait_with_output`",
        share: 10,
        sides: |stage| {
            let by = stage.clone();
            let ours = move || {
                stage.ours(Blocked::WithChild, |stop, started| {
                    started.tell();
                    long().output_or_stopped(stop).expect_err("it was killed")
                })
            };
            let by_hand = killed(by, |child| {
                let output = child.wait_with_output().expect("it is ours");
                assert!(!output.status.success());
            });
            Sides::new(ours, by_hand)
        },
    },
];

/// What takes longer than any round.
fn long() -> Command {
    let mut command = Command::new("sleep");
    command.arg("60").stdin(Stdio::null());
    command
}

fn killed(stage: Stage, wait: impl Fn(Child) + Copy + Send + 'static) -> impl FnMut() -> Duration {
    move || {
        let number = Arc::new(OnceLock::new());
        let told = Arc::clone(&number);
        let block = move |started: &Started| {
            let mut command = long();
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let child = command.spawn().expect("there is a `sleep`");
            told.set(Pid::from_child(&child)).expect("there is one");
            started.tell();
            wait(child);
        };
        stage.by_hand(Blocked::WithChild, block, || {
            let number = *number.get().expect("it was started");
            kill_process(number, Signal::KILL).expect("it runs");
        })
    }
}
