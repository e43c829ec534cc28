"""Worlds in which one thing goes wrong all the time, and everything else has to go on.

plan.py       what goes wrong in one world, drawn from a seed
upstream.py   an upstream that does it
world.py      runs one world, and checks what its callers get
"""
