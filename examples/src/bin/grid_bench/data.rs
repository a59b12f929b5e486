use std::path::Path;

use anyhow::{Context, bail};
use ndarray::ArrayView2;

/// Points to index, and queries drawn as they are.
pub(crate) struct Data {
    pub(crate) name: String,
    pub(crate) points: Vec<[f32; 8]>,
    pub(crate) queries: Vec<[f32; 8]>,
}

/// A xorshift generator: the same data on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.bits() >> 16) as usize % n
    }

    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u64 << 24) as f32
    }

    fn normal(&mut self) -> f32 {
        let radius = (-2.0 * self.unit().max(1e-7).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.unit()).cos()
    }
}

impl Data {
    /// `uniform` in the unit cube, or 100 Gaussian `clusters` in it.
    pub(crate) fn synthetic(name: &str, size: usize, queries: usize) -> anyhow::Result<Self> {
        let mut random = Random::new(1);
        let centers: Vec<[f32; 8]> =
            (0..100).map(|_| std::array::from_fn(|_| random.unit())).collect();
        let mut draw: Box<dyn FnMut() -> [f32; 8]> = match name {
            "uniform" => Box::new(|| std::array::from_fn(|_| random.unit())),
            "clusters" => Box::new(|| {
                let center = &centers[random.below(centers.len())];
                std::array::from_fn(|axis| center[axis] + 0.02 * random.normal())
            }),
            _ => bail!("no kind of data is named {name:?}; there are uniform and clusters"),
        };
        let points = (0..size).map(|_| draw()).collect();
        let queries = (0..queries).map(|_| draw()).collect();
        Ok(Self { name: name.into(), points, queries })
    }

    /// Rows of a raw file in random order: the first to index, the next as queries.
    pub(crate) fn read(path: &Path, size: usize, queries: usize) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let (rows, odd) = numbers.as_chunks::<8>();
        if !rest.is_empty() || !odd.is_empty() || rows.len() < 2 {
            bail!("{}: not rows of eight f32", path.display());
        }
        let mut rows = rows.to_vec();
        let mut random = Random::new(2);
        for at in (1..rows.len()).rev() {
            rows.swap(at, random.below(at + 1));
        }
        let queries = queries.min(rows.len() / 10 + 1);
        let mut points = rows.split_off(queries);
        points.truncate(size);
        let name = path.file_stem().map_or_else(|| "real".into(), |stem| stem.to_string_lossy());
        Ok(Self { name: name.into_owned(), points, queries: rows })
    }

    /// The first points, with as many queries.
    pub(crate) fn first(&self, size: usize) -> Self {
        let points = self.points[..size.min(self.points.len())].to_vec();
        Self { name: self.name.clone(), points, queries: self.queries.clone() }
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        (0..self.points.len() as u64).collect()
    }
}

/// Rows as an array of shape (n, 8).
pub(crate) fn view(rows: &[[f32; 8]]) -> ArrayView2<'_, f32> {
    ArrayView2::from(rows)
}
