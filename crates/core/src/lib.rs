//! Points, tokens, axes and record schemas shared by the ottava crates.
//!
//! ```
//! use ottava_core::{AxisNames, Token, TokenBatch};
//!
//! let ids = [7, 8];
//! let positions = [[0.0; 8], [1.0; 8]];
//! let batch = TokenBatch::from_rows(&ids[..], &positions[..])?.with_weights(vec![1.0, 0.5])?;
//! assert_eq!(batch.weight(1), 0.5);
//! assert_eq!(AxisNames::default().position("x3")?, 3);
//! assert_eq!(Token::new(7, positions[0]).weight, 1.0);
//! # Ok::<(), ottava_core::Error>(())
//! ```

#[cfg(feature = "arrow")]
pub mod arrow;
pub mod axes;
pub mod batch;
pub mod error;
pub mod limits;
pub mod point;
pub mod schema;
#[cfg(feature = "store")]
pub mod store;
pub mod token;

pub use axes::{AxisNames, AxisSet, Scales};
pub use batch::TokenBatch;
pub use error::Error;
pub use point::{AXES, MAX_MAGNITUDE, Point8};
pub use token::{Field, NO_TOKEN, Token, TokenId};
