#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::{LANES, Lanes, Op, Simd};

/// NEON, which every AArch64 processor has.
#[derive(Clone, Copy)]
pub(crate) struct Neon;

#[inline]
pub(crate) fn run<O: Op>(op: O) -> O::Out {
    op.run(Neon)
}

type Quads = [float32x4_t; 4];

#[inline(always)]
fn each(a: Quads, b: Quads, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Quads {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

// SAFETY of every block below: NEON is part of the AArch64 targets of Rust's standard library.

impl Simd for Neon {
    type F = Quads;

    #[inline(always)]
    fn splat(self, value: f32) -> Quads {
        // SAFETY: NEON is part of the target.
        unsafe { [vdupq_n_f32(value); 4] }
    }

    #[inline(always)]
    fn load(self, lanes: &Lanes) -> Quads {
        let from = lanes.as_ptr();
        // SAFETY: NEON is part of the target; sixteen floats are readable.
        unsafe {
            [
                vld1q_f32(from),
                vld1q_f32(from.add(4)),
                vld1q_f32(from.add(8)),
                vld1q_f32(from.add(12)),
            ]
        }
    }

    #[inline(always)]
    fn store(self, value: Quads, lanes: &mut Lanes) {
        let to = lanes.as_mut_ptr();
        // SAFETY: NEON is part of the target; sixteen floats are writable.
        unsafe {
            vst1q_f32(to, value[0]);
            vst1q_f32(to.add(4), value[1]);
            vst1q_f32(to.add(8), value[2]);
            vst1q_f32(to.add(12), value[3]);
        }
    }

    #[inline(always)]
    fn stream(self, value: Quads, lanes: &mut Lanes) {
        self.store(value, lanes);
    }

    #[inline(always)]
    fn fence(self) {}

    #[inline(always)]
    fn add(self, a: Quads, b: Quads) -> Quads {
        // SAFETY: NEON is part of the target.
        each(a, b, |a, b| unsafe { vaddq_f32(a, b) })
    }

    #[inline(always)]
    fn sub(self, a: Quads, b: Quads) -> Quads {
        // SAFETY: NEON is part of the target.
        each(a, b, |a, b| unsafe { vsubq_f32(a, b) })
    }

    #[inline(always)]
    fn mul(self, a: Quads, b: Quads) -> Quads {
        // SAFETY: NEON is part of the target.
        each(a, b, |a, b| unsafe { vmulq_f32(a, b) })
    }

    #[inline(always)]
    fn max(self, a: Quads, b: Quads) -> Quads {
        // SAFETY: NEON is part of the target.
        each(a, b, |a, b| unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) })
    }

    #[inline(always)]
    fn abs(self, a: Quads) -> Quads {
        // SAFETY: NEON is part of the target.
        each(a, a, |a, _| unsafe { vabsq_f32(a) })
    }

    #[inline(always)]
    fn sqrt(self, a: Quads) -> Quads {
        // SAFETY: NEON is part of the target.
        each(a, a, |a, _| unsafe { vsqrtq_f32(a) })
    }

    #[inline(always)]
    fn le(self, a: Quads, b: Quads) -> u16 {
        const BITS: [u32; 4] = [1, 2, 4, 8];
        let mut mask = 0;
        for quad in 0..4 {
            // SAFETY: NEON is part of the target; `BITS` is four readable integers.
            let bits = unsafe {
                vaddvq_u32(vandq_u32(vcleq_f32(a[quad], b[quad]), vld1q_u32(BITS.as_ptr())))
            };
            mask |= (bits as u16) << (4 * quad);
        }
        mask
    }

    #[inline(always)]
    fn select(self, mask: u16, a: Quads, b: Quads) -> Quads {
        const BITS: [u32; 4] = [1, 2, 4, 8];
        let mut out = b;
        for quad in 0..4 {
            // SAFETY: NEON is part of the target; `BITS` is four readable integers.
            out[quad] = unsafe {
                let bits = vdupq_n_u32(u32::from(mask >> (4 * quad)));
                vbslq_f32(vtstq_u32(bits, vld1q_u32(BITS.as_ptr())), a[quad], b[quad])
            };
        }
        out
    }

    #[inline(always)]
    fn least(self, a: Quads) -> f32 {
        // SAFETY: NEON is part of the target.
        unsafe { vminvq_f32(vminq_f32(vminq_f32(a[0], a[1]), vminq_f32(a[2], a[3]))) }
    }

    #[inline(always)]
    fn shift_up(self, a: Quads) -> Quads {
        // SAFETY: NEON is part of the target.
        unsafe {
            let low = vdupq_laneq_f32::<0>(a[0]);
            [
                vextq_f32::<3>(low, a[0]),
                vextq_f32::<3>(a[0], a[1]),
                vextq_f32::<3>(a[1], a[2]),
                vextq_f32::<3>(a[2], a[3]),
            ]
        }
    }

    #[inline(always)]
    fn columns(self, rows: &[[f32; 8]; LANES]) -> [Quads; 8] {
        let mut columns = [[0.0; LANES]; 8];
        for (lane, row) in rows.iter().enumerate() {
            for axis in 0..8 {
                columns[axis][lane] = row[axis];
            }
        }
        columns.map(|column| self.load(&column))
    }

    #[inline(always)]
    fn prefetch<T>(self, _value: &T) {}
}
