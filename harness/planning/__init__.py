"""From a recipe to exact rows."""
