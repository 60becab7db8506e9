"""scipy.special's ufuncs of several outputs on traced values: one primitive per output.

This module imports SciPy; it is entered when a ufunc that is not NumPy's own is first met on a traced
value (`arrays.protocols.enter_special`).
"""

from __future__ import annotations

import scipy.special as sc

from chainrule.arrays.functions.parts import outputs
from chainrule.arrays.protocols import implements
from chainrule.rules import special

__all__: list[str] = []

implements(sc.sici)(outputs("sici", special.si, special.ci))
implements(sc.shichi)(outputs("shichi", special.shi, special.chi))
implements(sc.fresnel)(outputs("fresnel", special.fresnel_s, special.fresnel_c))
implements(sc.airy)(
    outputs("airy", special.airy_ai, special.airy_aip, special.airy_bi, special.airy_bip),
)
