"""Deterministic simulation: the real components in small worlds, each drawn from one seed.

loop.py       an event loop whose time jumps, and whose order of events a seed decides
plan.py       what happens in one world: settings, callers, changes, faults
draw.py       draws a plan from a seed
upstream.py   the simulated upstream
fetcher.py    fetches blocks from it
world.py      runs one world
rules.py      the rules that hold in every world
history.py    what has happened in a world
*_oracle.py   check fetches, calls and answers against the rules
sync/         worlds in which the list is read as a whole, and followed
disturbed/    worlds in which one thing goes wrong, and the rest has to go on
mutants/      components with a deliberate bug, each of which has to break its rule
batch.py      runs many worlds
"""
