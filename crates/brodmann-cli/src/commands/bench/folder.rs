//! A folder for the tissues of a bench, gone when the bench ends.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::failure::Failure;

/// The folder of this process, for the interrupt handler.
static CURRENT: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Where the files of one size lie.
pub struct Folder {
    path: PathBuf,
    owned: bool,
}

impl Folder {
    /// A new one, among the system's temporary files.
    pub fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("brodmann-bench-{}", std::process::id()));
        // Known before it is made, so that an interruption in between cannot leave it behind.
        *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.clone());
        std::fs::create_dir_all(&path).map_err(|e| {
            Failure::run(format!("the folder {} cannot be made ({e})", path.display()))
                .hint("set TMPDIR to one you may write to")
        })?;
        Ok(Self { path, owned: true })
    }

    /// One that the process that started this one made.
    pub fn existing(path: &Path) -> Self {
        Self { path: path.to_path_buf(), owned: false }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Raw counts.
    pub fn counts(&self) -> PathBuf {
        self.path.join("counts.h5ad")
    }

    /// With principal components.
    pub fn components(&self) -> PathBuf {
        self.path.join("components.h5ad")
    }

    /// With latent and spatial neighbours.
    pub fn graphs(&self) -> PathBuf {
        self.path.join("graphs.h5ad")
    }

    /// What a process writes.
    pub fn output(&self) -> PathBuf {
        self.path.join("output.h5ad")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.owned {
            remove();
        }
    }
}

/// Removes the folder of this process, if there is one.
pub fn remove() {
    if let Some(path) = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Nothing more can be done about a folder that will not go.
        let _ = std::fs::remove_dir_all(path);
    }
}
