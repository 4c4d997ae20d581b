//! A directory walk in which each directory is a task of the same scope.

use crate::common::finishes;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, io, process};
use stoppable::{StopEvent, ThreadPool, TryScope};

/// A tree of directories that is removed with this.
struct Tree(PathBuf);

impl Tree {
    /// So many directories in each, so many levels deep, with two files each.
    fn new(width: usize, depth: usize) -> Tree {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let name = format!("stoppable-walk-{}-{number}", process::id());
        let root = env::temp_dir().join(name);
        fill(&root, width, depth).unwrap();
        Tree(root)
    }
}

fn fill(at: &Path, width: usize, depth: usize) -> io::Result<()> {
    fs::create_dir(at)?;
    for n in 0..2 {
        fs::write(at.join(format!("file{n}")), "text")?;
    }
    for n in 0..if depth > 0 { width } else { 0 } {
        fill(&at.join(format!("dir{n}")), width, depth - 1)?;
    }
    Ok(())
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn visit<'scope>(
    s: &'scope TryScope<'scope, '_, io::Error>,
    files: &'scope Mutex<Vec<PathBuf>>,
    directory: PathBuf,
) {
    s.submit(move |stop| {
        for entry in fs::read_dir(&directory)? {
            stop.check()?;
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                visit(s, files, entry.path());
            } else {
                files.lock().unwrap().push(entry.path());
            }
        }
        Ok(())
    });
}

fn walk(pool: &ThreadPool, root: &Path) -> io::Result<Vec<PathBuf>> {
    let files = Mutex::new(Vec::new());
    pool.try_scope(|s| {
        visit(s, &files, root.to_owned());
        Ok(())
    })?;
    let mut files = files.into_inner().unwrap();
    files.sort_unstable();
    Ok(files)
}

fn walk_alone(at: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        if path.is_dir() {
            walk_alone(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[test]
fn finds_all_files_on_one_two_and_sixteen_threads() {
    finishes(|| {
        let tree = Tree::new(4, 3);
        let mut expected = Vec::new();
        walk_alone(&tree.0, &mut expected).unwrap();
        expected.sort_unstable();
        assert_eq!(expected.len(), 2 * (1 + 4 + 16 + 64));
        for threads in [1, 2, 16] {
            let pool = ThreadPool::new(threads);
            for _ in 0..5 {
                assert_eq!(walk(&pool, &tree.0).unwrap(), expected);
            }
        }
    });
}

#[test]
fn the_first_error_is_told_of() {
    finishes(|| {
        for threads in [1, 2, 16] {
            let pool = ThreadPool::new(threads);
            let gone = env::temp_dir().join("stoppable-walk-no-such-directory");
            let error = walk(&pool, &gone).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    });
}

/// It is stopped from outside at some moment: then it is an error, and never a part of the files.
#[test]
fn a_stopped_walk_is_an_error() {
    finishes(|| {
        let tree = Tree::new(3, 3);
        for threads in [1, 2, 16] {
            for round in 0..60 {
                let event = StopEvent::new();
                let builder = ThreadPool::builder().threads(threads);
                let pool = builder.stop_with(&event, stoppable::Shutdown::StopAll);
                let pool = pool.build().unwrap();
                let files = std::thread::scope(|other| {
                    other.spawn(|| {
                        (0..round * 3).for_each(|_| std::thread::yield_now());
                        event.set()
                    });
                    walk(&pool, &tree.0)
                });
                match files {
                    Ok(files) => assert_eq!(files.len(), 2 * (1 + 3 + 9 + 27)),
                    Err(error) => assert!(error.get_ref().unwrap().is::<stoppable::Stopped>()),
                }
            }
        }
    });
}
