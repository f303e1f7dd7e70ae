"""HL7 messages of hospitals: taken in, kept, acted on, answered (ADR 0027)."""
