"""Deterministic simulation: the real rooms in small worlds, each drawn whole from one seed.

loop.py      time that jumps, and a scheduler that a seed decides
plan.py      what happens in one world: settings, callers, shifts, faults; plain data
upstream.py  the upstream as it is: a list with a history, and answers that take their time
world.py     one world: the real book, cache, flights and client between callers and upstream
oracle.py    what has to hold, in plain Python, whatever happened
planted.py   bugs on purpose: each has to be found, or the oracle is blind to it
"""
