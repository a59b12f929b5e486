from __future__ import annotations

import numpy as np
import pytest

from ottava.spatial import TokenGrid


@pytest.fixture(scope="session")
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


@pytest.fixture(scope="session")
def cloud(rng: np.random.Generator) -> np.ndarray:
    """Positions of 5,000 tokens: half uniform, half in clusters, some of them in the same place."""
    uniform = rng.random((2_500, 8), dtype=np.float32)
    centers = rng.random((20, 8), dtype=np.float32)
    clustered = centers[rng.integers(0, 20, 2_500)] + rng.normal(0, 0.02, (2_500, 8)).astype(np.float32)
    clustered[:50] = clustered[0]
    return np.concatenate([uniform, clustered]).astype(np.float32)


@pytest.fixture
def grid(cloud: np.ndarray) -> TokenGrid:
    """The cloud with ids 10, 11, ..., weights, and a field on every third token."""
    n = len(cloud)
    ids = np.arange(10, n + 10, dtype=np.uint64)
    weight = np.linspace(0.5, 2.0, n, dtype=np.float32)
    radius = np.where(np.arange(n) % 3 == 0, np.float32(0.4), np.float32(0))
    strength = np.linspace(-1, 3, n, dtype=np.float32)
    return TokenGrid.from_arrays(ids, cloud, weight=weight, field_radius=radius, field_strength=strength)
