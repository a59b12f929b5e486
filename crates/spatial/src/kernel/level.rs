use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::Error;

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Level {
    /// What every processor of the target has (on x86-64: SSE2).
    Scalar = 1,
    /// NEON, on AArch64.
    Neon = 2,
    /// AVX2, on x86-64.
    Avx2 = 3,
    /// AVX-512 F, BW, DQ and VL, on x86-64.
    Avx512 = 4,
}

const ALL: [Level; 4] = [Level::Scalar, Level::Neon, Level::Avx2, Level::Avx512];

/// The level in force, 0 before the first use.
static CURRENT: AtomicU8 = AtomicU8::new(0);

/// The level in force: the best the processor has, unless [`force`] chose another.
#[inline]
pub fn level() -> Level {
    match CURRENT.load(Ordering::Relaxed) {
        1 => Level::Scalar,
        2 => Level::Neon,
        3 => Level::Avx2,
        4 => Level::Avx512,
        _ => choose(),
    }
}

#[cold]
fn choose() -> Level {
    let best = ALL.into_iter().rfind(|&level| detect(level)).unwrap_or(Level::Scalar);
    CURRENT.store(best as u8, Ordering::Relaxed);
    best
}

/// The levels that this processor has, worst first.
pub fn available() -> Vec<Level> {
    ALL.into_iter().filter(|&level| detect(level)).collect()
}

/// Makes every later call of the process use a level; `None` returns to the best one.
///
/// No answer depends on the level. This exists so that tests can show it.
///
/// # Errors
/// [`Error::Level`] if the processor does not have the level.
pub fn force(level: Option<Level>) -> Result<(), Error> {
    match level {
        None => {
            choose();
        }
        Some(level) if detect(level) => CURRENT.store(level as u8, Ordering::Relaxed),
        Some(level) => return Err(Error::Level { name: level.to_string() }),
    }
    Ok(())
}

fn detect(level: Level) -> bool {
    match level {
        Level::Scalar => true,
        #[cfg(target_arch = "aarch64")]
        Level::Neon => true,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => is_x86_feature_detected!("avx2"),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx2")
        }
        _ => false,
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        ALL.into_iter()
            .find(|level| level.to_string() == name)
            .ok_or_else(|| Error::Level { name: name.into() })
    }
}
