#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{LANES, Lanes, Level, Op, Simd, Supported};

/// Proof of AVX-512 F, BW, DQ and VL; made by [`run_avx512`] alone.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

/// Proof of AVX2; made by [`run_avx2`] alone.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

#[inline]
pub(crate) fn run_avx512<O: Op>(supported: Supported, op: O) -> O::Out {
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
    fn with<O: Op>(op: O) -> O::Out {
        op.run(Avx512(()))
    }
    assert!(supported.0 == Level::Avx512);
    // SAFETY: `Supported` holds a level only if `detect` found its features.
    unsafe { with(op) }
}

#[inline]
pub(crate) fn run_avx2<O: Op>(supported: Supported, op: O) -> O::Out {
    #[target_feature(enable = "avx2")]
    fn with<O: Op>(op: O) -> O::Out {
        op.run(Avx2(()))
    }
    assert!(supported.0 == Level::Avx2);
    // SAFETY: `Supported` holds a level only if `detect` found its features.
    unsafe { with(op) }
}

impl Simd for Avx512 {
    type F = __m512;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: `Avx512` proves AVX-512 F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, lanes: &Lanes) -> __m512 {
        // SAFETY: `Avx512` proves AVX-512 F; sixteen floats are readable, at any alignment.
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, value: __m512, lanes: &mut Lanes) {
        // SAFETY: `Avx512` proves AVX-512 F; sixteen floats are writable, at any alignment.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn stream(self, value: __m512, lanes: &mut Lanes) {
        let to = lanes.as_mut_ptr();
        if to.addr().is_multiple_of(64) {
            // SAFETY: `Avx512` proves AVX-512 F; sixteen floats are writable, 64-aligned.
            unsafe { _mm512_stream_ps(to, value) }
        } else {
            self.store(value, lanes);
        }
    }

    #[inline(always)]
    fn fence(self) {
        // SAFETY: SSE is part of x86-64.
        unsafe { _mm_sfence() }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `Avx512` proves AVX-512 F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `Avx512` proves AVX-512 F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `Avx512` proves AVX-512 F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `Avx512` proves AVX-512 F.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        // SAFETY: `Avx512` proves AVX-512 F.
        unsafe { _mm512_abs_ps(a) }
    }

    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: `Avx512` proves AVX-512 F.
        unsafe { _mm512_sqrt_ps(a) }
    }

    #[inline(always)]
    fn le(self, a: __m512, b: __m512) -> u16 {
        // SAFETY: `Avx512` proves AVX-512 F.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: u16, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `Avx512` proves AVX-512 F.
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }

    #[inline(always)]
    fn least(self, a: __m512) -> f32 {
        // SAFETY: `Avx512` proves AVX-512 F.
        unsafe { _mm512_reduce_min_ps(a) }
    }

    #[inline(always)]
    fn shift_up(self, a: __m512) -> __m512 {
        // SAFETY: `Avx512` proves AVX-512 F.
        unsafe {
            let from = _mm512_setr_epi32(0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
            _mm512_permutexvar_ps(from, a)
        }
    }

    #[inline(always)]
    fn number(self, mask: u16, first: u32, out: &mut [u32; LANES]) {
        // SAFETY: `Avx512` proves AVX-512 F; sixteen integers are writable, at any alignment.
        unsafe {
            let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let numbers = _mm512_add_epi32(lanes, _mm512_set1_epi32(first.cast_signed()));
            let packed = _mm512_maskz_compress_epi32(mask, numbers);
            _mm512_storeu_si512(out.as_mut_ptr().cast(), packed);
        }
    }

    #[inline(always)]
    fn columns(self, rows: &[[f32; 8]; LANES]) -> [__m512; 8] {
        let (low, high) = halves(rows);
        // SAFETY: `Avx512` proves AVX2 and AVX-512 DQ.
        unsafe {
            let (a, b) = (transpose(low), transpose(high));
            let mut columns = [_mm512_setzero_ps(); 8];
            for axis in 0..8 {
                columns[axis] = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(a[axis]), b[axis]);
            }
            columns
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, value: &T) {
        prefetch(value);
    }
}

impl Simd for Avx2 {
    type F = [__m256; 2];

    #[inline(always)]
    fn splat(self, value: f32) -> [__m256; 2] {
        // SAFETY: `Avx2` proves AVX.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn load(self, lanes: &Lanes) -> [__m256; 2] {
        let from = lanes.as_ptr();
        // SAFETY: `Avx2` proves AVX; sixteen floats are readable, at any alignment.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    fn store(self, value: [__m256; 2], lanes: &mut Lanes) {
        let to = lanes.as_mut_ptr();
        // SAFETY: `Avx2` proves AVX; sixteen floats are writable, at any alignment.
        unsafe {
            _mm256_storeu_ps(to, value[0]);
            _mm256_storeu_ps(to.add(8), value[1]);
        }
    }

    #[inline(always)]
    fn stream(self, value: [__m256; 2], lanes: &mut Lanes) {
        let to = lanes.as_mut_ptr();
        if to.addr().is_multiple_of(64) {
            // SAFETY: `Avx2` proves AVX; sixteen floats are writable, 64-aligned.
            unsafe {
                _mm256_stream_ps(to, value[0]);
                _mm256_stream_ps(to.add(8), value[1]);
            }
        } else {
            self.store(value, lanes);
        }
    }

    #[inline(always)]
    fn fence(self) {
        // SAFETY: SSE is part of x86-64.
        unsafe { _mm_sfence() }
    }

    #[inline(always)]
    fn add(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `Avx2` proves AVX.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `Avx2` proves AVX.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `Avx2` proves AVX.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn max(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `Avx2` proves AVX.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn abs(self, a: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `Avx2` proves AVX.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            [_mm256_andnot_ps(sign, a[0]), _mm256_andnot_ps(sign, a[1])]
        }
    }

    #[inline(always)]
    fn sqrt(self, a: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `Avx2` proves AVX.
        unsafe { [_mm256_sqrt_ps(a[0]), _mm256_sqrt_ps(a[1])] }
    }

    #[inline(always)]
    fn le(self, a: [__m256; 2], b: [__m256; 2]) -> u16 {
        // SAFETY: `Avx2` proves AVX.
        unsafe {
            let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(a[0], b[0]));
            let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(a[1], b[1]));
            (low | high << 8) as u16
        }
    }

    #[inline(always)]
    fn select(self, mask: u16, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `Avx2` proves AVX2.
        unsafe {
            let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let half = |mask: u16, a, b| {
                let set = _mm256_and_si256(_mm256_set1_epi32(i32::from(mask)), bits);
                _mm256_blendv_ps(b, a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, bits)))
            };
            [half(mask, a[0], b[0]), half(mask >> 8, a[1], b[1])]
        }
    }

    #[inline(always)]
    fn least(self, a: [__m256; 2]) -> f32 {
        // SAFETY: `Avx2` proves AVX.
        unsafe {
            let eight = _mm256_min_ps(a[0], a[1]);
            let four = _mm_min_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_min_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn shift_up(self, a: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `Avx2` proves AVX2.
        unsafe {
            let from = _mm256_setr_epi32(0, 0, 1, 2, 3, 4, 5, 6);
            let carry = _mm256_permutevar8x32_ps(a[0], _mm256_set1_epi32(7));
            let high = _mm256_permutevar8x32_ps(a[1], from);
            [_mm256_permutevar8x32_ps(a[0], from), _mm256_blend_ps::<1>(high, carry)]
        }
    }

    #[inline(always)]
    fn columns(self, rows: &[[f32; 8]; LANES]) -> [[__m256; 2]; 8] {
        let (low, high) = halves(rows);
        // SAFETY: `Avx2` proves AVX.
        unsafe {
            let (a, b) = (transpose(low), transpose(high));
            let mut columns = [[_mm256_setzero_ps(); 2]; 8];
            for axis in 0..8 {
                columns[axis] = [a[axis], b[axis]];
            }
            columns
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, value: &T) {
        prefetch(value);
    }
}

#[inline(always)]
fn halves(rows: &[[f32; 8]; LANES]) -> (&[[f32; 8]; 8], &[[f32; 8]; 8]) {
    let (low, _) = rows.split_first_chunk::<8>().unwrap_or((&[[0.0; 8]; 8], &[]));
    let (_, high) = rows.split_last_chunk::<8>().unwrap_or((&[], &[[0.0; 8]; 8]));
    (low, high)
}

/// Eight rows to eight columns.
///
/// # Safety
/// The processor must have AVX.
#[inline(always)]
unsafe fn transpose(rows: &[[f32; 8]; 8]) -> [__m256; 8] {
    // SAFETY: AVX by contract; each row is eight readable floats, at any alignment.
    unsafe {
        let row = |i: usize| _mm256_loadu_ps(rows[i].as_ptr());
        let pairs = [
            _mm256_unpacklo_ps(row(0), row(1)),
            _mm256_unpackhi_ps(row(0), row(1)),
            _mm256_unpacklo_ps(row(2), row(3)),
            _mm256_unpackhi_ps(row(2), row(3)),
            _mm256_unpacklo_ps(row(4), row(5)),
            _mm256_unpackhi_ps(row(4), row(5)),
            _mm256_unpacklo_ps(row(6), row(7)),
            _mm256_unpackhi_ps(row(6), row(7)),
        ];
        let fours = [
            _mm256_shuffle_ps::<0x44>(pairs[0], pairs[2]),
            _mm256_shuffle_ps::<0xee>(pairs[0], pairs[2]),
            _mm256_shuffle_ps::<0x44>(pairs[1], pairs[3]),
            _mm256_shuffle_ps::<0xee>(pairs[1], pairs[3]),
            _mm256_shuffle_ps::<0x44>(pairs[4], pairs[6]),
            _mm256_shuffle_ps::<0xee>(pairs[4], pairs[6]),
            _mm256_shuffle_ps::<0x44>(pairs[5], pairs[7]),
            _mm256_shuffle_ps::<0xee>(pairs[5], pairs[7]),
        ];
        let mut columns = [_mm256_setzero_ps(); 8];
        for axis in 0..4 {
            columns[axis] = _mm256_permute2f128_ps::<0x20>(fours[axis], fours[axis + 4]);
            columns[axis + 4] = _mm256_permute2f128_ps::<0x31>(fours[axis], fours[axis + 4]);
        }
        columns
    }
}

#[inline(always)]
fn prefetch<T>(value: &T) {
    // SAFETY: SSE is part of x86-64; the address is that of a live value, and a prefetch has no
    // effect that a program can see.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) }
}
