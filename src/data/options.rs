//! Read options of a data file, and its content.

use std::path::PathBuf;

use crate::data::dataset::Dataset;
use crate::{Error, Result};

/// Content of a source: training rows and, if it has its own, test rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Training rows.
    pub train: Dataset,
    /// Test rows.
    pub test: Option<Dataset>,
}

/// Location of the targets. The default specifies none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The target's column in a table: its name, or its index from 0 if the file has no header.
    pub target: Option<String>,
    /// The file of the targets, for `.npy`.
    pub targets: Option<PathBuf>,
    /// The file with the number of rows of each query, for SVMlight.
    pub groups: Option<PathBuf>,
    /// Number of features per row, for SVMlight; by default from the largest index.
    pub features: Option<usize>,
    /// True if indices count from 0, for SVMlight; by default true if an index is 0.
    pub zero_based: Option<bool>,
}

impl ReadOptions {
    /// Sets the target's column in a table: its name, or its index from 0 if the file has no
    /// header.
    pub fn target(mut self, column: impl Into<String>) -> Self {
        self.target = Some(column.into());
        self
    }

    /// Sets the file of the targets, for `.npy`.
    pub fn targets(mut self, path: impl Into<PathBuf>) -> Self {
        self.targets = Some(path.into());
        self
    }

    /// Sets the file with the number of rows of each query, for SVMlight.
    pub fn groups(mut self, path: impl Into<PathBuf>) -> Self {
        self.groups = Some(path.into());
        self
    }

    /// Sets the number of features per row, for SVMlight; by default from the largest index.
    pub fn features(mut self, features: usize) -> Self {
        self.features = Some(features);
        self
    }

    /// Sets whether indices count from 0, for SVMlight; by default they do if an index is 0.
    pub fn zero_based(mut self, zero_based: bool) -> Self {
        self.zero_based = Some(zero_based);
        self
    }

    /// Rejects options that the format does not use: ignoring one would train on targets other than
    /// requested.
    pub(super) fn only(&self, format: &str, target: bool, targets: bool) -> Result<()> {
        let allowed = |place: &str| format!("left out: {format} has its targets in {place}");
        if format != SVMLIGHT {
            self.no_svmlight(format)?;
        }
        if let (Some(column), false) = (&self.target, target) {
            return Err(Error::option(
                "data",
                "target",
                column,
                &allowed("files or arrays of their own"),
            ));
        }
        if let (Some(path), false) = (&self.targets, targets) {
            return Err(Error::option(
                "data",
                "targets",
                path.display(),
                &allowed("the same place as the features"),
            ));
        }
        Ok(())
    }

    /// Rejects options that only SVMlight uses.
    pub(super) fn no_svmlight(&self, format: &str) -> Result<()> {
        let allowed = format!("left out: {format} says it itself; it is for SVMlight's lines");
        let refuse = |name: &str, found: String| Err(Error::option("data", name, found, &allowed));
        match (&self.groups, self.features, self.zero_based) {
            (Some(path), _, _) => refuse("groups", path.display().to_string()),
            (_, Some(features), _) => refuse("features", features.to_string()),
            (_, _, Some(zero_based)) => refuse("zero_based", zero_based.to_string()),
            _ => Ok(()),
        }
    }
}

/// Name of the format in messages.
pub(super) const SVMLIGHT: &str = "SVMlight";
