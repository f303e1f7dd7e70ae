"""HL7 version 2: messages, character sets, acknowledgements, and the framing that carries them (MLLP)."""
