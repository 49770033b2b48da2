//! Files that are either absent or whole.

use std::{
    ffi::OsString,
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    process,
};

use tempfile::{Builder, NamedTempFile};

use crate::{Error, Result};

/// Writes `path` through `fill`, by way of a sibling that is renamed when complete.
///
/// Missing parent directories are created. If `fill` fails or the process dies, `path` is
/// as it was before. The sibling is called `.NAME.PID.….part`; one that a killed process
/// has left behind is removed by the next write of the same `path`.
///
/// # Errors
///
/// What `fill` returns, or [`Error::Io`] if the file cannot be created, flushed or renamed.
pub fn write<T, E>(
    path: &Path,
    fill: impl FnOnce(&mut NamedTempFile) -> std::result::Result<T, E>,
) -> std::result::Result<T, E>
where
    E: From<Error>,
{
    let at = |source| E::from(io_error(path, source));
    let target = target(path).map_err(at)?;
    let (dir, name) = split(&target).map_err(at)?;
    fs::create_dir_all(&dir).map_err(at)?;
    remove_leftovers(&dir, &name);

    let mut part = sibling(&dir, &name).map_err(at)?;
    let written = fill(&mut part)?;
    part.as_file().sync_all().map_err(at)?;
    part.persist(&target).map_err(|failed| at(failed.error))?;
    // The rename itself outlives a power cut only once the directory is on disk; where a
    // directory cannot be synced, the file is whole all the same.
    let _ = File::open(&dir).and_then(|dir| dir.sync_all());
    Ok(written)
}

/// Looks before any work whether `outputs` can be written, and that none of them is one of
/// `inputs` or another output, which it would replace.
///
/// Nothing is created. Inputs that do not exist are told by who reads them.
///
/// # Errors
///
/// [`Error::Io`] with the first output that is a folder or a device, whose folder cannot be
/// written to, or that stands for two files.
pub fn check<'a>(
    outputs: &[&Path],
    inputs: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<()> {
    let mut taken: Vec<PathBuf> =
        inputs.into_iter().filter_map(|input| fs::canonicalize(input).ok()).collect();
    for &output in outputs {
        let at = |source| io_error(output, source);
        let target = target(output).map_err(at)?;
        let (dir, name) = split(&target).map_err(at)?;
        // a folder that is missing will be made in the nearest that is there
        let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("."));
        drop(sibling(there, &name).map_err(at)?);
        let whole = fs::canonicalize(&dir).map_or(target, |dir| dir.join(name));
        if taken.contains(&whole) {
            let why = "the same command reads it, or writes another file there; give another path";
            return Err(at(io::Error::other(why)));
        }
        taken.push(whole);
    }
    Ok(())
}

/// Writes `bytes` to `path`, atomically.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, |part| part.write_all(bytes).map_err(|source| io_error(path, source)))
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

/// The file to replace: what a link points to, never a directory or a device.
fn target(path: &Path) -> io::Result<PathBuf> {
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(io::Error::other("it names a folder; give the path of a file"));
    }
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            Err(io::Error::other("it exists and is not a regular file; give another path"))
        }
        Ok(_) => fs::canonicalize(path),
        Err(_) => Ok(path.to_owned()),
    }
}

fn split(target: &Path) -> io::Result<(PathBuf, OsString)> {
    let name = target.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
    let dir = match target.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    Ok((dir.to_owned(), name.to_owned()))
}

fn sibling(dir: &Path, name: &OsString) -> io::Result<NamedTempFile> {
    let mut prefix = stem(name);
    prefix.push(format!("{}.", process::id()));
    // Temporary files are private by default; an artefact follows the umask.
    let permissions = Permissions::from_mode(0o666);
    Builder::new().prefix(&prefix).suffix(SUFFIX).permissions(permissions).tempfile_in(dir)
}

const SUFFIX: &str = ".part";

fn stem(name: &OsString) -> OsString {
    let mut stem = OsString::from(".");
    stem.push(name);
    stem.push(".");
    stem
}

/// Removes the siblings of `name` whose writer is dead. One that cannot be removed does no
/// harm but take up room, so failures are not errors.
fn remove_leftovers(dir: &Path, name: &OsString) {
    let stem = stem(name);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if writer(entry.file_name().as_bytes(), stem.as_bytes()).is_some_and(is_dead) {
            match fs::remove_file(entry.path()) {
                Ok(()) => tracing::debug!("removed leftover {}", entry.path().display()),
                Err(why) => tracing::debug!("left {}: {why}", entry.path().display()),
            }
        }
    }
}

/// The process that writes, or wrote, the sibling called `entry`.
fn writer(entry: &[u8], stem: &[u8]) -> Option<u32> {
    let rest = entry.strip_prefix(stem)?.strip_suffix(SUFFIX.as_bytes())?;
    let (pid, random) = std::str::from_utf8(rest).ok()?.split_once('.')?;
    if random.contains('.') { None } else { pid.parse().ok() }
}

/// Whether no process `pid` runs; never claimed where there is no `/proc` to tell.
fn is_dead(pid: u32) -> bool {
    Path::new("/proc/self").exists() && !Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(dir: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/dir/file");
        write_bytes(&path, b"old")?;

        let failed: Result<()> = write(&path, |part| {
            part.write_all(b"half").map_err(|e| io_error(&path, e))?;
            Err(io_error(&path, io::Error::other("disk full")))
        });

        let failed = failed.unwrap_err();
        assert!(failed.to_string().contains("new/dir/file"), "{failed}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(path.parent().unwrap()), ["file"]);
        Ok(())
    }

    #[test]
    fn the_leftover_of_a_dead_writer_is_removed_and_that_of_a_living_one_kept() -> Result<()>
    {
        let dir = tempfile::tempdir().unwrap();
        let mut child = process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let dead = format!(".file.{}.abc123.part", child.id());
        let alive = format!(".file.{}.abc123.part", process::id());
        let of_another_file = format!(".file.b.{}.abc123.part", child.id());
        for name in [&dead, &alive, &of_another_file] {
            write_bytes(&dir.path().join(name), b"half")?;
        }

        write_bytes(&dir.path().join("file"), b"whole")?;

        let mut expected = [alive, of_another_file, "file".to_owned()].map(OsString::from);
        expected.sort();
        assert_eq!(names(dir.path()), expected);
        Ok(())
    }

    #[test]
    fn permissions_follow_the_umask() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        // `touch` creates with the permissions that the umask leaves.
        assert!(process::Command::new("touch").arg(&plain).status().unwrap().success());
        let path = dir.path().join("file");
        write_bytes(&path, b"")?;
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
        Ok(())
    }

    #[test]
    fn an_output_that_would_replace_a_file_of_the_command_is_refused() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let [input, link, new] =
            ["input", "link", "new/output"].map(|n| dir.path().join(n));
        write_bytes(&input, b"old")?;
        symlink(&input, &link).unwrap();
        let roundabout = dir.path().join("../").join(dir.path().file_name().unwrap());
        check(&[&new, &dir.path().join("other")], [&input])?;
        assert_eq!(names(dir.path()), ["input", "link"]);
        for same in [&input, &link, &roundabout.join("input")] {
            let refused = check(&[same], [&input]).unwrap_err();
            assert!(refused.to_string().contains(same.to_str().unwrap()), "{refused}");
        }
        assert!(check(&[&new, &new], [&input]).is_err());
        Ok(())
    }

    #[test]
    fn an_output_that_cannot_be_written_is_refused_before_any_work() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        write_bytes(&file, b"old").unwrap();
        let folder = dir.path().join("new/");
        for output in [dir.path(), &file.join("below"), &folder, Path::new("/dev/full")] {
            assert!(check(&[output], []).is_err(), "{}", output.display());
        }
    }

    #[test]
    fn a_link_is_followed_and_a_directory_refused() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        write_bytes(&file, b"old")?;
        symlink(&file, &link).unwrap();
        write_bytes(&link, b"new")?;
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(write_bytes(dir.path(), b"").is_err());
        Ok(())
    }
}
