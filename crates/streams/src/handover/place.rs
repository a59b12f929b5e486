//! Private directories: where sockets and path segments live, and how those of dead processes are swept.
//!
//! A directory is named `ottava-PID-STARTTIME-RANDOM`, has mode 0700, and its owner holds a lock on it. It is swept when
//! no process has that id and start time *and* nobody holds the lock, so that neither a reused process id nor another
//! PID namespace deceives the sweeper.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, fstat, openat, unlinkat};
use rustix::process::{Pid, geteuid, getpid, test_kill_process};

use super::error::{Attempt, HandoverError};
use super::token::{hex, random};

const PREFIX: &str = "ottava-";

/// A directory that only this user can enter, removed with all in it on drop.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    dir: OwnedFd,
    owner: Pid,
}

impl Place {
    /// Sweeps `base`, then makes a directory in it.
    pub(super) fn create(base: &Path) -> Result<Self, HandoverError> {
        sweep(base).attempt("sweep the segment directory")?;
        let owner = getpid();
        let name = format!(
            "{PREFIX}{}-{}-{}",
            owner.as_raw_nonzero(),
            start_time(owner).unwrap_or(0),
            hex(&random()?)
        );
        let path = base.join(name);
        // Fails if the name exists, whoever made it: a name cannot be squatted, and is not guessed.
        fs::DirBuilder::new().mode(0o700).create(&path).attempt("make a private directory")?;
        let dir = open_private(&path).inspect_err(|_| {
            let _ = fs::remove_dir(&path);
        })?;
        rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive)
            .attempt("lock the private directory")?;
        Ok(Self { path, dir, owner })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A new, empty file with a random name, and that name.
    pub(super) fn file(&self) -> Result<(String, OwnedFd), HandoverError> {
        let name = hex(&random()?);
        let file = openat(
            &self.dir,
            &name,
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )
        .attempt("make a segment file")?;
        Ok((name, file))
    }

    /// Removes a file; one that is gone already is no fault.
    pub(super) fn remove(&self, name: &str) {
        // What a forked child lets go of may be its parent's still.
        if getpid() != self.owner {
            return;
        }
        let _ = unlinkat(&self.dir, name, AtFlags::empty());
    }

    /// Removes the directory and all in it, as drop does.
    pub(super) fn tear_down(&self) {
        // A forked child must not tear down its parent's directory.
        if getpid() == self.owner {
            let _ = clear(&self.dir);
            let _ = fs::remove_dir(&self.path);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tear_down();
    }
}

/// Opens a directory and makes sure that it is this user's and closed to all others.
pub(super) fn open_private(path: &Path) -> Result<OwnedFd, HandoverError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty()).attempt("open a private directory")?;
    let stat = fstat(&dir).attempt("inspect a private directory")?;
    if stat.st_uid != geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
        return Err(HandoverError::protocol("its directory is open to other users"));
    }
    Ok(dir)
}

/// Opens the segment file `name` in `dir`, which must be a regular file of this user, private, and of `bytes` bytes if
/// that is known.
pub(super) fn open_file(
    dir: &OwnedFd,
    name: &str,
    bytes: Option<u64>,
) -> Result<OwnedFd, HandoverError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Mode::empty()).attempt("open a segment file")?;
    let stat = fstat(&file).attempt("inspect a segment file")?;
    if stat.st_mode & 0o170_000 != 0o100_000
        || stat.st_uid != geteuid().as_raw()
        || stat.st_mode & 0o077 != 0
    {
        return Err(HandoverError::protocol("its segment is not a private regular file"));
    }
    if let Some(bytes) = bytes
        && u64::try_from(stat.st_size).ok() != Some(bytes)
    {
        return Err(HandoverError::protocol(format!(
            "its segment has {} bytes, announced were {bytes}",
            stat.st_size
        )));
    }
    Ok(file)
}

/// Removes the directories of processes that are no more; returns how many.
pub(super) fn sweep(base: &Path) -> io::Result<usize> {
    let mut swept = 0;
    for entry in fs::read_dir(base)?.flatten() {
        let name = entry.file_name();
        let Some((pid, start)) = name.to_str().and_then(parse) else { continue };
        let Ok(meta) = fs::symlink_metadata(entry.path()) else { continue };
        let ours = meta.is_dir() && meta.uid() == geteuid().as_raw();
        if !ours || is_running(pid, start) {
            continue;
        }
        let Ok(dir) = open_private(&entry.path()) else { continue };
        if rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok()
            && clear(&dir).is_ok()
            && fs::remove_dir(entry.path()).is_ok()
        {
            swept += 1;
        }
    }
    Ok(swept)
}

fn parse(name: &str) -> Option<(Pid, u64)> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let pid = Pid::from_raw(parts.next()?.parse().ok()?)?;
    let start = parts.next()?.parse().ok()?;
    let random = parts.next()?;
    (random.len() == 32 && parts.next().is_none()).then_some((pid, start))
}

fn is_running(pid: Pid, start: u64) -> bool {
    match test_kill_process(pid) {
        Err(rustix::io::Errno::SRCH) => false,
        _ => start_time(pid).is_none_or(|actual| actual == start),
    }
}

/// Start of a process in clock ticks since boot: field 22 of `/proc/PID/stat` (proc_pid_stat(5)).
fn start_time(pid: Pid) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Removes the files in `dir`.
fn clear(dir: &OwnedFd) -> io::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if name != c"." && name != c".." {
            unlinkat(dir, name, AtFlags::empty())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn places_are_private_and_leave_nothing() {
        let base = tempfile::tempdir().unwrap();
        let place = Place::create(base.path()).unwrap();
        let (name, _file) = place.file().unwrap();
        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let file = place.path().join(&name);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        drop(place);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_the_dead_are_swept() {
        let base = tempfile::tempdir().unwrap();
        let me = getpid().as_raw_nonzero();
        let start = start_time(getpid()).unwrap_or(0);
        let random = "0".repeat(32);
        let make = |name: &str| {
            let path = base.path().join(name);
            fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
            fs::write(path.join("left"), b"x").unwrap();
        };
        make(&format!("ottava-{me}-{start}-{random}"));
        make(&format!("ottava-{me}-{}-{random}", start + 1));
        make(&format!("ottava-999999999-5-{random}"));
        make("ottava-something-else");
        let live = Place::create(base.path()).unwrap();
        let left = fs::read_dir(base.path()).unwrap().count();
        assert_eq!(left, if cfg!(target_os = "linux") { 3 } else { 4 });
        drop(live);
    }

    #[test]
    fn a_file_that_is_not_what_was_announced_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let place = Place::create(base.path()).unwrap();
        let (name, file) = place.file().unwrap();
        rustix::fs::ftruncate(&file, 10).unwrap();
        let dir = open_private(place.path()).unwrap();
        assert!(open_file(&dir, &name, Some(10)).is_ok());
        assert!(open_file(&dir, &name, Some(11)).is_err());
        std::os::unix::fs::symlink("/etc/passwd", place.path().join("link")).unwrap();
        assert!(open_file(&dir, "link", Some(10)).is_err());
        let open = place.path().join(&name);
        fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(open_file(&dir, &name, Some(10)).is_err());
    }
}
