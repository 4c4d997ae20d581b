//! SHA-256 sums of all files below a directory: one task a file, and Ctrl-C stops them all.
//!
//! ```text
//! cargo run --release --example checksum -- --output SUMS src
//! sha256sum -c SUMS
//! ```
//!
//! It shows a pool in a program of some size: every task has a name and polls its stop event between
//! the chunks that it reads, so that Ctrl-C, SIGTERM or the time limit ends the run within a moment,
//! whatever the size of the files. The sums that were finished are written all the same, and what
//! became of every other file is counted: cut short, never started, or failed.
//!
//! Expect the lines of `sha256sum` on stdout, progress and a summary on stderr.

mod options;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use options::{Options, USAGE};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};
use stoppable::{
    Outcome, Shutdown, ShutdownReport, StopEvent, StopReason, StoppableThread, TaskHandle,
    ThreadPool,
};
use walkdir::WalkDir;

/// How much is read between two looks at the stop event.
const CHUNK: usize = 64 * 1024;
/// How many files are submitted and not printed yet. It bounds the memory of the tasks, and is
/// large so that a huge file, for which all lines behind it wait, does not starve the other threads.
const IN_FLIGHT: usize = 16 * 1024;
/// How often lines are written and the progress is shown.
const TICK: Duration = Duration::from_millis(100);
/// How often the progress is shown where there is no terminal.
const PLAIN_TICK: Duration = Duration::from_secs(1);
/// How long a task may take to end after it was asked. Only one that is stuck in a read takes longer.
const GRACE: Duration = Duration::from_millis(200);

type Sum = sha2::digest::Output<Sha256>;
type Sums = TaskHandle<io::Result<Sum>>;

fn main() -> ExitCode {
    let done = match Options::parse(env::args_os().skip(1)) {
        Ok(Some(options)) => run(&options),
        Ok(None) => {
            // Whoever closes stdout does not want to read it.
            let _ = io::stdout().write_all(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(problem) => Err(format!("{problem}\nTry `checksum --help`.")),
    };
    done.unwrap_or_else(|problem| {
        say(format_args!("checksum: {problem}"));
        ExitCode::from(2)
    })
}

/// The whole run. An error is one that came before anything was hashed.
fn run(options: &Options) -> Result<ExitCode, String> {
    let mut builder = ThreadPool::builder().name("checksum");
    if let Some(threads) = options.threads {
        builder = builder.threads(threads);
    }
    let pool = builder.build().map_err(|error| error.to_string())?;
    let stop = pool.stop_event();
    let interrupted = stop_on_ctrl_c(&stop)?;
    let _timer = options
        .time_limit
        .map(|limit| stop_after(limit, stop.clone()));

    let mut run = Run::new(stop, options.output.as_deref())?;
    let files = run.find_files(&options.directory);
    run.hash_files(&pool, files);

    // Every task has ended here, or has been asked to, so this does not wait for long.
    let report = pool.shutdown_timeout(Shutdown::Drain, GRACE);
    run.summarize(&report);
    if !report.is_final() {
        // A thread is stuck in a read that does not return. It ends with the process, not before.
        pool.abandon();
    }
    Ok(if interrupted.is_set() {
        ExitCode::from(130)
    } else if run.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Stops the pool on the first Ctrl-C or SIGTERM, and ends the process on the second. The event that
/// it gives says whether there was one.
fn stop_on_ctrl_c(stop: &StopEvent) -> Result<StopEvent, String> {
    let interrupted = StopEvent::new();
    let (seen, stop) = (interrupted.clone(), stop.clone());
    ctrlc::set_handler(move || {
        if !seen.set() {
            process::exit(130);
        }
        stop.set_with(StopReason::custom("interrupted"));
    })
    .map_err(|error| format!("cannot listen for Ctrl-C: {error}"))?;
    Ok(interrupted)
}

/// Stops the pool when the time is over. The timer ends with the handle.
fn stop_after(limit: Duration, stop: StopEvent) -> StoppableThread<()> {
    StoppableThread::spawn(move |ended| {
        if ended.sleep(limit).is_ok() {
            stop.set_with(StopReason::Deadline);
        }
    })
}

/// The task: the sum of one file. `Stopped` becomes an `io::Error` by the `?`.
fn sum_of(file: &Path, stop: &StopEvent, progress: &ProgressBar) -> io::Result<Sum> {
    let mut file = File::open(file)?;
    let mut sha = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        stop.check()?;
        match file.read(&mut chunk) {
            Ok(0) => return Ok(sha.finalize()),
            Ok(length) => {
                sha.update(&chunk[..length]);
                progress.inc(length as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What became of the files. The last four add up to the first.
#[derive(Default)]
struct Tally {
    found: u64,
    done: u64,
    cut_short: u64,
    never_started: u64,
    failed: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            found,
            done,
            cut_short,
            never_started,
            failed,
        } = self;
        write!(
            f,
            "files: {found} found, {done} done, {cut_short} cut short, "
        )?;
        write!(f, "{never_started} never started, {failed} failed")
    }
}

/// Where the sums go, and what is known so far.
struct Run {
    /// The pool's stop event.
    stop: StopEvent,
    progress: ProgressBar,
    output: Box<dyn Write>,
    /// The file behind `output`, which cannot have a sum of itself.
    output_file: Option<Identity>,
    output_failed: bool,
    /// Lines that are still to be written.
    lines: Vec<u8>,
    written: Instant,
    shown: Instant,
    tally: Tally,
    /// Directories (or the entries of them) that could not be read, so that files may be missing.
    unlisted: u64,
    /// Whether the search for files was stopped.
    search_cut_short: bool,
}

impl Run {
    fn new(stop: StopEvent, output: Option<&Path>) -> Result<Self, String> {
        let (output, path): (Box<dyn Write>, _) = match output {
            Some(path) => match File::create(path) {
                Ok(file) => (Box::new(file), path),
                Err(error) => return Err(format!("cannot create {path:?}: {error}")),
            },
            None => (Box::new(io::stdout()), Path::new("/dev/stdout")),
        };
        let progress = ProgressBar::new_spinner();
        progress.set_style(style("{spinner} {msg}"));
        Ok(Run {
            stop,
            progress,
            output,
            output_file: identity(path),
            output_failed: false,
            lines: Vec::new(),
            written: Instant::now(),
            shown: Instant::now(),
            tally: Tally::default(),
            unlisted: 0,
            search_cut_short: false,
        })
    }

    /// The regular files below `directory`, without a look behind symlinks.
    fn find_files(&mut self, directory: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut bytes = 0;
        let walk = WalkDir::new(directory).follow_root_links(false);
        for entry in walk.sort_by_file_name() {
            if self.stop.is_set() {
                self.search_cut_short = true;
                break;
            }
            match entry {
                Ok(entry) if !entry.file_type().is_file() => {}
                Ok(entry) if self.is_output(entry.path()) => {}
                Ok(entry) => {
                    bytes += entry.metadata().map_or(0, |metadata| metadata.len());
                    files.push(entry.into_path());
                    self.tally.found += 1;
                }
                Err(error) => {
                    self.unlisted += 1;
                    let path = error.path().unwrap_or(directory);
                    match error.io_error() {
                        Some(problem) => self.complain(&format_args!("{path:?}: {problem}")),
                        None => self.complain(&error),
                    }
                }
            }
            self.tick();
        }
        self.progress
            .set_style(style("{bar:30} {bytes}/{total_bytes} {msg}"));
        self.progress.set_length(bytes);
        files
    }

    fn is_output(&self, file: &Path) -> bool {
        self.output_file.is_some() && identity(file) == self.output_file
    }

    /// Submits all files, and prints the sums in the same order. After a stop the pool refuses what
    /// is submitted: the files that are left have then never started, as their handles say.
    fn hash_files(&mut self, pool: &ThreadPool, files: Vec<PathBuf>) {
        let mut in_flight = VecDeque::new();
        for file in files {
            if in_flight.len() == IN_FLIGHT {
                self.settle_next(&mut in_flight);
            }
            let task = pool.task().name(file.to_string_lossy());
            let (path, progress) = (file.clone(), self.progress.clone());
            let sum = task.submit(move |stop| sum_of(&path, stop, &progress));
            in_flight.push_back((file, sum));
        }
        while !in_flight.is_empty() {
            self.settle_next(&mut in_flight);
        }
        self.write_lines();
    }

    /// Waits for the first file in flight, and counts it.
    fn settle_next(&mut self, in_flight: &mut VecDeque<(PathBuf, Sums)>) {
        let Some((file, sum)) = in_flight.pop_front() else {
            return;
        };
        if !self.wait_for(&sum) {
            self.tally.cut_short += 1;
            return;
        }
        match sum.outcome() {
            Outcome::Completed(Ok(sum)) => {
                self.tally.done += 1;
                push_line(&mut self.lines, sum, file.as_os_str());
            }
            Outcome::Completed(Err(error)) => self.fail(&file, &error),
            Outcome::Cancelled { .. } => self.tally.cut_short += 1,
            Outcome::NeverStarted(_) => self.tally.never_started += 1,
            Outcome::Panicked(_) => self.fail(&file, &"the task panicked"),
        }
        self.tick();
    }

    /// Waits until the task has ended; after a stop only for a moment. Says whether it has.
    fn wait_for(&mut self, sum: &Sums) -> bool {
        loop {
            let patience = match self.stop.cause() {
                Some(cause) => GRACE.saturating_sub(cause.at.elapsed()),
                None => TICK,
            };
            if sum.wait_timeout(patience.min(TICK)) {
                return true;
            }
            if patience.is_zero() {
                return false;
            }
            self.tick();
        }
    }

    fn fail(&mut self, file: &Path, problem: &dyn fmt::Display) {
        self.tally.failed += 1;
        self.complain(&format_args!("{file:?}: {problem}"));
    }

    fn complain(&self, problem: &dyn fmt::Display) {
        self.progress
            .suspend(|| say(format_args!("checksum: {problem}")));
    }

    /// What is to be done every now and then.
    fn tick(&mut self) {
        if self.written.elapsed() >= TICK {
            self.written = Instant::now();
            self.write_lines();
            let Tally { found, done, .. } = self.tally;
            self.progress
                .set_message(format!("{done} of {found} files"));
        }
        if self.progress.is_hidden() && self.shown.elapsed() >= PLAIN_TICK {
            self.shown = Instant::now();
            let Tally { found, done, .. } = self.tally;
            let bytes = HumanBytes(self.progress.position());
            say(format_args!("{done} of {found} files done, {bytes} read"));
        }
    }

    /// Writes the lines that are ready. If that fails there is no point in going on.
    fn write_lines(&mut self) {
        let lines = mem::take(&mut self.lines);
        if lines.is_empty() || self.output_failed {
            return;
        }
        let output = &mut self.output;
        let result = self
            .progress
            .suspend(|| output.write_all(&lines).and_then(|()| output.flush()));
        if let Err(error) = result {
            self.output_failed = true;
            self.stop
                .set_with(StopReason::custom("the output cannot be written"));
            // Who closes a pipe, as `head` does, has seen enough and needs no message.
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.complain(&format_args!("cannot write the sums: {error}"));
            }
        }
    }

    fn is_clean(&self) -> bool {
        let all_done = self.tally.done == self.tally.found;
        all_done && self.unlisted == 0 && !self.search_cut_short && !self.output_failed
    }

    fn summarize(&self, report: &ShutdownReport) {
        self.progress.finish_and_clear();
        say(&self.tally);
        if self.unlisted > 0 {
            say(format_args!("directories not listed: {}", self.unlisted));
        }
        if self.search_cut_short {
            say("the search for files was cut short, there may be more");
        }
        if !self.is_clean() {
            say(report);
        }
    }
}

/// Writes a line to stderr, which may be closed.
fn say(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are written in this file")
}

/// One line as `sha256sum` writes it: after a backslash in front, those in the name, line feeds and
/// carriage returns are escaped. All other bytes stand as they are.
fn push_line(lines: &mut Vec<u8>, sum: Sum, name: &OsStr) {
    let name = name.as_encoded_bytes();
    if name.iter().any(|byte| b"\\\n\r".contains(byte)) {
        lines.push(b'\\');
    }
    lines.extend_from_slice(format!("{sum:x}  ").as_bytes());
    for &byte in name {
        match byte {
            b'\\' => lines.extend_from_slice(b"\\\\"),
            b'\n' => lines.extend_from_slice(b"\\n"),
            b'\r' => lines.extend_from_slice(b"\\r"),
            other => lines.push(other),
        }
    }
    lines.push(b'\n');
}

/// What a file is known by under any of its names: its device and inode.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// What a file is known by: its full path.
#[cfg(not(unix))]
type Identity = PathBuf;

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    fs::canonicalize(path).ok()
}
