"""The archive's objects: packs of instances, the documents beside them, their names and their proof."""
