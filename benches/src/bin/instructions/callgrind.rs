//! Counts with callgrind: `solo` runs under it with N and with 3 N tasks, and the difference
//! counts.
//!
//! Needs valgrind, and `solo` built beside this program with the same profile. Valgrind runs one
//! thread at a time, so what spinning and contention cost is not in the figures.

use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::{env, fs};

/// Instructions of a run, or of a task.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// All of them.
    pub(crate) all: f64,
    /// Without those in shared libraries. What the C library's allocator does depends on its
    /// version, and on chance: when it tidies its heap, that is a tenth of all instructions or
    /// nothing.
    pub(crate) own: f64,
}

/// Whether there is a valgrind.
pub(crate) fn is_there() -> bool {
    let mut version = Command::new("valgrind");
    let version = version.arg("--version").stdout(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// The instructions of one task of this contender.
pub(crate) fn instructions(row: &str, contender: &str, n: usize) -> Option<Count> {
    let few = count(row, contender, n)?;
    let many = count(row, contender, 3 * n)?;
    let each = |few: f64, many: f64| (many - few) / (2.0 * n as f64);
    Some(Count {
        all: each(few.all, many.all),
        own: each(few.own, many.own),
    })
}

/// The instructions of a run.
fn count(row: &str, contender: &str, n: usize) -> Option<Count> {
    let solo = solo();
    let profile = env::temp_dir().join(format!("stoppable-benches.{}", process::id()));
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--fair-sched=yes", "--quiet"])
        .args(["--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(&solo)
        .args([row, contender, &n.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    let text = fs::read_to_string(&profile).ok()?;
    // It is in the directory for such things in any case.
    let _ = fs::remove_file(&profile);
    status.success().then(|| sum(&text, &solo))
}

/// Adds up a profile: lines `LINE COST`, below the name of the object that they are in. Such a line
/// below `calls=` has what the callee took, which is listed with the callee too.
fn sum(profile: &str, solo: &Path) -> Count {
    let mut count = Count::default();
    let (mut own, mut callee) = (false, false);
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            own = Path::new(object) == solo;
        } else if line.starts_with("calls=") {
            callee = true;
        } else if let Some(cost) = cost(line) {
            if !callee {
                count += Count {
                    all: cost,
                    own: if own { cost } else { 0.0 },
                };
            }
            callee = false;
        }
    }
    count
}

fn cost(line: &str) -> Option<f64> {
    let (place, cost) = line.split_once(' ')?;
    place.parse::<u64>().ok()?;
    cost.parse().ok()
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.all += other.all;
        self.own += other.own;
    }
}

fn solo() -> PathBuf {
    let me = env::current_exe().expect("a program knows where it is");
    me.with_file_name(format!("solo{}", env::consts::EXE_SUFFIX))
}
