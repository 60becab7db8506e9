"""From the user's Python source to the intermediate representation."""
