"""The sparse Jacobian of a bundle adjustment (ADBench).

An observation depends on one camera, one point and one weight, so that its two rows are a block of 2 × 15 numbers.
"""

import numpy as np
from scipy.sparse import csr_array

import chainrule as cr

SIZES = [(49, 7776, 31843), (161, 48126, 182072)]  # cameras, points, observations
SMALL = [(3, 5, 9)]


def cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def rotate(r, v):
    square = r[0] ** 2 + r[1] ** 2 + r[2] ** 2
    once = cross(r, v)
    if square == 0:
        return v[0] + once[0], v[1] + once[1], v[2] + once[2]
    angle = np.sqrt(square)
    s, c = np.sin(angle) / angle, (1 - np.cos(angle)) / square
    twice = cross(r, once)
    return v[0] + s * once[0] + c * twice[0], v[1] + s * once[1] + c * twice[1], v[2] + s * once[2] + c * twice[2]


def project(camera, point):
    """The pixel where a camera sees a point."""
    r0, r1, r2, c0, c1, c2, focal, u, v, k1, k2 = camera
    x, y, z = rotate((r0, r1, r2), (point[0] - c0, point[1] - c1, point[2] - c2))
    p, q = x / z, y / z
    square = p * p + q * q
    scale = focal * (1 + k1 * square + k2 * square**2)
    return scale * p + u, scale * q + v


def objective(cameras, points, weights, camera_of, point_of, features):
    """Two residuals of each observation, then one of each weight."""
    count = len(weights)
    residuals = np.empty(3 * count)
    for k in range(count):
        p, q = project(cameras[camera_of[k]], points[point_of[k]])
        residuals[2 * k] = weights[k] * (p - features[k, 0])
        residuals[2 * k + 1] = weights[k] * (q - features[k, 1])
        residuals[2 * count + k] = 1 - weights[k] ** 2
    return residuals


def residual(numbers, feature):
    """The two residuals of an observation: eleven numbers of the camera, three of the point, the weight."""
    p, q = project(numbers[:11], numbers[11:14])
    return numbers[14] * (p - feature[0]), numbers[14] * (q - feature[1])


@cr.jit
def fill(values, cameras, points, weights, camera_of, point_of, features):
    """Compute the elements that are not zero, row by row."""
    count = len(weights)
    for k in range(count):
        c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10 = cameras[camera_of[k]]
        p0, p1, p2 = points[point_of[k]]
        numbers = c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, p0, p1, p2, weights[k]
        at = 30 * k
        for slopes in cr.jacrev(residual)(numbers, features[k]):
            for j, slope in enumerate(slopes):
                values[at + j] = slope
            at += 15
        values[30 * count + k] = -2 * weights[k]


def pattern(cameras, points, weights, camera_of, point_of, features):
    """Where the elements stand: the columns, the start of each row, and the shape of the matrix."""
    count = len(weights)
    of_camera = 11 * camera_of[:, None] + np.arange(11)
    of_point = cameras.size + 3 * point_of[:, None] + np.arange(3)
    of_weight = cameras.size + points.size + np.arange(count)
    block = np.concatenate([of_camera, of_point, of_weight[:, None]], axis=1)
    columns = np.concatenate([np.repeat(block, 2, axis=0).ravel(), of_weight]).astype(np.int32)
    starts = np.concatenate([np.arange(0, 30 * count, 15), np.arange(30 * count, 31 * count + 1)]).astype(np.int32)
    return columns, starts, (3 * count, cameras.size + points.size + count)


def filled(fill, args):
    """A function that has `fill` compute the elements of a sparse matrix and returns it."""
    columns, starts, shape = pattern(*args)
    matrix = csr_array((np.zeros(len(columns)), columns, starts), shape=shape)

    def run():
        fill(matrix.data, *args)
        return matrix

    return run


def derivative(*args):
    return filled(fill, args)


def data(size):
    n, m, count = size
    rng = np.random.default_rng(7)
    cameras = np.concatenate([
        0.3 * rng.normal(size=(n, 3)), rng.normal(size=(n, 3)), rng.uniform(400, 600, (n, 1)),
        rng.normal(size=(n, 2)), 0.01 * rng.normal(size=(n, 2)),
    ], axis=1)  # fmt: skip
    points = rng.normal(size=(m, 3)) + np.array([0.0, 0.0, 10.0])
    return (
        cameras,
        points,
        rng.uniform(0.5, 1.5, count),
        rng.integers(0, n, count),
        rng.integers(0, m, count),
        rng.normal(size=(count, 2)),
    )
