"""Bundle adjustment: where the cameras stood and what they saw, from the pictures alone.

Cameras on a ring see the points of a torus. From noisy pictures and rough notes of the cameras, SciPy's least_squares
finds all cameras (rotation, centre, focal length, principal point, two coefficients of radial distortion: 11 numbers)
and all points. An observation depends on one camera and one point, so the Jacobian is sparse: a compiled loop over
the observations calls `cr.jacrev(project)` for the blocks, and SciPy's CSR format takes them as they are."""

from __future__ import annotations

import sys

import numpy as np
from report import (
    BLUE,
    DIFFERENCES,
    EXACT,
    GREY,
    ORANGE,
    REFEREES,
    Report,
    Run,
    digits,
    first_and_later,
    options,
    picture,
)
from scipy.optimize import least_squares
from scipy.sparse import csr_array
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

import chainrule as cr

CAMERA, POINT = 11, 3  # numbers of each
ERROR = 0.5  # of an observed coordinate, pixels
# How exactly the cameras were noted: rotation (rad), centre (m), focal length and principal point (pixels), distortion.
NOTED = [0.02, 0.02, 0.02, 0.1, 0.1, 0.1, 20.0, 10.0, 10.0, 0.05, 0.05]


# -- the model -----------------------------------------------------------------------------------------


def cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def rotate(r, v):
    """`v` turned around the axis `r` by the angle |r|, after Rodrigues."""
    square = r[0] ** 2 + r[1] ** 2 + r[2] ** 2
    if square.real > 1e-8:
        angle = np.sqrt(square)
        s, c = np.sin(angle) / angle, (1 - np.cos(angle)) / square
    else:
        s, c = 1 - square / 6, 0.5 - square / 24
    once = cross(r, v)
    twice = cross(r, once)
    return v[0] + s * once[0] + c * twice[0], v[1] + s * once[1] + c * twice[1], v[2] + s * once[2] + c * twice[2]


def project(camera, point):
    """The pixel where a camera sees a point."""
    r0, r1, r2, c0, c1, c2, focal, u, v, k1, k2 = camera
    x, y, z = rotate((r0, r1, r2), (point[0] - c0, point[1] - c1, point[2] - c2))
    p, q = x / z, y / z
    square = p * p + q * q
    scale = focal * (1 + k1 * square + k2 * square**2)
    return np.array([scale * p + u, scale * q + v])


@cr.jit
def reproject(cameras, points, camera_of, point_of):
    """The pixels of all observations."""
    pixels = np.empty((len(camera_of), 2), cameras.dtype)
    for k in range(len(camera_of)):
        pixels[k] = project(cameras[camera_of[k]], points[point_of[k]])
    return pixels


@cr.jit
def slopes(cameras, points, camera_of, point_of):
    """The derivative of each observation with respect to its camera and its point, side by side."""
    blocks = np.empty((len(camera_of), 2, CAMERA + POINT))
    for k in range(len(camera_of)):
        of_camera, of_point = cr.jacrev(project, argnums=(0, 1))(cameras[camera_of[k]], points[point_of[k]])
        blocks[k, :, :CAMERA] = of_camera
        blocks[k, :, CAMERA:] = of_point
    return blocks


# -- all observations at once --------------------------------------------------------------------------


class Pictures:
    """What is known: pixel k shows point `point_of[k]` to camera `camera_of[k]`; `rough` are the cameras as noted."""

    def __init__(self, camera_of, point_of, pixels, rough):
        self.seen, self.pixels, self.rough = (camera_of, point_of), pixels, rough
        of_camera = CAMERA * camera_of[:, None] + np.arange(CAMERA)
        of_point = rough.size + POINT * point_of[:, None] + np.arange(POINT)
        both = np.repeat(np.concatenate([of_camera, of_point], axis=1), 2, axis=0)  # two coordinates, two rows
        counts = np.repeat([CAMERA + POINT, 1], [len(both), rough.size])
        # The arrays of SciPy's CSR format: a row for every coordinate, and one for every number noted.
        self.columns = np.concatenate([both.ravel(), np.arange(rough.size)]).astype(np.int32)
        self.starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        self.weights = np.tile(1 / np.array(NOTED), len(rough))

    def unpack(self, x):
        """Cameras and points from the vector that the optimiser moves."""
        return x[: self.rough.size].reshape(-1, CAMERA), x[self.rough.size :].reshape(-1, POINT)

    def errors(self, x):
        """Expected minus seen, in pixels."""
        return reproject(*self.unpack(x), *self.seen) - self.pixels

    def residuals(self, x):
        """Errors of the pixels and departures from the notes, in units of what is expected of them."""
        departures = x[: self.rough.size] - self.rough.ravel()
        return np.concatenate([self.errors(x).ravel() / ERROR, departures * self.weights])

    def jacobian(self, x):
        """The derivative of `residuals`, a sparse matrix."""
        values = np.concatenate([slopes(*self.unpack(x), *self.seen).ravel() / ERROR, self.weights])
        return csr_array((values, self.columns, self.starts))


# -- the data and the fit ------------------------------------------------------------------------------


def ring_of_cameras(count):
    """Cameras that look at the origin from a ring around it, up and down in turn."""
    around = np.linspace(0, 2 * np.pi, count, endpoint=False)
    centres = np.stack([6 * np.cos(around), 6 * np.sin(around), 2.5 * np.sin(3 * around)], axis=1)
    cameras = np.zeros((count, CAMERA))
    for camera, centre in zip(cameras, centres, strict=True):
        camera[:] = [*Rotation.from_matrix(axes_at(centre)).as_rotvec(), *centre, 1000, 640, 480, -0.05, 0.01]
    return cameras


def axes_at(centre):
    """Right, down and ahead for a camera that looks at the origin."""
    ahead = -centre / np.linalg.norm(centre)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(ahead, right), ahead])


def torus(count, rng):
    around, across = rng.uniform(0, 2 * np.pi, (2, count))
    radius = 1.6 + 0.6 * np.cos(across)
    return np.stack([radius * np.cos(around), radius * np.sin(around), 0.6 * np.sin(across)], axis=1)


def photographed(cameras, points, rng):
    """The pictures, in which a camera sees three points of five, and a first guess of everything."""
    camera_of, point_of = np.nonzero(rng.random((len(cameras), len(points))) < 0.6)
    pixels = reproject(cameras, points, camera_of, point_of)
    pixels += ERROR * rng.standard_normal(pixels.shape)
    rough = cameras + NOTED * rng.standard_normal(cameras.shape)
    rough[:, 9:] = 0
    guess = np.concatenate([rough.ravel(), (points + 0.1 * rng.standard_normal(points.shape)).ravel()])
    return Pictures(camera_of, point_of, pixels, rough), guess


def fit(name, pictures, guess, **jacobian):
    run = Run(name, 0.5 * np.sum(pictures.residuals(guess) ** 2))

    def residuals(x):
        run.evaluations += 1
        values = pictures.residuals(x)
        run.note(min(0.5 * values @ values, run.losses[-1]))
        return values

    result = least_squares(
        residuals, guess, x_scale="jac", tr_solver="lsmr", tr_options={"regularize": False}, ftol=1e-5, **jacobian
    )
    run.iterations = result.njev
    return result.x, run.close()


# -- the report ----------------------------------------------------------------------------------------


def draw(path, pictures, guess, found):
    cameras, points = pictures.unpack(found)
    with picture(path, 13, 6) as figure:
        grid = figure.add_gridspec(2, 2, width_ratios=(1.35, 1))
        scene = figure.add_subplot(grid[:, 0], projection="3d")
        scene.scatter(*pictures.unpack(guess)[1].T, s=5, color=GREY, alpha=0.5, lw=0, label="points, first guess")
        scene.scatter(*points.T, s=9, c=points[:, 2], cmap="viridis", lw=0, label="points, found")
        for k, camera in enumerate(cameras):
            draw_camera(scene, camera, "cameras, found" if k == 0 else None)
        scene.set_title("The scene", loc="left")
        scene.set(xlabel="x (m)", ylabel="y (m)", zlabel="z (m)", zticks=(-2, 0, 2), aspect="equal")
        scene.set_box_aspect(scene.get_box_aspect(), zoom=1.12)
        scene.zaxis.labelpad = -1
        scene.legend(loc="upper left", markerscale=2.5)

        histogram = figure.add_subplot(grid[0, 1])
        bins = np.geomspace(0.02, 500, 60)
        for x, colour, label in ((guess, GREY, "first guess"), (found, BLUE, "found")):
            histogram.hist(np.linalg.norm(pictures.errors(x), axis=1), bins, color=colour, alpha=0.8, label=label)
        histogram.axvline(ERROR, ymax=0.84, color=ORANGE, lw=1.2, ls="--", label="error of a coordinate")
        histogram.set(title="Expected against seen", xscale="log", xlabel="distance (pixels)", ylabel="observations")
        histogram.set_ylim(top=1.25 * histogram.get_ylim()[1])
        histogram.legend(loc="upper center", ncols=3)

        pattern = figure.add_subplot(grid[1, 1])
        rows, columns = pictures.jacobian(found).nonzero()
        pattern.plot(columns, rows, ",", color=BLUE, alpha=0.6)
        pattern.set(
            title="What the Jacobian's rows depend on", xlabel="unknown (cameras, then points)", ylabel="residual"
        )
        pattern.invert_yaxis()


def draw_camera(scene, camera, label):
    """A camera as the pyramid of what it sees."""
    right, down, ahead = Rotation.from_rotvec(camera[:3]).as_matrix()
    corners = [0.9 * ahead + 0.55 * u * right + 0.4 * v * down for u, v in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    line = [(0, 0, 0), corners[0], corners[1], (0, 0, 0), corners[2], corners[1], corners[2], corners[3]]
    line += [(0, 0, 0), corners[3], corners[0]]
    scene.plot(*(camera[3:6] + np.array(line)).T, color=ORANGE, lw=1, label=label)


def main(arguments=None):
    chosen = options(__file__).parse_args(arguments)
    rng = np.random.default_rng(2)
    n, m = (6, 60) if chosen.quick else (12, 600)
    cameras, points = ring_of_cameras(n), torus(m, rng)
    pictures, guess = photographed(cameras, points, rng)
    report = Report(f"Bundle adjustment: {n} cameras, {m} points, {len(pictures.pixels):,} observations")
    first, seconds = first_and_later(pictures.residuals, guess)
    report.say("the residuals", f"{1e3 * seconds:.2f}", "ms", f"first call {first:.1f} s")
    first, later = first_and_later(pictures.jacobian, guess)
    report.say("their sparse Jacobian", f"{1e3 * later:.2f}", "ms", f"first call {first:.1f} s")
    jacobian = pictures.jacobian(guess)
    rows, columns = jacobian.shape
    report.say("its elements", f"{rows:,} × {columns:,}", "", f"{jacobian.nnz:,} of them are not zero")
    direction = rng.standard_normal(columns)
    for method, (name, low) in REFEREES.items():
        along = cr.numerical.jacobian(lambda t: pictures.residuals(guess + t * direction), 0.0, method=method)
        report.goal(f"in one direction, by {name}", digits(jacobian @ direction, along), low, unit="digits")

    found, exact = fit(EXACT, pictures, guess, jac=pictures.jacobian)
    _, differences = fit(DIFFERENCES, pictures, guess, jac="2-point", jac_sparsity=jacobian != 0)
    report.runs([exact, differences])

    errors = abs(pictures.unpack(found)[0] - cameras)
    report.say("focal length, largest error", f"{100 * (errors[:, 6] / cameras[:, 6]).max():.2f}", "%")
    report.say("centre of a camera, largest error", f"{100 * errors[:, 3:6].max():.1f}", "cm")
    report.goal("loss, relative to what noise leaves", 2 * exact.losses[-1] / (rows - columns), high=1.2)
    shape = np.sqrt(procrustes(points, pictures.unpack(found)[1])[2])
    report.goal("points, error relative to the scene", 100 * shape, high=2, unit="%")
    report.goal("evaluations saved", differences.evaluations / exact.evaluations, 5, unit="times")
    draw(chosen.picture, pictures, guess, found)
    return report.finish(chosen.picture)


if __name__ == "__main__":
    sys.exit(main())
