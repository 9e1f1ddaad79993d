"""``vidgen new-plugin``: a plugin of one's own, small and working, to change from there. No torch here."""

from vidgen.scaffold.write import new_plugin

__all__ = ["new_plugin"]
