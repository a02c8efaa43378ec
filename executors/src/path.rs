//! A path on a machine that a step names: absolute, normal, bounded.
//!
//! It never touches a file system. Invariant: a [`HostPath`] has no `..`, no `.`, no empty part and no NUL, so
//! that by its text alone it names something below the root; links are the business of the host.

use std::fmt;

use thiserror::Error;
use vigo_base::text::escaped;

/// Bytes of a path.
pub const PATH_BYTES: usize = 4096;
/// Bytes of one part of a path.
pub const PART_BYTES: usize = 255;
/// Parts of a path.
pub const PATH_PARTS: usize = 128;

/// An absolute path without `..`, as `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPath(String);

/// Why a text is not a path that a step may name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum BadPath {
    #[error("`{}` is not absolute: a path starts with `/`", escaped(found))]
    Relative { found: String },
    #[error("`{}` has the part `..`: write the path without it", escaped(found))]
    Upwards { found: String },
    #[error("`{}` holds a NUL byte, which no file name can", escaped(found))]
    Nul { found: String },
    #[error(
        "a path of {bytes} bytes and {parts} parts is too long: at most {PATH_BYTES} bytes, {PATH_PARTS} parts, {PART_BYTES} bytes a part"
    )]
    Long { bytes: usize, parts: usize },
    #[error("the path is empty: it starts with `/`")]
    Empty,
}

impl HostPath {
    /// Reads a path; repeated and trailing `/` and `.` parts are dropped.
    ///
    /// # Errors
    /// [`BadPath`] when it is relative, goes up, holds NUL or is too long.
    pub fn parse(text: &str) -> Result<HostPath, BadPath> {
        let found = || text.chars().take(256).collect::<String>();
        if text.is_empty() {
            return Err(BadPath::Empty);
        }
        let parts: Vec<&str> = text.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
        if text.len() > PATH_BYTES || parts.len() > PATH_PARTS || parts.iter().any(|p| p.len() > PART_BYTES) {
            return Err(BadPath::Long { bytes: text.len(), parts: parts.len() });
        }
        if !text.starts_with('/') {
            return Err(BadPath::Relative { found: found() });
        }
        if text.contains('\0') {
            return Err(BadPath::Nul { found: found() });
        }
        if parts.contains(&"..") {
            return Err(BadPath::Upwards { found: found() });
        }
        Ok(HostPath(format!("/{}", parts.join("/"))))
    }

    /// The text: `/a/b`, or `/` for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts from the root down; none for the root.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|p| !p.is_empty())
    }

    /// The last part; `None` for the root.
    pub fn name(&self) -> Option<&str> {
        self.parts().last()
    }

    /// The folder that holds it; `None` for the root.
    pub fn parent(&self) -> Option<HostPath> {
        let cut = self.0.rfind('/')?;
        (self.0.len() > 1).then(|| HostPath(self.0.get(..cut.max(1)).unwrap_or("/").to_owned()))
    }

    /// Whether this lies below `other`, by text.
    pub fn is_below(&self, other: &HostPath) -> bool {
        other.0 == "/" && self.0 != "/" || self.0.strip_prefix(&other.0).is_some_and(|r| r.starts_with('/'))
    }
}

impl fmt::Display for HostPath {
    /// Escaped, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_made_normal_or_refused() {
        let good = |text: &str| HostPath::parse(text).unwrap().as_str().to_owned();
        assert_eq!(good("/etc//hosts/"), "/etc/hosts");
        assert_eq!(good("/./etc/./hosts"), "/etc/hosts");
        assert_eq!(good("/"), "/");
        assert!(matches!(HostPath::parse("etc/hosts"), Err(BadPath::Relative { .. })));
        assert!(matches!(HostPath::parse("/etc/../root"), Err(BadPath::Upwards { .. })));
        assert!(matches!(HostPath::parse("/a\0b"), Err(BadPath::Nul { .. })));
        assert!(matches!(HostPath::parse(""), Err(BadPath::Empty)));
        assert!(matches!(HostPath::parse(&format!("/{}", "a".repeat(256))), Err(BadPath::Long { .. })));
        assert!(matches!(HostPath::parse(&"/a".repeat(129)), Err(BadPath::Long { .. })));
        assert_eq!(good("/a/..b/c.."), "/a/..b/c..");
    }

    #[test]
    fn parents_and_names() {
        let path = HostPath::parse("/etc/hosts").unwrap();
        assert_eq!(path.name(), Some("hosts"));
        assert_eq!(path.parent().unwrap().as_str(), "/etc");
        assert_eq!(path.parent().unwrap().parent().unwrap().as_str(), "/");
        assert_eq!(HostPath::parse("/").unwrap().parent(), None);
        assert!(path.is_below(&path.parent().unwrap()));
        assert!(!HostPath::parse("/etcetera").unwrap().is_below(&path.parent().unwrap()));
    }
}
