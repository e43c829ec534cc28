"""A list that changes at random behind a proxy in its own process, read and followed over HTTP.

`python -m tests.following` compares each page, export and change with every version of the list.

upstream.py   the list and the server that serves it
readers.py    clients that read pages and exports, and that follow the changes
"""
