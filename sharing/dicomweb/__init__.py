"""The DICOMweb origin server: searches from the index, retrieves from the packs (PS3.18)."""
