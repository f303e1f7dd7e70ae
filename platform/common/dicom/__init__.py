"""DICOM bytes read once: header, DICOM JSON, where the frames lie. Plain Python, no Django."""
