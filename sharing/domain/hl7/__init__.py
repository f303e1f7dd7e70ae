"""What the messages of hospitals mean here: segments to plain facts. Tables: docs/conformance/hl7.md."""
