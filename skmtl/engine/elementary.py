"""Elementary functions whose loops run in vector registers, on any machine.

What a compiled kernel gets from ``math`` or NumPy is a call of the C library for each number, 4 to
12 ns. These are arithmetic alone, which LLVM turns into vectors: 0.3 to 0.9 ns in single precision,
1.0 to 2.8 in double, with 256 bits. One formula serves both precisions; its numbers, and what reads
the bits of a float, come by the argument's type, see ``PRECISIONS``. ``engine.compile`` keeps the
order of operations within: a constant comes in two parts, and a float is rounded by adding one so
large that no fraction is left.

NaN stays NaN. What is too small for a normal number becomes zero, as it does in a step of training.
Results are within two units in the last place, tanh and logistic within three, and more where
stated. Polynomials are least-squares fits on Chebyshev nodes, highest power first.
"""

import math
from typing import NamedTuple

import numpy as np


def exp(x):
    """e^x."""
    c = numbers_of(x)
    z = c.least if x < c.least else (c.most if x > c.most else x)
    whole = z * c.per_log_2 + c.whole
    result = (c.two * exp_m1_of_rest(z, whole) + c.two) * half_power(whole)
    return c.zero if x <= c.least else result


def tanh(x):
    """(e^2x - 1) / (e^2x + 1)."""
    c = numbers_of(x)
    z = c.two * abs(x)
    z = c.wide if z > c.wide else z
    whole = z * c.per_log_2 + c.whole
    power = c.two * half_power(whole)
    exp_m1 = power * exp_m1_of_rest(z, whole) + (power - c.one)
    result = exp_m1 / (exp_m1 + c.two)
    return -result if x < c.zero else result


def exp_m1_of_rest(x, whole):
    """e^r - 1 for r = x - k log 2, where k is in the last bits of ``whole``."""
    c = numbers_of(x)
    k = whole - c.whole
    r = (x - k * c.log_2_high) - k * c.log_2_low
    return r * r * polynomial(r, c.exp_terms) + r


def logistic(x):
    """1 / (1 + e^-x)."""
    one = numbers_of(x).one
    return one / (one + exp(-x))


def log(x):
    """log x, for normal x > 0; inf and NaN are themselves."""
    c = numbers_of(x)
    k, m = split(x)
    result = k * c.log_2_high + (log_1p_near_zero(m - c.one) + k * c.log_2_low)
    return result if x < c.infinity else x


def log1p(x):
    """log(1 + x), for x from 0 to 1."""
    c = numbers_of(x)
    near_one = x > c.root_2_m1  # then by log 2 + log((1 + x) / 2)
    f = c.half * (x - c.one) if near_one else x
    return (c.log_2 if near_one else c.zero) + log_1p_near_zero(f)


def log_1p_near_zero(f):
    """log(1 + f), for 1 + f from sqrt(1/2) to sqrt(2), as 2 artanh(f / (2 + f))."""
    c = numbers_of(f)
    s = f / (c.two + f)
    z, half_square = s * s, c.half * f * f
    return f - (half_square - s * (half_square + z * polynomial(z, c.log_terms)))


def normal_density(x):
    """e^(-x^2 / 2) / sqrt(2 pi), within x^2 / 2 more units in the last place."""
    c = numbers_of(x)
    return c.per_root_2_pi * exp(-c.half * x * x)


def normal_cdf(x):
    """The standard normal distribution function, with the error of ``normal_density``."""
    c = numbers_of(x)
    t = c.one / (c.one + c.quarter * abs(x))
    u = t - c.half
    even, odd = polynomial(u * u, c.even_cdf_terms), polynomial(u * u, c.odd_cdf_terms)
    tail = exp(-c.half * x * x) * (t * (even + u * odd))
    return tail if x < c.zero else c.one - tail


def polynomial(x, coefficients):
    """Horner's rule."""
    result = coefficients[0]
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result


# --- by precision --------------------------------------------------------------------------------


class Numbers(NamedTuple):
    """The constants of one precision."""

    zero: float
    quarter: float
    half: float
    one: float
    two: float
    infinity: float
    whole: float  # x + whole has the whole number next to x in its last bits, and no fraction
    per_log_2: float
    log_2: float
    log_2_high: float  # has so few bits that a whole number times it is exact
    log_2_low: float
    root_2_m1: float
    per_root_2_pi: float
    least: float  # from here to ``most``, e^x is a normal number; at ``most`` it is inf
    most: float
    wide: float  # from here on, tanh(x / 2) is 1
    exp_terms: tuple  # (e^r - 1 - r) / r^2, for |r| up to log(2) / 2
    log_terms: tuple  # (2 artanh(s) / s - 2) / s^2, as a function of s^2, for |s| up to 0.172
    # e^(x^2 / 2) cdf(-x) / t for x >= 0, as a function of t - 1/2, where t = 1 / (1 + x / 4)
    even_cdf_terms: tuple
    odd_cdf_terms: tuple


def numbers(dtype, **numbers):
    """The constants that both precisions have, and others, in that precision."""
    same = {
        "zero": 0.0,
        "quarter": 0.25,
        "half": 0.5,
        "one": 1.0,
        "two": 2.0,
        "infinity": math.inf,
        "per_log_2": 1 / math.log(2),
        "log_2": math.log(2),
        "root_2_m1": math.sqrt(2) - 1,
        "per_root_2_pi": 1 / math.sqrt(2 * math.pi),
    }
    typed = {
        name: tuple(map(dtype, value)) if isinstance(value, tuple) else dtype(value)
        for name, value in {**same, **numbers}.items()
    }
    return Numbers(**typed)


SINGLE = numbers(
    np.float32,
    whole=1.5 * 2**23,
    log_2_high=0.693359375,
    log_2_low=-2.12194440e-4,
    least=-86.9,
    most=89.0,
    wide=20.0,
    exp_terms=(
        0.00137488231,
        0.00836962837,
        0.0416696463,
        0.166665125,
        0.499999879,
    ),
    log_terms=(
        0.299032296,
        0.399764051,
        0.666667854,
    ),
    even_cdf_terms=(
        0.0115516527,
        -0.0561972315,
        0.241614297,
        0.387136933,
        0.188821284,
    ),
    odd_cdf_terms=(
        0.0168642078,
        -0.0502863319,
        0.0602076124,
        0.373046723,
        0.303948295,
    ),
)
DOUBLE = numbers(
    np.float64,
    whole=1.5 * 2**52,
    log_2_high=6.93147180369123816490e-01,
    log_2_low=1.90821492927058770002e-10,
    least=-707.5,
    most=710.0,
    wide=40.0,
    exp_terms=(
        2.0796265374988971e-09,
        2.5113398616601087e-08,
        2.7557705311719658e-07,
        2.7557230906991552e-06,
        2.4801586739585922e-05,
        0.00019841269900413135,
        0.0013888888889245362,
        0.0083333333333153615,
        0.041666666666665693,
        0.16666666666666685,
        0.5,
    ),
    log_terms=(
        0.14828813228589782,
        0.15310889202000877,
        0.18183682844351542,
        0.22222196393794186,
        0.28571428762617801,
        0.39999999999328145,
        0.66666666666667473,
    ),
    even_cdf_terms=(
        -0.0025635088183049754,
        0.0050692924157020817,
        -0.0055681961971784585,
        0.0044467302355646688,
        -0.0025783277450469036,
        0.00073378423246117143,
        -0.00048850937087786719,
        0.0085340358173042127,
        -0.055675077874442612,
        0.24158629956370251,
        0.38713740074221475,
        0.18882128260393788,
    ),
    odd_cdf_terms=(
        0.0014475548554260943,
        -0.00095825334720472813,
        -0.0017488059620302265,
        0.005076636925703106,
        -0.0083678420420117278,
        0.012124383395503402,
        -0.017994066389370452,
        0.029580150961462239,
        -0.052186190618106122,
        0.060321511733369929,
        0.37304371591931812,
        0.30394832098594604,
    ),
)


def numbers_of(x):
    """The constants in the precision of x."""
    return SINGLE if isinstance(x, np.float32) else DOUBLE


def _single_numbers(x):
    return SINGLE


def _double_numbers(x):
    return DOUBLE


def half_power(whole):
    """2^(k - 1), for k in the last bits of a float and in the range of its exponents."""
    return _single_power(whole) if isinstance(whole, np.float32) else _double_power(whole)


def _single_power(whole):
    k = np.float32(whole).view(np.int32)
    return np.int32(((k + 126) & 255) << 23).view(np.float32)


def _double_power(whole):
    k = np.float64(whole).view(np.int64)
    return np.int64(((k + 1022) & 2047) << 52).view(np.float64)


def split(x):
    """k and m with x = 2^k m and m from sqrt(1/2) to sqrt(2), for normal x > 0."""
    return _split_single(x) if isinstance(x, np.float32) else _split_double(x)


def _split_single(x):
    bits = np.float32(x).view(np.int32)
    k = (bits - 0x3F3504F3) >> 23
    return np.float32(k), np.int32(bits - (k << 23)).view(np.float32)


def _split_double(x):
    bits = np.float64(x).view(np.int64)
    k = (bits - 0x3FE6A09E667F3BCD) >> 52
    return np.float64(k), np.int64(bits - (k << 52)).view(np.float64)


#: What compiled code calls in place of a function, for float32 and for float64.
PRECISIONS = {
    numbers_of: (_single_numbers, _double_numbers),
    half_power: (_single_power, _double_power),
    split: (_split_single, _split_double),
}
