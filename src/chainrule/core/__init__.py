"""What a derivative rule is: primitives, linear maps, levels and dispatch."""
