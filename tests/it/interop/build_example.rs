//! The example `build`, run for real and interrupted: what it reports, and that no process is left. Since it handles
//! Ctrl-C, which is for good, it runs in a process of its own: this very program.

use super::process::{is_alive, state};
use super::process_group::members;
use crate::common::{finishes, until};
use std::env;
use std::fs;
use std::process::{Child, Command, Output, Stdio};

#[expect(dead_code, reason = "its `main` is not called")]
#[path = "../../../examples/build.rs"]
mod example;

const OPTIONS: &str = "STOPPABLE_TEST_BUILD";

/// What the process that the tests start does: nothing in a run of its own.
#[test]
fn role() {
    let Ok(options) = env::var(OPTIONS) else {
        return;
    };
    let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
    println!();
    let status = example::build::run_with(&options).unwrap();
    std::process::exit(status.into());
}

fn start(options: &str) -> Child {
    let (_, module) = module_path!().split_once("::").unwrap();
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("{module}::role")])
        .env(OPTIONS, options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Its status, and its lines.
fn end(child: Child) -> (Option<i32>, Vec<String>) {
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    let text = String::from_utf8(stdout).unwrap();
    (status.code(), text.lines().map(str::to_owned).collect())
}

#[track_caller]
fn said(lines: &[String], line: &str) {
    assert!(
        lines.iter().any(|said| said.starts_with(line)),
        "{line}: {lines:?}"
    );
}

/// The groups of the processes that it has started.
fn groups(of: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| is_alive(pid) && state(pid).is_some_and(|(_, parent, _)| parent == of))
        .collect()
}

#[test]
fn by_itself_it_succeeds() {
    finishes(|| {
        let (status, lines) = end(start(""));
        assert_eq!(status, Some(0));
        said(&lines, "catalogue: completed, lines: 5");
        said(&lines, "     5\toak");
    });
}

#[test]
fn a_step_that_fails_stops_the_others() {
    finishes(|| {
        let (status, lines) = end(start("--slow --fail"));
        assert_eq!(status, Some(1));
        said(&lines, "fruit: completed");
        said(&lines, "check: failed, exit status: 3: no figs");
        said(&lines, "catalogue: never started");
    });
}

#[test]
fn ctrl_c_ends_it_and_all_its_processes() {
    finishes(|| {
        let build = start("--slow");
        // Both that are slow have started both of their programs, and the other steps are over.
        let groups_of = || groups(build.id());
        until(|| {
            let groups = groups_of();
            groups.len() == 2 && groups.iter().all(|&group| members(group).len() == 3)
        });
        let groups = groups_of();
        let pid = build.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success());
        let (status, lines) = end(build);
        assert_eq!(status, Some(130));
        said(&lines, "fruit: completed");
        said(&lines, "sort fruit: cancelled");
        said(&lines, "sort trees: cancelled");
        said(&lines, "catalogue: never started");
        for group in groups {
            until(|| members(group).is_empty());
        }
    });
}
