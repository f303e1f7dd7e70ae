"""Rules about members of the province, as plain Python."""
