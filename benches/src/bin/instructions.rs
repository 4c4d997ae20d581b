//! `instructions ROW [N]` counts the instructions of one task for every contender of a row: `solo`
//! runs under `valgrind --tool=callgrind` with N and with 3 N tasks, and the difference counts.
//!
//! Needs valgrind, and `solo` built beside this program with the same profile. Valgrind runs one
//! thread at a time, so what spinning and contention cost is not in the figures.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};
use stoppable_benches::rows::ROWS;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let row = args
        .first()
        .and_then(|key| ROWS.iter().find(|row| row.key == key));
    let Some(row) = row else {
        eprintln!("usage: instructions ROW [N]");
        return ExitCode::FAILURE;
    };
    let n = args.get(1).and_then(|n| n.parse().ok()).unwrap_or(5_000);
    let me = env::current_exe().expect("a program knows where it is");
    let solo = me.with_file_name(format!("solo{}", env::consts::EXE_SUFFIX));
    println!("| {} | instructions each |\n|---|---:|", row.title);
    for contender in (row.contenders)() {
        let few = count(&solo, row.key, contender.name, n);
        let many = count(&solo, row.key, contender.name, 3 * n);
        match (few, many) {
            (Some(few), Some(many)) => {
                let each = (many - few) / (2.0 * n as f64);
                println!("| {} | {each:.0} |", contender.name);
            }
            _ => println!("| {} | — |", contender.name),
        }
    }
    ExitCode::SUCCESS
}

fn count(solo: &Path, row: &str, contender: &str, n: usize) -> Option<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--fair-sched=yes"])
        .arg(solo)
        .args([row, contender, &n.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}
