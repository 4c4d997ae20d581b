//! Bytes are the command line of the `checksum` example: its arguments, parted by line feeds. Many begin with an option, or
//! chance would write few.
#![no_main]

#[allow(dead_code, reason = "the usage is for the example to print")]
#[path = "../../../examples/checksum/options.rs"]
mod options;

use libfuzzer_sys::fuzz_target;
use options::Options;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

const WORDS: [&str; 8] = [
    "--threads",
    "--time-limit",
    "--output",
    "--help",
    "-h",
    "--",
    "--threads=",
    "--time-limit=",
];

/// A byte below 32 stands for a word, and what comes behind it in the line is added to that.
fn argument(line: &[u8]) -> OsString {
    match line.split_first() {
        Some((&first, rest)) if first < 32 => {
            let mut word = OsString::from(WORDS[usize::from(first) % WORDS.len()]);
            word.push(OsStr::from_bytes(rest));
            word
        }
        _ => OsStr::from_bytes(line).to_owned(),
    }
}

/// A command line that says the same.
fn written(options: &Options) -> Vec<OsString> {
    let mut args = Vec::new();
    if let Some(threads) = options.threads {
        args.push(format!("--threads={threads}").into());
    }
    if let Some(limit) = options.time_limit {
        args.push("--time-limit".into());
        args.push(format!("{}.{:09}", limit.as_secs(), limit.subsec_nanos()).into());
    }
    if let Some(output) = &options.output {
        args.push("--output".into());
        args.push(output.into());
    }
    args.push("--".into());
    args.push((&options.directory).into());
    args
}

fuzz_target!(|bytes: &[u8]| {
    let args: Vec<_> = bytes.split(|byte| *byte == b'\n').map(argument).collect();
    let asks_for_help = args.iter().any(|arg| arg == "--help" || arg == "-h");
    match Options::parse(args.clone().into_iter()) {
        Ok(None) => assert!(asks_for_help),
        Ok(Some(options)) => {
            assert_ne!(options.threads, Some(0));
            let named = args.iter().any(|arg| *arg == options.directory);
            assert!(named || options.directory == OsStr::new("."));
            let again = Options::parse(written(&options).into_iter());
            let Ok(Some(again)) = again else {
                panic!("{again:?} of {options:?}");
            };
            // As a number of seconds, a limit has some sixteen digits.
            let near = |limit: Option<std::time::Duration>| limit.map(|it| it.as_secs_f64() as f32);
            assert_eq!(near(again.time_limit), near(options.time_limit));
            let time_limit = options.time_limit;
            assert_eq!(
                Options {
                    time_limit,
                    ..again
                },
                options
            );
        }
        Err(problem) => assert!(!problem.is_empty()),
    }
});
