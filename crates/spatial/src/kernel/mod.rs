//! Sixteen lanes of `f32`, and the choice of the instructions that work on them.
//!
//! An algorithm is written once, as an [`Op`] generic over [`Simd`], and [`run`] compiles it for
//! every level. All levels give the same bits: only additions, multiplications, comparisons and
//! square roots, each rounded once, in an order that the algorithm fixes; never a fused
//! multiply-add.
//!
//! Everything that [`Op::run`] calls on its hot path must be `#[inline(always)]`: a function that
//! is not inlined would be compiled without the level's instructions.

mod level;
pub(crate) mod scalar;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use level::{Level, available, force, level};

/// The number of lanes at every level.
pub(crate) const LANES: usize = 16;

/// One value for each lane.
pub(crate) type Lanes = [f32; LANES];

/// Eight columns, one an axis, of sixteen points.
pub(crate) type Block = [Lanes; 8];

/// Proof that the processor has the instructions of a level.
#[derive(Clone, Copy)]
pub(crate) struct Supported(Level);

/// The level in force.
#[inline]
pub(crate) fn current() -> Supported {
    Supported(level())
}

/// An algorithm over lanes.
pub(crate) trait Op {
    /// What it computes.
    type Out;
    /// Computes it; to be `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Out;
}

/// Runs an algorithm with the instructions of a level.
#[inline]
pub(crate) fn run<O: Op>(supported: Supported, op: O) -> O::Out {
    match supported.0 {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => x86::run_avx512(supported, op),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => x86::run_avx2(supported, op),
        #[cfg(target_arch = "aarch64")]
        Level::Neon => aarch64::run(op),
        _ => op.run(scalar::Scalar),
    }
}

/// Sixteen lanes of `f32`. A mask has bit `i` set for lane `i`.
pub(crate) trait Simd: Copy {
    /// Sixteen values.
    type F: Copy;

    /// The same value in every lane.
    fn splat(self, value: f32) -> Self::F;
    /// The lanes of an array.
    fn load(self, lanes: &Lanes) -> Self::F;
    /// Writes the lanes to an array.
    fn store(self, value: Self::F, lanes: &mut Lanes);
    /// As `store`, past the caches if `lanes` is 64-aligned; [`Simd::fence`] ends a run of these.
    fn stream(self, value: Self::F, lanes: &mut Lanes);
    /// Orders the streamed stores before what follows.
    fn fence(self);
    /// `a + b`
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `if a > b { a } else { b }`
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// Without the sign.
    fn abs(self, a: Self::F) -> Self::F;
    /// The square root, correctly rounded.
    fn sqrt(self, a: Self::F) -> Self::F;
    /// Where `a <= b`; false for NaN.
    fn le(self, a: Self::F, b: Self::F) -> u16;
    /// The lanes of `a` where the mask is set, of `b` elsewhere.
    fn select(self, mask: u16, a: Self::F, b: Self::F) -> Self::F;
    /// The least of the lanes, none of which is NaN.
    fn least(self, a: Self::F) -> f32;
    /// Each lane moves one up; the lowest stays as well.
    fn shift_up(self, a: Self::F) -> Self::F;
    /// Writes `first` plus the number of each lane in the mask, one after the other; what is written
    /// behind them means nothing.
    #[inline(always)]
    fn number(self, mask: u16, first: u32, out: &mut [u32; LANES]) {
        // Every lane is written, so that nothing depends on a guess at the mask.
        let mut len = 0;
        for lane in 0..LANES {
            out[len % LANES] = first + lane as u32;
            len += usize::from(mask >> lane & 1);
        }
    }
    /// The columns of sixteen rows.
    fn columns(self, rows: &[[f32; 8]; LANES]) -> [Self::F; 8];
    /// Asks for the cache line of a value.
    fn prefetch<T>(self, value: &T);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lines([f32; LANES], u16);

    impl Op for Lines {
        type Out = (f32, Vec<u32>);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Out {
            let mut out = [u32::MAX; LANES];
            simd.number(self.1, 1000, &mut out);
            (simd.least(simd.load(&self.0)), out[..self.1.count_ones() as usize].to_vec())
        }
    }

    #[test]
    fn every_level_numbers_the_lanes_of_a_mask_and_finds_the_least() {
        for level in available() {
            for mask in 0..=u16::MAX {
                let at = usize::from(mask) % LANES;
                let lanes = std::array::from_fn(|lane| if lane == at { -2.5 } else { lane as f32 });
                let set = (0..16).filter(|lane| mask >> lane & 1 == 1);
                let expected = (-2.5, set.map(|lane| 1000 + lane).collect());
                assert_eq!(run(Supported(level), Lines(lanes, mask)), expected, "{level}");
            }
        }
    }
}
