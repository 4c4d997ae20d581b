//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
Usage: checksum [OPTIONS] [--] [DIR]

Prints the SHA-256 sum of every regular file below DIR (by default the current
directory), as `find DIR -type f` finds them and as `sha256sum -c` reads them.
The file that the sums are written to is left out.

Options:
  --threads N           hash N files at a time (default: one for each processor)
  --time-limit SECONDS  stop after so many seconds, which may have a fraction
  --output FILE         write the sums to FILE and not to stdout
  --help                print this help

Ctrl-C stops the run and still prints what is done; a second Ctrl-C aborts it.

Exit status: 0 if every file is done, 1 if not, 2 for wrong usage, 130 after Ctrl-C.
";

/// What was asked for on the command line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) directory: PathBuf,
    pub(crate) threads: Option<usize>,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) output: Option<PathBuf>,
}

impl Options {
    /// `None` if help was asked for.
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut directory = None;
        let mut options = Options {
            directory: PathBuf::from("."),
            threads: None,
            time_limit: None,
            output: None,
        };
        let mut only_operands = false;
        while let Some(arg) = args.next() {
            if only_operands || !arg.as_encoded_bytes().starts_with(b"-") {
                if directory.is_some() {
                    return Err(format!("one directory is enough: {arg:?} is too much"));
                }
                directory = Some(PathBuf::from(arg));
                continue;
            }
            let unknown = || format!("unknown option {arg:?}");
            let text = arg.to_str().ok_or_else(unknown)?;
            let (option, inline) = match text.split_once('=') {
                Some((option, value)) => (option, Some(OsString::from(value))),
                None => (text, None),
            };
            let alone = inline.is_none();
            let mut value = || {
                let value = inline.clone().or_else(|| args.next());
                value.ok_or_else(|| format!("{option} needs a value"))
            };
            match option {
                "--help" | "-h" if alone => return Ok(None),
                "--" if alone => only_operands = true,
                "--threads" => options.threads = Some(threads(&value()?)?),
                "--time-limit" => options.time_limit = Some(time_limit(&value()?)?),
                "--output" => options.output = Some(value()?.into()),
                _ => return Err(unknown()),
            }
        }
        if let Some(directory) = directory {
            options.directory = directory;
        }
        Ok(Some(options))
    }
}

fn threads(value: &OsStr) -> Result<usize, String> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    let number = number.filter(|&number| number > 0);
    number.ok_or_else(|| format!("--threads needs a number above 0, not {value:?}"))
}

fn time_limit(value: &OsStr) -> Result<Duration, String> {
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    limit.ok_or_else(|| format!("--time-limit needs a number of seconds, not {value:?}"))
}
