"""Which of the copies that may serve a read does: pure functions and values, with time and chance as arguments.

What counts, in this order, each within what the one before leaves:

1. *Who is out* (`health`): a copy that fails, does not answer or is much slower than its peers is ejected for a time
   and probed back in; one that has just come is probed first; one that drains gets nothing new.  Never more than a
   part of all is out for being ejected: when most fail it is rarely they who are at fault.
2. *Nearness* (`shares`): copies in the proxy's zone, and others as far as that zone is short of them.
3. *Shares* (`shares`): a copy's weight, times how far it is warmed up, divided by how much slower it is (`latency`)
   than its peers.
4. *Turns* (`turns`): a fixed cycle in which each copy has its share, evenly spread.  So without any load to go by
   the spread is exact, and a choice costs a look at a list.
5. *Load* (`turns`): of the two copies whose turns come next the second is taken when it has less outstanding, each
   reckoned against its share.

The primary comes after all of these, as what it does for a read it does not do for writes; then those that are out,
when there is nothing else.

The order of the five is from the certain to the guessed: an ejected copy is known to fail, a zone is configured, a
load is a moment's.  Rejected: one score as a product of all (as in Peak EWMA balancers), since a slow copy near by
and a fast one far off then look alike and a spread by weights cannot be promised; two random picks, which cost more
than a fixed cycle and spread worse when nothing is outstanding, which is the rule where reads are done in the proxy
itself.
"""
