"""Worlds in which a list changes at random, or is wrong for good, while it is read and followed.

plan.py       what happens in one world
draw.py       draws a plan from a seed
upstream.py   a list that changes, or contradicts itself
proxy.py      the components under test, read like the routes read them
follower.py   a client that keeps a copy of the list, by the documented recipe
oracle.py     checks what was read against the list
figures.py    how many orders were missing in how many answers
world.py      runs one world
"""
