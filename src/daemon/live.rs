//! The configuration that holds now. A reload puts a new one in its place; who works with the old one ends with it.

use crate::config::Config;
use std::sync::{Arc, PoisonError, RwLock};

/// The configuration of a running daemon.
#[derive(Debug)]
pub struct Live(RwLock<Arc<Config>>);

impl Live {
    /// Begins with a configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(RwLock::new(Arc::new(config)))
    }

    /// The one that holds now.
    #[must_use]
    pub fn get(&self) -> Arc<Config> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this one holds.
    pub fn replace(&self, config: Config) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}
