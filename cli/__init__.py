"""Commands for people: `python -m cli upload|keys|redrive`."""
