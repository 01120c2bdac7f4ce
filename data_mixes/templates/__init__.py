"""The sources that ship with the harness: items made of templates."""
