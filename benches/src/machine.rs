//! On which machine figures were taken.

use std::env::consts;
use std::fs;
use std::thread;

/// Its processors and its system, in a few words; as far as Linux tells.
pub fn name() -> String {
    let processors = thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or(consts::ARCH, |line| {
            line.trim_start_matches([' ', '\t', ':'])
        });
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{processors} × {model}, {} {}", consts::OS, release.trim())
        .trim_end()
        .to_owned()
}
