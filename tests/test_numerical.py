"""The numerical approach against mpmath and known derivatives: orders, digits, shapes, dtypes, refusals."""

import math
import subprocess
import sys

import mpmath
import numpy as np
import pytest

from chainrule import numerical
from chainrule.errors import ArgumentError

METHODS = ["central", "forward", "complex", "adaptive"]
TOLERANCE = {"central": 1e-8, "forward": 1e-6, "complex": 1e-13, "adaptive": 1e-10}


def wave(x):
    return np.exp(x) / (1 + np.sin(x) ** 2)


def exact(x):
    with mpmath.workdps(40):
        return float(mpmath.diff(lambda t: mpmath.exp(t) / (1 + mpmath.sin(t) ** 2), mpmath.mpf(x)))


@pytest.mark.parametrize(("method", "order", "steps"), [("forward", 1, (-5, -2)), ("central", 2, (-3, -1))])
def test_truncation_error_has_the_order_of_the_method(method, order, steps):
    h = np.logspace(*steps, 12)
    errors = [abs(numerical.derivative(wave, 0.7, method=method, step=s) - exact(0.7)) for s in h]
    slope, _ = np.polyfit(np.log(h), np.log(errors), 1)
    assert slope == pytest.approx(order, abs=0.05)


@pytest.mark.parametrize("method", ["forward", "central"])
def test_round_off_grows_as_the_step_shrinks(method):
    h = np.logspace(-13, -10, 40)
    errors = [abs(numerical.derivative(wave, 0.7, method=method, step=s) - exact(0.7)) for s in h]
    slope, _ = np.polyfit(np.log(h), np.log(errors), 1)
    assert slope == pytest.approx(-1, abs=0.4)


@pytest.mark.parametrize("method", ["forward", "central"])
@pytest.mark.parametrize("x", [0.01, 1.0, 30.0])
def test_default_step_is_near_the_best_one(method, x):
    def error(step):
        return abs(numerical.derivative(np.exp, x, method=method, step=step) - np.exp(x))

    assert error(None) <= 100 * max(1, x) * np.median([error(h) for h in np.logspace(-9, -4, 30)])


@pytest.mark.parametrize("x", [-2.0, 1e-3, 0.7, 3.0])
def test_complex_step_has_every_digit(x):
    assert numerical.derivative(wave, x, method="complex") == pytest.approx(exact(x), rel=1e-14)


def test_complex_step_sees_derivatives_that_are_tiny():
    assert numerical.derivative(lambda x: 1e-180 * x, 2.0, method="complex") == pytest.approx(1e-180)


HARD = [
    (wave, exact, 0.7),
    (np.log, lambda x: 1 / x, 1e-5),
    (lambda x: x**2, lambda x: 2 * x, 1e5),
    (lambda x: np.sin(30 * x), lambda x: 30 * np.cos(30 * x), 1.0),
    (lambda x: np.exp(-1e4 * x**2), lambda x: -2e4 * x * np.exp(-1e4 * x**2), 0.01),
    (np.sin, np.cos, np.pi / 2),
    (np.sqrt, lambda x: 0.5 / np.sqrt(x), 1e-3),
]


@pytest.mark.parametrize(("f", "df", "x"), HARD)
def test_adaptive_estimates_its_error(f, df, x):
    value, error = numerical.derivative(f, x, method="adaptive", return_error=True)
    assert abs(value - df(x)) <= 3 * error + 1e-13 * max(1, abs(df(x)))
    assert error <= 1e-9 * max(1, abs(df(x)))


def test_adaptive_admits_that_noise_spoils_the_estimate():
    rng = np.random.default_rng(0)
    _, error = numerical.derivative(
        lambda x: x + 1e-3 * rng.standard_normal(), 1.0, method="adaptive", return_error=True
    )
    assert error > 1e-6


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_derivative_is_elementwise_and_calls_f_with_numbers(self, method):
        x = np.array([[0.5, 1.0], [1.5, 2.0]])
        result = numerical.derivative(lambda t: t**2 if t.real > 1.2 else np.sin(t), x, method=method, step=1e-3)
        expected = np.where(x > 1.2, 2 * x, np.cos(x))
        np.testing.assert_allclose(result, expected, rtol=2e-3)

    def test_gradient_of_a_matrix(self, method):
        x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        result = numerical.gradient(lambda x: np.sum(np.sin(x) * x), x, method=method)
        np.testing.assert_allclose(result, np.cos(x) * x + np.sin(x), rtol=TOLERANCE[method], atol=1e-7)

    def test_jacobian_has_the_shapes_of_result_and_point(self, method):
        x = np.array([[1.0, 2.0], [3.0, 4.0]])
        result = numerical.jacobian(lambda x: x[0] * x[1, :, None] * np.ones((3, 1, 1)), x, method=method)
        assert result.shape == (3, 2, 2, 2, 2)
        expected = np.zeros((2, 2, 2, 2))
        for j, k in np.ndindex(2, 2):
            expected[j, k, 0, k] = x[1, j]
            expected[j, k, 1, j] = x[0, k]
        np.testing.assert_allclose(result[1], expected, atol=10 * TOLERANCE[method])

    def test_scalar_point(self, method):
        value = numerical.gradient(np.sin, 1.0, method=method)
        assert np.shape(value) == ()
        assert value == pytest.approx(np.cos(1.0), rel=TOLERANCE[method])
        curve = numerical.jacobian(lambda t: [np.cos(t), np.sin(t)], 0.0, method=method)
        np.testing.assert_allclose(curve, [0.0, 1.0], atol=1e-7)

    def test_integers_are_promoted(self, method):
        result = numerical.gradient(lambda x: np.sum(x**3), [1, 2], method=method)
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, [3.0, 12.0], rtol=1e-6)

    def test_float32_takes_steps_of_float32(self, method):
        x = np.array([0.5, 2.0], np.float32)
        result = numerical.gradient(lambda x: np.sum(x * np.sin(x)), x, method=method)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, np.sin(x) + x * np.cos(x), atol=4e-3)

    def test_empty_point(self, method):
        assert numerical.gradient(np.sum, np.empty((0, 2)), method=method).shape == (0, 2)
        assert numerical.derivative(np.sin, [], method=method).shape == (0,)
        assert numerical.jacobian(lambda x: x[:0], [1.0, 2.0], method=method).shape == (0, 2)

    def test_nan_goes_through(self, method):
        assert np.isnan(numerical.derivative(lambda x: x**2, np.nan, method=method))

    def test_f_may_reuse_its_buffer_and_write_into_its_argument(self, method):
        buffer = np.zeros(2, complex if method == "complex" else float)

        def f(x):
            x *= x
            buffer[:] = x
            return buffer

        x = np.array([1.0, 3.0])
        np.testing.assert_allclose(numerical.jacobian(f, x, method=method), np.diag([2.0, 6.0]), atol=1e-6)
        np.testing.assert_array_equal(x, [1.0, 3.0])

    def test_own_step(self, method):
        result = numerical.gradient(lambda x: np.sum(x**2), [1.0, 2.0], method=method, step=[1e-4, 1e-5])
        np.testing.assert_allclose(result, [2.0, 4.0], rtol=1e-3)


def test_result_in_single_precision_takes_coarser_steps():
    result = numerical.gradient(lambda x: np.sum(x.astype(np.float32) ** 3), [1.0, 2.0])
    np.testing.assert_allclose(result, [3.0, 12.0], rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
@pytest.mark.parametrize("method", METHODS)
def test_other_precisions_are_kept(dtype, method):
    result = numerical.derivative(lambda x: x**2, np.array([1.0, 2.0], dtype), method=method)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.astype(float), [2.0, 4.0], rtol=0.05)


def test_complex_valued_function_of_a_real_variable():
    result = numerical.derivative(lambda t: np.exp(1j * t), [0.0, 1.0])
    np.testing.assert_allclose(result, 1j * np.exp(1j * np.array([0.0, 1.0])), rtol=1e-9)


def test_integer_results_are_differenced_as_floats():
    np.testing.assert_array_equal(numerical.gradient(lambda x: np.uint8(x[0] < 1.0), [1.5]), [0.0])


CHANGING = iter(range(2, 100))
REFUSED = [
    (lambda: numerical.gradient(3, [1.0]), "must be callable"),
    (lambda: numerical.derivative(np.sin, 1.0, method="magic"), "method must be one of"),
    (lambda: numerical.gradient(np.sum, [True]), "dtype bool"),
    (lambda: numerical.gradient(np.sum, [1j]), "dtype complex128"),
    (lambda: numerical.gradient(np.sum, ["a"]), "real numbers"),
    (lambda: numerical.gradient(np.sum, [[1.0], [1.0, 2.0]]), "not an array"),
    (lambda: numerical.gradient(np.sin, [1.0, 2.0]), r"shape \(2,\)"),
    (lambda: numerical.derivative(lambda x: [x, x], 1.0), r"shape \(2,\)"),
    (lambda: numerical.gradient(lambda x: "a", [1.0]), "return numbers"),
    (lambda: numerical.jacobian(lambda x: [1, [2, 3]], [1.0]), "not an array"),
    (lambda: numerical.jacobian(lambda x: np.ones(next(CHANGING)), [1.0]), "a step further"),
    (lambda: numerical.gradient(np.sum, [1.0, 2.0], step=-1e-3), "positive"),
    (lambda: numerical.gradient(np.sum, [1.0, 2.0], step=np.nan), "finite"),
    (lambda: numerical.gradient(np.sum, [1.0, 2.0], step=[1, 2, 3]), "broadcast"),
    (lambda: numerical.gradient(np.sum, [1.0, 2.0], step=1e-20), r"too small to move x\[0\]"),
    (lambda: numerical.gradient(np.sum, [1.0], return_error=True), "no error estimate"),
    (lambda: numerical.derivative(np.abs, 1.0, method="complex"), "dropped the imaginary part"),
    (lambda: numerical.derivative(lambda x: x * math.sin(x), 1.0, method="complex"), "imaginary part"),
    (lambda: numerical.derivative(lambda x: x * 1j, 1.0, method="complex"), "real at real x"),
    (lambda: numerical.derivative(lambda x: x * 1j, 1.0, method="adaptive"), "real at real x"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_bad_input_is_refused(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_import_leaves_scipy_alone():
    code = "import sys, chainrule.numerical; assert not any(m.startswith('scipy') for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
