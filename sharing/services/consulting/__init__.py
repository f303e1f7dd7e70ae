"""Remote consultation (会诊): asked, accepted, discussed, answered with a signed opinion, ended."""
