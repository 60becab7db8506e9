"""The intermediate representation of native mode: scalars in SSA form, arrays as memory. See `nodes`."""
