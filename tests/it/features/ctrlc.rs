//! The event that Ctrl-C sets. A handler is for good, so each test has a process of its own: this very
//! program, told by a variable what to play.

use crate::common::finishes;
use std::env;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use stoppable::interop::ctrlc::{SecondPress, ctrl_c, ctrl_c_then};
use stoppable::{StopEvent, StopReason};

const ROLE: &str = "STOPPABLE_TEST_CTRL_C";

/// What the process that the tests start does: nothing in a run of its own.
#[test]
fn role() {
    let Ok(role) = env::var(ROLE) else { return };
    let second = StopEvent::new();
    let first = match role.as_str() {
        "exit" => ctrl_c(),
        "set" => ctrl_c_then(SecondPress::Set(second.clone())),
        _ => ctrl_c_then(SecondPress::Ignore),
    };
    let first = first.unwrap();
    assert!(ctrl_c().is_err(), "once per process");
    println!("\nready");
    first.wait();
    assert_eq!(first.reason(), Some(StopReason::custom("interrupted")));
    println!("\nfirst");
    match role.as_str() {
        "set" => second.wait(),
        // Until the standard input ends.
        "ignore" => assert_eq!(std::io::stdin().read(&mut [0]).unwrap(), 0),
        _ => StopEvent::never().wait(),
    }
    println!("\nsecond");
    if role == "set" {
        StopEvent::never().wait();
    }
}

/// A process in this role.
struct Player {
    child: Child,
    lines: Box<dyn Iterator<Item = String> + Send>,
}

impl Player {
    fn new(role: &str) -> Player {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "features::ctrlc::role"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines = Box::new(out.lines().map(Result::unwrap));
        Player { child, lines }
    }

    #[track_caller]
    fn says(&mut self, word: &str) {
        assert!(self.lines.any(|line| line == word), "it never said {word}");
    }

    fn press(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_press_sets_the_event_and_the_second_ends_the_process() {
    finishes(|| {
        let mut player = Player::new("exit");
        player.says("ready");
        player.press();
        player.says("first");
        player.press();
        let status = player.child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(130), None));
    });
}

#[test]
fn the_second_press_sets_another_event_and_the_third_ends_the_process() {
    finishes(|| {
        let mut player = Player::new("set");
        player.says("ready");
        player.press();
        player.says("first");
        player.press();
        player.says("second");
        player.press();
        assert_eq!(player.child.wait().unwrap().code(), Some(130));
    });
}

#[test]
fn later_presses_can_be_ignored() {
    finishes(|| {
        let mut player = Player::new("ignore");
        player.says("ready");
        player.press();
        player.says("first");
        player.press();
        player.press();
        drop(player.child.stdin.take());
        player.says("second");
        assert!(player.child.wait().unwrap().success());
    });
}
