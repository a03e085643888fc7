//! The pools on disk: one JSON file each, and the built-in one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::books::{self, Books};
use super::error::Error;
use super::lock::Lock;
use super::pool::{DEFAULT_POOL, Pool};
use super::reader;

fn directory(root: &Path) -> PathBuf {
    root.join("pools")
}

/// Every pool, by name; `default` is among them in any case.
pub(super) fn pools(root: &Path) -> Result<Vec<Pool>, Error> {
    let directory = directory(root);
    let mut pools = Vec::new();
    for name in reader::names(&directory)? {
        if let Some(stem) = name.strip_suffix(".json") {
            pools.push(load(&directory.join(&name), stem)?);
        }
    }
    if !pools.iter().any(|pool| pool.name == DEFAULT_POOL) {
        pools.push(Pool::built_in());
    }
    pools.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(pools)
}

fn load(path: &Path, stem: &str) -> Result<Pool, Error> {
    let text = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let mut pool: Pool =
        serde_json::from_slice(&text).map_err(|source| Error::PoolFile { path: path.to_owned(), source })?;
    stem.clone_into(&mut pool.name);
    pool.validate().map_err(|source| Error::Pool { pool: pool.name.clone(), source })?;
    Ok(pool)
}

/// The pool of that name.
pub(super) fn pool(root: &Path, name: &str) -> Result<Pool, Error> {
    let pools = pools(root)?;
    let known = || pools.iter().map(|pool| pool.name.clone()).collect();
    match pools.iter().find(|pool| pool.name == name) {
        Some(pool) => Ok(pool.clone()),
        None => Err(Error::NoSuchPool { pool: name.to_owned(), known: known() }),
    }
}

/// Adds a pool. One named `default` takes the place of the built-in one, as long as that holds nothing.
pub(super) fn add(root: &Path, pool: &Pool) -> Result<(), Error> {
    let refused = |source| Error::Pool { pool: pool.name.clone(), source };
    pool.validate().map_err(refused)?;
    let directory = directory(root);
    let _lock = Lock::take(&directory)?;
    let path = directory.join(format!("{}.json", pool.name));
    if path.exists() {
        return Err(Error::PoolExists { pool: pool.name.clone() });
    }
    for other in pools(root)?.iter().filter(|other| other.name != pool.name) {
        pool.validate_beside(other).map_err(refused)?;
    }
    let books = Books::open(root, &pool.name)?;
    unused(&books, &pool.name)?;
    write(&directory, &path, pool)
}

/// Removes a pool that holds no address.
pub(super) fn remove(root: &Path, name: &str) -> Result<(), Error> {
    let directory = directory(root);
    pool(root, name)?;
    let _lock = Lock::take(&directory)?;
    let books = Books::open(root, name)?;
    unused(&books, name)?;
    match fs::remove_file(directory.join(format!("{name}.json"))) {
        Ok(()) => books.remove(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::BuiltIn { pool: name.to_owned() }),
        Err(source) => Err(Error::Write { path: directory, source }),
    }
}

fn unused(books: &Books, pool: &str) -> Result<(), Error> {
    match books.count()? {
        0 => Ok(()),
        held => Err(Error::PoolInUse { pool: pool.to_owned(), held }),
    }
}

/// The name comes last, so that a pool is whole or absent.
fn write(directory: &Path, path: &Path, pool: &Pool) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let json =
        serde_json::to_string_pretty(pool).map_err(|source| Error::PoolFile { path: path.to_owned(), source })?;
    let staged = directory.join(format!(".{}.new", pool.name));
    books::remove(&staged)?;
    fs::write(&staged, json + "\n").map_err(failed)?;
    fs::File::open(&staged).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(&staged, path).map_err(failed)?;
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}
