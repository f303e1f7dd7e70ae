"""Services and processes of one machine: what ``manage.py up`` and ``manage.py down`` do (docs/adr/0003).

Nothing in this package imports Django: it writes the environment that the settings then read.
"""
