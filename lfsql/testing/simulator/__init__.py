"""A whole cluster under one seed: production code, with everything around it made up.

What runs as in production: consensus (`lfsql.core`), the order in which its effects are carried out
(`lfsql.node.carrying`), the writer with its queue, ledger and clients, the engine on SQLite in memory, the form of
log rows and how a node starts from its files.  What is made up: clock, network, disks, processes, and the clients.

Reading order: `world` (time and chance), `disk`, `node`, `network`, `clients`, `invariants` (what must hold in every
step), `faults`, `run` (one seed), `command` (many).  See docs/testing.md.
"""
