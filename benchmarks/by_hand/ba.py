"""A row of a block by vector algebra: the adjoint of a rotation turns back, and nothing is evaluated twice."""

import numpy as np
from programs.ba import filled

from .compiled import compiled, inlined


@inlined
def cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@inlined
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@compiled
def fill(values, cameras, points, weights, camera_of, point_of, features):
    count = len(weights)
    for k in range(count):
        j, i, weight = camera_of[k], point_of[k], weights[k]
        r = cameras[j, 0], cameras[j, 1], cameras[j, 2]
        v = points[i, 0] - cameras[j, 3], points[i, 1] - cameras[j, 4], points[i, 2] - cameras[j, 5]
        focal, k1, k2 = cameras[j, 6], cameras[j, 9], cameras[j, 10]
        square = dot(r, r)
        s, c, s_slope, c_slope = 1.0, 0.0, 0.0, 0.0  # sin θ / θ, (1 − cos θ) / θ², and how they change along r
        if square != 0:
            angle = np.sqrt(square)
            cosine = np.cos(angle)
            s, c = np.sin(angle) / angle, (1 - cosine) / square
            s_slope, c_slope = (cosine - s) / square, (s - 2 * c) / square
        once = cross(r, v)
        twice = cross(r, once)
        inverse = 1 / (v[2] + s * once[2] + c * twice[2])
        p, q = (v[0] + s * once[0] + c * twice[0]) * inverse, (v[1] + s * once[1] + c * twice[1]) * inverse
        radius = p * p + q * q
        bend = 1 + (k1 + k2 * radius) * radius
        slope = 2 * (k1 + 2 * k2 * radius)
        gain = weight * focal
        pixel = focal * bend * p + cameras[j, 7] - features[k, 0], focal * bend * q + cameras[j, 8] - features[k, 1]
        by_p = gain * (bend + slope * p * p), gain * slope * p * q
        by_q = gain * slope * p * q, gain * (bend + slope * q * q)
        for row in range(2):
            at = 30 * k + 15 * row
            own = p if row == 0 else q
            a = by_p[row] * inverse, by_q[row] * inverse, -(by_p[row] * p + by_q[row] * q) * inverse
            back = cross(a, r)
            again = cross(back, r)
            va, oa, vb = cross(v, a), cross(once, a), cross(v, back)
            along = s_slope * dot(a, once) + c_slope * dot(a, twice)
            for d in range(3):
                step = a[d] + s * back[d] + c * again[d]
                values[at + d] = along * r[d] + s * va[d] + c * (oa[d] + vb[d])
                values[at + 3 + d] = -step
                values[at + 11 + d] = step
            values[at + 6] = weight * bend * own
            values[at + 7] = weight if row == 0 else 0.0
            values[at + 8] = 0.0 if row == 0 else weight
            values[at + 9] = gain * radius * own
            values[at + 10] = gain * radius * radius * own
            values[at + 14] = pixel[row]
        values[30 * count + k] = -2 * weight


def derivative(*args):
    return filled(fill, args)
